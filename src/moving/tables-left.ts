/** Tables of Ops-Center's that have rows which are not carried, and why. */
import type { Source } from './source.ts'

export interface TableLeft {
  table: string
  rows: number
  why: string
}

const WHY: Readonly<Record<string, string>> = {
  user_credits:
    'balances of individuals are dollars counted as credits, and any X-User-ID was given some: make an organization for each that has paid (tollgate org create)',
  credit_transactions: 'debits of individuals, taken beside those of their organizations; see user_credits',
  organization_credits:
    'balances of services are thousandths of credits, and no pool was ever charged with them: give each service a key and its organization credits (tollgate service-key create, tollgate org add-credits)',
  service_usage_log: 'use of services, in thousandths of credits; see organization_credits',
  organization_invitations: 'an invitation there leads to a page of Ops-Center: invite again',
  organization_quotas: 'nothing enforced them there',
  organization_settings: 'settings of pages that are not here',
  organization_audit_log: 'keep it with the old database: it says who did what there',
  user_api_keys: 'their hashes (bcrypt) are of no use here: make keys anew (tollgate key create)',
  usage_events: 'counts of calls without a payer',
  api_usage: 'counts of calls without a payer',
  llm_usage_logs: 'counts of calls without a payer',
  usage_quotas: 'nothing enforced them there',
  llm_models: 'models are in config.yaml here',
  llm_routing_rules: 'routing is in config.yaml here',
  user_llm_settings: 'settings of pages that are not here',
  subscription_tiers: 'plans and markups are in config.yaml here',
  credit_packages: 'packages are in config.yaml here',
  credit_purchases: 'payments of individuals; see user_credits',
}

export async function tablesLeft(source: Source): Promise<TableLeft[]> {
  const left: TableLeft[] = []
  for (const [table, why] of Object.entries(WHY)) {
    const rows = await source.count(table)
    if (rows > 0) left.push({ table, rows, why })
  }
  return left
}
