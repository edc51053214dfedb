/** How many tokens some sound took, where nobody states it: by its length. */
import { longestSound } from '../media/longest-sound.ts'
import type { SpeechContext } from '../speech.ts'

/** As OpenAI reckons its price a minute. */
const TOKENS_PER_SECOND = 21
/** Bytes a second, where the length can't be walked: 24,000 samples of 16 bits, and what encoders make of them. */
const RATES: Readonly<Record<string, number>> = { pcm: 48_000, wav: 48_000, flac: 30_000, opus: 4_000, ogg: 4_000 }
const OTHER_RATE = 16_000

export interface Spoken {
  add(sound: Buffer): void
  /** Of all that was added. */
  tokens(): number
}

/** What is billed by the character is not kept. */
export function collectSpoken({ isByCharacter, format }: Pick<SpeechContext, 'isByCharacter' | 'format'>): Spoken {
  const pieces: Buffer[] = []
  let known: { pieces: number; tokens: number } | null = null
  return {
    add(sound) {
      if (!isByCharacter) pieces.push(sound)
    },
    tokens() {
      if (known?.pieces !== pieces.length)
        known = {
          pieces: pieces.length,
          tokens: Math.ceil(secondsOf(Buffer.concat(pieces), format) * TOKENS_PER_SECOND),
        }
      return known.tokens
    },
  }
}

function secondsOf(sound: Buffer, format: string): number {
  const { bound } = format === 'pcm' ? { bound: null } : longestSound(sound)
  return bound ?? sound.length / (RATES[format] ?? OTHER_RATE)
}
