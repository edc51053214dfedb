/** A stream as Google sends it to clients that do not ask for events: the frames' payloads are the elements of one JSON array. */
import type { StreamReader } from '../../../providers/provider.ts'
import { createSseFrames, parseFrame } from '../../../providers/sse-frames.ts'
import { readerThrough } from '../chunk-translation.ts'

export function asArray(reader: StreamReader): StreamReader {
  let isBegun = false
  const scanner = createSseFrames((frame) => {
    const { data } = parseFrame(frame)
    if (data === '') return null
    const before = isBegun ? ',\n' : '['
    isBegun = true
    return Buffer.from(before + data)
  })
  return readerThrough(
    reader,
    scanner.push,
    (...charged) => scanner.push(reader.usageFrame(...charged)) ?? Buffer.alloc(0),
  )
}
