/**
 * Undoes a content encoding that nobody requested: some servers compress whatever `accept-encoding` says, and a response that can't be
 * read would be requested, and paid, again. Data that can't be unpacked count as a failed connection.
 */
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'

export interface Unpacker {
  write(chunk: Buffer): void
  end(): void
}

/** Null where there is nothing to undo. */
export function createUnpacker(
  encoding: string | string[] | undefined,
  to: { onData(chunk: Buffer): void; onEnd(): void; onError(error: Error): void },
): Unpacker | null {
  const name = String(encoding ?? '')
    .trim()
    .toLowerCase()
  const stream =
    name === 'gzip' || name === 'x-gzip'
      ? createGunzip()
      : name === 'deflate'
        ? createInflate()
        : name === 'br'
          ? createBrotliDecompress()
          : null
  if (stream === null) return null
  stream.on('data', (chunk: Buffer) => to.onData(chunk))
  stream.once('end', () => to.onEnd())
  stream.once('error', (error) => to.onError(error))
  return { write: (chunk) => void stream.write(chunk), end: () => void stream.end() }
}
