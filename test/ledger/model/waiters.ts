/** Calls that wait for running ones: each in one line, in the order in which they came to the first of their lines. */
import type { Books, Hold } from './books.ts'
import { type HoldCall, type Limit, nameOfLimit } from './limit.ts'

export interface Waiter {
  asked: HoldCall
  line: string
  /** From then on it is in nobody's way. */
  until: number
}

/** Lines a call of this user that touches these limits may stand in, or may have to stand behind. */
export const linesOf = (org: string, user: string, limits: readonly Limit[]): string[] => [
  `${org}/${user}`,
  ...limits.map(nameOfLimit),
]

function waiting(books: Books): Waiter[] {
  return books.state.waiters.filter(({ until }) => until > books.state.now)
}

/** The line of the first that came before this call and waits in one of these lines. */
export function lineAhead(books: Books, call: number, lines: readonly string[]): string | null {
  const place = books.state.waiters.findIndex(({ asked }) => asked.call === call)
  const before = place === -1 ? books.state.waiters : books.state.waiters.slice(0, place)
  return before.find(({ line, until }) => until > books.state.now && lines.includes(line))?.line ?? null
}

/** It keeps the place and the time of its first ask. */
export function join(books: Books, asked: HoldCall, line: string): void {
  const known = books.state.waiters.find((waiter) => waiter.asked.call === asked.call)
  if (known !== undefined) known.line = line
  else books.state.waiters.push({ asked, line, until: books.state.now + asked.waitMs })
}

/** Whoever is first in the line that it leaves is told. */
export function leave(books: Books, call: number): void {
  const place = books.state.waiters.findIndex(({ asked }) => asked.call === call)
  const [left] = place === -1 ? [] : books.state.waiters.splice(place, 1)
  if (left !== undefined) callFirst(books, [left.line])
}

function callFirst(books: Books, lines: readonly string[]): void {
  for (const line of lines) {
    const first = waiting(books).find((waiter) => waiter.line === line)
    if (first !== undefined) books.state.called.add(first.asked.call)
  }
}

/** A call is over: the first of each line it stood in the way of is told. */
export function callFirstAfter(books: Books, { org, user, limits }: Hold): void {
  callFirst(books, linesOf(org, user, limits))
}

/** Ten seconds after its time is over, whoever looks takes it away. */
const KEPT_MS = 10_000

/** Who looks is told the first of each line, and takes away whose time is long over: those leave no line any more. */
export function firstInLines(books: Books): number[] {
  books.state.waiters = books.state.waiters.filter(({ until }) => until >= books.state.now - KEPT_MS)
  const first = new Map<string, number>()
  for (const { line, asked } of waiting(books)) if (!first.has(line)) first.set(line, asked.call)
  return [...first.values()].sort((a, b) => a - b)
}

/** Who waits in which line, in order. */
export function showLines(books: Books): [string, string][] {
  const lines = Map.groupBy(waiting(books), ({ line }) => line)
  return [...lines].map(([line, waiters]) => [line, waiters.map(({ asked }) => `call ${asked.call}`).join(', ')])
}
