/** One request to a receiver, over kept connections that the address guard judges. A redirect is a failure: it would leave what was judged. */
import type { AddressGuard } from '../http/address-guard.ts'
import type { TollgateError } from '../http/errors.ts'

const TIMEOUT_MS = 10_000
const CONNECT_MS = 5_000
/** Of a response: enough to say what was wrong. */
const ANSWER_MAX = 64 * 1024
const SHOWN = 200

export interface PostRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  url: string
  headers: Record<string, string>
  body: string | null
}

export interface PostAnswer {
  status: number
  text: string
}

export interface Post {
  /** @throws {Error} where there was no whole response in ten seconds. */
  ask(request: PostRequest): Promise<PostAnswer>
  /** @throws {Error} for every status but 2xx. */
  deliver(request: PostRequest): Promise<void>
  close(): Promise<void>
}

export function createPost(guard: AddressGuard): Post {
  const agent = guard.agent(CONNECT_MS)

  async function ask({ method = 'POST', url, headers, body }: PostRequest): Promise<PostAnswer> {
    const { origin, pathname, search } = new URL(url)
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    try {
      const sent = { origin, path: `${pathname}${search}`, method, headers, body, signal }
      const response = await agent.request(sent)
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        chunks.push(chunk)
        size += chunk.length
        if (size > ANSWER_MAX) break
      }
      return { status: response.statusCode, text: Buffer.concat(chunks).toString('utf8') }
    } catch (error) {
      throw new Error(describe(error), { cause: error })
    }
  }

  return {
    ask,
    async deliver(request) {
      const { status, text } = await ask(request)
      if (status >= 200 && status < 300) return
      throw new Error(refusalOf(status, text))
    },
    // Requests are over by now, or hopeless.
    close: () => agent.destroy(),
  }
}

export function refusalOf(status: number, text: string): string {
  const shown = text
    .slice(0, SHOWN)
    .replace(/\s+/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .trim()
  return shown === '' ? `answered ${status}` : `answered ${status}: ${shown}`
}

function describe(error: unknown): string {
  const { name, code, message, status } = error as Partial<TollgateError> & { code?: string }
  if (name === 'TimeoutError') return `no answer in ${TIMEOUT_MS / 1000} seconds`
  if (status !== undefined) return message ?? ''
  return `no answer: ${code ?? message ?? 'unknown'}`
}
