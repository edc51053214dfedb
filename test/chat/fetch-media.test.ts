/** What a request names by URL reaches a provider that fetches nothing as part of the request: fetched by us, within limits. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { jsonAnswer } from '../support/upstream-answers.ts'

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const MEGABYTE = Buffer.alloc(1024 * 1024)
const asked: string[] = []

const PAGES: Record<string, RequestListener> = {
  '/pixel.png': (_, response) => void response.setHeader('content-type', 'image/png; charset=x').end(PIXEL),
  '/moved': (_, response) => void response.writeHead(302, { location: '/pixel.png' }).end(),
  '/round': (_, response) => void response.writeHead(302, { location: '/round' }).end(),
  '/inside': (_, response) => void response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end(),
  '/page': (_, response) => void response.setHeader('content-type', 'application/zip').end('PK'),
  '/endless': (_, response) => {
    response.setHeader('content-type', 'image/png')
    const more = () => void (response.destroyed || response.write(MEGABYTE, more))
    more()
  },
}

let web: Server
let origin = ''

beforeAll(async () => {
  web = createServer((request, response) => {
    asked.push(request.url ?? '')
    const page = PAGES[request.url ?? '']
    if (page === undefined) response.writeHead(404).end()
    else page(request, response)
  })
  // A port of our own choice, since the product's configuration names it.
  await new Promise<void>((resolve) => web.listen(PORT, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`
})
afterAll(() => {
  web.closeAllConnections()
  web.close()
})

const PORT = 20_000 + (process.pid % 20_000)
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'gemini', { model: 'gemini/gemini-2.5-flash' }),
    modelOn(url, 'gpt', { model: 'openai/gpt-4o-mini' }),
  ],
  tollgate: { allowed_addresses: [`127.0.0.1:${PORT}`] },
  litellm_settings: { num_retries: 0 },
}))

const GEMINI = jsonAnswer({
  candidates: [{ content: { role: 'model', parts: [{ text: 'A pixel.' }] }, finishReason: 'STOP', index: 0 }],
  usageMetadata: { promptTokenCount: 260, candidatesTokenCount: 3, totalTokenCount: 263 },
  modelVersion: 'gemini-2.5-flash',
})

const seen = (...urls: string[]) => ({
  max_tokens: 50,
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is it?' },
        ...urls.map((url) => ({ type: 'image_url', image_url: { url } })),
      ],
    },
  ],
})

describe('for a provider that fetches nothing', () => {
  test.each(['/pixel.png', '/moved'])('is fetched and sent along: %s', async (path) => {
    const { db, upstream, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(GEMINI)
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}${path}`) })
    expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '0.128250'])
    expect(upstream.requests.at(-1)?.json).toMatchObject({
      contents: [
        { parts: [{ text: 'What is it?' }, { inlineData: { mimeType: 'image/png', data: PIXEL.toString('base64') } }] },
      ],
    })
  })

  test.each([
    ['/gone', 'its server answered 404'],
    ['/round', 'it is moved on and on'],
    ['/page', 'its server says it is "application/zip"'],
    ['/endless', 'it is larger than 20 MB'],
  ])('that can not be had is refused by its place, and nothing is held: %s', async (path, why) => {
    const { db, upstream, tollgate } = product
    const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}${path}`) })
    const param = 'messages[0].content[1].image_url.url'
    expect(expectRefusal(answer, { status: 400, code: 'media_unavailable', param })).toBe(
      `The content named in ${param} could not be used: ${why}. Send it inline, as a data: URL.`,
    )
    expect(upstream.requests).toHaveLength(before)
    const { rows } = await db.pool.query('select 1 from tollgate.ledger_holds where org_id = $1', [id])
    expect(rows).toEqual([])
  })

  test.each([
    ['a private address', 'http://10.0.0.1/x.png'],
    ['this machine', 'http://127.0.0.1:1/x.png'],
    ['the metadata of a cloud', 'http://169.254.169.254/latest/meta-data'],
    ['a mapped address', 'http://[::ffff:127.0.0.1]/x.png'],
    ['a redirect inside', '/inside'],
  ])('is not fetched from %s', async (_, url) => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(new URL(url, origin).href) })
    expectRefusal(answer, { status: 400, code: 'address_not_allowed', param: 'messages[0].content[1].image_url.url' })
  })

  test('is fetched one by one, within what the others left', async () => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const before = asked.length
    const urls = ['/pixel.png', '/endless', '/endless', '/endless'].map((path) => `${origin}${path}`)
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(...urls) })
    const param = 'messages[0].content[2].image_url.url'
    expect(expectRefusal(answer, { status: 400, code: 'media_unavailable', param })).toBe(
      `The content named in ${param} could not be used: all media together are larger than 20 MB. Send it inline, as a data: URL.`,
    )
    expect(asked.slice(before)).toEqual(['/pixel.png', '/endless'])
  })

  test('is fetched for those who are somebody only', async () => {
    const before = asked.length
    const answer = await postChat(product.tollgate, 'uc_nobody', { model: 'gemini', ...seen(`${origin}/pixel.png`) })
    expect(answer.status).toBe(401)
    expect(asked).toHaveLength(before)
  })

  test('of more than sixteen addresses is refused', async () => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const many = Array.from({ length: 17 }, () => `${origin}/pixel.png`)
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(...many) })
    expectRefusal(answer, { status: 400, code: 'too_many_media', param: 'messages' })
  })
})

test('a provider that fetches by itself gets the address', async () => {
  const { db, upstream, tollgate } = product
  const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = asked.length
  const choices = [{ index: 0, message: { role: 'assistant', content: 'A pixel.' }, finish_reason: 'stop' }]
  upstream.respond(jsonAnswer({ choices, usage: { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 } }))
  const answer = await postChat(tollgate, keys.alice, { model: 'gpt', ...seen(`${origin}/pixel.png`) })
  expect(answer.status).toBe(200)
  expect(upstream.requests.at(-1)?.json).toMatchObject(seen(`${origin}/pixel.png`))
  expect(asked).toHaveLength(before)
})
