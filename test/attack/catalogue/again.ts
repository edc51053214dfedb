/** The same call again in other clothes, plans that ended, and what a router is told: further corners of what was tried before. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Plan } from '../../../src/config/config.ts'
import { pages, pdf, png } from '../../providers/media/build.ts'
import { chatAnswer, errorAnswer, jsonAnswer, rawStream, textAnswer } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import {
  chunk,
  DONE,
  greedy,
  honest,
  INPUT,
  inTurn,
  openAiReader,
  ROLE,
  says,
  usageFrame,
  usageOf,
} from '../provider.ts'
import { covered, exact, free, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const BILL = { input: INPUT, output: 2 }
const KEY = { 'idempotency-key': 'attack-again' }

/** The provider may be called once. */
function once(name: string, act: (actor: Actor) => Promise<void>, provider: Provider = honest(BILL)): Trick {
  return {
    name: `one key: ${name}`,
    by: 'caller',
    act,
    provider: (request, call) => {
      if (call > 1) throw new Error(`called ${call} times`)
      return provider(request, call)
    },
    promise: exact,
  }
}

const KEYS: readonly Trick[] = [
  once('the same call with blanks between its members', async ({ call }) => {
    const text = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello"}]}'
    await call({ headers: KEY, text })
    await call({ headers: KEY, text: text.replaceAll(',', ' , ') })
  }),
  once('the same call as a stream', async ({ call }) => {
    await call({ headers: KEY })
    await call({ headers: KEY, body: { stream: true } })
  }),
  once(
    'its level in the header, then in the body',
    async ({ call }) => {
      await call({ headers: { ...KEY, 'x-power-level': 'precision' }, body: { power_level: 'balanced' } })
      await call({ headers: KEY, body: { power_level: 'balanced' } })
    },
    honest(BILL),
  ),
  once(
    'a call that was left while it was made',
    async ({ call }) => {
      await call({ headers: KEY, leaveAfter: 0 })
      await sleep(300)
      const again = await call({ headers: KEY })
      if (again.headers['idempotent-replayed'] !== 'true') throw new Error(`answered anew: ${again.body.slice(0, 200)}`)
    },
    async (request, call) => {
      await sleep(100)
      return honest(BILL)(request, call)
    },
  ),
  once(
    'a stream of nothing that was paid for',
    async ({ call }) => {
      const body = { stream: true }
      for (let i = 0; i < 3; i += 1) await call({ headers: KEY, body })
    },
    () => ({ script: rawStream([ROLE, usageFrame(usageOf(INPUT, 50)), DONE]), bill: { input: INPUT, output: 50 } }),
  ),
  once(
    'an error of 500 that was paid for',
    async ({ call }) => {
      for (let i = 0; i < 3; i += 1) await call({ headers: KEY })
    },
    () => ({
      script: jsonAnswer({ id: 'c', choices: [], usage: usageOf(INPUT, 50) }),
      bill: { input: INPUT, output: 50 },
    }),
  ),
]
// Precision is twice the level; the second call is another one, and refused.
const LEVELLED = KEYS.map((trick) => (trick.name.includes('level') ? { ...trick, factor: 3_000n } : trick))

const answer = (status: number) => chatAnswer({ status, usage: usageOf(INPUT, 2) })

const ANSWERS: readonly Trick[] = [
  ...[203, 206].map(
    (status): Trick => ({
      name: `status ${status} is an answer`,
      by: 'provider',
      act: {},
      provider: () => ({ script: answer(status), bill: BILL }),
      promise: exact,
    }),
  ),
  {
    name: 'status 204 and nothing, then an answer',
    by: 'provider',
    act: { body: { model: 'twice' } },
    provider: inTurn({ script: textAnswer(204, ''), bill: null }, { script: answer(200), bill: BILL }),
    promise: exact,
  },
]

const OWN_KEY = `sk-proj-${'Ab3dEf6hIj'.repeat(5)}`

const ended = (plan: Plan, status: string, code: string): Trick => ({
  name: `a plan ${plan} that is ${status} moves to nobody's key`,
  by: 'caller',
  plan,
  async act(actor) {
    await actor.post('/api/v1/llm/byok/keys', { provider: 'openai', api_key: OWN_KEY })
    await actor.subscribe(status)
    // For so long a caller is remembered.
    await sleep(1_100)
    await actor.call({ body: { model: 'own' } })
  },
  provider: honest(BILL),
  promise: refused(code, 403),
})

const PLANS: readonly Trick[] = [
  ended('byok', 'paused', 'plan_inactive'),
  ended('hybrid', 'canceled', 'plan_inactive'),
  ended('hybrid', 'past_due', 'plan_inactive'),
]

/** The router gets a bound of the quote's prices, whatever the caller says of prices. */
const bounded =
  (prompt: number, completion: number): Provider =>
  (request, call) => {
    const bound = (request.json?.provider as { max_price?: Json } | undefined)?.max_price
    if (!(Number(bound?.prompt) <= prompt && Number(bound?.completion) <= completion))
      throw new Error(`the router was told ${JSON.stringify(bound)}`)
    return says(usageOf(INPUT, 2), BILL, { model: 'openai/gpt-4o-mini' })(request, call)
  }

const ROUTED: readonly Trick[] = [
  { sort: { by: 'price' } },
  { max_price: { prompt: 1_000, completion: 1_000 } },
  { max_price: { prompt: '1e3', completion: '  9 ' } },
  { max_price: { prompt: -1, completion: null } },
  { max_price: null },
  null,
].map((provider) => ({
  name: `the router is told what may be paid: ${JSON.stringify(provider)}`,
  by: 'caller',
  act: { body: { model: 'routed', max_tokens: 5, provider } },
  provider: bounded(0.15, 0.6),
  promise: exact,
}))

const dataUrl = (type: string, bytes: Buffer) => `data:${type};base64,${bytes.toString('base64')}`
const seen = (
  name: string,
  model: string,
  parts: readonly Json[],
  tokens: number,
  more: Partial<Trick> = {},
): Trick => ({
  name,
  by: 'caller',
  act: {
    body: {
      model,
      max_tokens: 5,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Say hello' }, ...parts] }],
    },
  },
  provider: greedy(openAiReader, { model: 'gemini-2.5-flash', inputOf: () => 12 + tokens }),
  promise: covered,
  ...more,
})

const image = (url: string) => ({ type: 'image_url', image_url: { url } })
const file = (bytes: Buffer) => ({
  type: 'file',
  file: { filename: 'a.pdf', file_data: dataUrl('application/pdf', bytes) },
})

const MEDIA: readonly Trick[] = [
  seen(
    'a wide image through the router is many tiles',
    'routed-google',
    [image(dataUrl('image/png', png(3_072, 384)))],
    24 * 258,
  ),
  seen('an image by its address through the router', 'routed-google', [image('https://example.com/a.png')], 144 * 258),
  seen('a document that the router turns into text', 'routed-google', [file(pdf(pages(20)))], 20 * 3_000),
  seen(
    'ten images of which nobody tells what they can be, on money for what they usually are',
    'eyes',
    Array.from({ length: 10 }, () => image('https://example.com/a.png')),
    100_000,
    {
      provider: greedy(openAiReader, { model: 'llama-4-maverick', limit: 5, inputOf: () => 100_000 }),
      credits: 5,
      // All of the window, as check-config prints it.
      overdraft: 39_321_600n,
      promise: exact,
    },
  ),
  {
    ...seen('ten users of one pool at once, each with such an image', 'eyes', [], 0),
    act: async ({ call, keys }) => {
      const content = [{ type: 'text', text: 'Say hello' }, image('https://example.com/a.png')]
      await Promise.all(
        keys.map((key) => call({ key, body: { model: 'eyes', max_tokens: 5, messages: [{ role: 'user', content }] } })),
      )
    },
    provider: greedy(openAiReader, { model: 'llama-4-maverick', limit: 5, inputOf: () => 16_384 }),
    credits: 1,
    users: 10,
    overdraft: 39_321_600n,
    promise: exact,
  },
]

/** A server that quotes an address of the caller's must not be taken for one that knows no `stream_options`. */
const QUOTED: Trick = {
  name: 'a server that quotes the address of an image is still asked for usage',
  by: 'caller',
  act: async ({ call }: Actor) => {
    const content = [{ type: 'text', text: 'Say hello' }, image('https://example.com/stream%5Foptions.png')]
    await call({ body: { model: 'little', stream: true, max_tokens: 5, messages: [{ role: 'user', content }] } })
    await call({ body: { model: 'little', stream: true, max_tokens: 5 } })
  },
  provider: (request, call) => {
    const { json } = request
    const asks = (json?.stream_options as Json | undefined)?.include_usage === true
    if (call === 1)
      return { script: errorAnswer(400, { message: 'no image at https://example.com/stream_options.png' }), bill: null }
    if (!request.body.includes('image_url') && !asks) throw new Error('usage was not asked for')
    return says(usageOf(INPUT, 2), BILL)(request, call)
  },
  promise: exact,
}

const AGENTS: Trick = {
  name: 'two calls of one agent whose caps are twice what there is keep nobody out',
  by: 'caller',
  act: async ({ call }: Actor) => {
    const body = { model: 'gpt-4o-mini', max_tokens: 16_384, stream: true }
    const seen = await Promise.all([call({ body }), call({ body })])
    const statuses = seen.map(({ status }) => status)
    if (statuses.some((status) => status !== 200)) throw new Error(`answered ${statuses.join(' and ')}`)
  },
  provider: honest({ input: INPUT, output: 50 }, { text: [' word'.repeat(50)] }),
  credits: 16,
  promise: exact,
}

const NOTHING: Trick = {
  name: 'a word that says nothing, a hundred times, and then it breaks off',
  by: 'provider',
  act: { body: { stream: true } },
  provider: (_, call) => ({
    script: rawStream([
      ROLE,
      ...Array.from({ length: 100 }, () => chunk({ content: '', refusal: null, tool_calls: [] })),
    ]),
    bill: call < 0 ? BILL : null,
  }),
  promise: free,
}

export const AGAIN: readonly Trick[] = [...LEVELLED, ...ANSWERS, ...PLANS, ...ROUTED, ...MEDIA, QUOTED, AGENTS, NOTHING]
