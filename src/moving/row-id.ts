/** Ids there may be any text; ours are UUIDs. The same text becomes the same UUID in every run, so that a second run knows what is here. */
import { createHash } from 'node:crypto'
import { isUuid } from '../db/uuid.ts'

/** A namespace of RFC 9562 (version 5), of this program's own. */
const NAMESPACE = Buffer.from('6f1d0a0e1f3c4b6c9c0b5c6a7d2e4f10', 'hex')

export function rowId(table: string, id: string): string {
  if (isUuid(id)) return id.toLowerCase()
  const hash = createHash('sha1').update(NAMESPACE).update(`${table}:${id}`).digest().subarray(0, 16)
  hash.writeUInt8(((hash[6] ?? 0) & 0x0f) | 0x50, 6)
  hash.writeUInt8(((hash[8] ?? 0) & 0x3f) | 0x80, 8)
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
