/** Returns a request without some of its members, at any depth. */
import type { Stranger } from '../../../providers/known-members/shape.ts'

type Json = Readonly<Record<string, unknown>>

/** Returns the request itself where nothing is left out, else a copy. Positions in lists do not change. */
export function withoutStrangers(json: Json, strangers: readonly Pick<Stranger, 'path'>[]): Json {
  if (strangers.length === 0) return json
  const copy = structuredClone(json)
  for (const { path } of strangers) remove(copy, path)
  return copy
}

function remove(root: unknown, path: Stranger['path']): void {
  let holder = root
  for (const step of path.slice(0, -1)) {
    if (typeof holder !== 'object' || holder === null) return
    holder = (holder as Record<string | number, unknown>)[step]
  }
  const name = path.at(-1)
  if (typeof holder !== 'object' || holder === null || name === undefined) return
  delete (holder as Record<string | number, unknown>)[name]
}
