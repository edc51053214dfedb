/** The table, a line a trick as it is done: a run shows how far it is. */
import { credits } from './judge.ts'
import type { Observed, Result } from './perform.ts'

const NAME = 72
const AMOUNT = 15
const OUTCOME = 24

export function printHead(theme: string): void {
  const amounts = ['true', 'held', 'charged'].map((head) => head.padStart(AMOUNT)).join('')
  console.log(`\n${theme.padEnd(NAME)}${amounts}  ${'outcome'.padEnd(OUTCOME)} ok`)
}

export function printLine({ trick, observed, broken }: Result): void {
  const { truth, held, charged } = observed
  const amounts = [truth, held, charged].map((amount) => credits(amount).padStart(AMOUNT)).join('')
  const name = `${trick.by === 'caller' ? 'C' : 'P'} ${trick.name}`.slice(0, NAME - 1).padEnd(NAME)
  console.log(`${name}${amounts}  ${outcomeOf(observed).padEnd(OUTCOME)} ${verdict(trick.known, broken)}`)
}

function verdict(known: string | undefined, broken: string | null): string {
  if (known === undefined) return broken === null ? 'ok' : `BROKEN: ${broken}`
  return broken === null ? `BROKEN: marked known, and holds today` : `KNOWN: ${broken}; ${known}`
}

function outcomeOf({ last, provenances, holds }: Observed): string {
  if (holds > 0 && provenances.length > 0) return provenances.join(', ')
  const code = /"code":"([a-z_]+)"/.exec(last.body)?.[1] ?? ''
  return `${last.status} ${code}`
}

/** A known one that holds today is news: it is to be unmarked. */
export function isFailure({ trick, broken }: Result): boolean {
  return (broken === null) === (trick.known !== undefined)
}
