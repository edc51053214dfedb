/** Columns that the move writes, with their types; what is not here keeps its default. */
const TIME = 'timestamptz'
const CREDITS = 'numeric'
const STAMPS = { created_at: TIME, updated_at: TIME }

export const ORGANIZATION = {
  table: 'public.organizations',
  columns: {
    id: 'uuid',
    name: 'varchar',
    display_name: 'varchar',
    logo_url: 'text',
    plan_tier: 'varchar',
    max_seats: 'integer',
    lago_customer_id: 'varchar',
    stripe_customer_id: 'varchar',
    status: 'varchar',
    ...STAMPS,
  },
}
export const MEMBER = {
  table: 'public.organization_members',
  columns: { id: 'uuid', org_id: 'uuid', user_id: 'varchar', role: 'varchar', joined_at: TIME },
}
export const SUBSCRIPTION = {
  table: 'public.organization_subscriptions',
  columns: {
    id: 'uuid',
    org_id: 'uuid',
    subscription_plan: 'varchar',
    monthly_price: 'numeric',
    billing_cycle: 'varchar',
    lago_subscription_id: 'varchar',
    stripe_subscription_id: 'varchar',
    status: 'varchar',
    trial_ends_at: TIME,
    current_period_start: TIME,
    current_period_end: TIME,
    canceled_at: TIME,
    ...STAMPS,
  },
}
export const POOL = {
  table: 'public.organization_credit_pools',
  columns: {
    id: 'uuid',
    org_id: 'uuid',
    total_credits: CREDITS,
    allocated_credits: CREDITS,
    used_credits: CREDITS,
    overage_credits: CREDITS,
    monthly_refresh_amount: CREDITS,
    last_refresh_date: TIME,
    next_refresh_date: TIME,
    allow_overage: 'boolean',
    overage_limit: CREDITS,
    overage_rate: 'numeric',
    lifetime_purchased_credits: CREDITS,
    lifetime_spent_amount: 'numeric',
    ...STAMPS,
  },
}
export const ALLOCATION = {
  table: 'public.user_credit_allocations',
  columns: {
    id: 'uuid',
    org_id: 'uuid',
    user_id: 'varchar',
    allocated_credits: CREDITS,
    used_credits: CREDITS,
    reset_period: 'varchar',
    last_reset_date: TIME,
    next_reset_date: TIME,
    is_active: 'boolean',
    allocated_by: 'varchar',
    notes: 'text',
    ...STAMPS,
  },
}
export const HISTORY = {
  table: 'public.org_billing_history',
  columns: {
    id: 'uuid',
    org_id: 'uuid',
    subscription_id: 'uuid',
    event_type: 'varchar',
    lago_invoice_id: 'varchar',
    stripe_invoice_id: 'varchar',
    amount: 'numeric',
    currency: 'varchar',
    payment_status: 'varchar',
    payment_method: 'varchar',
    paid_at: TIME,
    period_start: TIME,
    period_end: TIME,
    event_metadata: 'jsonb',
    notes: 'text',
    created_at: TIME,
  },
}
export const JOURNAL = {
  table: 'tollgate.ledger_journal',
  columns: {
    kind: 'varchar',
    org_id: 'uuid',
    user_id: 'varchar',
    pool_total: CREDITS,
    pool_allocated: CREDITS,
    allocation_allocated: CREDITS,
    allocation_used: CREDITS,
    actor: 'varchar',
    note: 'text',
    created_at: TIME,
  },
}
export const CHARGE = {
  table: 'public.credit_usage_attribution',
  columns: {
    id: 'uuid',
    org_id: 'uuid',
    user_id: 'varchar',
    allocation_id: 'uuid',
    credits_used: CREDITS,
    service_type: 'varchar',
    service_name: 'varchar',
    api_cost: 'numeric',
    markup_applied: 'numeric',
    request_id: 'varchar',
    request_metadata: 'jsonb',
    created_at: TIME,
    call_id: 'uuid',
    outcome: 'varchar',
    details: 'jsonb',
  },
}
