/** The money check: every call in the provider's tally against every row in the books, and every balance against both. */
import type { Call, Incarnation } from './calls.ts'
import { type Ending, expectCharge, type Window } from './expect-charge.ts'
import type { Payer } from './payers.ts'
import { auditFindings, type BookedCall, type BookedUser, bookedCalls, bookedUsers, withBooks } from './read-books.ts'

export interface EndingSum {
  calls: number
  /** Microcredits: what the calls may cost by the provider's tally, and what is booked. */
  low: bigint
  high: bigint
  booked: bigint
}

export interface Verdict {
  endings: ReadonlyMap<Ending, EndingSum>
  corrections: number
  /** One for each difference; none: the money is right. */
  differences: string[]
}

export interface CheckOptions {
  databaseUrl: string
  calls: Iterable<Call>
  payers: readonly Payer[]
  /** When the database could not be reached by a process of this slot. */
  troubled: (incarnation: Incarnation) => readonly Window[]
}

const STATUSES = new Set([200, 402, 429, 503])

export async function checkMoney({ databaseUrl, calls, payers, troubled }: CheckOptions): Promise<Verdict> {
  const { booked, users, findings } = await withBooks(databaseUrl, async (client) => ({
    booked: await bookedCalls(client),
    users: await bookedUsers(client),
    findings: await auditFindings(client),
  }))
  const differences = findings.map((finding) => `tollgate.ledger_audit(): ${finding}`)
  const byTag = Map.groupBy(booked, ({ requestId }) => requestId ?? 'none')
  const endings = new Map<Ending, EndingSum>()

  for (const call of calls) {
    const payer = payers[call.plan.payer]
    if (payer === undefined) throw new Error(`call ${call.plan.tag} has no payer`)
    const rows = byTag.get(call.plan.tag) ?? []
    byTag.delete(call.plan.tag)
    const { ending, low, high, wrong } = expectCharge(call, payer, troubled(call.incarnation))
    const net = rows.reduce((sum, row) => sum + row.net, 0n)
    const sum = endings.get(ending) ?? { calls: 0, low: 0n, high: 0n, booked: 0n }
    endings.set(ending, {
      calls: sum.calls + 1,
      low: sum.low + low,
      high: sum.high + high,
      booked: sum.booked + net,
    })
    const wrongs = [wrong, ...wrongRows(rows, payer), ...wrongAnswer(call, payer, net)].filter((one) => one !== null)
    if (net < low || net > high) {
      wrongs.push(`booked ${credits(net)}, and it costs ${low === high ? '' : `${credits(low)} to `}${credits(high)}`)
    }
    for (const one of wrongs) differences.push(`${call.plan.tag} (${ending}): ${one}\n${story(call, rows)}`)
  }
  for (const [tag, rows] of byTag) {
    for (const { callId, net } of rows)
      differences.push(`call ${callId} of '${tag}': ${credits(net)} booked, and nobody made it`)
  }
  differences.push(...wrongBalances(users, booked, payers))
  return { endings, corrections: booked.reduce((sum, row) => sum + row.corrections, 0), differences }
}

function wrongRows(rows: readonly BookedCall[], payer: Payer): string[] {
  const wrongs: string[] = []
  if (rows.length > 1) wrongs.push(`it has ${rows.length} call ids in the books`)
  for (const { charges, corrections, organizationId, userId, net } of rows) {
    if (charges > 1 || corrections > 1) wrongs.push(`it has ${charges} charges and ${corrections} corrections`)
    if (organizationId !== payer.organizationId || userId !== payer.userId) wrongs.push(`${userId} was charged for it`)
    if (net < 0n) wrongs.push('it is charged less than nothing')
  }
  return wrongs
}

function wrongAnswer({ seen, attempts, plan }: Call, payer: Payer, net: bigint): string[] {
  if (seen === null || !seen.whole) return []
  const wrongs: string[] = []
  if (!STATUSES.has(seen.status)) wrongs.push(`the caller saw status ${seen.status}`)
  if (seen.status === 402 && !payer.poor) wrongs.push('402 for a user who has enough')
  const limited = plan.attempts.some((behaviour) => behaviour.kind === 'refuses' && behaviour.status === 429)
  if (seen.status === 429 && !(limited && attempts.length > 0)) wrongs.push('429 without a provider that said so')
  for (const cost of seen.costs) {
    if (cost !== net) wrongs.push(`the caller was told ${credits(cost)}, and ${credits(net)} is booked`)
  }
  return wrongs
}

function wrongBalances(
  users: readonly BookedUser[],
  booked: readonly BookedCall[],
  payers: readonly Payer[],
): string[] {
  const wrongs: string[] = []
  const nets = new Map<string, bigint>()
  for (const { userId, net } of booked) nets.set(userId, (nets.get(userId) ?? 0n) + net)
  for (const { userId, organizationId, remaining, held, beyondHolds, used, poolUsed } of users) {
    const payer = payers.find((one) => one.userId === userId)
    if (held !== 0n) wrongs.push(`${userId} has ${credits(held)} held, and nothing runs`)
    if (payer !== undefined && !payer.overage && remaining < -beyondHolds) {
      wrongs.push(`${userId} is ${credits(-remaining)} below zero, and ${credits(beyondHolds)} was booked beyond holds`)
    }
    const ofOrganization = users.filter((one) => one.organizationId === organizationId)
    const sum = ofOrganization.reduce((total, one) => total + one.used, 0n)
    if (sum !== poolUsed)
      wrongs.push(`the users of ${userId}'s organization used ${credits(sum)}, its pool ${credits(poolUsed)}`)
    // What was booked too much and given back stays in `used`; the rest is the net of the calls.
    if ((nets.get(userId) ?? 0n) > used) wrongs.push(`${userId} used ${credits(used)}, less than its calls cost`)
  }
  return wrongs
}

/** All that is known of a call, for whoever has to find out. */
function story(call: Call, rows: readonly BookedCall[]): string {
  const { plan, incarnation, startedAt, endedAt } = call
  const since = (at: number | null) => (at === null ? null : `${Math.round(at - startedAt)} ms`)
  const lines = [
    ['plan', plan],
    [
      'process',
      {
        ...incarnation,
        startedAt: since(incarnation.startedAt),
        killedAt: since(incarnation.killedAt),
        drainedAt: since(incarnation.drainedAt),
        stops: incarnation.stops.map(({ from, to }) => `${since(from)} to ${since(to)}`),
      },
    ],
    ['provider', call.attempts.map(({ history: _, at, ...attempt }) => ({ ...attempt, at: since(at) }))],
    ['caller', { ...call.seen, left: call.left, ended: since(endedAt), owed: call.owed }],
    ['books', rows],
  ] as const
  const shown = (value: unknown) => JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? credits(one) : one))
  return lines.map(([name, value]) => `      ${name.padEnd(9)}${shown(value)}`).join('\n')
}

/** Microcredits as decimal credits. */
export function credits(amount: bigint): string {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(7, '0')
  return `${amount < 0n ? '-' : ''}${digits.slice(0, -6)}.${digits.slice(-6)}`
}
