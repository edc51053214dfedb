/**
 * How much output a call is held for. A stream that can be stopped starts with a small hold that grows as it runs, with or without a cap:
 * held in full, the caps of two calls of one agent would block each other. Where stopping does not end the bill, and where a call can't
 * be stopped, the whole cap is held and sent along.
 */
import type { Config } from '../config/config.ts'

/** A hold grows by this part of what a stream starts with. Further calls leave that much free for each running stream. */
const STEPS_IN_START = 4

export interface Output {
  /** Output tokens per choice to hold at first. */
  wanted: number
  least: number
  /** The cap to send although the caller set none; null where the output shows and the hold is extended instead. */
  cap: number | null
  /** True if the output may go beyond `wanted`: the hold grows with the stream. */
  extendable: boolean
  /** Output tokens per choice that the hold grows by. */
  step: number
  /** The most output tokens per choice that the hold grows to; null where only the credits bound it. */
  most: number | null
  /** Tokens per second and choice that may be billed without showing; null where everything billed shows. */
  topSpeed: number | null
}

export interface OutputFacts {
  /** The caller's cap, or the operator's. */
  asked: number | null
  /** The model's limit, where it is known. */
  most: number | null
  /** True for a stream that costs nothing more once it is stopped. */
  stoppable: boolean
  /** The smallest cap that does not contradict the request. */
  possible: number
  /** Null where everything billed shows. */
  topSpeed: number | null
}

/** `believed`: the server honours a cap, whatever else the request says. */
export function outputOf(facts: OutputFacts, { caps }: Pick<Config, 'caps'>, believed: boolean): Output {
  const { asked, most, stoppable, topSpeed, possible } = facts
  const step = Math.ceil(caps.streamOutputTokens / STEPS_IN_START)
  if (!believed) return { ...uncappedOutput(facts, caps), step }
  // Hidden output needs a cap, and so does a call that can't be stopped. All others run as far as the credits go.
  const isWatched = stoppable && topSpeed === null
  const all = asked ?? (isWatched ? most : Math.min(most ?? caps.outputTokens, caps.outputTokens))
  const start = stoppable ? Math.min(caps.streamOutputTokens, most ?? caps.streamOutputTokens) : caps.outputTokens
  const room = Math.min(possible, asked ?? possible)
  const wanted = asked !== null && !stoppable ? asked : Math.max(room, Math.min(all ?? start, start))
  const common = { wanted, least: Math.max(room, Math.min(caps.leastOutputTokens, wanted)), step, topSpeed }
  if (asked !== null) return { ...common, cap: null, extendable: asked > wanted, most: asked }
  if (isWatched) {
    // The cap bounds what the provider may state at the end, so it is set before the call starts.
    const cap = most === null ? Math.max(caps.outputTokens, wanted) : null
    return { ...common, cap, extendable: most === null || most > wanted, most: cap }
  }
  const cap = most === null || most > all! ? all : null
  return { ...common, cap, extendable: all! > wanted, most: all }
}

/**
 * Unknown members may lift any cap, the caller's and ours. So a stream whose output shows grows its hold as it runs, and any other call
 * is held at the most the model writes, or refused.
 */
function uncappedOutput({ asked, most, stoppable, topSpeed }: OutputFacts, caps: Config['caps']): Omit<Output, 'step'> {
  const all = most ?? Math.max(asked ?? 0, caps.outputTokens)
  const grows = stoppable && topSpeed === null
  const wanted = grows ? Math.min(all, caps.streamOutputTokens) : all
  return {
    wanted,
    least: wanted,
    cap: null,
    extendable: grows && (most === null || most > wanted),
    most: null,
    topSpeed,
  }
}
