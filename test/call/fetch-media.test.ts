/** What a request names by URL reaches a provider that fetches nothing as part of the request: fetched by us, within limits. */
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { growth, scrape } from '../observe/samples.ts'
import { png } from '../providers/media/build.ts'
import { balanceOf, rowsOf } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { jsonAnswer } from '../support/upstream-answers.ts'

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const MEGABYTE = Buffer.alloc(1024 * 1024)
const PDF = Buffer.from('%PDF-1.4 of which nothing tells the pages')
const asked: string[] = []
/** What is slow is sent when it resolves. */
let slow: Promise<void> = Promise.resolve()

const PAGES: Record<string, RequestListener> = {
  '/pixel.png': (_, response) => void response.setHeader('content-type', 'image/png; charset=x').end(PIXEL),
  // 24 tiles, where a usual one has four.
  '/wide.png': (_, response) => void response.setHeader('content-type', 'image/png').end(png(3_072, 384)),
  '/moved': (_, response) => void response.writeHead(302, { location: '/pixel.png' }).end(),
  '/round': (_, response) => void response.writeHead(302, { location: '/round' }).end(),
  '/inside': (_, response) => void response.writeHead(307, { location: 'http://169.254.169.254/latest' }).end(),
  '/slow.png': (_, response) => void slow.then(() => response.setHeader('content-type', 'image/png').end(PIXEL)),
  '/slow.pdf': (_, response) => void slow.then(() => response.setHeader('content-type', 'application/pdf').end(PDF)),
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
  tollgate: { allowed_addresses: [`127.0.0.1:${PORT}`], limits: { fetches: 4, fetched_megabytes: 48 } },
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
  test.each(['/pixel.png', '/moved'])(
    'A medium for a provider that fetches nothing is fetched and sent along: %s.',
    async (path) => {
      const { db, upstream, tollgate } = product
      const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
      upstream.respond(GEMINI)
      const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}${path}`) })
      expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '0.128250'])
      expect(upstream.requests.at(-1)?.json).toMatchObject({
        contents: [
          {
            parts: [{ text: 'What is it?' }, { inlineData: { mimeType: 'image/png', data: PIXEL.toString('base64') } }],
          },
        ],
      })
    },
  )

  test.each([
    ['/gone', 'its server answered 404'],
    ['/round', 'too many redirects'],
    ['/page', 'its server says it is "application/zip"'],
    ['/endless', 'it is larger than 20 MB'],
  ])(
    'A medium that can’t be fetched for a provider that fetches nothing is refused by its place, and the hold is released: %s.',
    async (path, why) => {
      const { db, upstream, tollgate } = product
      const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
      const before = upstream.requests.length
      const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}${path}`) })
      const param = 'messages[0].content[1].image_url.url'
      expect(expectRefusal(answer, { status: 400, code: 'media_unavailable', param })).toBe(
        `The content named in ${param} could not be used: ${why}. Send it inline, as a data: URL.`,
      )
      expect(upstream.requests).toHaveLength(before)
      const [row, ...more] = await rowsOf(db.pool, id)
      expect(more).toEqual([])
      expect(row).toMatchObject({
        credits_used: '0.000000',
        outcome: 'failed',
        details: { error: 'media_unavailable' },
      })
    },
  )

  test.each([
    ['a private address', 'http://10.0.0.1/x.png'],
    ['this machine', 'http://127.0.0.1:1/x.png'],
    ['the metadata of a cloud', 'http://169.254.169.254/latest/meta-data'],
    ['a mapped address', 'http://[::ffff:127.0.0.1]/x.png'],
    ['a redirect inside', '/inside'],
  ])('A medium for a provider that fetches nothing is not fetched from %s.', async (_, url) => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(new URL(url, origin).href) })
    expectRefusal(answer, { status: 400, code: 'address_not_allowed', param: 'messages[0].content[1].image_url.url' })
  })

  test('Media for a provider that fetches nothing are fetched one by one, within what the others left.', async () => {
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

  test.each([
    { path: '/slow.png', bound: '16.908150', held: '0.306300' },
    { path: '/slow.pdf', bound: '472.046700', held: '116.290200' },
  ])(
    'A medium for a provider that fetches nothing is held at the most it can be while it is fetched, and then at what it is: $path',
    async ({ path, bound, held }) => {
      const { db, upstream, tollgate } = product
      const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
      const later = Promise.withResolvers<void>()
      slow = later.promise
      const gate = Promise.withResolvers<void>()
      upstream.respond({ ...GEMINI, beforeHead: gate.promise })
      const requests = upstream.requests.length
      const before = asked.length
      const file = path.endsWith('.pdf')
      const part = file
        ? { type: 'file', file: { file_data: `${origin}${path}` } }
        : { type: 'image_url', image_url: { url: `${origin}${path}` } }
      const messages = [{ role: 'user', content: [part] }]
      const answer = postChat(tollgate, keys.alice, { model: 'gemini', max_tokens: 50, messages })
      await expect.poll(() => asked.length).toBe(before + 1)
      expect((await balanceOf(db.pool, id, 'alice')).held).toBe(bound)
      later.resolve()
      await upstream.received(requests + 1)
      expect((await balanceOf(db.pool, id, 'alice')).held).toBe(held)
      gate.resolve()
      expect((await answer).status).toBe(200)
    },
  )

  test('A medium that is larger than its part said is held in full, or the call is not made.', async () => {
    const { db, upstream, tollgate } = product
    const rich = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const poor = await db.seedOrganization({ credits: 1_000, users: { bob: 50 } })
    slow = Promise.resolve()
    const gate = Promise.withResolvers<void>()
    upstream.respond({ ...GEMINI, beforeHead: gate.promise })
    const requests = upstream.requests.length
    const body = { model: 'gemini', ...seen(`${origin}/slow.pdf`) }
    const refused = await postChat(tollgate, poor.keys.bob, body)
    expect(refused.status).toBe(402)
    expect(refused.headers.get('x-should-retry')).toBe('false')
    expect(refused.json()).toMatchObject({
      error: { code: 'insufficient_credits', required: '116.2956', available: '16.90995' },
    })
    expect(await rowsOf(db.pool, poor.id)).toMatchObject([{ outcome: 'failed', credits_used: '0.000000' }])
    expect(upstream.requests).toHaveLength(requests)

    const answer = postChat(tollgate, rich.keys.alice, body)
    await upstream.received(requests + 1)
    expect((await balanceOf(db.pool, rich.id, 'alice')).held).toBe('116.295600')
    gate.resolve()
    expect((await answer).status).toBe(200)
  })

  test('A medium is not fetched for a caller who can’t pay what such an image usually costs.', async () => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 5, users: { alice: 0.5 } })
    const before = asked.length
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}/pixel.png`) })
    expect(answer.status).toBe(402)
    expect(answer.json()).toMatchObject({
      error: { code: 'insufficient_credits', required: '0.66', available: '0.5' },
    })
    expect(asked).toHaveLength(before)
  })

  test('A medium that turns out larger than the credits cover is sent nowhere.', async () => {
    const { db, tollgate, upstream } = product
    const acme = await db.seedOrganization({ credits: 5, users: { alice: 1 } })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, acme.keys.alice, { model: 'gemini', ...seen(`${origin}/wide.png`) })
    expect(answer.status).toBe(402)
    expect(answer.json()).toMatchObject({ error: { code: 'insufficient_credits', required: '2.982', available: '1' } })
    expect(upstream.requests).toHaveLength(before)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
  })

  test('Media are fetched for only so many calls at once, of which one organization has half.', async () => {
    const { db, upstream } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const zeta = await db.seedOrganization({ credits: 1_000, users: { bob: 500 } })
    const later = Promise.withResolvers<void>()
    slow = later.promise
    upstream.respond(GEMINI)
    const before = await scrape(product.tollgate)
    const count = asked.length
    const fetching = [1, 2].map(() =>
      postChat(product.tollgate, acme.keys.alice, { model: 'gemini', ...seen(`${origin}/slow.png`) }),
    )
    await expect.poll(() => asked.length).toBe(count + 2)
    const body = { model: 'gemini', ...seen(`${origin}/pixel.png`) }
    const refused = await postChat(product.tollgate, acme.keys.alice, body)
    expectRefusal(refused, { status: 429, code: 'too_much_media' })
    expect(refused.headers.get('retry-after')).toBe('2')
    expect((await postChat(product.tollgate, zeta.keys.bob, body)).status).toBe(200)
    expect(growth(before, await scrape(product.tollgate), 'tollgate_refused_total')).toEqual({
      'tollgate_refused_total{limit="organization_fetches"}': 1,
    })
    later.resolve()
    for (const answer of await Promise.all(fetching)) expect(answer.status).toBe(200)
    expect((await postChat(product.tollgate, acme.keys.alice, body)).status).toBe(200)
  })

  test('The fetch of a medium stops when its caller leaves, and the hold is released.', async () => {
    const { db, tollgate } = product
    const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    slow = new Promise(() => {})
    const before = asked.length
    const call = openCall(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}/slow.png`) })
    await expect.poll(() => asked.length).toBe(before + 1)
    call.leave()
    await expect.poll(async () => (await rowsOf(db.pool, id)).length, { timeout: 10_000 }).toBe(1)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ outcome: 'client_disconnected', credits_used: '0.000000' }])
  })

  test('A call holds its idempotency key while its medium is fetched, and frees it where the medium can’t be had.', async () => {
    const { db, upstream, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(GEMINI)
    const later = Promise.withResolvers<void>()
    slow = later.promise
    const headers = { 'Idempotency-Key': 'fetched' }
    const ask = (path: string) =>
      postChat(tollgate, keys.alice, { model: 'gemini', ...seen(`${origin}${path}`) }, { headers })
    expect((await ask('/gone')).status).toBe(400)
    const before = asked.length
    const first = ask('/slow.png')
    await expect.poll(() => asked.length).toBe(before + 1)
    expect((await ask('/slow.png')).json()).toMatchObject({ error: { code: 'idempotency_key_in_use' } })
    later.resolve()
    expect((await first).status).toBe(200)
    expect((await ask('/slow.png')).headers.get('idempotent-replayed')).toBe('true')
    expect(asked).toHaveLength(before + 1)
  })

  test('A medium is fetched for known callers only.', async () => {
    const before = asked.length
    const answer = await postChat(product.tollgate, 'uc_nobody', { model: 'gemini', ...seen(`${origin}/pixel.png`) })
    expect(answer.status).toBe(401)
    expect(asked).toHaveLength(before)
  })

  test('A call with media from more than sixteen addresses is refused.', async () => {
    const { db, tollgate } = product
    const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const many = Array.from({ length: 17 }, () => `${origin}/pixel.png`)
    const answer = await postChat(tollgate, keys.alice, { model: 'gemini', ...seen(...many) })
    expectRefusal(answer, { status: 400, code: 'too_many_media', param: 'messages' })
  })
})

test('A provider that fetches by itself gets the address.', async () => {
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
