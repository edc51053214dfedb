/** What differs between two answers and what was sent for them, by path; names of a call's own (ids, times) are no difference. */
import type { Json } from '../support/response-answers.ts'
import type { BridgeCase } from './bridge-requests.ts'

/** One request, as it was played before one of them. */
export interface Played {
  sent: readonly Json[]
  answered: Json
}

export interface Difference {
  side: 'sent' | 'answered'
  path: string
  ours: unknown
  theirs: unknown
  /** For people. */
  line: string
}

/** Ids and times of each call. */
const OWN = /(?:^|\.)(?:id|created|created_at|completed_at|item_id)$/

export function differences({ kind }: BridgeCase, { ours, theirs }: { ours: Played; theirs: Played }): Difference[] {
  const found: Difference[] = []
  const add = (side: Difference['side']) => (path: string, a: unknown, b: unknown) => {
    if (OWN.test(path) && side === 'answered') return
    found.push({ side, path, ours: a, theirs: b, line: `${kind} ${side} ${path}: ${shown(a)} | ${shown(b)}` })
  }
  compare('', ours.sent, theirs.sent, add('sent'))
  compare('', ours.answered, theirs.answered, add('answered'))
  return found
}

function compare(path: string, a: unknown, b: unknown, add: (path: string, a: unknown, b: unknown) => void): void {
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let at = 0; at < Math.max(a.length, b.length); at += 1) compare(`${path}[${at}]`, a[at], b[at], add)
    return
  }
  if (isObject(a) && isObject(b)) {
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)]))
      compare(`${path}.${name}`, a[name], b[name], add)
    return
  }
  // Null and nothing mean the same to who reads it.
  if (JSON.stringify(a ?? null) !== JSON.stringify(b ?? null)) add(path, a, b)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function shown(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value).slice(0, 160)
}
