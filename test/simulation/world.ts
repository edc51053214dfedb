/** Who takes part in a simulation: organizations of every plan with members of every role, on two processes of the product. */
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import type { Database } from '../../src/db/connect.ts'
import type { ScriptedStripe } from '../support/stripe.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import { type Answer, chat } from '../support/upstream-answers.ts'

const MICRO = 1_000_000n
const CREDITS = 5_000n
const PLANS = ['platform', 'byok', 'hybrid'] as const
const ROLES = ['owner', 'admin', 'billing_admin', 'member', 'member'] as const

export interface Member {
  userId: string
  key: string
  /** Was removed at least once: whether the key is good now is not known here. */
  wasRemoved: boolean
}

/** An organization, and what the responses said that happened to it, in microcredits. */
export interface Company {
  id: string
  name: string
  members: Member[]
  /** Of its pool. */
  total: bigint
  /** Charges of calls and deductions, and how many that cost something. */
  used: bigint
  charges: number
  /** Answered calls, and what of each can still be refunded. */
  calls: { id: string; refundable: bigint }[]
  /** Purchases that were booked: the payment, and the cents of it that went back. */
  purchases: { paymentIntent: string; metadata: Record<string, string>; refunded: number }[]
  wasSuspended: boolean
}

export interface World {
  database: Database
  stripe: ScriptedStripe
  /** Of the processes. */
  urls: readonly string[]
  companies: readonly Company[]
}

export async function createCompanies(database: Database, count: number): Promise<Company[]> {
  const companies: Company[] = []
  for (let index = 0; index < count; index += 1) {
    const name = `company-${index}`
    const plan = PLANS[index % PLANS.length] ?? 'platform'
    const { id } = await createOrganization(database, { name, plan, credits: CREDITS * MICRO })
    const members: Member[] = []
    for (const [at, role] of ROLES.entries()) {
      const userId = `${name}-user-${at}`
      const { key } = await createKey(database, {
        organization: id,
        user: userId,
        allocate: 500n * MICRO,
        role,
        name: null,
      })
      members.push({ userId, key, wasRemoved: false })
    }
    // Resets are due in the middle of it all: every second organization's first users have a daily one that was due yesterday.
    if (index % 2 === 0)
      await database.pool.query(
        `update user_credit_allocations set reset_period = 'daily', next_reset_date = now() - interval '1 hour'
          where org_id = $1 and user_id = $2`,
        [id, `${name}-user-0`],
      )
    const blank = { used: 0n, charges: 0, calls: [], purchases: [], wasSuspended: false }
    companies.push({ id, name, members, total: CREDITS * MICRO, ...blank })
  }
  return companies
}

/** Tokens by the text of the request: many different amounts, the same each time. */
export function answerOfProvider(request: ReceivedRequest): Answer {
  const seed = [...request.body.subarray(0, 400)].reduce((sum, byte) => (sum * 31 + byte) % 9_973, 7)
  const usage = { prompt_tokens: 3 + (seed % 50), completion_tokens: 1 + (seed % 90) }
  return chat({
    text: Array.from({ length: 4 }, (_, index) => `piece ${index} `),
    usage: { ...usage, total_tokens: usage.prompt_tokens + usage.completion_tokens },
  })(request) as Answer
}
