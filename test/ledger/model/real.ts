/**
 * The real side: a database, and three connections to it. `a` and `b` play processes of the proxy, `sql` somebody with psql
 * (a connection of its own: thousands of psql processes would take minutes). Says what the database answers and holds in the
 * words of books.ts.
 */
import { createHash } from 'node:crypto'
import pg from 'pg'
import { creditsToMicro, formatDecimal } from '../../../src/metering/money.ts'
import { amountOrNone, byName, credits, record, type Snapshot, type State } from './books.ts'
import type { HoldCall } from './limit.ts'
import type { PublicAnswer } from './public-functions.ts'
import type {
  CloseAnswer,
  CloseCall,
  DisputeAnswer,
  HoldAnswer,
  ProgressAnswer,
  ProgressCall,
  Recovery,
} from './rules.ts'
import type { FillAnswer } from './slices.ts'
import { definitions, statements } from './statements.ts'

export type Seat = 'a' | 'b' | 'sql'

export class RealLedger {
  private readonly url: string
  private readonly seats = new Map<Seat, pg.Client>()
  /** Calls that were told that it is their turn, since somebody looked. */
  private told = new Set<number>()
  private run = 0
  private orgs: readonly string[] = []

  private constructor(url: string) {
    this.url = url
  }

  /** Prepares a test database: its clock is one row of a table, and ids of allocations grow, so that a seed replays exactly. */
  static async open(url: string, { prepare = true } = {}): Promise<RealLedger> {
    const real = new RealLedger(url)
    await Promise.all([real.connect('a'), real.connect('b'), real.connect('sql')])
    await (prepare ? real.at('sql').query(definitions) : real.forget())
    real.at('sql').on('notification', ({ payload }) => real.told.add(number(payload)))
    await real.at('sql').query('listen tollgate_line')
    return real
  }

  async close(): Promise<void> {
    await Promise.all([...this.seats.values()].map((client) => client.end()))
  }

  async connect(seat: Seat): Promise<void> {
    const client = new pg.Client({
      connectionString: this.url,
      statement_timeout: 10_000,
      application_name: `model ${seat}`,
    })
    // A connection that is killed on purpose says so by its queries.
    client.on('error', () => {})
    await client.connect()
    this.seats.set(seat, client)
  }

  /** Ends a seat's server process while it may be at work; resolves when it is gone. */
  async terminate(seat: Seat): Promise<void> {
    const processId = Reflect.get(this.at(seat), 'processID') as number
    await this.at('sql').query('select pg_terminate_backend($1, 5000)', [processId])
  }

  /** New organizations for a run; those of earlier runs are left behind. */
  async begin(state: State): Promise<void> {
    this.run += 1
    this.orgs = state.organizations.map(({ name }) => name)
    const organizations = state.organizations.map((organization) => ({
      ...organization,
      id: this.orgId(organization.name),
      name: `${organization.name} ${this.run}`,
      overage: organization.overage !== 'not allowed',
      overage_limit: organization.overage === 'not allowed' ? '0' : text(organization.overage.limit),
      bought: credits(organization.bought),
      granted: credits(grantedIn(state, organization.name)),
      refresh: credits(organization.refresh),
      next_refresh: instant(organization.nextRefresh),
    }))
    const allocations = state.allocations.map(({ org, user, granted, period, nextReset }) => ({
      org_id: this.orgId(org),
      user_id: user,
      granted: credits(granted),
      period,
      next_reset: instant(nextReset),
    }))
    const processes = [...state.processes.keys()].map((process) => this.id('process', process))
    const lease = instant([...state.processes.values()][0]?.leaseUntil ?? state.now)
    const lists = [JSON.stringify(organizations), JSON.stringify(allocations)]
    const budgets = [...state.budgets].map(([key, amount]) => ({ id: this.named(key), amount: credits(amount) }))
    await this.rows('sql', 'begin', [instant(state.now), ...lists, processes, lease, JSON.stringify(budgets)])
  }

  async hold(seat: Seat, process: number, calls: readonly HoldCall[]): Promise<HoldAnswer[]> {
    const document = calls.map((call) => this.asked(call))
    const rows = await this.rows(seat, 'hold', [this.id('process', process), JSON.stringify(document)])
    return rows.map((row) => ({
      outcome: row.outcome as HoldAnswer['outcome'],
      held: micro(row.held),
      input: micro(row.input),
      required: micro(row.required),
      available: micro(row.available),
      remaining: micro(row.remaining),
      limitKind: row.limit_kind === '' ? null : (row.limit_kind ?? null),
      // Told or not where nobody can pay: it means nothing there.
      keyUsed: row.outcome === 'no_allocation' ? null : micro(row.key_used),
    }))
  }

  async leave(seat: Seat, process: number, call: HoldCall): Promise<string | null | undefined> {
    const document = [{ ...this.asked({ ...call, waitMs: 0, limits: [], key: null }), leaves: true }]
    const [row] = await this.rows(seat, 'leave', [this.id('process', process), JSON.stringify(document)])
    return row?.outcome
  }

  async fill(seat: Seat, whole: { id: string; amount: bigint }, slice: string, wanted: bigint, least: bigint) {
    const amounts = [this.named(whole.id), credits(whole.amount), this.named(slice), credits(wanted), credits(least)]
    const [row] = await this.rows(seat, 'fill', amounts)
    const answer: FillAnswer = { available: micro(row?.available) ?? 0n, inFlight: row?.in_flight === 'true' }
    return answer
  }

  /** This run's calls that are first in a line. */
  async firstInLines(seat: Seat): Promise<number[]> {
    const rows = await this.rows(seat, 'firstInLines', [])
    return rows.map(({ call_id }) => number(call_id)).sort((a, b) => a - b)
  }

  /** Notifications come before what is asked after them is answered. */
  takeTold(): ReadonlySet<number> {
    const told = this.told
    this.told = new Set()
    return told
  }

  async progress(seat: Seat, calls: readonly ProgressCall[]): Promise<ProgressAnswer[]> {
    const document = calls.map(({ call, org, checkpoint, total, least, ask, shrink }) => ({
      call_id: this.id('call', call),
      org_id: this.orgId(org),
      credits: text(checkpoint),
      api_cost: checkpoint === null ? null : dollars(checkpoint),
      target: text(total),
      min: text(least),
      ask,
      shrink,
    }))
    const rows = await this.rows(seat, 'progress', [JSON.stringify(document)])
    return rows.map((row, place) => {
      const held = micro(row.held)
      const worth = calls[place]?.least ?? 0n
      // A hold that could not grow but is large enough as it is, is answered `refused`; what matters is that it is enough.
      const grew = row.outcome === 'extended' || row.outcome === 'refused'
      const outcome = grew ? (held !== null && held >= worth ? 'enough' : 'refused') : row.outcome
      return { outcome: outcome as ProgressAnswer['outcome'], held }
    })
  }

  async settle(seat: Seat, calls: readonly CloseCall[]): Promise<CloseAnswer[]> {
    const document = calls.map(({ call, org, user, charge, disputed }) => ({
      call_id: this.id('call', call),
      state: charge === null ? 'released' : 'settled',
      org_id: this.orgId(org),
      user_id: user,
      charge: credits(charge ?? 0n),
      service_type: 'llm_inference',
      service_name: 'gpt-5',
      api_cost: dollars(charge ?? 0n),
      markup: 0,
      source: 'proxy',
      provenance: charge === null ? null : disputed ? 'disputed' : 'provider_usage',
      outcome: 'answered',
    }))
    const rows = await this.rows(seat, 'close', [JSON.stringify(document)])
    return rows.map((row) => ({
      charged: micro(row.charged) ?? 0n,
      remaining: micro(row.remaining),
      keyUsed: micro(row.key_used),
    }))
  }

  async settleDispute(seat: Seat, call: number, charge: bigint): Promise<DisputeAnswer> {
    const [row] = await this.rows(seat, 'settleDispute', [this.id('call', call), credits(charge), dollars(charge)])
    return { outcome: row?.outcome as DisputeAnswer['outcome'], charged: micro(row?.charged) }
  }

  /** Names of this run's organizations only. */
  async findDead(): Promise<string[]> {
    const rows = await this.rows('a', 'findDead', [])
    return this.orgs.filter((name) => rows.some((row) => row.org_id === this.orgId(name))).sort()
  }

  async recover(seat: Seat, org: string, most: number): Promise<Recovery> {
    const [row] = await this.rows(seat, 'recover', [this.orgId(org), most])
    return {
      recovered: Number(row?.recovered),
      released: Number(row?.released),
      credits: micro(row?.credits) ?? 0n,
    }
  }

  purchase = (seat: Seat, org: string, amount: bigint) =>
    this.publicly(seat, 'purchase', [this.orgId(org), credits(amount)])

  allocate = (seat: Seat, org: string, user: string, amount: bigint) =>
    this.publicly(seat, 'allocate', [this.orgId(org), user, credits(amount)])

  deduct = (seat: Seat, org: string, user: string, amount: bigint, requestId: string | null) =>
    this.publicly(seat, 'deduct', [this.orgId(org), user, credits(amount), requestId])

  async setActive(org: string, active: boolean): Promise<void> {
    await this.rows('sql', 'setActive', [this.orgId(org), active ? 'active' : 'suspended'])
  }

  async startProcess(process: number, leaseUntil: number): Promise<void> {
    await this.rows('sql', 'startProcess', [this.id('process', process), instant(leaseUntil)])
  }

  async stopProcess(process: number): Promise<void> {
    await this.rows('sql', 'stopProcess', [this.id('process', process)])
  }

  async advance(now: number, renewed: readonly number[], leaseUntil: number): Promise<void> {
    const ids = renewed.map((process) => this.id('process', process))
    await this.rows('sql', 'advance', [instant(now), ids, instant(leaseUntil)])
  }

  /** Differences the product's own audit finds, of all runs so far. */
  async audit(): Promise<unknown[]> {
    return this.rows('sql', 'audit', [])
  }

  /** Empties the tables of a run that ended well: an audit reads every row there is. */
  async forget(): Promise<void> {
    await this.at('sql').query('select public.model_forget()')
  }

  /** `order`: of all calls that wait, whatever they wait for. */
  async snapshot(): Promise<{ books: Snapshot; order: number[] }> {
    const tag = this.id('process', 0).slice(0, 8)
    const [row] = await this.rows('sql', 'snapshot', [this.orgs.map((name) => this.orgId(name)), tag])
    const found = row?.books as unknown as Record<string, (string | null)[][] | null>
    const lines = (of: string, line: (row: (string | null)[]) => readonly [string, string]) =>
      record(found[of] ?? [], line)
    const waiters = found.waiters ?? []
    const queues = Map.groupBy(waiters, ([, line]) => this.lineName(line))
    const books: Snapshot = {
      waiters: record(queues, ([line, calls]) => [line, calls.map(([id]) => `call ${number(id)}`).join(', ')]),
      slices: lines('slices', ([id, window, amount]) => [`proxy ${this.plain(id)} ${iso(window)}`, `${amount}`]),
      pools: lines('pools', ([org, total, allocated, used, held, overage, next]) => [
        this.orgName(org),
        `total ${total} allocated ${allocated} used ${used} held ${held} overage ${overage} refresh ${iso(next)}`,
      ]),
      users: lines('users', ([org, user, allocated, used, held, margin, next]) => [
        `${this.orgName(org)}/${user}`,
        `allocated ${allocated} used ${used} held ${held} margin ${margin} reset ${iso(next)}`,
      ]),
      limits: lines('limits', ([kind, id, window, held, used]) => [
        `${kind} ${this.plain(id)} ${iso(window)}`,
        `held ${held} used ${used}`,
      ]),
      holds: lines('holds', ([id, state, held, checkpoint, charged]) => [
        `call ${number(id)}`,
        `${state} held ${held} checkpoint ${checkpoint ?? 'none'} charged ${charged ?? 'none'}`,
      ]),
      rows: lines('rows', ([id, charge, recovery, dispute]) => [
        `call ${number(id)}`,
        `charge ${charge ?? 'none'} recovery ${recovery ?? 'none'} dispute ${dispute ?? 'none'}`,
      ]),
      deductions: (found.deductions ?? [])
        .map(([org, user, amount]) => `${this.orgName(org)}/${user} ${amount}`)
        .sort(byName),
      processes: lines('processes', ([id, end]) => [`process ${number(id)}`, end ?? 'live']),
    }
    return { books, order: waiters.map(([id]) => number(id)) }
  }

  /** An allocation's line is called by its owner, a limit's like the limit. */
  private lineName(line: string | null | undefined): string {
    const [, kind, id, seconds] = /^(\w+) ([0-9a-f]{8}:.*) (\d+)$/.exec(line ?? '') ?? []
    if (kind !== undefined) return `${kind} ${this.plain(id)} ${iso(new Date(Number(seconds) * 1_000).toISOString())}`
    const [org, user] = (line ?? '').split('/')
    return `${this.orgName(org)}/${user}`
  }

  /** As tollgate.hold_request. */
  private asked(call: HoldCall): Record<string, unknown> {
    return {
      call_id: this.id('call', call.call),
      org_id: this.orgId(call.org),
      user_id: call.user,
      input: credits(call.input),
      input_bytes: credits(call.inputBytes),
      output: credits(call.output),
      min_output: credits(call.least),
      step: credits(call.step),
      uncertain: credits(call.uncertain),
      limits: this.limits(call),
      wait_ms: call.waitMs,
      in_line: call.stands,
      sliced: call.sliced,
      service_type: 'llm_inference',
      service_name: 'gpt-5',
    }
  }

  private async publicly(seat: Seat, statement: string, values: unknown[]): Promise<PublicAnswer> {
    try {
      const [row] = await this.rows(seat, statement, values)
      return `${row?.answer}` as PublicAnswer
    } catch (error) {
      const known = /Insufficient credits in pool|Insufficient credits|No credit allocation found|not active/
      const refusal = error instanceof pg.DatabaseError && error.code === 'P0001' ? known.exec(error.message) : null
      if (refusal === null) throw error
      return `refused: ${refusal[0]}`
    }
  }

  private async rows(seat: Seat, name: string, values: unknown[]): Promise<Record<string, string | null>[]> {
    const sqlText = statements[name]
    if (sqlText === undefined) throw new Error(`there is no statement ${name}`)
    const { rows } = await this.at(seat).query<Record<string, string | null>>({ name, text: sqlText, values })
    return rows
  }

  private at(seat: Seat): pg.Client {
    const client = this.seats.get(seat)
    if (client === undefined) throw new Error(`nobody sits at ${seat}`)
    return client
  }

  /** Ids are the run's and the thing's number, so that locks fall in the same order on a replay. */
  private id(what: 'org' | 'process' | 'call', n: number): string {
    const tag = createHash('sha256').update(`${this.run}`).digest('hex').slice(0, 8)
    const kind = { org: '1', process: '2', call: '3' }[what]
    return `${tag}-0000-4000-800${kind}-${n.toString(16).padStart(12, '0')}`
  }

  private orgId(name: string): string {
    return this.id('org', this.orgs.indexOf(name))
  }

  private orgName(id: string | null | undefined): string {
    return this.orgs[number(id)] ?? `organization ${id}`
  }

  /** What limits, and keys among them, are called in this run. */
  private named(id: string): string {
    return `${this.id('process', 0).slice(0, 8)}:${id}`
  }

  private plain(name: string | null | undefined): string | undefined {
    return name?.slice(name.indexOf(':') + 1)
  }

  /** The windows of the model are days. A key's amount stands in its row. */
  private limits({ limits, key }: HoldCall): Record<string, unknown>[] | null {
    const named = limits.map(({ kind, id, unit, amount }) => ({
      ...{ kind, id: this.named(id), window: 'day', unit, limit_amount: text(amount) },
    }))
    if (key !== null) return [...named, { kind: 'key', id: this.named(key) }]
    return named.length === 0 ? null : named
  }
}

function grantedIn(state: State, org: string): bigint {
  return state.allocations.filter((entry) => entry.org === org).reduce((sum, { granted }) => sum + granted, 0n)
}

/** A microcredit is a nano-dollar. */
const dollars = (amount: bigint): string => formatDecimal(amount, 9)
const text = (amount: bigint | null): string | null => (amount === null ? null : credits(amount))
const micro = (amount: string | null | undefined): bigint | null => (amount == null ? null : creditsToMicro(amount))
const instant = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())
const number = (id: string | null | undefined): number => Number.parseInt(id?.slice(-12) ?? '', 16)
const iso = (at: string | null | undefined): string => amountOrNone(at == null ? null : Date.parse(at))
