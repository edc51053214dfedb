/** A limit that calls of all organizations share, leased to processes in slices: one for each process and organization here. */
import { type Books, credits, most, least as smaller } from './books.ts'
import { type Limit, nameOfLimit } from './limit.ts'

export const SHARED = { id: 'all', amount: 150_000_000n }

export function sliceOf(process: number, shard: number, window: number): Limit {
  return { kind: 'proxy', id: `${SHARED.id}#${process}/${shard}`, window, unit: 'credits', amount: null }
}

/** Everything that has a slice in a window: what was filled, and what calls named without. */
function slicesIn(books: Books, window: number): Limit[] {
  const named = [...books.state.holds.values()].flatMap(({ limits }) => limits)
  const all = [...books.state.slices.values()].map(({ limit }) => limit).concat(named)
  const here = all.filter((limit) => limit.kind === 'proxy' && limit.window === window)
  return [...new Map(here.map((limit) => [nameOfLimit(limit), limit])).values()]
}

const taken = (books: Books, limit: Limit): bigint => books.limitUsed(limit) + books.limitHeld(limit)
const sum = (amounts: readonly bigint[]): bigint => amounts.reduce((total, amount) => total + amount, 0n)

/** What all slices of the window together leave of the whole. */
export function leftOfShared(books: Books, window: number): bigint {
  return SHARED.amount - sum(slicesIn(books, window).map((limit) => taken(books, limit)))
}

export interface FillAnswer {
  available: bigint
  inFlight: boolean
}

/**
 * Makes a slice leave what is wanted, or all there is. A sixteenth of what nobody has goes with it; where that is not enough, other slices
 * give what idles in them.
 */
export function fillSlice(books: Books, slice: Limit, wanted: bigint, least: bigint): FillAnswer {
  const name = nameOfLimit(slice)
  const give = (limit: Limit, amount: bigint) => books.state.slices.set(nameOfLimit(limit), { limit, amount })
  const all = () => slicesIn(books, slice.window)
  const granted = () => sum(all().map((limit) => books.amountOf(limit) ?? 0n))
  give(slice, books.amountOf(slice) ?? 0n)
  const short = wanted - (books.limitLeft(slice) ?? 0n)
  if (short > SHARED.amount - granted()) {
    for (const limit of all()) if (nameOfLimit(limit) !== name) give(limit, most(taken(books, limit), 0n))
  }
  const free = most(SHARED.amount - granted(), 0n)
  if (short > 0n) give(slice, (books.amountOf(slice) ?? 0n) + smaller(free, most(short, (free + 8n) / 16n)))
  const used = sum(all().map((limit) => books.limitUsed(limit)))
  return { available: books.limitLeft(slice) ?? 0n, inFlight: SHARED.amount - used >= least }
}

/** What each slice was given, and the sum of it. */
export function showSlices(books: Books): [string, string][] {
  const slices = [...books.state.slices.values()].filter(({ amount }) => amount !== 0n)
  const windows = Map.groupBy(slices, ({ limit }) => limit.window)
  return [
    ...slices.map(({ limit, amount }): [string, string] => [nameOfLimit(limit), credits(amount)]),
    ...[...windows].map(([window, parts]): [string, string] => [
      nameOfLimit({ kind: 'proxy', id: SHARED.id, window, unit: 'credits', amount: null }),
      credits(sum(parts.map(({ amount }) => amount))),
    ]),
  ]
}
