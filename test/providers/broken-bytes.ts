/** Breaks bytes as networks, proxies and bugs do: flipped bits, cuts, repeats, lost line ends, long runs of one byte. Same seed, same breakage. */
import { seededRandom } from '../support/splits.ts'

type Break = (bytes: Buffer, at: number, random: () => number) => Buffer

const BREAKS: readonly Break[] = [
  (bytes, at, random) => withByte(bytes, at, (byte) => byte ^ (1 << Math.floor(random() * 8))),
  (bytes, at, random) => withByte(bytes, at, () => Math.floor(random() * 256)),
  (bytes, at) => bytes.subarray(0, at),
  (bytes, at, random) => Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + Math.floor(random() * 200))]),
  (bytes, at, random) => insert(bytes, at, bytes.subarray(Math.floor(random() * at), at)),
  (bytes, at) => insert(bytes, Math.floor(at / 2), bytes.subarray(at)),
  (bytes, at, random) => insert(bytes, at, Buffer.alloc(Math.floor(random() * 50_000), 'x')),
  (bytes, at, random) => insert(bytes, at, Buffer.alloc(Math.floor(random() * 5_000), '\n')),
  (bytes, at, random) => insert(bytes, at, Buffer.from('{"a":['.repeat(Math.floor(random() * 5_000)))),
  (bytes, at) => insert(bytes, at, Buffer.from([0x00, 0xff, 0xfe, 0xed, 0xa0, 0x80])),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\n\n', '\n'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll('"', ''), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll(/\d+/g, '-1'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll(/\d{2,}/g, '1e999'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll(/:\{/g, ':[{'), 'latin1'),
  (bytes) => Buffer.from(bytes.toString('latin1').replaceAll(/\[\{/g, '[null,7,{'), 'latin1'),
]

export function broken(bytes: Buffer, seed: number): Buffer {
  const random = seededRandom(seed)
  let result = bytes
  for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) {
    const change = BREAKS[Math.floor(random() * BREAKS.length)] ?? BREAKS[0]
    if (change !== undefined) result = change(result, Math.floor(random() * result.length), random)
  }
  return result
}

function withByte(bytes: Buffer, at: number, change: (byte: number) => number): Buffer {
  const copy = Buffer.from(bytes)
  const byte = copy[at]
  if (byte !== undefined) copy[at] = change(byte)
  return copy
}

function insert(bytes: Buffer, at: number, more: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)])
}
