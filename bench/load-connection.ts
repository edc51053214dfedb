/**
 * One keep-alive connection of the load, one call at a time. A bare socket with as much HTTP as an answer needs to be told
 * from the next one: a client library would cost more CPU than the relay that is measured, and on a small machine take it from it.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { isStream, type Kind } from './provider-answers.ts'

export interface Answer {
  /** 0: the connection broke before the answer was whole. */
  status: number
  /** Milliseconds from sending to the first byte of the body, and to the last. */
  first: number
  whole: number
  /** The answer went out before its settlement was on the books. */
  pending: boolean
  /** The head and the first piece of the body where the status is not 200. */
  text: string
}

const HEAD_END = '\r\n\r\n'
/**
 * How a chunked body ends. Bodies here are JSON or frames of JSON, in which no bare CR occurs, so nothing else looks like it.
 */
const LAST_CHUNK = '\r\n0\r\n\r\n'
const STREAM_END = `data: [DONE]\n\n${LAST_CHUNK}`

export class LoadConnection {
  private readonly host: string
  private readonly port: number
  private socket: Socket | null = null
  private kind: Kind = 'whole'
  private sentAt = 0
  private firstAt = 0
  private head = ''
  /** Bytes of the body still to come; null where it is chunked. */
  private missing: number | null = null
  private tail = ''
  private resolve: ((answer: Answer) => void) | null = null
  private readonly onBody: (piece: Buffer) => void

  /** @param onBody sees the pieces of every answer's body as they come, with what marks the chunks of HTTP between them. */
  constructor(origin: string, onBody: (piece: Buffer) => void = () => {}) {
    const { hostname, port } = new URL(origin)
    this.host = hostname
    this.port = Number(port)
    this.onBody = onBody
  }

  async open(): Promise<void> {
    const socket = connect({ host: this.host, port: this.port, noDelay: true })
    await once(socket, 'connect')
    socket.on('data', (chunk: Buffer) => this.receive(chunk))
    socket.on('error', () => {})
    socket.on('close', () => {
      this.socket = null
      this.finish(0, 'the connection was closed')
    })
    this.socket = socket
  }

  /** Opens the connection again where it was closed. */
  async call(kind: Kind, request: Buffer): Promise<Answer> {
    if (this.socket === null) await this.open()
    this.kind = kind
    this.head = ''
    this.tail = ''
    this.firstAt = 0
    return new Promise((resolve) => {
      this.resolve = resolve
      this.sentAt = performance.now()
      this.socket?.write(request)
    })
  }

  close(): void {
    this.resolve = null
    this.socket?.destroy()
  }

  private receive(chunk: Buffer): void {
    if (this.resolve === null) return
    const body = this.head.endsWith(HEAD_END) ? chunk : this.readHead(chunk)
    if (body === null || body.length === 0) return
    if (this.firstAt === 0) this.firstAt = performance.now()
    this.onBody(body)
    if (this.missing === null) {
      this.tail = (this.tail + body.toString('latin1', Math.max(0, body.length - STREAM_END.length))).slice(
        -STREAM_END.length,
      )
      if (!this.tail.endsWith(LAST_CHUNK)) return
    } else {
      this.missing -= body.length
      if (this.missing > 0) return
    }
    const status = Number(this.head.slice(9, 12))
    // A stream that ends without saying so was cut off.
    const cut = isStream(this.kind) && status === 200 && this.tail !== STREAM_END
    this.finish(cut ? 0 : status, body.toString('latin1', 0, 300))
  }

  /** What of the chunk is body; null while the head is not complete. */
  private readHead(chunk: Buffer): Buffer | null {
    const before = this.head.length
    const text = this.head + chunk.toString('latin1')
    const end = text.indexOf(HEAD_END)
    if (end < 0) {
      this.head = text
      return null
    }
    this.head = text.slice(0, end + HEAD_END.length)
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.head)?.[1]
    this.missing = length === undefined ? null : Number(length)
    return chunk.subarray(end + HEAD_END.length - before)
  }

  private finish(status: number, text: string): void {
    const { resolve, sentAt, firstAt, head } = this
    this.resolve = null
    const pending = /\r\nx-tollgate-settlement: *pending/i.test(head)
    const answer = { status, first: firstAt - sentAt, whole: performance.now() - sentAt, pending }
    resolve?.({ ...answer, text: status === 200 ? '' : `${head}${text}` })
  }
}
