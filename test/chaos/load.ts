/** The callers of a run: each makes one call after the other, as planned by the seed, and notes what it got. */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call, Calls } from './calls.ts'
import type { Door } from './cluster.ts'
import { type CallPlan, planCall, promptOf } from './plan.ts'
import { readAnswer } from './read-answer.ts'

/** No fault of a run lasts as long: a call that takes longer hangs. */
const PATIENCE_MS = 60_000
/** After a call that was refused. */
const BACK_OFF_MS = 250

export interface LoadOptions {
  seed: number
  callers: number
  /** Bearer keys, by payer. */
  keys: readonly string[]
  /** The process of each slot, null while there is none. */
  doors: () => readonly (Door | null)[]
  calls: Calls
}

export interface Load {
  /** No new calls; resolves when the running ones have ended. */
  stop(): Promise<void>
  /** Attempts that met no process. */
  turnedAway: () => number
}

export function startLoad({ seed, callers, keys, doors, calls }: LoadOptions): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, scheduling: 'fifo' })
  let next = 0
  let away = 0
  let stopping = false

  async function callAgainAndAgain(): Promise<void> {
    while (!stopping) {
      const open = doors()
      const plan = planCall(seed, next, keys.length, open.length)
      // One that is away now is not waited for: another takes its calls, as behind a balancer.
      const door = open[plan.slot] ?? open.find((other) => other !== null) ?? null
      if (door === null) {
        away += 1
        await sleep(50)
        continue
      }
      next += 1
      const call = calls.open(plan, door.incarnation)
      await makeCall(call, door, keys[plan.payer] ?? '')
      // As SDKs do: refused at once, they would call nothing else in a fault.
      await sleep((plan.number % 40) + (call.attempts.length === 0 && !call.left ? BACK_OFF_MS : 0))
    }
  }

  async function makeCall(call: Call, door: Door, key: string): Promise<void> {
    const { plan } = call
    const body = Buffer.from(JSON.stringify(bodyOf(plan)))
    const outgoing = request(`${door.url}/v1/chat/completions`, {
      method: 'POST',
      agent,
      headers: {
        'content-type': 'application/json',
        'content-length': body.length,
        authorization: `Bearer ${key}`,
        'x-request-id': plan.tag,
        'x-power-level': plan.powerLevel,
      },
    })
    await converse(call, outgoing, body)
    calls.close(call)
  }

  const running = Array.from({ length: callers }, callAgainAndAgain)
  return {
    turnedAway: () => away,
    async stop() {
      stopping = true
      await Promise.all(running)
      agent.destroy()
    },
  }
}

function bodyOf(plan: CallPlan): unknown {
  return {
    model: plan.model,
    user: plan.tag,
    messages: [{ role: 'user', content: promptOf(plan) }],
    stream: plan.stream,
    ...(plan.stream && plan.wantsUsage ? { stream_options: { include_usage: true } } : {}),
    ...(plan.cap === null ? {} : { max_tokens: plan.cap }),
  }
}

/** Resolves when the exchange is over, by whatever side; what came of it is in the call. */
async function converse(call: Call, outgoing: ClientRequest, body: Buffer): Promise<void> {
  const { plan } = call
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  const leave = () => {
    call.left = true
    outgoing.destroy()
  }
  const patience = setTimeout(() => {
    call.hung = true
    outgoing.destroy()
  }, PATIENCE_MS)
  let leaving: NodeJS.Timeout | undefined

  outgoing.once('error', () => {})
  outgoing.once('close', end)
  outgoing.once('response', (incoming: IncomingMessage) => {
    // The request is over before its answer has been read, where the connection broke.
    outgoing.off('close', end)
    const pieces: Buffer[] = []
    let size = 0
    incoming.on('error', () => {})
    incoming.on('data', (piece: Buffer) => {
      pieces.push(piece)
      size += piece.length
      if (plan.caller.kind === 'leaves' && plan.caller.afterBytes > 0 && size >= plan.caller.afterBytes) leave()
    })
    incoming.once('close', () => {
      call.seen = readAnswer(incoming, Buffer.concat(pieces).toString('utf8'))
      end()
    })
  })
  if (plan.caller.kind === 'cutsRequest') {
    outgoing.write(body.subarray(0, Math.max(1, Math.floor(plan.caller.at * body.length))), leave)
  } else {
    outgoing.end(body)
    if (plan.caller.kind === 'leaves' && plan.caller.afterBytes === 0) leaving = setTimeout(leave, plan.caller.afterMs)
  }
  await over
  clearTimeout(patience)
  clearTimeout(leaving)
}
