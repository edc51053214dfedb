/** What a stream is charged that is read to its end or left after some of its frames: the product's own reading and settling. */
import { randomUUID } from 'node:crypto'
import { PROVIDERS } from '../../providers/registry.ts'
import { type Attempt, firstAttempt } from '../../src/call/admitted.ts'
import { createCallHold } from '../../src/call/call-hold.ts'
import { makeCandidate } from '../../src/call/candidate.ts'
import { createHiddenShares } from '../../src/call/hidden-shares.ts'
import { OPERATOR } from '../../src/call/payer.ts'
import { disconnectedReadOnMs } from '../../src/call/read-on.ts'
import { type SettleDependencies, settleCall } from '../../src/call/settle-call.ts'
import { createUsualTiers } from '../../src/call/usual-tiers.ts'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { chatCompletions } from '../../src/endpoints/chat-completions/chat-completions.ts'
import type { Exchange } from '../../src/http/exchange.ts'
import { parseJsonObject } from '../../src/http/json-object.ts'
import type { Settlement } from '../../src/ledger/ledger.ts'
import { createPriceBook } from '../../src/metering/price.ts'
import { createTokenizer } from '../../src/metering/tokenizer.ts'
import { createLog } from '../../src/observe/log.ts'
import { createRouter } from '../../src/routing/route.ts'
import { callerFor } from './caller.ts'

export interface SettledStream {
  /** Microcredits. */
  readToItsEnd(frames: readonly string[]): Promise<bigint>
  /** Microcredits, for a caller who left after these frames, and whose stream is not read on. */
  stoppedAfter(frames: readonly string[]): Promise<bigint>
  /** Whether a stream that is left after these frames is read on. */
  isReadOn(frames: readonly string[]): boolean
}

export interface Settler {
  stream(request: Record<string, unknown> & { model: string }): SettledStream
  close: () => Promise<void>
}

/** @param text config.yaml's. */
export function createSettler(text: string): Settler {
  const environment = { SCRIPTED_API_KEY: 'sk-test' }
  const { config } = loadConfig(text, 'config.yaml', environment, { embedded: true, providers: PROVIDERS })
  if (config === null) throw new Error('the configuration has errors')
  const prices = createPriceBook()
  const tokenizer = createTokenizer()

  async function settle(attempt: Attempt, frames: readonly string[], isWhole: boolean): Promise<bigint> {
    const reader = readFrames(attempt, frames)
    if (isWhole) reader.end()
    const booked: Settlement[] = []
    const ledger = {
      async settle(settlement: Settlement) {
        booked.push(settlement)
        return { state: 'settled', charged: settlement.charge, remaining: 0n, keySpend: null }
      },
    }
    const deps = {
      clock: { now: () => new Date(), monotonic: () => 0 },
      // Limits of tokens a minute are none of its business.
      admission: { rates: { tokens: () => {} } },
      money: { ledger, prices, tokenizer },
      learned: { hiddenShares: createHiddenShares(), usualTiers: createUsualTiers(() => 0) },
      observe: { log: createLog('silent') },
    } as unknown as SettleDependencies
    const { reading, finishReasons, isFinal, hasContent, frames: shown } = reader
    await settleCall(deps, attempt, {
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

  return {
    stream(request) {
      const attempt = attemptOf(config, prices, request)
      return {
        readToItsEnd: (frames) => settle(attempt, frames, true),
        stoppedAfter: (frames) => settle(attempt, frames, false),
        isReadOn: (frames) => disconnectedReadOnMs(config, attempt, readFrames(attempt, frames), 0) > 0,
      }
    },
    close: () => tokenizer.close(),
  }
}

function readFrames({ call, candidate }: Attempt, frames: readonly string[]) {
  const reader = candidate.terms.readStream({ callId: call.exchange.callId, created: 0 })
  for (const frame of frames) reader.push(Buffer.from(frame))
  return reader
}

/** An attempt of a call as it is once it is held: only what reading and settling look at. */
function attemptOf(
  config: Config,
  prices: ReturnType<typeof createPriceBook>,
  sent: Record<string, unknown> & { model: string },
): Attempt {
  const request = chatCompletions.read(parseJsonObject(Buffer.from(JSON.stringify(sent))))
  const caller = callerFor({ organizationId: randomUUID(), userId: 'alice' })
  const [routed] = createRouter(config).route(sent.model)!.candidates
  const candidate = makeCandidate(
    routed!,
    { apiKey: 'sk-test', payer: OPERATOR },
    {
      config,
      prices,
      caller,
      request,
      powerLevel: 'balanced',
      at: new Date(),
      usualTiers: createUsualTiers(() => 0),
      agreed: null,
    },
  )
  const callId = randomUUID()
  const held = candidate.quote.input + candidate.quote.outputFor(candidate.wanted)
  const granted = { callId, held, input: candidate.quote.input, remaining: 0n, keySpend: null, quota: null, owner: '' }
  const ledger = { covers: () => true, extend: () => Promise.resolve(null) }
  return firstAttempt(
    {
      endpoint: chatCompletions,
      exchange: { callId, requestId: 'r', callerRequestId: null, startedAt: 0 } as unknown as Exchange,
      caller,
      request,
      session: null,
      modelGroup: sent.model,
      hold: createCallHold(ledger, { callId, organizationId: caller.organizationId }, granted, candidate),
      candidates: [candidate],
      remote: null,
      quote: () => [candidate],
      standIns: () => Promise.resolve([]),
      deadline: Number.POSITIVE_INFINITY,
    },
    request.stream,
  )
}
