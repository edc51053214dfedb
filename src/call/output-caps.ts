/**
 * How much output a call is held for. A stream that can be stopped begins with a small hold that grows as it runs, whoever capped it:
 * held in full, the caps of two calls of one agent would keep each other out. Where stopping does not end the bill, and where nothing
 * can be stopped, the cap that is held goes along.
 */
import type { Config } from '../config/config.ts'

/** A hold grows by such a part of what a stream begins with: as much is kept from further calls, for each stream that runs. */
const STEPS_IN_START = 4

export interface Output {
  /** Output tokens for each choice. */
  wanted: number
  least: number
  /** The cap to send although the caller set none; null where what runs up can be seen and the hold is extended instead. */
  cap: number | null
  /** May run beyond `wanted`: the hold grows with the stream. */
  extendable: boolean
  /** Output tokens for each choice it grows by. */
  step: number
  /** Output tokens for each choice it grows to at most; null where nothing bounds it but the money. */
  most: number | null
  /** Tokens a second of each choice that may be billed without being seen; null where what is billed shows. */
  topSpeed: number | null
}

export interface OutputFacts {
  /** The caller's cap, or the operator's. */
  asked: number | null
  /** The model's limit, where it is known. */
  most: number | null
  /** It is a stream, and costs nothing more once it is stopped. */
  stoppable: boolean
  /** With a smaller cap the request would contradict itself. */
  possible: number
  /** Null where what is billed shows. */
  topSpeed: number | null
}

/** `believed`: a cap is kept, whatever else the request says. */
export function outputOf(facts: OutputFacts, { caps }: Pick<Config, 'caps'>, believed: boolean): Output {
  const { asked, most, stoppable, topSpeed, possible } = facts
  const step = Math.ceil(caps.streamOutputTokens / STEPS_IN_START)
  if (!believed) return { ...uncappedOutput(facts, caps), step }
  // Output that does not show needs a cap, and so does a call that can't be stopped. All others run as far as the credits go.
  const isWatched = stoppable && topSpeed === null
  const all = asked ?? (isWatched ? most : Math.min(most ?? caps.outputTokens, caps.outputTokens))
  const start = stoppable ? Math.min(caps.streamOutputTokens, most ?? caps.streamOutputTokens) : caps.outputTokens
  const room = Math.min(possible, asked ?? possible)
  const wanted = asked !== null && !stoppable ? asked : Math.max(room, Math.min(all ?? start, start))
  const common = { wanted, least: Math.max(room, Math.min(caps.leastOutputTokens, wanted)), step, topSpeed }
  if (asked !== null) return { ...common, cap: null, extendable: asked > wanted, most: asked }
  if (isWatched) {
    // The cap bounds what the provider may state at the end, so it is set before the call begins.
    const cap = most === null ? Math.max(caps.outputTokens, wanted) : null
    return { ...common, cap, extendable: most === null || most > wanted, most: cap }
  }
  const cap = most === null || most > all! ? all : null
  return { ...common, cap, extendable: all! > wanted, most: all }
}

/**
 * What nobody knows may lift any cap, the caller's and one of ours: a stream whose output shows grows its hold as it runs, all else
 * is held at the most the model writes, or not made.
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
