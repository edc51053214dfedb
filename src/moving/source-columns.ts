/** Columns of Ops-Center's tables that are carried, by our names; behind each the names it has in one revision or another. */
import type { Wanted } from './source.ts'

function named(names: string, others: Wanted = {}): Wanted {
  return { ...Object.fromEntries(names.split(' ').map((name) => [name, [name]])), ...others }
}

/** Later revisions say organization_id. */
const ORG_ID = { org_id: ['org_id', 'organization_id'] }

export const ORGANIZATIONS = named(
  'id name display_name logo_url plan_tier max_seats lago_customer_id stripe_customer_id status is_active created_at updated_at',
)
export const MEMBERS = named('id user_id role', { ...ORG_ID, joined_at: ['joined_at', 'created_at'] })
export const SUBSCRIPTIONS = named(
  'id subscription_plan monthly_price billing_cycle lago_subscription_id stripe_subscription_id status trial_ends_at current_period_start current_period_end canceled_at created_at updated_at',
  ORG_ID,
)
export const POOLS = named(
  'id total_credits allocated_credits used_credits monthly_refresh_amount last_refresh_date next_refresh_date allow_overage overage_limit overage_rate lifetime_purchased_credits lifetime_spent_amount created_at updated_at',
  ORG_ID,
)
export const ALLOCATIONS = named(
  'id user_id allocated_credits used_credits reset_period last_reset_date next_reset_date is_active allocated_by notes created_at updated_at',
  ORG_ID,
)
export const HISTORY = named(
  'id subscription_id event_type lago_invoice_id stripe_invoice_id amount currency payment_status payment_method paid_at period_start period_end event_metadata notes created_at',
  ORG_ID,
)
export const USE = named(
  'id user_id credits_used service_type service_name api_cost markup_applied request_id request_metadata created_at',
  ORG_ID,
)
export const PLATFORM_KEYS = named('key value category')
export const SYSTEM_KEYS = named('id type enabled priority', { sealed: ['api_key_encrypted'] })
export const USER_KEYS = named('id user_id provider enabled metadata', {
  sealed: ['api_key_encrypted', 'encrypted_key'],
})
