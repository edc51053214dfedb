/** What a stream is charged that is read to its end or left after some of its frames: the product's own reading and settling. */
import { randomUUID } from 'node:crypto'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Call } from '../../src/call/call.ts'
import { makeCandidate } from '../../src/call/candidate.ts'
import { createHiddenShares } from '../../src/call/hidden-share.ts'
import { capFor } from '../../src/call/place-hold.ts'
import { goneReadOnMs } from '../../src/call/read-on.ts'
import { parseRequest } from '../../src/call/read-request.ts'
import { type SettleDependencies, settleCall } from '../../src/call/settle-call.ts'
import { createUsualTiers } from '../../src/call/usual-tiers.ts'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Caller } from '../../src/identity/caller.ts'
import type { Settlement } from '../../src/ledger/ledger.ts'
import { createPriceBook } from '../../src/metering/price.ts'
import { createTokenizer } from '../../src/metering/tokenizer.ts'
import { createLog } from '../../src/observe/log.ts'
import { createRouter } from '../../src/routing/route.ts'

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

  async function settle(call: Call, frames: readonly string[], isWhole: boolean): Promise<bigint> {
    const reader = readFrames(call, frames)
    if (isWhole) reader.end()
    const booked: Settlement[] = []
    const deps = {
      prices,
      tokenizer,
      log: createLog('silent'),
      now: () => new Date(),
      hiddenShares: createHiddenShares(),
      usualTiers: createUsualTiers(() => 0),
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

  return {
    stream(request) {
      const call = callOf(config, prices, request)
      return {
        readToItsEnd: (frames) => settle(call, frames, true),
        stoppedAfter: (frames) => settle(call, frames, false),
        isReadOn: (frames) => goneReadOnMs(config, call, readFrames(call, frames)) > 0,
      }
    },
    close: () => tokenizer.close(),
  }
}

function readFrames(call: Call, frames: readonly string[]) {
  const { provider, deployment, choices } = call.candidate
  const reader = provider.chat.readStream({
    request: call.request,
    model: deployment.upstreamModel,
    choices,
    callId: call.exchange.callId,
    created: 0,
  })
  for (const frame of frames) reader.push(Buffer.from(frame))
  return reader
}

/** A call as it is once it is held: only what reading and settling look at. */
function callOf(
  config: Config,
  prices: ReturnType<typeof createPriceBook>,
  sent: Record<string, unknown> & { model: string },
): Call {
  const request = parseRequest(Buffer.from(JSON.stringify(sent)))
  const caller = {
    organizationId: randomUUID(),
    userId: 'alice',
    keyId: null,
    plan: 'platform',
    isDefaultOrganization: false,
  } as unknown as Caller
  const [deployment] = createRouter(config).route(sent.model)!.deployments
  const candidate = makeCandidate(
    deployment!,
    { apiKey: 'sk-test', owner: 'platform' },
    { config, prices, caller, request, powerLevel: 'balanced', at: new Date(), usualTiers: createUsualTiers(() => 0) },
  )
  const held = candidate.quote.input + candidate.quote.outputFor(candidate.wanted)
  return {
    candidate,
    request,
    caller,
    held,
    byteBoundInput: false,
    unheld: 0n,
    modelGroup: sent.model,
    appliedCap: capFor({ candidate, held, byteBoundInput: false, unheld: 0n }),
    exchange: { callId: randomUUID(), requestId: 'r', callerRequestId: null, startedAt: 0 },
    hold: { remaining: 0n, keySpend: null },
    retries: 0,
    fallbacks: 0,
    timing: { upstreamStartedAt: 0, firstByteAt: null, upstreamMs: 0 },
    bill: null,
  } as unknown as Call
}
