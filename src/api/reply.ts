/** A response that says more than its body: another status than the route's own, or headers. */

export interface ReplyOptions {
  /** 200 unless stated. */
  status?: number
  headers?: Readonly<Record<string, string | readonly string[]>>
}

export class Reply<Body> {
  readonly body: Body
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>

  constructor(body: Body, { status = 200, headers = {} }: ReplyOptions = {}) {
    this.body = body
    this.status = status
    this.headers = headers
  }
}
