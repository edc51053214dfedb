/** Every dashboard's numbers beside the rows of the books, added up here in another way than the dashboards do it, and beside what the responses said. */
import { MASTER_KEY } from '../support/tollgate.ts'
import { exactJson, micro } from './exact-json.ts'
import type { Company, World } from './world.ts'

/** Of one user of one organization, in microcredits. */
interface Account {
  charged: bigint
  charges: number
  /** Those that cost something: a call that failed leaves a row of nothing. */
  paid: number
  allocated: bigint
  /** Went down by resets. */
  reset: bigint
  byService: Map<string, bigint>
}

interface Books {
  total: bigint
  allocated: bigint
  /** Taken back after money went back. */
  taken: bigint
  users: Map<string, Account>
}

/** What differs; call it when nothing runs. */
export async function compareDashboards(world: World): Promise<string[]> {
  const differences: string[] = []
  let mrr = 0n
  for (const company of world.companies) {
    const books = await readBooks(world, company)
    const check = (what: string, shown: unknown, expected: unknown) => {
      if (String(shown) !== String(expected)) differences.push(`${company.name}: ${what} is ${shown}, not ${expected}`)
    }
    const sum = sumOf(books)
    check('what responses said was added', company.total - books.taken, books.total)
    check('what responses said was charged', company.used, sum.charged)
    check('charges that responses told of', company.charges, sum.paid)
    mrr += await checkCompany(world, company, { books, sum, check })
    await checkMembers(world, company, { books, sum, check })
  }
  const { json } = await read(world, '/api/v1/org-billing/billing/system', MASTER_KEY)
  const shown = micro(json.revenue_metrics.total_mrr)
  if (shown !== mrr) differences.push(`the system: total_mrr is ${shown}, not ${mrr}`)
  return differences
}

interface Checking {
  books: Books
  sum: { charged: bigint; charges: number; paid: number }
  check(what: string, shown: unknown, expected: unknown): void
}

/** @returns what it pays a month. */
async function checkCompany(world: World, { id }: Company, { books, sum, check }: Checking): Promise<bigint> {
  const base = '/api/v1/org-billing'
  const pool = (await read(world, `${base}/credits/${id}`, MASTER_KEY)).json
  check('E4 total', micro(pool.total_credits), books.total)
  check('E4 allocated', micro(pool.allocated_credits), books.allocated)
  check('E4 used', micro(pool.used_credits), sum.charged)
  check('E4 available', micro(pool.available_credits), books.total - books.allocated)
  const usage = (await read(world, `${base}/credits/${id}/usage?days=1`, MASTER_KEY)).json
  check('E8 total', micro(usage.total_credits_used), sum.charged)
  check('E8 services', tally(usage.service_breakdown), tally(servicesOf(books)))
  const top = [...books.users].filter(([, { charges }]) => charges > 0)
  check('E8 users', usage.user_count, top.length)
  check(
    'E8 top users',
    tally(
      Object.fromEntries(
        usage.top_users.map((one: { user_id: string; total_credits: string }) => [one.user_id, one.total_credits]),
      ),
    ),
    tally(Object.fromEntries(top.map(([user, { charged }]) => [user, credits(charged)]))),
  )
  const org = (await read(world, `${base}/billing/org/${id}`, MASTER_KEY)).json
  check('E10 total', micro(org.credit_pool.total_credits), books.total)
  check('E10 used', micro(org.credit_pool.used_credits), sum.charged)
  check('E10 thirty days', micro(org.usage_stats_30_days.total_credits_used), sum.charged)
  check('E10 requests', org.usage_stats_30_days.total_requests, sum.charges)
  const listed = (await read(world, `${base}/credits/${id}/allocations`, MASTER_KEY)).json
  for (const [name, list] of [
    ['E7', listed],
    ['E10', org.user_allocations],
  ] as const)
    checkAllocations(name, list, { books, sum, check })
  const system = (await read(world, `${base}/billing/system`, MASTER_KEY)).json
  const row = system.organizations.find(({ org_id }: { org_id: string }) => org_id === id)
  // A suspended one is not listed.
  if (row !== undefined) check('E11 used', micro(row.used_credits), sum.charged)
  if (row !== undefined) check('E11 total', micro(row.total_credits), books.total)
  return org.subscription.status === 'active' ? micro(org.subscription.monthly_price) : 0n
}

function checkAllocations(name: string, list: Record<string, string>[], { books, check }: Checking): void {
  for (const shown of list) {
    const account = books.users.get(`${shown.user_id}`)
    check(`${name} ${shown.user_id} has rows`, account !== undefined, true)
    if (account === undefined) continue
    check(`${name} ${shown.user_id} allocated`, micro(`${shown.allocated_credits}`), account.allocated)
    check(`${name} ${shown.user_id} used`, micro(`${shown.used_credits}`), account.charged - account.reset)
    check(
      `${name} ${shown.user_id} remaining`,
      micro(`${shown.remaining_credits}`),
      account.allocated - account.charged + account.reset,
    )
  }
}

async function checkMembers(world: World, company: Company, { books, check }: Checking): Promise<void> {
  for (const { userId, key } of company.members) {
    const account = books.users.get(userId)
    const own = await read(world, '/api/v1/org-billing/billing/user', key)
    // Who was removed, or whose organization is suspended, sees nothing of it.
    if (account === undefined || own.status !== 200 || own.json.organizations.length === 0) continue
    const [organization] = own.json.organizations
    const remaining = account.allocated - account.charged + account.reset
    check(`E9 ${userId} remaining`, micro(organization.remaining_credits), remaining)
    check(`E9 ${userId} thirty days`, micro(own.json.total_usage_last_30_days.total_credits_used), account.charged)
    check(`E9 ${userId} requests`, own.json.total_usage_last_30_days.request_count, account.charges)
    const left = await read(world, '/api/v1/llm/credits', key)
    if (left.status !== 200) continue
    check(`L7 ${userId}`, micro(left.json.credits_remaining), remaining)
    const history = await sumOfHistory(world, key)
    const usage = await read(world, '/api/v1/llm/usage?days=1', key)
    // Who was removed in the last second was remembered as a member until here.
    if (history === null || usage.status === 403) continue
    check(`history of ${userId}`, history, remaining)
    check(`L8 ${userId}`, micro(usage.json.total_cost), account.byService.get('llm_inference') ?? 0n)
  }
}

/** @returns null for who is no member any more. */
async function sumOfHistory(world: World, key: string): Promise<bigint | null> {
  let sum = 0n
  for (let offset = 0; ; offset += 1_000) {
    const { status, json } = await read(world, `/api/v1/llm/credits/history?limit=1000&offset=${offset}`, key)
    if (status === 403) return null
    for (const { amount } of json.transactions) sum += micro(amount)
    if (json.transactions.length < 1_000) return sum
  }
}

/** Row by row, in another way than any report. */
async function readBooks({ database }: World, { id }: Company): Promise<Books> {
  const books: Books = { total: 0n, allocated: 0n, taken: 0n, users: new Map() }
  const account = (user: string) => {
    const found = books.users.get(user) ?? {
      charged: 0n,
      charges: 0,
      paid: 0,
      allocated: 0n,
      reset: 0n,
      byService: new Map(),
    }
    books.users.set(user, found)
    return found
  }
  const charges = await database.pool.query(
    'select user_id, credits_used, service_type, entry from credit_usage_attribution where org_id = $1',
    [id],
  )
  for (const { user_id, credits_used, service_type, entry } of charges.rows) {
    const of = account(user_id)
    of.charged += micro(credits_used)
    of.charges += entry === 'charge' ? 1 : 0
    of.paid += entry === 'charge' && micro(credits_used) > 0n ? 1 : 0
    of.byService.set(service_type, (of.byService.get(service_type) ?? 0n) + micro(credits_used))
  }
  const journal = await database.pool.query('select * from tollgate.ledger_journal where org_id = $1', [id])
  for (const row of journal.rows) {
    books.total += micro(row.pool_total)
    books.allocated += micro(row.pool_allocated)
    if (row.user_id === null) continue
    account(row.user_id).allocated += micro(row.allocation_allocated)
    account(row.user_id).reset -= micro(row.allocation_used)
  }
  const payments = await database.pool.query('select taken_credits from tollgate.payments where org_id = $1', [id])
  for (const { taken_credits } of payments.rows) books.taken += micro(taken_credits)
  return books
}

function sumOf({ users }: Books): Checking['sum'] {
  const all = [...users.values()]
  return {
    charged: all.reduce((sum, { charged }) => sum + charged, 0n),
    charges: all.reduce((sum, { charges }) => sum + charges, 0),
    paid: all.reduce((sum, { paid }) => sum + paid, 0),
  }
}

function servicesOf({ users }: Books): Record<string, string> {
  const all = new Map<string, bigint>()
  for (const { byService } of users.values())
    for (const [service, spent] of byService) all.set(service, (all.get(service) ?? 0n) + spent)
  return Object.fromEntries([...all].map(([service, spent]) => [service, credits(spent)]))
}

function credits(amount: bigint): string {
  return `${amount / 1_000_000n}.${String(amount % 1_000_000n).padStart(6, '0')}`
}

/** Whatever order and trailing zeros they are written with. */
function tally(amounts: Record<string, string>): string {
  return Object.entries(amounts)
    .map(([name, amount]) => `${name} ${micro(amount)}`)
    .sort()
    .join(', ')
}

async function read({ urls }: World, path: string, key: string) {
  const response = await fetch(`${urls[0]}${path}`, { headers: { authorization: `Bearer ${key}` } })
  return { status: response.status, json: exactJson(await response.text()) }
}
