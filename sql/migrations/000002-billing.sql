-- The five public billing tables and their views. Callers read them directly, so names and meanings are a contract.
-- Credits are numeric(20,6): six decimals are one microcredit, a nano-dollar. Books reference organizations with RESTRICT:
-- an organization is deactivated, never deleted.

create table public.organization_subscriptions (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  subscription_plan varchar(50) not null check (subscription_plan in ('platform', 'byok', 'hybrid')),
  monthly_price numeric(10, 2) not null default 0.00 check (monthly_price >= 0),
  billing_cycle varchar(20) not null default 'monthly' check (billing_cycle in ('monthly', 'yearly', 'custom')),
  lago_subscription_id varchar(255),
  stripe_subscription_id varchar(255),
  status varchar(50) not null default 'active' check (status in ('active', 'trialing', 'past_due', 'canceled', 'paused')),
  trial_ends_at timestamptz,
  current_period_start timestamptz not null default tollgate.tollgate_now(),
  current_period_end timestamptz,
  canceled_at timestamptz,
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now()
);
create unique index idx_org_subs_one_active on public.organization_subscriptions (org_id) where status = 'active';
create index idx_org_subs_org_id on public.organization_subscriptions (org_id);
create index idx_org_subs_status on public.organization_subscriptions (status);
create index idx_org_subs_plan on public.organization_subscriptions (subscription_plan);
create index idx_org_subs_lago on public.organization_subscriptions (lago_subscription_id);
create index idx_org_subs_stripe on public.organization_subscriptions (stripe_subscription_id);
comment on table public.organization_subscriptions is 'The plan of an organization. At most one is active.';

create table public.organization_credit_pools (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null unique references public.organizations (id) on delete restrict,
  total_credits numeric(20, 6) not null default 0 check (total_credits >= 0),
  allocated_credits numeric(20, 6) not null default 0 check (allocated_credits >= 0),
  used_credits numeric(20, 6) not null default 0 check (used_credits >= 0),
  available_credits numeric(20, 6) generated always as (total_credits - allocated_credits) stored,
  monthly_refresh_amount numeric(20, 6) not null default 0 check (monthly_refresh_amount >= 0),
  last_refresh_date timestamptz not null default tollgate.tollgate_now(),
  next_refresh_date timestamptz,
  allow_overage boolean not null default false,
  overage_limit numeric(20, 6) default 0 check (overage_limit >= 0),
  overage_rate numeric(10, 6) not null default 0,
  lifetime_purchased_credits numeric(20, 6) not null default 0 check (lifetime_purchased_credits >= 0),
  lifetime_spent_amount numeric(12, 2) not null default 0 check (lifetime_spent_amount >= 0),
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now(),
  held_credits numeric(20, 6) not null default 0 check (held_credits >= 0),
  overage_credits numeric(20, 6) not null default 0 check (overage_credits >= 0),
  check (allocated_credits <= total_credits)
) with (fillfactor = 70);
create index idx_org_credit_pools_org_id on public.organization_credit_pools (org_id);
comment on table public.organization_credit_pools is 'An organization''s prepaid credits.';
comment on column public.organization_credit_pools.available_credits is 'What can still be handed to users.';
comment on column public.organization_credit_pools.overage_limit is 'Null: unlimited.';
comment on column public.organization_credit_pools.held_credits is 'Set aside by running calls.';
comment on column public.organization_credit_pools.overage_credits is 'How far the organization''s allocations, holds counted, are below zero together.';

create table public.user_credit_allocations (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  allocated_credits numeric(20, 6) not null default 0 check (allocated_credits >= 0),
  used_credits numeric(20, 6) not null default 0 check (used_credits >= 0),
  remaining_credits numeric(20, 6) generated always as (allocated_credits - used_credits) stored,
  reset_period varchar(20) not null default 'monthly' check (reset_period in ('daily', 'weekly', 'monthly', 'never')),
  last_reset_date timestamptz not null default tollgate.tollgate_now(),
  next_reset_date timestamptz,
  is_active boolean not null default true,
  allocated_by varchar(255),
  notes text,
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now(),
  held_credits numeric(20, 6) not null default 0 check (held_credits >= 0),
  margin_credits numeric(20, 6) not null default 0 check (margin_credits >= 0),
  unique (org_id, user_id)
) with (fillfactor = 70);
-- An allocation is found by both columns. With an index of one of them at hand, a plan made before there were statistics reads every
-- allocation of that user, or of that organization (measured: half of the throughput at 100 organizations).
create index idx_user_credits_org_id on public.user_credit_allocations (org_id, user_id);
create index idx_user_credits_user_id on public.user_credit_allocations (user_id, org_id);
create index idx_user_credits_active on public.user_credit_allocations (is_active);
comment on table public.user_credit_allocations is 'The part of a pool that one user may spend.';
comment on column public.user_credit_allocations.margin_credits is 'What its running calls may still need beside their holds: the sum of theirs.';
comment on column public.user_credit_allocations.used_credits is 'In the current period; goes down only by a journalled reset.';

create table public.credit_usage_attribution (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  -- A batch writes its charges before it locks pools, so that those are locked for as short as can be. Checked at once, the key would
  -- lock the allocation before the pool; at the end of the transaction the allocation is locked already.
  allocation_id uuid references public.user_credit_allocations (id) on delete restrict deferrable initially deferred,
  credits_used numeric(20, 6) not null check (credits_used >= 0),
  service_type varchar(100) not null,
  service_name varchar(200),
  api_cost numeric(20, 9) not null default 0,
  markup_applied numeric(20, 9) not null default 0,
  total_cost numeric(20, 9) generated always as (api_cost + markup_applied) stored,
  request_id varchar(255),
  request_metadata jsonb,
  created_at timestamptz not null default tollgate.tollgate_now(),
  call_id uuid not null,
  entry varchar(20) not null default 'charge' check (entry in ('charge', 'correction')),
  cause varchar(20) not null default 'call' check (cause in ('call', 'recovery', 'dispute')),
  source varchar(20) not null default 'sql' check (source in ('sql', 'proxy')),
  provenance varchar(20) check (provenance in ('provider_cost', 'provider_usage', 'estimated', 'recovered', 'disputed')),
  outcome varchar(40),
  details jsonb,
  check ((entry = 'charge') = (cause = 'call')),
  -- one charge of a call, and one correction for each cause
  unique (call_id, cause)
);
create index idx_credit_usage_org_id on public.credit_usage_attribution (org_id);
create index idx_credit_usage_user_id on public.credit_usage_attribution (user_id);
create index idx_credit_usage_allocation_id on public.credit_usage_attribution (allocation_id);
create index idx_credit_usage_service_type on public.credit_usage_attribution (service_type);
create index idx_credit_usage_created_at on public.credit_usage_attribution (created_at);
-- Rows without metadata, which are all of the proxy's own, need no entry. Serves every `@>` all the same.
create index idx_credit_usage_metadata_gin on public.credit_usage_attribution using gin (request_metadata)
  where request_metadata is not null;
create index idx_credit_usage_request_id on public.credit_usage_attribution (org_id, request_id) where request_id is not null;
comment on table public.credit_usage_attribution is 'The journal of charges: one row for each call and each deduct_credits, and corrections. Append-only.';
comment on column public.credit_usage_attribution.api_cost is 'Dollars the provider takes; of a disputed row, what it stated.';
comment on column public.credit_usage_attribution.request_id is 'As the caller sent it: recorded, not unique, never the billing key.';
comment on column public.credit_usage_attribution.call_id is 'Minted here: the billing key.';
comment on column public.credit_usage_attribution.cause is 'Why there is this row: the call itself, its recovery, or a dispute that was settled.';
comment on column public.credit_usage_attribution.outcome is 'How the call ended: answered, failed, disconnected ...';
comment on column public.credit_usage_attribution.details is 'Usage, rates, timing, who served it: what GET /v1/calls/{call_id} shows.';

create table public.org_billing_history (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  subscription_id uuid references public.organization_subscriptions (id) on delete set null,
  event_type varchar(50) not null check (event_type in (
    'invoice_created', 'invoice_paid', 'invoice_failed', 'subscription_created', 'subscription_upgraded',
    'subscription_downgraded', 'subscription_canceled', 'credit_purchase', 'credit_refund', 'overage_charged')),
  lago_invoice_id varchar(255),
  stripe_invoice_id varchar(255),
  amount numeric(12, 2) not null default 0,
  currency varchar(3) not null default 'USD',
  payment_status varchar(20) check (payment_status in ('pending', 'paid', 'failed', 'refunded', 'canceled')),
  payment_method varchar(100),
  paid_at timestamptz,
  period_start timestamptz,
  period_end timestamptz,
  event_metadata jsonb,
  notes text,
  created_at timestamptz not null default tollgate.tollgate_now()
);
create index idx_billing_history_org_id on public.org_billing_history (org_id);
create index idx_billing_history_subscription_id on public.org_billing_history (subscription_id);
create index idx_billing_history_event_type on public.org_billing_history (event_type);
create index idx_billing_history_payment_status on public.org_billing_history (payment_status);
create index idx_billing_history_created_at on public.org_billing_history (created_at);
create index idx_billing_history_lago_invoice on public.org_billing_history (lago_invoice_id);
create index idx_billing_history_stripe_invoice on public.org_billing_history (stripe_invoice_id);
comment on table public.org_billing_history is 'Invoices and payments, for people to read. Balances do not depend on it.';

-- Views. Each aggregate is computed on its own before it is joined: joining history with usage first multiplies both.
create view public.org_billing_summary as
  select o.id as org_id, o.name as org_name, s.subscription_plan, s.monthly_price, s.status as subscription_status,
    p.total_credits, p.allocated_credits, p.used_credits, p.available_credits, p.lifetime_spent_amount,
    (select count(*) from public.organization_members m where m.org_id = o.id) as member_count,
    (select count(*) from public.user_credit_allocations a where a.org_id = o.id and a.is_active) as allocated_users_count
  from public.organizations o
  left join public.organization_subscriptions s on s.org_id = o.id and s.status = 'active'
  left join public.organization_credit_pools p on p.org_id = o.id
  where o.status = 'active';

create view public.user_multi_org_credits as
  select a.user_id, a.org_id, o.name as org_name, a.allocated_credits, a.used_credits, a.remaining_credits,
    a.reset_period, a.next_reset_date, a.is_active
  from public.user_credit_allocations a
  join public.organizations o on o.id = a.org_id
  where o.status = 'active'
  order by a.user_id, o.name;

create view public.top_credit_users_by_org as
  select org_id, user_id, sum(credits_used) as total_credits_used,
    count(*) filter (where entry = 'charge') as request_count,
    array_agg(distinct service_type) as services_used, max(created_at) as last_usage
  from public.credit_usage_attribution
  where created_at >= tollgate.tollgate_now() - interval '30 days'
  group by org_id, user_id
  order by org_id, total_credits_used desc;

create view public.org_billing_metrics as
  select o.id as org_id, o.name as org_name,
    coalesce(h.invoice_count, 0) as invoice_count, coalesce(h.total_revenue, 0) as total_revenue,
    coalesce(h.failed_payments, 0) as failed_payments,
    coalesce(u.total_credits_used, 0) as total_credits_used, coalesce(u.active_users, 0) as active_users
  from public.organizations o
  left join (
    select org_id,
      count(*) filter (where event_type = 'invoice_created') as invoice_count,
      sum(amount) filter (where payment_status = 'paid') as total_revenue,
      count(*) filter (where payment_status = 'failed') as failed_payments
    from public.org_billing_history where created_at >= tollgate.tollgate_now() - interval '30 days' group by org_id
  ) h on h.org_id = o.id
  left join (
    select org_id, sum(credits_used) as total_credits_used, count(distinct user_id) as active_users
    from public.credit_usage_attribution where created_at >= tollgate.tollgate_now() - interval '30 days' group by org_id
  ) u on u.org_id = o.id
  where o.status = 'active';
