/**
 * An honest caller who stops a stream at any frame never pays more than the call read to its end would have cost. Each stream is of one
 * token a frame, as models write, and its provider states what it wrote; the settling is the product's own.
 */
import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Call } from '../../src/chat/call.ts'
import { createHiddenShares } from '../../src/chat/hidden-share.ts'
import { makeOffer } from '../../src/chat/offer.ts'
import { capFor } from '../../src/chat/place-hold.ts'
import { parseRequest } from '../../src/chat/read-request.ts'
import { type SettleDependencies, settleCall } from '../../src/chat/settle-call.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Caller } from '../../src/identity/caller.ts'
import type { Settlement } from '../../src/ledger/ledger.ts'
import { createPriceBook } from '../../src/metering/price.ts'
import { createTokenizer } from '../../src/metering/tokenizer.ts'
import { createLog } from '../../src/observe/log.ts'
import { createRouter } from '../../src/routing/route.ts'
import { configFor, modelOn } from '../support/tollgate.ts'
import { sse } from '../support/upstream-answers.ts'

const URL = 'http://127.0.0.1:9/v1'
const PROMPT = 'Say hello'
/** "user\nSay hello" is 4 tokens, the frame of the message and the answer's opening 6. */
const INPUT = 10

const { config } = loadConfig(
  configFor(URL, { models: [modelOn(URL, 'claude', { model: 'anthropic/claude-haiku-4-5' })] }),
  'config.yaml',
  { SCRIPTED_API_KEY: 'sk-test' },
  { embedded: true, providers: PROVIDERS },
)

interface Stream {
  name: string
  model: string
  frames: string[]
}

const chunk = (delta: object, more: object = {}) =>
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason: null }], ...more })
const usageOf = (output: number) => ({ prompt_tokens: INPUT, completion_tokens: output, total_tokens: INPUT + output })
const finish = (more: object = {}) =>
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], ...more })
const last = (output: number) => [
  finish(),
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [], usage: usageOf(output) }),
  'data: [DONE]\n\n',
]
const words = [
  'Hello',
  ' there',
  ',',
  ' this',
  ' is',
  ' a',
  ' test',
  ' of',
  ' many',
  ' words',
  '.',
  '\n',
  ' It',
  ' ends',
]
const ROLE = chunk({ role: 'assistant', content: '' })

function claude(pieces: readonly string[]): string[] {
  const event = (type: string, members: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const usage = { input_tokens: INPUT, output_tokens: 1 }
  return [
    event('message_start', { message: { id: 'm', model: 'claude-haiku-4-5', content: [], usage } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...pieces.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: pieces.length } }),
    event('message_stop', {}),
  ]
}

const STREAMS: readonly Stream[] = [
  {
    name: 'text',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), ...last(words.length)],
  },
  {
    name: 'thoughts that are shown',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((reasoning) => chunk({ reasoning })), ...last(words.length)],
  },
  {
    name: 'a tool call',
    model: 'gpt-4o-mini',
    frames: [
      chunk({
        role: 'assistant',
        content: null,
        tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }],
      }),
      ...['{"', 'city', '":"', 'Paris', '"}'].map((args) =>
        chunk({ tool_calls: [{ index: 0, function: { arguments: args } }] }),
      ),
      ...last(8),
    ],
  },
  {
    name: 'usage in every frame',
    model: 'gpt-4o-mini',
    frames: [
      chunk({ role: 'assistant' }, { usage: usageOf(0) }),
      ...words.map((content, i) => chunk({ content }, { usage: usageOf(i + 1) })),
      finish({ usage: usageOf(words.length) }),
      'data: [DONE]\n\n',
    ],
  },
  {
    name: 'usage in the finish frame',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), finish({ usage: usageOf(words.length) })],
  },
  {
    name: 'usage stated first',
    model: 'gpt-4o-mini',
    frames: [
      chunk({ role: 'assistant' }, { usage: usageOf(0) }),
      ...words.map((content) => chunk({ content })),
      ...last(words.length),
    ],
  },
  {
    name: 'no usage at all',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), finish(), 'data: [DONE]\n\n'],
  },
  {
    name: 'a model of an unknown limit',
    model: 'exact',
    frames: [ROLE, ...words.map((content) => chunk({ content })), ...last(words.length)],
  },
  { name: 'Claude', model: 'claude', frames: claude(words) },
]

describe('stopped at any frame, a stream costs no more than read to its end', () => {
  test.each(STREAMS)('$name', async ({ model, frames }) => {
    const tokenizer = createTokenizer()
    onTestFinished(() => tokenizer.close())
    const whole = await chargeFor(model, frames, tokenizer, true)
    let before = 0n
    for (let stop = 0; stop < frames.length; stop += 1) {
      const charged = await chargeFor(model, frames.slice(0, stop), tokenizer, false)
      expect(charged, `stopped after ${stop} frames`).toBeLessThanOrEqual(whole)
      // Nor is it cheaper to wait.
      expect(charged, `stopped after ${stop} frames`).toBeGreaterThanOrEqual(before)
      before = charged
    }
    expect(whole).toBeGreaterThan(0n)
  })
})

async function chargeFor(
  model: string,
  frames: readonly string[],
  tokenizer: SettleDependencies['tokenizer'],
  isWhole: boolean,
): Promise<bigint> {
  const call = callOf(model)
  const reader = call.offer.provider.readStream({
    request: call.request,
    model: call.offer.deployment.upstreamModel,
    choices: 1,
    callId: call.exchange.callId,
    created: 0,
  })
  for (const frame of frames) reader.push(Buffer.from(frame))
  if (isWhole) reader.end()
  const booked: Settlement[] = []
  const deps = {
    prices: createPriceBook(),
    tokenizer,
    log: createLog('silent'),
    now: () => new Date(),
    hiddenShares: createHiddenShares(),
    ledger: {
      async settle(settlement: Settlement) {
        booked.push(settlement)
        return { state: 'settled', charged: settlement.charge, remaining: 0n, keySpend: null }
      },
    },
  } as unknown as SettleDependencies
  const { reading, finishReasons, isFinal, hasContent, frames: shown } = reader
  await settleCall(deps, call, {
    reading,
    finishReasons,
    isFinal,
    hasContent,
    frames: shown,
    outputText: () => reader.outputText(),
    shownText: () => reader.shownText(),
    outcome: isWhole ? 'answered' : 'client_disconnected',
  })
  return booked[0]!.charge
}

/** A call as it is once it is held: only what settling reads. */
function callOf(model: string): Call {
  if (config === null) throw new Error('the configuration has errors')
  const request = parseRequest(
    Buffer.from(JSON.stringify({ model, messages: [{ role: 'user', content: PROMPT }], stream: true })),
  )
  const caller = {
    organizationId: randomUUID(),
    userId: 'alice',
    keyId: null,
    plan: 'platform',
    isDefaultOrganization: false,
  } as unknown as Caller
  const [deployment] = createRouter(config).route(model)!.deployments
  const offer = makeOffer(
    deployment!,
    { apiKey: 'sk-test', owner: 'platform' },
    { config, prices: createPriceBook(), caller, request, powerLevel: 'balanced', at: new Date() },
  )
  const held = offer.quote.input + offer.quote.outputFor(offer.wanted)
  return {
    offer,
    request,
    caller,
    held,
    tight: false,
    modelGroup: model,
    appliedCap: capFor({ offer, held, tight: false }),
    exchange: { callId: randomUUID(), requestId: 'r', callerRequestId: null, startedAt: 0 },
    hold: { remaining: 0n, keySpend: null },
    retries: 0,
    fallbacks: 0,
    timing: { upstreamStartedAt: 0, firstByteAt: null, upstreamMs: 0 },
    bill: null,
  } as unknown as Call
}
