/** Lines of the log that nobody took yet, joined to chunks of a size that a pipe takes at once. */

/** A pipe takes 64 KiB at most. */
const CHUNK_BYTES = 65_536

export interface LogBacklog {
  /** Bytes that wait, those of the current chunk included. */
  readonly bytes: number
  keep(line: string, bytes: number): void
  /** What is to be written next: the same chunk until all of it passed. Null where nothing waits. */
  chunk(): Buffer | null
  /** So many bytes of the chunk are written. */
  passed(bytes: number): void
  /** Leaves the rest of the chunk to whoever writes it. */
  leaveChunk(): void
}

/** @param chunkBytes of whole lines; a line that is longer is a chunk by itself. */
export function createLogBacklog(chunkBytes = CHUNK_BYTES): LogBacklog {
  let pending: { line: string; bytes: number }[] = []
  let backlog = 0
  let chunk: Buffer | null = null

  function takeChunk(): Buffer | null {
    if (pending.length === 0) return null
    let length = pending[0]!.bytes
    let count = 1
    while (count < pending.length && length + pending[count]!.bytes <= chunkBytes) length += pending[count++]!.bytes
    const lines = count === pending.length ? pending : pending.slice(0, count)
    pending = count === pending.length ? [] : pending.slice(count)
    return Buffer.from(lines.map(({ line }) => line).join(''))
  }

  return {
    get bytes() {
      return backlog
    },
    keep(line, bytes) {
      pending.push({ line, bytes })
      backlog += bytes
    },
    chunk() {
      chunk ??= takeChunk()
      return chunk
    },
    passed(bytes) {
      backlog -= bytes
      chunk = chunk === null || bytes === chunk.length ? null : chunk.subarray(bytes)
    },
    leaveChunk() {
      chunk = null
    },
  }
}
