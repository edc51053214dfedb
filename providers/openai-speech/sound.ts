/** Sound passes byte by byte as it comes. It states no usage. */

import type { StreamPart, StreamReader } from '../provider.ts'
import { emptyReading, type Reading } from '../reading.ts'
import type { SpeechContext } from '../speech.ts'
import { collectSpoken } from './spoken.ts'

const NOTHING = Buffer.alloc(0)

export function readSound(context: SpeechContext): StreamReader {
  const spoken = collectSpoken(context)
  const finishReasons: string[] = []
  let hasContent = false
  const reading: Reading = {
    ...emptyReading(),
    get seen() {
      return context.isByCharacter ? {} : { audioOutput: spoken.tokens() }
    },
  }
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: false, error: null })
  return {
    push(chunk) {
      hasContent ||= chunk.length > 0
      spoken.add(chunk)
      return part(chunk)
    },
    end() {
      if (hasContent) finishReasons.push('stop')
      return part(null)
    },
    reading,
    finishReasons,
    isFinal: false,
    get hasContent() {
      return hasContent
    },
    frames: 0,
    shownBytes: 0,
    outputText: () => '',
    shownText: () => '',
    textSince: (position) => ({ text: '', position }),
    usageFrame: () => NOTHING,
    stopFrames: () => NOTHING,
  }
}
