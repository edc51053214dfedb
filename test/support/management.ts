/** Requests of LiteLLM's management routes, by the master key unless another is named. */
import { type CallAnswer, MASTER_KEY, type Tollgate } from './tollgate.ts'

export interface Managed extends CallAnswer {
  value: Record<string, unknown>
}

export async function manage(
  tollgate: Pick<Tollgate, 'url'>,
  asked: string,
  body?: unknown,
  key: string | null = MASTER_KEY,
): Promise<Managed> {
  const [method = 'GET', path = '/'] = asked.split(' ')
  const response = await fetch(`${tollgate.url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = () => JSON.parse(text)
  return { status: response.status, headers: response.headers, body: text, json, value: json() }
}

/** A virtual key of the operator's. */
export async function newVirtualKey(tollgate: Pick<Tollgate, 'url'>, body: unknown, by?: string): Promise<string> {
  const made = await manage(tollgate, 'POST /key/generate', body, by)
  if (made.status !== 200) throw new Error(`/key/generate: ${made.status} ${made.body}`)
  return String(made.value.key)
}
