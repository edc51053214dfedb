/** What happens between two jumps of the clock: calls, deductions, purchases, allocations, plans that end and begin again. */
import { MASTER_KEY } from '../../support/tollgate.ts'
import type { YearsCompany, YearsMember } from './people.ts'

const BILLING = '/api/v1/org-billing'
/** A call of this text is refused by the provider. */
export const REFUSED = 'refuse this'

export interface Stage {
  urls: readonly string[]
  chance: () => number
  upTo(most: number): number
  /** Users to whom a quota said no while none of their calls failed: theirs must be used up to the last one. */
  refusedByQuota: Set<string>
  /** By name, how many. */
  made: Map<string, number>
}

interface Answer {
  status: number
  code: string | undefined
}

type Action = (stage: Stage, company: YearsCompany) => Promise<void>

/** Several at once of one member, as far as quota and credits go. */
async function call(stage: Stage, company: YearsCompany): Promise<void> {
  const member = anyone(stage, company)
  const withFailures = stage.chance() < 0.3
  const calls = Array.from({ length: stage.upTo(8) }, (_, index) => {
    const content = withFailures && index % 2 === 0 ? REFUSED : `${member.userId} ${stage.upTo(100_000)}`
    const body = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content }] }
    return send(stage, 'POST', '/v1/chat/completions', member.key, body)
  })
  for (const { status, code } of await Promise.all(calls)) {
    if (code === 'quota_exceeded' && !withFailures) stage.refusedByQuota.add(member.userId)
    const expected = [200, ...(withFailures ? [400] : [])].includes(status) || code === 'insufficient_credits'
    if (!expected && code !== 'quota_exceeded' && code !== 'credits_in_flight')
      throw new Error(`a call: ${status} ${code}`)
  }
}

async function deduct(stage: Stage, company: YearsCompany): Promise<void> {
  const body = {
    org_id: company.id,
    user_id: anyone(stage, company).userId,
    credits_used: stage.upTo(5),
    service_type: 'valuation',
    request_id: String(stage.upTo(1_000_000_000)),
  }
  await expectOne(send(stage, 'POST', `${BILLING}/credits/deduct`, MASTER_KEY, body), [200, 402])
}

async function addCredits(stage: Stage, company: YearsCompany): Promise<void> {
  const path = `${BILLING}/credits/${company.id}/add?credits=${stage.upTo(500)}&purchase_amount=${stage.upTo(9)}.50`
  await expectOne(send(stage, 'POST', path, MASTER_KEY), [200, 201])
}

async function allocate(stage: Stage, company: YearsCompany): Promise<void> {
  const { userId, period } = anyone(stage, company)
  const body = { user_id: userId, allocated_credits: stage.upTo(5), reset_period: period }
  await expectOne(send(stage, 'POST', `${BILLING}/credits/${company.id}/allocate`, MASTER_KEY, body), [200, 201])
}

async function changePlan(stage: Stage, company: YearsCompany): Promise<void> {
  const plan = ['platform', 'hybrid'][stage.upTo(2) - 1]
  const path = `${BILLING}/subscriptions/${company.id}/upgrade?new_plan=${plan}`
  await expectOne(send(stage, 'PUT', path, MASTER_KEY), [200, 404])
}

/** Its plan ends, or begins again: at once, or with a trial. */
async function endOrBeginPlan(stage: Stage, company: YearsCompany): Promise<void> {
  const path = `${BILLING}/subscriptions/${company.id}`
  if ((await send(stage, 'DELETE', path, MASTER_KEY)).status === 200) return
  const trial_days = stage.chance() < 0.5 ? 14 : 0
  const body = { org_id: company.id, subscription_plan: 'platform', trial_days }
  await expectOne(send(stage, 'POST', `${BILLING}/subscriptions`, MASTER_KEY, body), [200, 201, 409])
}

/** Shares of 100. */
const SHARES: readonly [number, string, Action][] = [
  [56, 'calls', call],
  [12, 'a deduction', deduct],
  [8, 'credits are added', addCredits],
  [8, 'an allocation', allocate],
  [6, 'a plan is changed', changePlan],
  [10, 'a plan ends or begins', endOrBeginPlan],
]

export async function act(stage: Stage, company: YearsCompany): Promise<void> {
  let rest = stage.chance() * 100
  const [, name, perform] = SHARES.find(([share]) => {
    rest -= share
    return rest < 0
  }) ?? [0, 'calls', call]
  await perform(stage, company)
  stage.made.set(name, (stage.made.get(name) ?? 0) + 1)
}

function anyone({ upTo }: Stage, { members }: YearsCompany): YearsMember {
  return members[upTo(members.length) - 1]!
}

async function expectOne(sent: Promise<Answer>, statuses: readonly number[]): Promise<void> {
  const { status, code } = await sent
  if (!statuses.includes(status)) throw new Error(`${status} ${code} instead of ${statuses.join(' or ')}`)
}

/** To either process. Where the ledger is not there for a moment the client comes again, as it is told to. */
async function send(stage: Stage, method: string, path: string, key: string, body?: unknown): Promise<Answer> {
  for (;;) {
    const response = await fetch(`${stage.urls[stage.upTo(stage.urls.length) - 1]}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const { error } = (await response.json()) as { error?: { code?: string } }
    if (error?.code !== 'ledger_unavailable') return { status: response.status, code: error?.code }
    await new Promise((resolve) => setTimeout(resolve, 1_000 * Number(response.headers.get('retry-after') ?? 1)))
  }
}
