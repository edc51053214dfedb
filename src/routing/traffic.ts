/**
 * What this process knows of each deployment: calls that run, what was used in the present minute, how fast it was of late, and whether
 * it is spared. Nobody is asked while a call waits, but where the operator limits a deployment's minute, and then for no longer than
 * admission/rate-windows.ts says.
 *
 * Fails open: what is not known limits nothing.
 */
import type { Deployment } from '../config/config.ts'
import type { RoutingSettings } from '../config/routing-settings.ts'
import type { Failed } from './cooldown.ts'
import { createHealth, type Health, type HealthRules } from './health.ts'
import { createLatencies, type Latencies } from './latencies.ts'

export type Limited = Pick<Deployment, 'id' | 'rpm' | 'tpm' | 'maxParallel'>

/** A call on a deployment. */
export interface Visit {
  /** Once. @param result null: nobody knows, because the caller left or we stopped it. */
  end(result: Answered | Unanswered | null): void
}

export interface Answered {
  stream: boolean
  /** Of a stream, to its first byte; else to its end. */
  ms: number
  outputTokens: number
  /** Of input and output. */
  tokens: number
}

export interface Unanswered {
  failed: Failed
  /** Others can do its work, and the failure is its own. */
  mayBeSpared: boolean
}

/** It can't be called now. */
export interface Full {
  waitMs: number
}

/** What a strategy goes by. */
export interface Standing {
  isAway: boolean
  busy: number
  /** Of this minute. */
  tokens: number
  requests: number
  /** Milliseconds, of streams to the first byte, else for each token; null where nothing is known. */
  latency(stream: boolean): number | null
}

/** Counts of a minute, which processes may share: admission/rate-windows.ts. */
export interface MinuteWindows {
  note(name: string, points: number): Promise<{ count: number; msLeft: number }>
  look(name: string): Promise<{ count: number; msLeft: number }>
}

export interface Traffic {
  standing(id: string): Standing
  /** @param inputTokens of the call. A promise only where the deployment has a limit of calls or tokens in a minute. */
  enter(deployment: Limited, inputTokens: number): Visit | Full | Promise<Visit | Full>
  /** Another process spares it for so long; 0: not any more. */
  hear(id: string, ms: number): void
  /** How many are spared. */
  away(): number
}

export interface TrafficParts {
  settings: HealthRules & Pick<RoutingSettings, 'maxParallel' | 'latency'>
  /** Milliseconds, monotonic. */
  now: () => number
  windows: MinuteWindows
  /** It is spared for so long from now on; 0: not any more. */
  onSpared(id: string, ms: number): void
}

interface Place {
  readonly health: Health
  readonly latencies: Latencies
  busy: number
  minute: number
  tokens: number
  requests: number
}

const MINUTE_MS = 60_000
/** Until a running call has probably ended. */
const SOON_MS = 1_000

export function isFull(entered: Visit | Full): entered is Full {
  return 'waitMs' in entered
}

export function createTraffic({ settings, now, windows, onSpared }: TrafficParts): Traffic {
  const places = new Map<string, Place>()
  const startedAt = now()

  function placeOf(id: string): Place {
    const minute = Math.floor((now() - startedAt) / MINUTE_MS)
    const place = places.get(id) ?? newPlace(id)
    if (place.minute !== minute) Object.assign(place, { minute, tokens: 0, requests: 0 })
    return place
  }

  function newPlace(id: string): Place {
    const health = createHealth(settings, now, (ms) => onSpared(id, ms))
    const latencies = createLatencies(settings.latency.ttlMs, now)
    const place = { health, latencies, busy: 0, minute: 0, tokens: 0, requests: 0 }
    places.set(id, place)
    return place
  }

  return {
    standing(id) {
      const { busy, tokens, requests, latencies, health } = placeOf(id)
      return { isAway: health.awayFor() > 0, busy, tokens, requests, latency: (stream) => latencies.of(stream) }
    },
    enter(deployment, inputTokens) {
      const place = placeOf(deployment.id)
      const waitMs = place.health.awayFor()
      if (waitMs > 0) return { waitMs }
      const most = deployment.maxParallel ?? settings.maxParallel
      if (most !== null && place.busy >= most) return { waitMs: SOON_MS }
      place.busy += 1
      place.requests += 1
      const isTrial = place.health.begin()
      const visit = {
        end(result: Answered | Unanswered | null) {
          place.busy -= 1
          tellHealth(place.health, isTrial, result)
          if (result !== null && !('failed' in result))
            noteUse(windows, placeOf(deployment.id), deployment, result, inputTokens)
        },
      }
      if (deployment.rpm === null && deployment.tpm === null) return visit
      return fullIn(windows, deployment, inputTokens).then((full) => {
        if (full === null) return visit
        visit.end(null)
        return full
      })
    },
    hear: (id, ms) => placeOf(id).health.hear(ms),
    away: () => [...places.values()].filter(({ health }) => health.awayFor() > 0).length,
  }
}

function tellHealth(health: Health, isTrial: boolean, result: Answered | Unanswered | null): void {
  if (result === null) health.forget(isTrial)
  else if ('failed' in result) health.failed(result.failed, result.mayBeSpared, isTrial)
  else health.answered(isTrial)
}

function noteUse(
  windows: MinuteWindows,
  place: Place,
  { id, tpm }: Limited,
  answered: Answered,
  inputTokens: number,
): void {
  place.tokens += answered.tokens
  place.latencies.add(answered)
  // The input was counted before it went out.
  if (tpm !== null && answered.tokens > inputTokens) void windows.note(tokensOf(id), answered.tokens - inputTokens)
}

/** Counts the call; null where it may go out. One with more tokens than a minute has may go out alone. */
async function fullIn(windows: MinuteWindows, { id, rpm, tpm }: Limited, inputTokens: number): Promise<Full | null> {
  if (tpm !== null) {
    const { count, msLeft } = await windows.look(tokensOf(id))
    if (count > 0 && count + inputTokens > tpm) return { waitMs: msLeft }
  }
  if (rpm !== null) {
    const { count, msLeft } = await windows.note(`deployment calls ${id}`, 1)
    if (count > rpm) return { waitMs: msLeft }
  }
  if (tpm !== null) await windows.note(tokensOf(id), inputTokens)
  return null
}

function tokensOf(id: string): string {
  return `deployment tokens ${id}`
}
