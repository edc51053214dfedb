/** How long a recording is for a deployment: at most, and as it is charged where its provider states nothing. */

import { longestSound } from '../../../providers/media/longest-sound.ts'
import type { SoundFacts } from '../../../providers/transcriptions.ts'
import type { Deployment } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'

/** In seconds. */
export interface Recording {
  most: number
  expected: number
  /** Tokens a second of it takes; 0 where it is billed by its length. */
  tokensPerSecond: number
}

type Length = ReturnType<typeof longestSound>

/** Measures once, whatever number of deployments may hear it. */
export function lengthOnce(sound: Buffer): () => Length {
  let length: Length | null = null
  return () => {
    length ??= longestSound(sound)
    return length
  }
}

/** Providers round to whole seconds, and may hear what a decoder adds. */
const SLACK = 1
/** As OpenAI's models that hear take sound. */
const USUAL_TOKENS = 10

/** @throws {TollgateError} 400 where nothing bounds what the recording may cost. */
export function recordingOn(length: Length, voices: number, facts: SoundFacts, { price }: Deployment): Recording {
  const { tokensPerSecond, longest, shortest } = facts
  const bounds = [length.bound, longest].filter((bound) => bound !== null)
  const byTime = price?.units?.milliseconds
  if (bounds.length === 0 && byTime !== 0n) throw unmeasurable()
  const most = bounds.length === 0 ? length.expected : Math.min(...bounds)
  const billed = (seconds: number) => Math.max(shortest, seconds + voices)
  return {
    most: billed(Math.ceil(most) + SLACK),
    expected: billed(Math.min(most, length.expected)),
    tokensPerSecond:
      byTime === undefined && (tokensPerSecond > 0 || (price?.input ?? null) !== null)
        ? tokensPerSecond || USUAL_TOKENS
        : 0,
  }
}

function unmeasurable(): TollgateError {
  const message =
    "How long this recording is can't be known without decoding it, so it can't be priced. Send it as mp3, flac, Ogg, WebM with Opus, mp4 or m4a with AAC, ALAC, AC-3, AMR or Opus, or as wav with plain samples."
  return new TollgateError(400, 'unbounded_input', message, { param: 'file' })
}
