/** A user with credits and OpenAI's own client, before a provider that responds as a test says. */
import OpenAI from 'openai'
import type { Product } from './product.ts'
import type { ReceivedRequest } from './upstream.ts'
import type { Answer, Handler } from './upstream-answers.ts'

export interface OpenAiPayer {
  orgId: string
  key: string
  client: OpenAI
}

/** An organization of its own, whose user has all of its credits. What the provider was asked before is forgotten. */
export async function seedPayer(
  { db, upstream, tollgate }: Product,
  answer: Handler | Answer,
  credits: number,
): Promise<OpenAiPayer> {
  upstream.respond(answer)
  upstream.requests.length = 0
  const { id: orgId, keys } = await db.seedOrganization({ credits, users: { alice: credits } })
  return {
    orgId,
    key: keys.alice,
    client: new OpenAI({ baseURL: `${tollgate.url}/v1`, apiKey: keys.alice, maxRetries: 0 }),
  }
}

/** The last request that reached the provider. */
export function lastRequestOf({ upstream }: Pick<Product, 'upstream'>): ReceivedRequest {
  const request = upstream.requests.at(-1)
  if (request === undefined) throw new Error('nothing reached the provider')
  return request
}
