/** Who pays in a run: rich and poor users, with and without markup, with and without overage. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import type { Database } from '../../src/db/connect.ts'
import type { ChaosPlan } from './price.ts'

export interface Payer {
  organizationId: string
  userId: string
  key: string
  plan: ChaosPlan
  /** May go below zero. */
  overage: boolean
  /** Refused now and then: what it has is used up, and given again. */
  poor: boolean
}

const CREDIT = 1_000_000n
const RICH = 1_000_000n * CREDIT
const POOR = 20n * CREDIT
const TOP_UP_CREDITS = '6.5'
const TOP_UP_MS = 1_500

export async function createPayers(database: Database): Promise<Payer[]> {
  const payers: Payer[] = []
  const organizations = [
    { name: 'acme', plan: 'platform', overage: false, users: [RICH, RICH, POOR] },
    { name: 'bolt', plan: 'hybrid', overage: false, users: [RICH, POOR] },
    { name: 'crux', plan: 'platform', overage: true, users: [RICH, POOR] },
  ] as const
  for (const { name, plan, overage, users } of organizations) {
    const credits = users.reduce((sum, amount) => sum + amount, 10n * RICH)
    const { id } = await createOrganization(database, { name, plan, credits })
    if (overage) {
      await database.pool.query(
        'update organization_credit_pools set allow_overage = true, overage_limit = 15 where org_id = $1',
        [id],
      )
    }
    for (const [index, allocate] of users.entries()) {
      const user = `${name}-${index}`
      const { key } = await createKey(database, { organization: id, user, allocate, role: null, name: null })
      payers.push({ organizationId: id, userId: user, key, plan, overage, poor: allocate === POOR })
    }
  }
  return payers
}

/** Gives the poor something now and then, while the run lasts; what a fault prevents is left out. */
export async function topUp(database: Database, payers: readonly Payer[], until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    for (const { organizationId, userId } of payers.filter(({ poor }) => poor)) {
      await database.pool
        .query('select allocate_credits_to_user($1, $2, $3)', [organizationId, userId, TOP_UP_CREDITS])
        .catch(() => {})
    }
    await sleep(TOP_UP_MS, undefined, { signal: until }).catch(() => {})
  }
}
