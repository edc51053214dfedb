/** What needs no credential is sent to one address within bounds, so that whoever does not read it fills nothing. */
import { expect, test } from 'vitest'
import { createDocumentBytes } from '../../src/admission/document-bytes.ts'
import type { TollgateError } from '../../src/http/errors.ts'
import { useProduct } from '../support/product.ts'

const MB = 1024 * 1024
const product = useProduct()

test('After 16 MB in a second an address gets 429; another network is served, and the same one is served in the next second.', () => {
  let now = 0
  const documents = createDocumentBytes(() => now)
  const takes = (address: string) => {
    try {
      documents.take(address, 4 * MB)
      return true
    } catch (error) {
      return (error as TollgateError).code
    }
  }
  expect(Array.from({ length: 5 }, () => takes('192.0.2.7'))).toEqual([true, true, true, true, 'too_many_documents'])
  // One site has a /64 of IPv6, and may call itself by all of it.
  expect(Array.from({ length: 5 }, (_, at) => takes(`2001:db8::${at}`)).at(-1)).toBe('too_many_documents')
  expect(takes('192.0.2.8')).toBe(true)
  now = 1_000
  expect(takes('192.0.2.7')).toBe(true)
})

test('An address that asks for the OpenAPI description over and over is refused, and its calls are answered.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 10, users: { alice: 5 } })
  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const answer = await fetch(`${product.tollgate.url}/openapi.json`, { headers: { 'accept-encoding': 'identity' } })
      return { status: answer.status, retry: answer.headers.get('retry-after'), size: (await answer.bytes()).length }
    }),
  )
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused.length).toBeGreaterThan(0)
  expect(new Set(refused.map(({ retry }) => retry))).toEqual(new Set(['1']))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]))
  const models = await fetch(`${product.tollgate.url}/v1/models`, {
    headers: { authorization: `Bearer ${keys.alice}` },
  })
  expect(models.status).toBe(200)
})
