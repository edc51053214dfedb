-- The whole schema, to be read: not to be run, and not to be edited. Written from the catalogue by `npm run sql:seal`; what makes
-- it is in migrations/ and functions/.


-- ---------- schema public ----------

comment on schema public is 'standard public schema';
grant usage on schema public to public;
grant usage on schema public to tollgate_app;
grant usage on schema public to tollgate_caller;

create table public.credit_usage_attribution (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  allocation_id uuid,
  credits_used numeric(20,6) not null,
  service_type character varying(100) not null,
  service_name character varying(200),
  api_cost numeric(20,9) default 0 not null,
  markup_applied numeric(20,9) default 0 not null,
  total_cost numeric(20,9) generated always as ((api_cost + markup_applied)) stored,
  request_id character varying(255),
  request_metadata jsonb,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  call_id uuid not null,
  entry character varying(20) default 'charge'::character varying not null,
  cause character varying(20) default 'call'::character varying not null,
  source character varying(20) default 'sql'::character varying not null,
  provenance character varying(20),
  outcome character varying(40),
  details jsonb,
  sequence bigint default (0 + ((pg_current_xact_id())::text)::bigint),
  constraint credit_usage_attribution_pkey PRIMARY KEY (id),
  constraint credit_usage_attribution_call_id_cause_key UNIQUE (call_id, cause),
  constraint credit_usage_attribution_allocation_id_fkey FOREIGN KEY (allocation_id) REFERENCES public.user_credit_allocations(id) ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
  constraint credit_usage_attribution_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint credit_usage_attribution_is_sound CHECK (tollgate.charge_is_sound(credits_used, entry, cause, source, provenance)) NOT VALID
);
CREATE INDEX idx_credit_usage_allocation_id ON public.credit_usage_attribution USING btree (allocation_id);
CREATE INDEX idx_credit_usage_at_risk ON public.credit_usage_attribution USING btree (created_at) WHERE (details ? 'at_risk'::text);
CREATE INDEX idx_credit_usage_created_at ON public.credit_usage_attribution USING btree (created_at);
CREATE INDEX idx_credit_usage_disputed ON public.credit_usage_attribution USING btree (created_at) WHERE ((provenance)::text = 'disputed'::text);
CREATE INDEX idx_credit_usage_metadata_gin ON public.credit_usage_attribution USING gin (request_metadata) WHERE (request_metadata IS NOT NULL);
CREATE INDEX idx_credit_usage_org_id ON public.credit_usage_attribution USING btree (org_id, created_at);
CREATE INDEX idx_credit_usage_request_id ON public.credit_usage_attribution USING btree (org_id, request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX idx_credit_usage_sequence ON public.credit_usage_attribution USING btree (sequence) WHERE (sequence IS NOT NULL);
CREATE INDEX idx_credit_usage_service_type ON public.credit_usage_attribution USING btree (service_type);
CREATE INDEX idx_credit_usage_session ON public.credit_usage_attribution USING btree (org_id, ((details ->> 'session_id'::text)), created_at) WHERE ((details ->> 'session_id'::text) IS NOT NULL);
CREATE INDEX idx_credit_usage_user_id ON public.credit_usage_attribution USING btree (user_id, created_at);
CREATE TRIGGER credit_usage_attribution_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.credit_usage_attribution FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER credit_usage_attribution_counted AFTER INSERT ON public.credit_usage_attribution REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION tollgate.usage_add();
CREATE TRIGGER credit_usage_attribution_keep_amounts AFTER UPDATE ON public.credit_usage_attribution FOR EACH ROW EXECUTE FUNCTION tollgate.keep_amounts();
comment on table public.credit_usage_attribution is 'The journal of charges: one row for each call and each deduct_credits, and corrections. Append-only.';
comment on column public.credit_usage_attribution.api_cost is 'Dollars the provider takes; of a disputed row, what it stated.';
comment on column public.credit_usage_attribution.call_id is 'Minted here: the billing key.';
comment on column public.credit_usage_attribution.cause is 'Why there is this row: the call itself, its recovery, or a dispute that was settled.';
comment on column public.credit_usage_attribution.details is 'Usage, rates, timing, who served it: what GET /v1/calls/{call_id} shows.';
comment on column public.credit_usage_attribution.outcome is 'How the call ended: answered, failed, disconnected ...';
comment on column public.credit_usage_attribution.request_id is 'As the caller sent it: recorded, not unique, never the billing key.';
comment on column public.credit_usage_attribution.sequence is 'Where followers of the books find it: the number of the transaction that booked it.';
grant insert, select on table public.credit_usage_attribution to tollgate_app;
grant select on table public.credit_usage_attribution to tollgate_caller;

create table public.org_billing_history (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  subscription_id uuid,
  event_type character varying(50) not null,
  lago_invoice_id character varying(255),
  stripe_invoice_id character varying(255),
  amount numeric(12,2) default 0 not null,
  currency character varying(3) default 'USD'::character varying not null,
  payment_status character varying(20),
  payment_method character varying(100),
  paid_at timestamp with time zone,
  period_start timestamp with time zone,
  period_end timestamp with time zone,
  event_metadata jsonb,
  notes text,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint org_billing_history_pkey PRIMARY KEY (id),
  constraint org_billing_history_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint org_billing_history_subscription_id_fkey FOREIGN KEY (subscription_id) REFERENCES public.organization_subscriptions(id) ON DELETE SET NULL,
  constraint org_billing_history_event_type_check CHECK (event_type::text = ANY (ARRAY['invoice_created'::character varying, 'invoice_paid'::character varying, 'invoice_failed'::character varying, 'subscription_created'::character varying, 'subscription_upgraded'::character varying, 'subscription_downgraded'::character varying, 'subscription_canceled'::character varying, 'credit_purchase'::character varying, 'credit_refund'::character varying, 'overage_charged'::character varying]::text[])),
  constraint org_billing_history_payment_status_check CHECK (payment_status::text = ANY (ARRAY['pending'::character varying, 'paid'::character varying, 'failed'::character varying, 'refunded'::character varying, 'canceled'::character varying]::text[]))
);
CREATE INDEX idx_billing_history_created_at ON public.org_billing_history USING btree (created_at);
CREATE INDEX idx_billing_history_event_type ON public.org_billing_history USING btree (event_type);
CREATE INDEX idx_billing_history_lago_invoice ON public.org_billing_history USING btree (lago_invoice_id);
CREATE INDEX idx_billing_history_org_id ON public.org_billing_history USING btree (org_id);
CREATE INDEX idx_billing_history_payment_status ON public.org_billing_history USING btree (payment_status);
CREATE INDEX idx_billing_history_stripe_invoice ON public.org_billing_history USING btree (stripe_invoice_id);
CREATE INDEX idx_billing_history_subscription_id ON public.org_billing_history USING btree (subscription_id);
comment on table public.org_billing_history is 'Invoices and payments, for people to read. Balances do not depend on it.';
grant insert, select, update on table public.org_billing_history to tollgate_app;
grant select on table public.org_billing_history to tollgate_caller;

create table public.organization_credit_pools (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  total_credits numeric(20,6) default 0 not null,
  allocated_credits numeric(20,6) default 0 not null,
  used_credits numeric(20,6) default 0 not null,
  available_credits numeric(20,6) generated always as ((total_credits - allocated_credits)) stored,
  monthly_refresh_amount numeric(20,6) default 0 not null,
  last_refresh_date timestamp with time zone default tollgate.tollgate_now() not null,
  next_refresh_date timestamp with time zone,
  allow_overage boolean default false not null,
  overage_limit numeric(20,6) default 0,
  overage_rate numeric(10,6) default 0 not null,
  lifetime_purchased_credits numeric(20,6) default 0 not null,
  lifetime_spent_amount numeric(12,2) default 0 not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  held_credits numeric(20,6) default 0 not null,
  overage_credits numeric(20,6) default 0 not null,
  low_balance_at numeric(20,6),
  constraint organization_credit_pools_pkey PRIMARY KEY (id),
  constraint organization_credit_pools_org_id_key UNIQUE (org_id),
  constraint organization_credit_pools_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint organization_credit_pools_are_sound CHECK (tollgate.pool_is_sound(total_credits, allocated_credits, used_credits, held_credits, overage_credits, monthly_refresh_amount, overage_limit, lifetime_purchased_credits, lifetime_spent_amount)) NOT VALID
) with (fillfactor=70);
CREATE INDEX idx_org_credit_pools_org_id ON public.organization_credit_pools USING btree (org_id);
CREATE INDEX idx_org_pools_next_refresh ON public.organization_credit_pools USING btree (next_refresh_date);
CREATE TRIGGER organization_credit_pools_low AFTER UPDATE OF used_credits, total_credits ON public.organization_credit_pools FOR EACH ROW WHEN ((new.total_credits - new.used_credits) <= new.low_balance_at AND ((old.total_credits - old.used_credits) > old.low_balance_at OR (old.total_credits - old.used_credits) > 0::numeric AND (new.total_credits - new.used_credits) <= 0::numeric)) EXECUTE FUNCTION tollgate.outbox_balance_fell();
CREATE TRIGGER organization_credit_pools_mark BEFORE INSERT OR UPDATE OF total_credits ON public.organization_credit_pools FOR EACH ROW EXECUTE FUNCTION tollgate.outbox_set_low_balance();
CREATE TRIGGER update_org_credit_pools_updated_at BEFORE UPDATE ON public.organization_credit_pools FOR EACH ROW WHEN (new.updated_at = old.updated_at) EXECUTE FUNCTION public.update_updated_at_column();
comment on table public.organization_credit_pools is 'An organization''s prepaid credits.';
comment on column public.organization_credit_pools.available_credits is 'What can still be handed to users.';
comment on column public.organization_credit_pools.held_credits is 'Set aside by running calls.';
comment on column public.organization_credit_pools.low_balance_at is 'What is left becomes low here: a fifth of what was there when credits came last.';
comment on column public.organization_credit_pools.overage_credits is 'How far the organization''s allocations, holds counted, are below zero together.';
comment on column public.organization_credit_pools.overage_limit is 'Null: unlimited.';
grant insert, select, update on table public.organization_credit_pools to tollgate_app;
grant select on table public.organization_credit_pools to tollgate_caller;

create table public.organization_members (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  role character varying(20) default 'member'::character varying not null,
  joined_at timestamp with time zone default tollgate.tollgate_now() not null,
  is_default boolean default false not null,
  constraint organization_members_pkey PRIMARY KEY (id),
  constraint organization_members_org_id_user_id_key UNIQUE (org_id, user_id),
  constraint organization_members_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE CASCADE,
  constraint organization_members_role_check CHECK (role::text = ANY (ARRAY['owner'::character varying, 'admin'::character varying, 'member'::character varying, 'billing_admin'::character varying]::text[]))
);
CREATE INDEX idx_org_members_user_id ON public.organization_members USING btree (user_id);
CREATE UNIQUE INDEX idx_organization_members_default ON public.organization_members USING btree (user_id) WHERE is_default;
comment on table public.organization_members is 'Which users belong to an organization, and in which role.';
grant delete, insert, select, update on table public.organization_members to tollgate_app;
grant select on table public.organization_members to tollgate_caller;

create table public.organization_subscriptions (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  subscription_plan character varying(50) not null,
  monthly_price numeric(10,2) default 0.00 not null,
  billing_cycle character varying(20) default 'monthly'::character varying not null,
  lago_subscription_id character varying(255),
  stripe_subscription_id character varying(255),
  status character varying(50) default 'active'::character varying not null,
  trial_ends_at timestamp with time zone,
  current_period_start timestamp with time zone default tollgate.tollgate_now() not null,
  current_period_end timestamp with time zone,
  canceled_at timestamp with time zone,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint organization_subscriptions_pkey PRIMARY KEY (id),
  constraint organization_subscriptions_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint organization_subscriptions_billing_cycle_check CHECK (billing_cycle::text = ANY (ARRAY['monthly'::character varying, 'yearly'::character varying, 'custom'::character varying]::text[])),
  constraint organization_subscriptions_monthly_price_check CHECK (monthly_price >= 0::numeric),
  constraint organization_subscriptions_status_check CHECK (status::text = ANY (ARRAY['active'::character varying, 'trialing'::character varying, 'past_due'::character varying, 'canceled'::character varying, 'paused'::character varying]::text[])),
  constraint organization_subscriptions_subscription_plan_check CHECK (subscription_plan::text = ANY (ARRAY['platform'::character varying, 'byok'::character varying, 'hybrid'::character varying]::text[]))
);
CREATE INDEX idx_org_subs_lago ON public.organization_subscriptions USING btree (lago_subscription_id);
CREATE INDEX idx_org_subs_org_id ON public.organization_subscriptions USING btree (org_id);
CREATE INDEX idx_org_subs_period_end ON public.organization_subscriptions USING btree (current_period_end) WHERE ((status)::text = 'active'::text);
CREATE INDEX idx_org_subs_plan ON public.organization_subscriptions USING btree (subscription_plan);
CREATE INDEX idx_org_subs_status ON public.organization_subscriptions USING btree (status);
CREATE INDEX idx_org_subs_stripe ON public.organization_subscriptions USING btree (stripe_subscription_id);
CREATE UNIQUE INDEX idx_org_subs_one_active ON public.organization_subscriptions USING btree (org_id) WHERE ((status)::text = 'active'::text);
CREATE TRIGGER org_subs_plan_begins_or_ends BEFORE INSERT OR UPDATE OF status ON public.organization_subscriptions FOR EACH ROW EXECUTE FUNCTION tollgate.plan_begins_or_ends();
CREATE TRIGGER update_org_subs_updated_at BEFORE UPDATE ON public.organization_subscriptions FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
comment on table public.organization_subscriptions is 'The plan of an organization. At most one is active.';
grant insert, select, update on table public.organization_subscriptions to tollgate_app;
grant select on table public.organization_subscriptions to tollgate_caller;

create table public.organizations (
  id uuid default gen_random_uuid() not null,
  name character varying(200) not null,
  display_name character varying(200),
  logo_url text,
  plan_tier character varying(50) default 'founders_friend'::character varying not null,
  max_seats integer default 1 not null,
  lago_customer_id character varying(255),
  stripe_customer_id character varying(255),
  status character varying(20) default 'active'::character varying not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  is_budgeted boolean default false not null,
  constraint organizations_pkey PRIMARY KEY (id),
  constraint organizations_name_key UNIQUE (name),
  constraint organizations_max_seats_check CHECK (max_seats >= 0),
  constraint organizations_status_check CHECK (status::text = ANY (ARRAY['active'::character varying, 'suspended'::character varying, 'deleted'::character varying]::text[]))
);
CREATE TRIGGER update_organizations_updated_at BEFORE UPDATE ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
comment on table public.organizations is 'Who pays. An organization that has books is deactivated, never deleted.';
comment on column public.organizations.is_budgeted is 'Bounded by budgets, like the organization default: nothing is bought in advance, and no markup is added.';
grant insert, select, update on table public.organizations to tollgate_app;
grant select on table public.organizations to tollgate_caller;

create table public.platform_settings (
  key character varying(255) not null,
  value text,
  category character varying(100),
  is_secret boolean default false not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  enabled boolean default true not null,
  constraint platform_settings_pkey PRIMARY KEY (key)
);
CREATE UNIQUE INDEX platform_settings_api_keys ON public.platform_settings USING btree (key) WHERE ((category)::text = 'api_keys'::text);
CREATE TRIGGER platform_settings_changed AFTER INSERT OR DELETE OR UPDATE ON public.platform_settings FOR EACH ROW EXECUTE FUNCTION tollgate.vault_key_changed('platform', '', 'key', 'value');
CREATE TRIGGER platform_settings_truncated AFTER TRUNCATE ON public.platform_settings FOR EACH STATEMENT EXECUTE FUNCTION tollgate.vault_keys_truncated();
grant delete, insert, select, update on table public.platform_settings to tollgate_app;

create table public.user_credit_allocations (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  allocated_credits numeric(20,6) default 0 not null,
  used_credits numeric(20,6) default 0 not null,
  remaining_credits numeric(20,6) generated always as ((allocated_credits - used_credits)) stored,
  reset_period character varying(20) default 'monthly'::character varying not null,
  last_reset_date timestamp with time zone default tollgate.tollgate_now() not null,
  next_reset_date timestamp with time zone,
  is_active boolean default true not null,
  allocated_by character varying(255),
  notes text,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  held_credits numeric(20,6) default 0 not null,
  margin_credits numeric(20,6) default 0 not null,
  follows_pool boolean default false not null,
  constraint user_credit_allocations_pkey PRIMARY KEY (id),
  constraint user_credit_allocations_org_id_user_id_key UNIQUE (org_id, user_id),
  constraint user_credit_allocations_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint user_credit_allocations_are_sound CHECK (tollgate.allocation_is_sound(reset_period, allocated_credits, used_credits, held_credits, margin_credits)) NOT VALID
) with (fillfactor=70);
CREATE INDEX idx_user_credits_active ON public.user_credit_allocations USING btree (is_active);
CREATE INDEX idx_user_credits_next_reset ON public.user_credit_allocations USING btree (next_reset_date);
CREATE INDEX idx_user_credits_org_id ON public.user_credit_allocations USING btree (org_id, user_id);
CREATE INDEX idx_user_credits_user_id ON public.user_credit_allocations USING btree (user_id, org_id);
CREATE TRIGGER update_user_credits_updated_at BEFORE UPDATE ON public.user_credit_allocations FOR EACH ROW WHEN (new.updated_at = old.updated_at) EXECUTE FUNCTION public.update_updated_at_column();
CREATE TRIGGER user_credit_allocations_used AFTER UPDATE OF used_credits ON public.user_credit_allocations FOR EACH ROW WHEN (new.used_credits > old.used_credits AND new.used_credits >= (new.allocated_credits * 0.8) AND new.allocated_credits > 0::numeric AND NOT new.follows_pool AND (old.used_credits < (old.allocated_credits * 0.8) OR old.used_credits < old.allocated_credits AND new.used_credits >= new.allocated_credits)) EXECUTE FUNCTION tollgate.outbox_allocation_used();
comment on table public.user_credit_allocations is 'The part of a pool that one user may spend.';
comment on column public.user_credit_allocations.follows_pool is 'Takes from the pool what nobody has whenever it is short: a service''s.';
comment on column public.user_credit_allocations.margin_credits is 'What its running calls may still need beside their holds: the sum of theirs.';
comment on column public.user_credit_allocations.used_credits is 'In the current period; goes down only by a journalled reset.';
grant insert, select, update on table public.user_credit_allocations to tollgate_app;
grant select on table public.user_credit_allocations to tollgate_caller;

create table public.user_provider_keys (
  id uuid default gen_random_uuid() not null,
  user_id character varying(255) not null,
  provider character varying(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}'::jsonb,
  enabled boolean default true not null,
  last_used timestamp with time zone,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint user_provider_keys_pkey PRIMARY KEY (id),
  constraint user_provider_keys_user_id_provider_key UNIQUE (user_id, provider)
);
CREATE TRIGGER user_provider_keys_changed AFTER INSERT OR DELETE OR UPDATE ON public.user_provider_keys FOR EACH ROW EXECUTE FUNCTION tollgate.vault_key_changed('user', 'user_id', 'provider', 'api_key_encrypted');
CREATE TRIGGER user_provider_keys_truncated AFTER TRUNCATE ON public.user_provider_keys FOR EACH STATEMENT EXECUTE FUNCTION tollgate.vault_keys_truncated();
comment on table public.user_provider_keys is 'Provider keys that users bring, sealed. Google''s are under ''google''.';
grant delete, insert, select, update on table public.user_provider_keys to tollgate_app;

create view public.org_billing_metrics as
 SELECT o.id AS org_id,
    o.name AS org_name,
    COALESCE(h.invoice_count, 0::bigint) AS invoice_count,
    COALESCE(h.total_revenue, 0::numeric) AS total_revenue,
    COALESCE(h.failed_payments, 0::bigint) AS failed_payments,
    COALESCE(u.total_credits_used, 0::numeric) AS total_credits_used,
    COALESCE(u.active_users, 0::bigint) AS active_users
   FROM public.organizations o
     LEFT JOIN ( SELECT org_billing_history.org_id,
            count(*) FILTER (WHERE org_billing_history.event_type::text = 'invoice_created'::text) AS invoice_count,
            sum(org_billing_history.amount) FILTER (WHERE org_billing_history.payment_status::text = 'paid'::text) AS total_revenue,
            count(*) FILTER (WHERE org_billing_history.payment_status::text = 'failed'::text) AS failed_payments
           FROM public.org_billing_history
          WHERE org_billing_history.created_at >= (tollgate.tollgate_now() - '30 days'::interval)
          GROUP BY org_billing_history.org_id) h ON h.org_id = o.id
     LEFT JOIN ( SELECT credit_usage_attribution.org_id,
            sum(credit_usage_attribution.credits_used) AS total_credits_used,
            count(DISTINCT credit_usage_attribution.user_id) AS active_users
           FROM public.credit_usage_attribution
          WHERE credit_usage_attribution.created_at >= (tollgate.tollgate_now() - '30 days'::interval)
          GROUP BY credit_usage_attribution.org_id) u ON u.org_id = o.id
  WHERE o.status::text = 'active'::text;
grant select on table public.org_billing_metrics to tollgate_app;
grant select on table public.org_billing_metrics to tollgate_caller;

create view public.org_billing_summary as
 SELECT o.id AS org_id,
    o.name AS org_name,
    s.subscription_plan,
    s.monthly_price,
    s.status AS subscription_status,
    p.total_credits,
    p.allocated_credits,
    p.used_credits,
    p.available_credits,
    p.lifetime_spent_amount,
    ( SELECT count(*) AS count
           FROM public.organization_members m
          WHERE m.org_id = o.id) AS member_count,
    ( SELECT count(*) AS count
           FROM public.user_credit_allocations a
          WHERE a.org_id = o.id AND a.is_active) AS allocated_users_count
   FROM public.organizations o
     LEFT JOIN public.organization_subscriptions s ON s.org_id = o.id AND s.status::text = 'active'::text
     LEFT JOIN public.organization_credit_pools p ON p.org_id = o.id
  WHERE o.status::text = 'active'::text;
grant select on table public.org_billing_summary to tollgate_app;
grant select on table public.org_billing_summary to tollgate_caller;

create view public.top_credit_users_by_org as
 SELECT org_id,
    user_id,
    sum(credits_used) AS total_credits_used,
    count(*) FILTER (WHERE entry::text = 'charge'::text) AS request_count,
    array_agg(DISTINCT service_type) AS services_used,
    max(created_at) AS last_usage
   FROM public.credit_usage_attribution
  WHERE created_at >= (tollgate.tollgate_now() - '30 days'::interval)
  GROUP BY org_id, user_id
  ORDER BY org_id, (sum(credits_used)) DESC;
grant select on table public.top_credit_users_by_org to tollgate_app;
grant select on table public.top_credit_users_by_org to tollgate_caller;

create view public.user_multi_org_credits as
 SELECT a.user_id,
    a.org_id,
    o.name AS org_name,
    a.allocated_credits,
    a.used_credits,
    a.remaining_credits,
    a.reset_period,
    a.next_reset_date,
    a.is_active
   FROM public.user_credit_allocations a
     JOIN public.organizations o ON o.id = a.org_id
  WHERE o.status::text = 'active'::text
  ORDER BY a.user_id, o.name;
grant select on table public.user_multi_org_credits to tollgate_app;
grant select on table public.user_multi_org_credits to tollgate_caller;

CREATE OR REPLACE FUNCTION public.add_credits_to_pool(p_org_id uuid, p_credits_amount numeric, p_purchase_amount numeric DEFAULT 0.00)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform ledger_add_credits(p_org_id, p_credits_amount, p_purchase_amount, session_user::varchar);
      return true;
    end
  $function$;
revoke execute on function public.add_credits_to_pool(uuid,numeric,numeric) from public;
grant execute on function public.add_credits_to_pool(uuid,numeric,numeric) to tollgate_app;
grant execute on function public.add_credits_to_pool(uuid,numeric,numeric) to tollgate_caller;

CREATE OR REPLACE FUNCTION public.allocate_credits_to_user(p_org_id uuid, p_user_id character varying, p_credits_amount numeric, p_allocated_by character varying DEFAULT NULL::character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_locked record;
      v_pool public.organization_credit_pools;
      v_allocation public.user_credit_allocations;
      v_left numeric;
    begin
      perform ledger_check_amount(p_credits_amount);
      if p_user_id is null or p_user_id = '' then
        raise exception 'Invalid user: the user id must not be empty' using errcode = 'P0001';
      end if;
      v_locked := ledger_lock_and_refresh(p_org_id, p_user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      if v_pool.id is null then
        raise exception 'No credit pool found for org %', p_org_id using errcode = 'P0001';
      end if;
      v_left := v_pool.total_credits - v_pool.allocated_credits;
      if v_left < p_credits_amount then
        raise exception 'Insufficient credits in pool: % available, % needed',
          trim_scale(v_left), trim_scale(p_credits_amount) using errcode = 'P0001';
      end if;
      update public.organization_credit_pools p
        set allocated_credits = p.allocated_credits + p_credits_amount,
          overage_credits = p.overage_credits + case when v_allocation.id is null then 0 else
            ledger_overdraft(v_allocation.allocated_credits + p_credits_amount, v_allocation.used_credits, v_allocation.held_credits)
            - ledger_overdraft(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits) end
        where p.org_id = p_org_id;
      -- The pool row is locked, so nobody else can be inserting this allocation.
      insert into public.user_credit_allocations as a (org_id, user_id, allocated_credits, allocated_by, next_reset_date)
        values (p_org_id, p_user_id, p_credits_amount, p_allocated_by, ledger_next_date('monthly', tollgate_now(), tollgate_now()))
        on conflict (org_id, user_id) do update
          set allocated_credits = a.allocated_credits + excluded.allocated_credits,
            allocated_by = coalesce(excluded.allocated_by, a.allocated_by);
      insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor)
        values ('allocate', p_org_id, p_user_id, p_credits_amount, p_credits_amount, coalesce(p_allocated_by, session_user));
      return true;
    end
  $function$;
revoke execute on function public.allocate_credits_to_user(uuid,character varying,numeric,character varying) from public;
grant execute on function public.allocate_credits_to_user(uuid,character varying,numeric,character varying) to tollgate_app;
grant execute on function public.allocate_credits_to_user(uuid,character varying,numeric,character varying) to tollgate_caller;

CREATE OR REPLACE FUNCTION public.deduct_credits(p_org_id uuid, p_user_id character varying, p_credits_used numeric, p_service_type character varying, p_service_name character varying DEFAULT NULL::character varying, p_request_id character varying DEFAULT NULL::character varying, p_request_metadata jsonb DEFAULT NULL::jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_call_id uuid := gen_random_uuid();
      v_hold record;
    begin
      perform ledger_check_amount(p_credits_used);
      perform ledger_lock_and_refresh(p_org_id, p_user_id);
      p_request_metadata := nullif(p_request_metadata, 'null');
      if p_request_id is not null and exists (
          select 1 from public.credit_usage_attribution
          where org_id = p_org_id and request_id = p_request_id and source = 'sql' and user_id = p_user_id
            and credits_used = p_credits_used and service_type is not distinct from p_service_type
            and service_name is not distinct from p_service_name
            and request_metadata is not distinct from p_request_metadata
            and created_at > tollgate_now() - interval '10 minutes') then
        return true;
      end if;
      select * into v_hold from ledger_hold_batch(ledger_sql_session(), jsonb_build_array(jsonb_build_object(
        'call_id', v_call_id, 'org_id', p_org_id, 'user_id', p_user_id, 'input', 0, 'input_bytes', 0,
        'output', p_credits_used, 'min_output', p_credits_used, 'service_type', coalesce(p_service_type, ''))));
      if v_hold.outcome = 'no_allocation' then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      elsif v_hold.outcome = 'suspended' then
        raise exception 'Organization % is not active', p_org_id using errcode = 'P0001';
      elsif v_hold.outcome <> 'held' then
        raise exception 'Insufficient credits: % available, % needed',
          trim_scale(v_hold.available), trim_scale(p_credits_used) using errcode = 'P0001';
      end if;
      perform ledger_close_batch(jsonb_build_array(jsonb_build_object(
        'call_id', v_call_id, 'state', 'settled', 'org_id', p_org_id, 'user_id', p_user_id, 'charge', p_credits_used,
        'service_type', p_service_type, 'service_name', p_service_name, 'api_cost', 0, 'markup', 0,
        'request_id', p_request_id, 'metadata', p_request_metadata, 'source', 'sql', 'outcome', 'answered')));
      return true;
    end
  $function$;
revoke execute on function public.deduct_credits(uuid,character varying,numeric,character varying,character varying,character varying,jsonb) from public;
grant execute on function public.deduct_credits(uuid,character varying,numeric,character varying,character varying,character varying,jsonb) to tollgate_app;
grant execute on function public.deduct_credits(uuid,character varying,numeric,character varying,character varying,character varying,jsonb) to tollgate_caller;

CREATE OR REPLACE FUNCTION public.has_sufficient_credits(p_org_id uuid, p_user_id character varying, p_credits_needed numeric)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_pool public.organization_credit_pools;
      v_allocation public.user_credit_allocations;
      v_current record;
    begin
      perform ledger_check_amount(p_credits_needed);
      select * into v_pool from public.organization_credit_pools where org_id = p_org_id;
      select * into v_allocation from public.user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      if v_pool.id is null or v_allocation.id is null or not v_allocation.is_active
          or not exists (select 1 from public.organizations where id = p_org_id and status = 'active') then
        return false;
      end if;
      v_current := ledger_brought_up_to_date(v_pool, v_allocation, tollgate_now());
      v_pool := v_current.pool;
      v_allocation := v_current.allocation;
      return coalesce(ledger_available(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits
          + case when v_allocation.follows_pool then v_pool.total_credits - v_pool.allocated_credits else 0 end,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits)
        - v_allocation.margin_credits >= p_credits_needed, true);
    end
  $function$;
revoke execute on function public.has_sufficient_credits(uuid,character varying,numeric) from public;
grant execute on function public.has_sufficient_credits(uuid,character varying,numeric) to tollgate_app;
grant execute on function public.has_sufficient_credits(uuid,character varying,numeric) to tollgate_caller;

CREATE OR REPLACE FUNCTION public.is_org_admin(p_org_id uuid, p_user_id character varying)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    select exists (
      select 1 from public.organization_members
      where org_id = p_org_id and user_id = p_user_id and role in ('owner', 'admin'))
  $function$;
revoke execute on function public.is_org_admin(uuid,character varying) from public;
grant execute on function public.is_org_admin(uuid,character varying) to tollgate_app;
grant execute on function public.is_org_admin(uuid,character varying) to tollgate_caller;

CREATE OR REPLACE FUNCTION public.update_updated_at_column()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$ begin new.updated_at := tollgate_now(); return new; end $function$;
revoke execute on function public.update_updated_at_column() from public;
grant execute on function public.update_updated_at_column() to tollgate_app;


-- ---------- schema tollgate ----------

create schema tollgate;
grant usage on schema tollgate to tollgate_app;

create type tollgate.batch_limit as (
  call integer,
  kind character varying,
  id character varying,
  window_start timestamp with time zone,
  "window" character varying,
  unit character varying,
  stated numeric,
  wanted numeric
);
comment on type tollgate.batch_limit is 'A limit with an amount, of one of the calls of a batch.';

create type tollgate.call_limits as (
  touched tollgate.limit_use[],
  key_used numeric,
  lacks_slice boolean
);
comment on type tollgate.call_limits is 'The limits of one call of a batch, as its hold remembers them, and what its key has used.';

create type tollgate.close_request as (
  call_id uuid,
  state character varying,
  org_id uuid,
  user_id character varying,
  charge numeric,
  service_type character varying,
  service_name character varying,
  api_cost numeric,
  markup numeric,
  request_id character varying,
  metadata jsonb,
  source character varying,
  provenance character varying,
  outcome character varying,
  details jsonb
);
comment on type tollgate.close_request is 'The end of a call, for its attribution row.';

create type tollgate.hold_plan as (
  allocations uuid[],
  payers integer[],
  is_set boolean[],
  free numeric[],
  held numeric[],
  available numeric[],
  limited_by jsonb[],
  in_turn boolean[],
  is_stuck boolean[],
  lines text[],
  refused_in text[]
);
comment on type tollgate.hold_plan is 'How a batch is going to be held, place by place, in the order in which it is served.';

create type tollgate.hold_request as (
  call_id uuid,
  org_id uuid,
  user_id character varying,
  input numeric,
  input_bytes numeric,
  output numeric,
  min_output numeric,
  step numeric,
  context jsonb,
  service_type character varying,
  service_name character varying,
  request_id character varying,
  uncertain numeric,
  limits tollgate.limit_request[],
  wait_ms integer,
  in_line boolean,
  leaves boolean,
  sliced boolean
);
comment on type tollgate.hold_request is 'A call that asks for a hold. Amounts are credits.';

create type tollgate.limit_request as (
  kind character varying,
  id character varying,
  "window" character varying,
  window_start timestamp with time zone,
  unit character varying,
  limit_amount numeric
);
comment on type tollgate.limit_request is 'A limit as a call names it.';

create type tollgate.limit_use as (
  kind character varying,
  id character varying,
  window_start timestamp with time zone,
  unit character varying,
  is_counted boolean
);
comment on type tollgate.limit_use is 'A row of ledger_limits that a hold touched.';

create type tollgate.limits_seen as (
  touched tollgate.limit_use[],
  bounds boolean,
  available numeric,
  limited_by jsonb,
  has_call boolean,
  key_used numeric,
  available_if_idle numeric,
  has_call_if_idle boolean,
  line text,
  short_slice boolean,
  quota jsonb
);
comment on type tollgate.limits_seen is 'What a call alone finds out about its limits.';

create type tollgate.outbox_event as (
  sequence bigint,
  source smallint,
  row_id character varying,
  event_id character varying,
  type character varying,
  org_id uuid,
  user_id character varying,
  created_at timestamp with time zone,
  credits numeric,
  data jsonb
);
comment on type tollgate.outbox_event is 'An event as followers read it, ordered by sequence, source (1 ledger_journal, 2 credit_usage_attribution, 3 outbox_events) and row.';

create type tollgate.payer as (
  org_id uuid,
  user_id character varying
);
comment on type tollgate.payer is 'Whose allocation is meant.';

create type tollgate.progress_request as (
  call_id uuid,
  org_id uuid,
  credits numeric,
  api_cost numeric,
  target numeric,
  min numeric,
  ask boolean,
  shrink boolean
);
comment on type tollgate.progress_request is 'How far a running call has come, and the hold it needs.';

create table tollgate.api_keys (
  id uuid default gen_random_uuid() not null,
  key_hash bytea not null,
  preview character varying(40) not null,
  name character varying(200),
  org_id uuid not null,
  user_id character varying(255) not null,
  is_active boolean default true not null,
  expires_at timestamp with time zone,
  created_by character varying(255),
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  kind character varying(20) default 'api_key'::character varying not null,
  scopes text[],
  models text[],
  routes text[],
  act_as character varying(20) default 'none'::character varying not null,
  all_organizations boolean default false not null,
  requests_per_minute integer,
  tokens_per_minute bigint,
  calls_at_once integer,
  replaced_at timestamp with time zone,
  constraint api_keys_pkey PRIMARY KEY (id),
  constraint api_keys_key_hash_key UNIQUE (key_hash),
  constraint api_keys_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint api_keys_act_as_check CHECK (act_as::text = ANY (ARRAY['none'::character varying, 'members'::character varying]::text[])),
  constraint api_keys_calls_at_once_check CHECK (calls_at_once >= 0),
  constraint api_keys_key_hash_check CHECK (length(key_hash) = 32),
  constraint api_keys_kind_check CHECK (kind::text = ANY (ARRAY['api_key'::character varying, 'virtual_key'::character varying, 'service_key'::character varying]::text[])),
  constraint api_keys_requests_per_minute_check CHECK (requests_per_minute >= 0),
  constraint api_keys_tokens_per_minute_check CHECK (tokens_per_minute >= 0)
);
CREATE INDEX idx_api_keys_org_user ON tollgate.api_keys USING btree (org_id, user_id);
CREATE UNIQUE INDEX idx_api_keys_service ON tollgate.api_keys USING btree (name) WHERE (((kind)::text = 'service_key'::text) AND is_active AND (replaced_at IS NULL));
CREATE TRIGGER api_keys_changed AFTER INSERT OR UPDATE ON tollgate.api_keys FOR EACH ROW EXECUTE FUNCTION tollgate.api_key_changed();
comment on table tollgate.api_keys is 'Keys of callers.';
comment on column tollgate.api_keys.act_as is 'members: X-User-ID names the member who pays.';
comment on column tollgate.api_keys.all_organizations is 'The key acts in every organization its user is a member of. Only for users whom an identity provider vouches for: two organizations may call different people the same.';
comment on column tollgate.api_keys.key_hash is 'SHA-256. A key is 256 random bits, so it needs no salt and is found by an index.';
comment on column tollgate.api_keys.models is 'Names or patterns of models the key may call; null: all.';
comment on column tollgate.api_keys.preview is 'Enough to recognize, too little to use: uc_1234abcd...';
comment on column tollgate.api_keys.replaced_at is 'Rotated then; both keys are good until expires_at.';
comment on column tollgate.api_keys.routes is 'Groups or paths of routes the key may call; null: all.';
comment on column tollgate.api_keys.scopes is 'Permissions the key is restricted to; null: everything its user may do.';
grant insert, select, update on table tollgate.api_keys to tollgate_app;

create table tollgate.audit_log (
  id bigint generated always as identity not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  action character varying(100) not null,
  subject character varying(500) not null,
  actor character varying(255) not null,
  ip character varying(100),
  request_id character varying(255),
  details jsonb,
  constraint audit_log_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_audit_log_subject ON tollgate.audit_log USING btree (subject, id DESC);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR TRUNCATE ON tollgate.audit_log FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER audit_log_kept BEFORE DELETE ON tollgate.audit_log FOR EACH ROW WHEN (old.created_at > (tollgate.tollgate_now() - '90 days'::interval)) EXECUTE FUNCTION tollgate.refuse_change();
comment on table tollgate.audit_log is 'Who changed which key, when, from where; never a value. Append-only.';
comment on column tollgate.audit_log.subject is 'platform/openai_api_key, organization/<id>/openai, user/<id>/openai, root.';
grant select on table tollgate.audit_log to tollgate_app;

create table tollgate.change_keys (
  actor character varying(600) not null,
  key character varying(255) not null,
  request_hash bytea not null,
  body text,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint change_keys_pkey PRIMARY KEY (actor, key)
);
CREATE INDEX idx_change_keys_created_at ON tollgate.change_keys USING btree (created_at);
comment on table tollgate.change_keys is 'Idempotency keys of management requests. A row commits with the change it names, so it is there exactly when the change is.';
comment on column tollgate.change_keys.body is 'What the change answered. Null only inside the transaction that makes it.';
grant delete, insert, select, update on table tollgate.change_keys to tollgate_app;

create table tollgate.function_set (
  only_row boolean default true not null,
  number integer not null,
  files jsonb not null,
  catalogue jsonb not null,
  program text not null,
  applied_at timestamp with time zone default now() not null,
  constraint function_set_pkey PRIMARY KEY (only_row),
  constraint function_set_only_row_check CHECK (only_row)
);
comment on table tollgate.function_set is 'The set of sql/functions that was applied last: its number, and hashes by which a change made by hand is found.';
comment on column tollgate.function_set.catalogue is 'SHA-256 of each function and trigger as it stood in the database afterwards';
comment on column tollgate.function_set.files is 'SHA-256 of the text of each file';
comment on column tollgate.function_set.program is 'version of the Tollgate that applied it';
grant select on table tollgate.function_set to tollgate_app;

create table tollgate.idempotency_keys (
  org_id uuid not null,
  user_id character varying(255) not null,
  key character varying(255) not null,
  body_hash bytea not null,
  call_id uuid not null,
  state character varying(20) default 'running'::character varying not null,
  status integer,
  headers jsonb,
  body bytea,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint idempotency_keys_pkey PRIMARY KEY (org_id, user_id, key),
  constraint idempotency_keys_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint idempotency_keys_state_check CHECK (state::text = ANY (ARRAY['running'::character varying, 'answered'::character varying, 'streamed'::character varying]::text[]))
);
CREATE INDEX idx_idempotency_keys_answered ON tollgate.idempotency_keys USING btree (org_id, user_id, created_at) WHERE ((state)::text = 'answered'::text);
CREATE INDEX idx_idempotency_keys_created_at ON tollgate.idempotency_keys USING btree (created_at);
comment on table tollgate.idempotency_keys is 'A caller''s Idempotency-Key, bound to the caller and to what was sent. Kept 24 hours; claimed by calls that are held.';
comment on column tollgate.idempotency_keys.state is 'streamed: paid for, and the answer is not kept: a stream, a large answer, or one that newer ones have displaced.';
grant delete, insert, select, update on table tollgate.idempotency_keys to tollgate_app;

create table tollgate.invitations (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  token_hash bytea not null,
  email character varying(320),
  role character varying(20) default 'member'::character varying not null,
  invited_by character varying(255) not null,
  accepted_by character varying(255),
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  expires_at timestamp with time zone not null,
  accepted_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint invitations_pkey PRIMARY KEY (id),
  constraint invitations_token_hash_key UNIQUE (token_hash),
  constraint invitations_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint invitations_role_check CHECK (role::text = ANY (ARRAY['admin'::character varying, 'member'::character varying, 'billing_admin'::character varying]::text[])),
  constraint invitations_token_hash_check CHECK (length(token_hash) = 32)
);
CREATE INDEX idx_invitations_org_id ON tollgate.invitations USING btree (org_id, created_at);
comment on table tollgate.invitations is 'Who was asked to join an organization. The token is shown once; its SHA-256 is kept.';
grant insert, select, update on table tollgate.invitations to tollgate_app;

create table tollgate.kept_responses (
  org_id uuid not null,
  user_id character varying(255) not null,
  id character varying(200) not null,
  kept text not null,
  kept_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint kept_responses_pkey PRIMARY KEY (org_id, user_id, id),
  constraint kept_responses_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT
);
CREATE INDEX idx_kept_responses_kept_at ON tollgate.kept_responses USING btree (kept_at);
comment on table tollgate.kept_responses is 'Responses and their items, for the user of the organization they were made for and nobody else. Empty unless tollgate.kept_responses_hours is set; removed after so many hours.';
comment on column tollgate.kept_responses.kept is 'JSON: an item as the caller got it; of a response, {"input": what the model read, "response": what the caller got}.';
grant delete, insert, select, update on table tollgate.kept_responses to tollgate_app;

create table tollgate.lago_subscriptions (
  lago_id uuid not null,
  org_id uuid not null,
  plan_code character varying(255) not null,
  created_at timestamp with time zone not null,
  period_start timestamp with time zone,
  period_end timestamp with time zone,
  is_followed boolean default false not null,
  ended_at timestamp with time zone,
  constraint lago_subscriptions_pkey PRIMARY KEY (lago_id),
  constraint lago_subscriptions_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT
);
CREATE INDEX idx_lago_subscriptions_org_id ON tollgate.lago_subscriptions USING btree (org_id, created_at);
comment on table tollgate.lago_subscriptions is 'Subscriptions of Lago: the newest of an organization is its plan. What has ended stays ended, whatever comes later.';
grant insert, select, update on table tollgate.lago_subscriptions to tollgate_app;

create table tollgate.ledger_carried_limits (
  carry_id bigint not null,
  kind character varying(40) not null,
  id character varying(255) not null,
  window_start timestamp with time zone not null,
  used numeric(20,6) not null,
  constraint ledger_carried_limits_pkey PRIMARY KEY (carry_id, kind, id, window_start)
);
CREATE TRIGGER ledger_carried_limits_append_only BEFORE UPDATE OR TRUNCATE ON tollgate.ledger_carried_limits FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
comment on table tollgate.ledger_carried_limits is 'What calls that ended before the cut used of a limit; without ledger_openings.';
grant select on table tollgate.ledger_carried_limits to tollgate_app;

create table tollgate.ledger_carried_users (
  carry_id bigint not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  credits numeric(20,6) not null,
  constraint ledger_carried_users_pkey PRIMARY KEY (carry_id, org_id, user_id)
);
CREATE TRIGGER ledger_carried_users_append_only BEFORE UPDATE OR TRUNCATE ON tollgate.ledger_carried_users FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
comment on table tollgate.ledger_carried_users is 'Charges and corrections of a user before the cut.';
grant select on table tollgate.ledger_carried_users to tollgate_app;

create table tollgate.ledger_carries (
  id bigint generated always as identity not null,
  cut_at timestamp with time zone not null,
  charges bigint not null,
  digest bytea not null,
  previous bytea,
  made_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint ledger_carries_pkey PRIMARY KEY (id)
);
CREATE TRIGGER ledger_carries_append_only BEFORE UPDATE OR TRUNCATE ON tollgate.ledger_carries FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
comment on table tollgate.ledger_carries is 'What the rows before an instant add up to, as an audit without findings read them. Written by ledger_carry alone.';
comment on column tollgate.ledger_carries.charges is 'How many rows of credit_usage_attribution are in the sums.';
comment on column tollgate.ledger_carries.cut_at is 'The beginning of a day in UTC: rows of before are in the sums.';
comment on column tollgate.ledger_carries.digest is 'SHA-256 of the sums, of cut_at, charges and previous: sums that were changed later don''t fit it.';
comment on column tollgate.ledger_carries.previous is 'The digest of the one before.';
grant select on table tollgate.ledger_carries to tollgate_app;

create table tollgate.ledger_holds (
  call_id uuid not null,
  owner uuid not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  allocation_id uuid not null,
  state character varying(20) default 'open'::character varying not null,
  held_credits numeric(20,6) not null,
  input_credits numeric(20,6) not null,
  margin_credits numeric(20,6) default 0 not null,
  checkpoint_credits numeric(20,6),
  checkpoint_api_cost numeric(20,9),
  charged_credits numeric(20,6),
  context jsonb,
  service_type character varying(100) not null,
  service_name character varying(200),
  request_id character varying(255),
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  closed_at timestamp with time zone,
  limits tollgate.limit_use[],
  constraint ledger_holds_pkey PRIMARY KEY (call_id),
  constraint ledger_holds_are_sound CHECK (tollgate.ledger_hold_is_sound(state, closed_at, held_credits, input_credits, margin_credits, checkpoint_credits, checkpoint_api_cost, charged_credits)) NOT VALID
) with (fillfactor=80);
CREATE INDEX idx_ledger_holds_open ON tollgate.ledger_holds USING btree (org_id) WHERE ((state)::text = 'open'::text);
comment on table tollgate.ledger_holds is 'One row a call: the credits set aside for it, then how it was closed. Open once, closed once.';
comment on column tollgate.ledger_holds.call_id is 'Minted by the proxy: the billing key.';
comment on column tollgate.ledger_holds.checkpoint_api_cost is 'The provider''s part of the checkpoint, in dollars.';
comment on column tollgate.ledger_holds.checkpoint_credits is 'Charge so far, as of the last checkpoint. Null before the first: nothing went out.';
comment on column tollgate.ledger_holds.context is 'Rates, markup and level: fixed when the hold was taken.';
comment on column tollgate.ledger_holds.input_credits is 'The part of the hold meant for the input.';
comment on column tollgate.ledger_holds.limits is 'What it touched: given back to those rows, whatever window is current.';
comment on column tollgate.ledger_holds.margin_credits is 'What it may still need: every byte of the input a token, unless it is held like that, the next step of a stream that grows, and media that were held below the most they can be.';
comment on column tollgate.ledger_holds.owner is 'The process that may settle it. The zero id: a SQL session that settles at once.';
comment on column tollgate.ledger_holds.service_name is 'With service_type and request_id: for the row of a call that nobody else can settle.';
grant insert, select, update on table tollgate.ledger_holds to tollgate_app;

create table tollgate.ledger_identity (
  ledger_id uuid default gen_random_uuid() not null,
  only_row boolean default true not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  time_zone character varying(64) default 'UTC'::character varying not null,
  server bigint,
  sequence_base bigint default 0 not null,
  constraint ledger_identity_pkey PRIMARY KEY (ledger_id),
  constraint ledger_identity_only_row_key UNIQUE (only_row),
  constraint ledger_identity_only_row_check CHECK (only_row)
);
comment on table tollgate.ledger_identity is 'One row. A settlement that was spooled for another ledger is refused by this id.';
comment on column tollgate.ledger_identity.server is 'The PostgreSQL server the books are on; on another one their sequence goes on from sequence_base.';
comment on column tollgate.ledger_identity.time_zone is 'In which days, weeks and months begin: tollgate.time_zone of the program that started last.';
grant select on table tollgate.ledger_identity to tollgate_app;
grant update (time_zone) on table tollgate.ledger_identity to tollgate_app;

create table tollgate.ledger_journal (
  id bigint generated always as identity not null,
  kind character varying(20) not null,
  org_id uuid not null,
  user_id character varying(255),
  call_id uuid,
  cause character varying(20),
  pool_total numeric(20,6) default 0 not null,
  pool_allocated numeric(20,6) default 0 not null,
  allocation_allocated numeric(20,6) default 0 not null,
  allocation_used numeric(20,6) default 0 not null,
  paid numeric(12,2),
  actor character varying(255),
  note text,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  sequence bigint default (0 + ((pg_current_xact_id())::text)::bigint),
  constraint ledger_journal_pkey PRIMARY KEY (id),
  constraint ledger_journal_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint ledger_journal_cause_check CHECK (cause::text = ANY (ARRAY['recovery'::character varying, 'dispute'::character varying]::text[])),
  constraint ledger_journal_check CHECK ((kind::text = 'correction'::text) = (cause IS NOT NULL)),
  constraint ledger_journal_kind_check CHECK (kind::text = ANY (ARRAY['purchase'::character varying, 'allocate'::character varying, 'reset'::character varying, 'refresh'::character varying, 'refund'::character varying, 'correction'::character varying]::text[]))
);
CREATE INDEX idx_ledger_journal_org_id ON tollgate.ledger_journal USING btree (org_id, created_at);
CREATE INDEX idx_ledger_journal_refund ON tollgate.ledger_journal USING btree (call_id) WHERE (((kind)::text = 'refund'::text) AND (call_id IS NOT NULL));
CREATE INDEX idx_ledger_journal_sequence ON tollgate.ledger_journal USING btree (sequence) WHERE (sequence IS NOT NULL);
CREATE INDEX idx_ledger_journal_user ON tollgate.ledger_journal USING btree (user_id, created_at) WHERE (user_id IS NOT NULL);
CREATE UNIQUE INDEX idx_ledger_journal_correction ON tollgate.ledger_journal USING btree (call_id, cause) WHERE ((kind)::text = 'correction'::text);
CREATE TRIGGER ledger_journal_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON tollgate.ledger_journal FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER ledger_journal_durable BEFORE INSERT ON tollgate.ledger_journal FOR EACH ROW EXECUTE FUNCTION tollgate.ledger_journal_durable();
CREATE TRIGGER ledger_journal_keep_amounts AFTER UPDATE ON tollgate.ledger_journal FOR EACH ROW EXECUTE FUNCTION tollgate.keep_amounts();
comment on table tollgate.ledger_journal is 'Every movement of credits that is not a charge, by what it did to each balance, so that the audit can add them up. Append-only.';
comment on column tollgate.ledger_journal.cause is 'Of a correction: what made it necessary. At most one correction of a call for each.';
comment on column tollgate.ledger_journal.paid is 'Dollars, where money changed hands.';
comment on column tollgate.ledger_journal.sequence is 'As that of credit_usage_attribution.';
grant insert, select on table tollgate.ledger_journal to tollgate_app;

create table tollgate.ledger_limits (
  kind character varying(40) not null,
  id character varying(255) not null,
  window_start timestamp with time zone not null,
  unit character varying(10) default 'credits'::character varying not null,
  limit_amount numeric(20,6),
  held numeric(20,6) default 0 not null,
  used numeric(20,6) default 0 not null,
  window_end timestamp with time zone,
  constraint ledger_limits_pkey PRIMARY KEY (kind, id, window_start),
  constraint ledger_limits_are_sound CHECK (tollgate.ledger_limit_is_sound(unit, limit_amount, held, used)) NOT VALID
) with (fillfactor=70);
CREATE TRIGGER ledger_limits_used AFTER UPDATE OF used, limit_amount ON tollgate.ledger_limits FOR EACH ROW WHEN (new.limit_amount > 0::numeric AND new.used >= (new.limit_amount * 0.8) AND new.kind::text <> 'proxy'::text AND (old.limit_amount IS NULL OR old.used < (old.limit_amount * 0.8) OR old.used < old.limit_amount AND new.used >= new.limit_amount)) EXECUTE FUNCTION tollgate.outbox_limit_used();
comment on table tollgate.ledger_limits is 'Every limit besides pool and allocation, one row a window: key budgets, teams, end users, call quotas.';
comment on column tollgate.ledger_limits.limit_amount is 'Null: no limit, only counted.';
comment on column tollgate.ledger_limits.unit is 'What is counted. ''calls'' counts one a call.';
comment on column tollgate.ledger_limits.window_end is 'When the next window begins; null where there is none, or nobody knows.';
comment on column tollgate.ledger_limits.window_start is 'When the window began; 1970-01-01 (ledger_all_time) where there are no windows.';
grant insert, select, update on table tollgate.ledger_limits to tollgate_app;

create table tollgate.ledger_openings (
  id bigint generated always as identity not null,
  kind character varying(40) not null,
  limit_id character varying(255) not null,
  window_start timestamp with time zone not null,
  credits numeric(20,6) not null,
  source character varying(40) not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint ledger_openings_pkey PRIMARY KEY (id),
  constraint ledger_openings_credits_check CHECK (credits > 0::numeric)
);
CREATE INDEX idx_ledger_openings_limit ON tollgate.ledger_openings USING btree (kind, limit_id, window_start);
CREATE TRIGGER ledger_openings_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON tollgate.ledger_openings FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
comment on table tollgate.ledger_openings is 'Part of what a limit has used that no call here explains. Rows are only added: a later one says what was spent there since.';
comment on column tollgate.ledger_openings.limit_id is 'With kind and window_start the row of ledger_limits.';
comment on column tollgate.ledger_openings.source is 'Where it was spent: litellm.';
grant insert, select on table tollgate.ledger_openings to tollgate_app;

create table tollgate.ledger_processes (
  id uuid not null,
  host character varying(255) not null,
  pid integer not null,
  version character varying(50) not null,
  started_at timestamp with time zone default tollgate.tollgate_now() not null,
  lease_until timestamp with time zone,
  stopped_at timestamp with time zone,
  dead_at timestamp with time zone,
  constraint ledger_processes_pkey PRIMARY KEY (id)
);
comment on table tollgate.ledger_processes is 'Owners of holds.';
comment on column tollgate.ledger_processes.dead_at is 'When another process declared it dead; from then on its lease can not be renewed.';
comment on column tollgate.ledger_processes.stopped_at is 'When the process went down in order.';
grant insert, select, update on table tollgate.ledger_processes to tollgate_app;

create table tollgate.ledger_shared_limits (
  kind character varying(40) not null,
  id character varying(255) not null,
  window_start timestamp with time zone not null,
  window_end timestamp with time zone,
  amount numeric(20,6) not null,
  granted numeric(20,6) default 0 not null,
  constraint ledger_shared_limits_pkey PRIMARY KEY (kind, id, window_start),
  constraint ledger_shared_limits_amount_check CHECK (amount >= 0::numeric)
);
comment on table tollgate.ledger_shared_limits is 'One limit of credits in one window that calls of all organizations share. Holds touch its slices, which are rows of ledger_limits: id#process/shard.';
comment on column tollgate.ledger_shared_limits.granted is 'The sum of the amounts of its slices, which is at most the amount, but for what was charged beyond holds.';
grant insert, select, update on table tollgate.ledger_shared_limits to tollgate_app;

create unlogged table tollgate.ledger_waiters (
  call_id uuid not null,
  place bigint generated always as identity not null,
  line text not null,
  since timestamp with time zone not null,
  until timestamp with time zone not null,
  needs numeric(20,6),
  constraint ledger_waiters_pkey PRIMARY KEY (call_id)
);
CREATE INDEX idx_ledger_waiters_line ON tollgate.ledger_waiters USING btree (line, place);
comment on table tollgate.ledger_waiters is 'Calls that only running calls stand in the way of, each in the line of what it waits for. Who came later does not overtake.';
comment on column tollgate.ledger_waiters.line is 'The allocation or the limit that leaves too little (ledger_line).';
comment on column tollgate.ledger_waiters.needs is 'Credits it needs at least, by the fast estimate: who needs no less than one that is refused for good asks at once.';
comment on column tollgate.ledger_waiters.until is 'From then on the row counts for nothing: the call was refused, or its process is gone.';
grant delete, insert, select, update on table tollgate.ledger_waiters to tollgate_app;

create table tollgate.migrations (
  id integer not null,
  name text not null,
  breaking boolean not null,
  applied_at timestamp with time zone default now() not null,
  constraint migrations_pkey PRIMARY KEY (id)
);
comment on table tollgate.migrations is 'The files of sql/migrations that were applied. A program that does not know a breaking one refuses to run.';
grant select on table tollgate.migrations to tollgate_app;

create table tollgate.organization_provider_keys (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  provider character varying(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}'::jsonb,
  enabled boolean default true not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint organization_provider_keys_pkey PRIMARY KEY (id),
  constraint organization_provider_keys_org_id_provider_key UNIQUE (org_id, provider),
  constraint organization_provider_keys_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT
);
CREATE TRIGGER organization_provider_keys_changed AFTER INSERT OR DELETE OR UPDATE ON tollgate.organization_provider_keys FOR EACH ROW EXECUTE FUNCTION tollgate.vault_key_changed('organization', 'org_id', 'provider', 'api_key_encrypted');
CREATE TRIGGER organization_provider_keys_truncated AFTER TRUNCATE ON tollgate.organization_provider_keys FOR EACH STATEMENT EXECUTE FUNCTION tollgate.vault_keys_truncated();
comment on table tollgate.organization_provider_keys is 'Provider keys that organizations bring, sealed.';
grant delete, insert, select, update on table tollgate.organization_provider_keys to tollgate_app;

create table tollgate.outbox_blocked (
  consumer character varying(100) not null,
  org_id uuid not null,
  sequence bigint not null,
  source smallint not null,
  row_id character varying(40) not null,
  event_id character varying(100) not null,
  attempts integer default 1 not null,
  failing_since timestamp with time zone default tollgate.tollgate_now() not null,
  next_attempt_at timestamp with time zone not null,
  last_error character varying(500),
  constraint outbox_blocked_pkey PRIMARY KEY (consumer, org_id),
  constraint outbox_blocked_consumer_fkey FOREIGN KEY (consumer) REFERENCES tollgate.outbox_consumers(name) ON DELETE CASCADE
);
comment on table tollgate.outbox_blocked is 'Organizations whose next event could not be delivered: their events wait behind it, those of others do not.';
comment on column tollgate.outbox_blocked.event_id is 'The event that waits first.';
comment on column tollgate.outbox_blocked.sequence is 'With source and row_id: the last event of the organization that was delivered, or given up.';
grant delete, insert, select, update on table tollgate.outbox_blocked to tollgate_app;

create table tollgate.outbox_consumers (
  name character varying(100) not null,
  started_at timestamp with time zone default tollgate.tollgate_now() not null,
  started_sequence bigint not null,
  sequence bigint not null,
  source smallint default 0 not null,
  row_id character varying(40) default ''::character varying not null,
  lease_owner uuid,
  lease_until timestamp with time zone,
  sent bigint default 0 not null,
  sent_at timestamp with time zone,
  sources integer[] default '{1,2,3}'::integer[] not null,
  types text[] default '{%}'::text[] not null,
  constraint outbox_consumers_pkey PRIMARY KEY (name)
);
comment on table tollgate.outbox_consumers is 'Who follows the books, and how far each has come. One process at a time works for one of them.';
comment on column tollgate.outbox_consumers.row_id is 'With sequence and source: the last event that is sent, or waits in outbox_blocked or outbox_letters.';
comment on column tollgate.outbox_consumers.sources is 'Which tables it reads: 1 ledger_journal, 2 credit_usage_attribution, 3 outbox_events.';
comment on column tollgate.outbox_consumers.types is 'Which types of events it is told, as patterns of LIKE.';
grant delete, insert, select, update on table tollgate.outbox_consumers to tollgate_app;

create table tollgate.outbox_events (
  id uuid default gen_random_uuid() not null,
  sequence bigint default (0 + ((pg_current_xact_id())::text)::bigint) not null,
  type character varying(60) not null,
  org_id uuid,
  user_id character varying(255),
  data jsonb not null,
  once_key character varying(300),
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint outbox_events_pkey PRIMARY KEY (id)
);
CREATE INDEX idx_outbox_events_created_at ON tollgate.outbox_events USING btree (created_at);
CREATE INDEX idx_outbox_events_sequence ON tollgate.outbox_events USING btree (sequence);
CREATE UNIQUE INDEX idx_outbox_events_once ON tollgate.outbox_events USING btree (once_key) WHERE (once_key IS NOT NULL);
comment on table tollgate.outbox_events is 'What happened that has no row of the books: a balance that became low, a key that was changed. Kept for 30 days.';
comment on column tollgate.outbox_events.once_key is 'An event that must not be told twice has one.';
comment on column tollgate.outbox_events.org_id is 'Null: it is about no organization.';
grant delete, insert, select on table tollgate.outbox_events to tollgate_app;

create table tollgate.outbox_letters (
  consumer character varying(100) not null,
  event_id character varying(100) not null,
  org_id uuid not null,
  source smallint not null,
  row_id character varying(40) not null,
  type character varying(60) not null,
  state character varying(10) not null,
  attempts integer default 0 not null,
  since timestamp with time zone default tollgate.tollgate_now() not null,
  next_attempt_at timestamp with time zone default tollgate.tollgate_now() not null,
  last_error character varying(500),
  was_sent boolean default false not null,
  constraint outbox_letters_pkey PRIMARY KEY (consumer, event_id),
  constraint outbox_letters_consumer_fkey FOREIGN KEY (consumer) REFERENCES tollgate.outbox_consumers(name) ON DELETE CASCADE,
  constraint outbox_letters_state_check CHECK (state::text = ANY (ARRAY['dead'::character varying, 'again'::character varying]::text[]))
);
CREATE INDEX idx_outbox_letters_again ON tollgate.outbox_letters USING btree (consumer, next_attempt_at) WHERE ((state)::text = 'again'::text);
comment on table tollgate.outbox_letters is 'Events that were given up (dead), and those that are sent again because somebody said so (again).';
comment on column tollgate.outbox_letters.was_sent is 'It was delivered before, and counted in outbox_sent: somebody wants it again.';
grant delete, insert, select, update on table tollgate.outbox_letters to tollgate_app;

create table tollgate.outbox_sent (
  consumer character varying(100) not null,
  org_id uuid not null,
  day date not null,
  events bigint not null,
  charges bigint not null,
  credits numeric not null,
  constraint outbox_sent_pkey PRIMARY KEY (consumer, org_id, day),
  constraint outbox_sent_consumer_fkey FOREIGN KEY (consumer) REFERENCES tollgate.outbox_consumers(name) ON DELETE CASCADE
);
comment on table tollgate.outbox_sent is 'What each consumer has taken, by organization and day (UTC) of the events: compared with the books.';
comment on column tollgate.outbox_sent.credits is 'Of the charges and their corrections.';
grant delete, insert, select, update on table tollgate.outbox_sent to tollgate_app;

create table tollgate.payment_disputes (
  id character varying(255) not null,
  payment_id character varying(255) not null,
  amount numeric(12,2) not null,
  is_over boolean default false not null,
  constraint payment_disputes_pkey PRIMARY KEY (id),
  constraint payment_disputes_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES tollgate.payments(id) ON DELETE RESTRICT,
  constraint payment_disputes_amount_check CHECK (amount >= 0::numeric)
);
CREATE INDEX idx_payment_disputes_payment_id ON tollgate.payment_disputes USING btree (payment_id);
comment on table tollgate.payment_disputes is 'Disputes of payments that became credits, by the id the payment provider gave them.';
comment on column tollgate.payment_disputes.is_over is 'The money came back, and stays. An event from before that, which comes later, changes nothing.';
grant insert, select, update on table tollgate.payment_disputes to tollgate_app;

create table tollgate.payments (
  id character varying(255) not null,
  org_id uuid not null,
  user_id character varying(255),
  payment_intent character varying(255),
  amount numeric(12,2) not null,
  credits numeric(20,6) not null,
  refunded_amount numeric(12,2) default 0 not null,
  disputed_amount numeric(12,2) default 0 not null,
  taken_credits numeric(20,6) default 0 not null,
  owed_credits numeric(20,6) default 0 not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint payments_pkey PRIMARY KEY (id),
  constraint payments_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint payments_amount_check CHECK (amount >= 0::numeric),
  constraint payments_check CHECK ((taken_credits + owed_credits) <= credits),
  constraint payments_credits_check CHECK (credits >= 0::numeric),
  constraint payments_disputed_amount_check CHECK (disputed_amount >= 0::numeric),
  constraint payments_owed_credits_check CHECK (owed_credits >= 0::numeric),
  constraint payments_refunded_amount_check CHECK (refunded_amount >= 0::numeric),
  constraint payments_taken_credits_check CHECK (taken_credits >= 0::numeric)
);
CREATE INDEX idx_payments_org_id ON tollgate.payments USING btree (org_id);
CREATE UNIQUE INDEX idx_payments_payment_intent ON tollgate.payments USING btree (payment_intent) WHERE (payment_intent IS NOT NULL);
comment on table tollgate.payments is 'Payments that became credits, each once: by the id the payment provider gave it.';
comment on column tollgate.payments.owed_credits is 'What should have been taken back and was not there any more. Above 0 the organization was suspended.';
comment on column tollgate.payments.taken_credits is 'Taken back from the pool after the money went back.';
grant insert, select, update on table tollgate.payments to tollgate_app;

create table tollgate.quote_secret (
  secret bytea not null,
  is_only boolean default true not null,
  constraint quote_secret_pkey PRIMARY KEY (is_only),
  constraint quote_secret_is_only_check CHECK (is_only),
  constraint quote_secret_secret_check CHECK (length(secret) = 64)
);
comment on table tollgate.quote_secret is 'One row: what quotes are signed with. Made here, read by the program, shown to nobody.';
grant select on table tollgate.quote_secret to tollgate_app;

create table tollgate.retention (
  what character varying(40) not null,
  done_until timestamp with time zone not null,
  constraint retention_pkey PRIMARY KEY (what)
);
comment on table tollgate.retention is 'Up to which row, by created_at, the details of charges were removed. Written by forget_details alone.';
grant select on table tollgate.retention to tollgate_app;

create table tollgate.runs (
  id uuid not null,
  chain uuid[] not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  name character varying(200),
  calls integer,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  closed_at timestamp with time zone,
  constraint runs_pkey PRIMARY KEY (id),
  constraint runs_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT
);
CREATE INDEX idx_runs_owner ON tollgate.runs USING btree (org_id, user_id, created_at);
comment on table tollgate.runs is 'Budgets of several calls. What they allow and have used stands in ledger_limits, kinds run (credits) and run_calls.';
grant insert, select, update on table tollgate.runs to tollgate_app;

create table tollgate.sessions (
  token_hash bytea not null,
  data jsonb not null,
  expires_at timestamp with time zone not null,
  constraint sessions_pkey PRIMARY KEY (token_hash),
  constraint sessions_token_hash_check CHECK (length(token_hash) = 32)
);
CREATE INDEX idx_sessions_expires_at ON tollgate.sessions USING btree (expires_at);
comment on table tollgate.sessions is 'Sessions of people who logged in, where no Redis keeps them.';
comment on column tollgate.sessions.token_hash is 'SHA-256. A token is 256 random bits; the browser alone has it.';
grant delete, insert, select, update on table tollgate.sessions to tollgate_app;

create table tollgate.spenders (
  id uuid default gen_random_uuid() not null,
  org_id uuid not null,
  kind character varying(20) not null,
  name character varying(255) not null,
  user_id character varying(255),
  team character varying(255),
  budget character varying(255),
  budgets jsonb default '[]'::jsonb not null,
  requests_per_minute integer,
  tokens_per_minute bigint,
  calls_at_once integer,
  models text[],
  is_blocked boolean default false not null,
  settings jsonb default '{}'::jsonb not null,
  created_by character varying(255),
  created_at timestamp with time zone default tollgate.tollgate_now() not null,
  updated_at timestamp with time zone default tollgate.tollgate_now() not null,
  constraint spenders_pkey PRIMARY KEY (id),
  constraint spenders_org_id_kind_name_key UNIQUE (org_id, kind, name),
  constraint spenders_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint spenders_calls_at_once_check CHECK (calls_at_once >= 0),
  constraint spenders_kind_check CHECK (kind::text = ANY (ARRAY['key'::character varying, 'user'::character varying, 'team'::character varying, 'team_member'::character varying, 'organization'::character varying, 'customer'::character varying, 'budget'::character varying]::text[])),
  constraint spenders_requests_per_minute_check CHECK (requests_per_minute >= 0),
  constraint spenders_tokens_per_minute_check CHECK (tokens_per_minute >= 0)
);
CREATE INDEX idx_spenders_budget ON tollgate.spenders USING btree (org_id, budget) WHERE (budget IS NOT NULL);
CREATE INDEX idx_spenders_team ON tollgate.spenders USING btree (org_id, team) WHERE (team IS NOT NULL);
CREATE INDEX idx_spenders_user ON tollgate.spenders USING btree (org_id, user_id) WHERE (user_id IS NOT NULL);
comment on table tollgate.spenders is 'Whose calls have budgets, rates and models of their own. A row of kind budget is what others name as theirs.';
comment on column tollgate.spenders.budget is 'The row of kind budget whose budgets and rates count where this one has none.';
comment on column tollgate.spenders.budgets is '[{amount, window, model}]: credits as text; window as ledger_window_start reads it, null of all time; model null for all.';
comment on column tollgate.spenders.id is 'Of its rows in ledger_limits. Of a key, that of its row in api_keys.';
comment on column tollgate.spenders.models is 'Names or patterns it may call; null: all.';
comment on column tollgate.spenders.name is 'As its maker named it; of a key and of an organization, its id; of a member of a team, team and user.';
comment on column tollgate.spenders.settings is 'As it was asked for, and as it is shown.';
grant delete, insert, select, update on table tollgate.spenders to tollgate_app;

create table tollgate.usage_days (
  day date not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  service_type character varying(100) not null,
  model character varying(200) not null,
  provider character varying(100) not null,
  key_id character varying(255) not null,
  calls bigint not null,
  failed_calls bigint not null,
  credits numeric not null,
  api_cost numeric not null,
  input_tokens numeric not null,
  cached_tokens numeric not null,
  output_tokens numeric not null,
  constraint usage_days_pkey PRIMARY KEY (org_id, day, user_id, model, provider, service_type, key_id)
) with (fillfactor=80);
CREATE INDEX idx_usage_days_user ON tollgate.usage_days USING btree (org_id, user_id, day);
comment on table tollgate.usage_days is 'Sums of the charges by day (UTC), user, model, provider, service and key.';
comment on column tollgate.usage_days.cached_tokens is 'Part of input_tokens.';
comment on column tollgate.usage_days.calls is 'Without corrections, whose credits and dollars count.';
comment on column tollgate.usage_days.model is 'service_name of the charges; empty where there is none, as in every text column.';
grant select on table tollgate.usage_days to tollgate_app;

create table tollgate.usage_deltas (
  day date not null,
  org_id uuid not null,
  user_id character varying(255) not null,
  service_type character varying(100) not null,
  model character varying(200) not null,
  provider character varying(100) not null,
  key_id character varying(255) not null,
  calls bigint not null,
  failed_calls bigint not null,
  credits numeric not null,
  api_cost numeric not null,
  input_tokens numeric not null,
  cached_tokens numeric not null,
  output_tokens numeric not null
);
comment on table tollgate.usage_deltas is 'Parts of the sums by day that are not folded yet: written with the charges they belong to.';
grant select on table tollgate.usage_deltas to tollgate_app;

create table tollgate.usage_organization_days (
  day date not null,
  org_id uuid not null,
  service_type character varying(100) not null,
  model character varying(200) not null,
  provider character varying(100) not null,
  calls bigint not null,
  failed_calls bigint not null,
  credits numeric not null,
  api_cost numeric not null,
  input_tokens numeric not null,
  cached_tokens numeric not null,
  output_tokens numeric not null,
  constraint usage_organization_days_pkey PRIMARY KEY (org_id, day, model, provider, service_type)
) with (fillfactor=80);
CREATE INDEX idx_usage_organization_days_day ON tollgate.usage_organization_days USING btree (day);
comment on table tollgate.usage_organization_days is 'The same sums without users and keys: for organizations and the whole system.';
grant select on table tollgate.usage_organization_days to tollgate_app;

create table tollgate.vault_root (
  single boolean default true not null,
  name character varying(300) not null,
  since timestamp with time zone default tollgate.tollgate_now() not null,
  previous character varying(300),
  handover text,
  way_back text,
  constraint vault_root_pkey PRIMARY KEY (single),
  constraint vault_root_single_check CHECK (single)
);
CREATE TRIGGER vault_root_changed AFTER INSERT OR DELETE OR UPDATE ON tollgate.vault_root FOR EACH ROW EXECUTE FUNCTION tollgate.vault_root_changed();
comment on table tollgate.vault_root is 'Which root key seals provider keys, by name. One row.';
comment on column tollgate.vault_root.handover is 'The new root key sealed under the previous one: running processes take it from here.';
comment on column tollgate.vault_root.way_back is 'The previous root key sealed under the new one: for a process that was started with the new one.';
grant insert, select, update on table tollgate.vault_root to tollgate_app;

create view tollgate.spender_terms as
 SELECT s.id,
    s.org_id,
    s.kind,
    s.name,
    s.user_id,
    s.team,
        CASE
            WHEN s.budgets = '[]'::jsonb THEN COALESCE(b.budgets, '[]'::jsonb)
            ELSE s.budgets
        END AS budgets,
    COALESCE(s.requests_per_minute, b.requests_per_minute) AS requests_per_minute,
    COALESCE(s.tokens_per_minute, b.tokens_per_minute) AS tokens_per_minute,
    COALESCE(s.calls_at_once, b.calls_at_once) AS calls_at_once,
    s.models,
    s.is_blocked,
    s.settings
   FROM tollgate.spenders s
     LEFT JOIN tollgate.spenders b ON b.org_id = s.org_id AND b.kind::text = 'budget'::text AND b.name::text = s.budget::text;
comment on view tollgate.spender_terms is 'What bounds each spender.';
grant select on table tollgate.spender_terms to tollgate_app;

create view tollgate.usage_by_organization as
 SELECT usage_organization_days.day,
    usage_organization_days.org_id,
    usage_organization_days.service_type,
    usage_organization_days.model,
    usage_organization_days.provider,
    usage_organization_days.calls,
    usage_organization_days.failed_calls,
    usage_organization_days.credits,
    usage_organization_days.api_cost,
    usage_organization_days.input_tokens,
    usage_organization_days.cached_tokens,
    usage_organization_days.output_tokens
   FROM tollgate.usage_organization_days
UNION ALL
 SELECT usage_deltas.day,
    usage_deltas.org_id,
    usage_deltas.service_type,
    usage_deltas.model,
    usage_deltas.provider,
    usage_deltas.calls,
    usage_deltas.failed_calls,
    usage_deltas.credits,
    usage_deltas.api_cost,
    usage_deltas.input_tokens,
    usage_deltas.cached_tokens,
    usage_deltas.output_tokens
   FROM tollgate.usage_deltas;
comment on view tollgate.usage_by_organization is 'The sums by day without users and keys, those included that are not folded yet.';
grant select on table tollgate.usage_by_organization to tollgate_app;

create view tollgate.usage_by_user as
 SELECT usage_days.day,
    usage_days.org_id,
    usage_days.user_id,
    usage_days.service_type,
    usage_days.model,
    usage_days.provider,
    usage_days.key_id,
    usage_days.calls,
    usage_days.failed_calls,
    usage_days.credits,
    usage_days.api_cost,
    usage_days.input_tokens,
    usage_days.cached_tokens,
    usage_days.output_tokens
   FROM tollgate.usage_days
UNION ALL
 SELECT usage_deltas.day,
    usage_deltas.org_id,
    usage_deltas.user_id,
    usage_deltas.service_type,
    usage_deltas.model,
    usage_deltas.provider,
    usage_deltas.key_id,
    usage_deltas.calls,
    usage_deltas.failed_calls,
    usage_deltas.credits,
    usage_deltas.api_cost,
    usage_deltas.input_tokens,
    usage_deltas.cached_tokens,
    usage_deltas.output_tokens
   FROM tollgate.usage_deltas;
comment on view tollgate.usage_by_user is 'The sums by day, those included that are not folded yet.';
grant select on table tollgate.usage_by_user to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.allocation_is_sound(p_reset_period character varying, p_allocated numeric, p_used numeric, p_held numeric, p_margin numeric)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    begin
      return p_reset_period in ('daily', 'weekly', 'monthly', 'never') and least(p_allocated, p_used, p_held, p_margin) >= 0;
    end
  $function$;
revoke execute on function tollgate.allocation_is_sound(character varying,numeric,numeric,numeric,numeric) from public;
grant execute on function tollgate.allocation_is_sound(character varying,numeric,numeric,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.api_key_changed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_subject varchar := case new.kind when 'service_key' then 'service_key/' || new.name else 'api_key/' || new.id end;
    begin
      if new.kind <> 'service_key' and coalesce(current_setting('tollgate.actor', true), '') = '' then return null; end if;
      if tg_op = 'INSERT' then
        perform vault_record('api_key.created', v_subject, jsonb_build_object('preview', new.preview, 'user', new.user_id));
      elsif old.is_active and not new.is_active then
        perform vault_record('api_key.revoked', v_subject, jsonb_build_object('preview', new.preview));
      elsif old.replaced_at is null and new.replaced_at is not null then
        perform vault_record('api_key.replaced', v_subject, jsonb_build_object('preview', new.preview, 'until', new.expires_at));
      else
        perform vault_record('api_key.changed', v_subject, jsonb_build_object('preview', new.preview));
      end if;
      return null;
    end
  $function$;
revoke execute on function tollgate.api_key_changed() from public;
grant execute on function tollgate.api_key_changed() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.audit_log_prune(p_days integer)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_removed bigint;
    begin
      with oldest as (select id, created_at from audit_log order by id limit 1000 for update skip locked)
        delete from audit_log a using oldest o
          where a.id = o.id and o.created_at < tollgate_now() - make_interval(days => greatest(p_days, 90));
      get diagnostics v_removed = row_count;
      return v_removed;
    end
  $function$;
revoke execute on function tollgate.audit_log_prune(integer) from public;
grant execute on function tollgate.audit_log_prune(integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.charge_is_sound(p_credits numeric, p_entry character varying, p_cause character varying, p_source character varying, p_provenance character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    begin
      return p_credits >= 0 and p_source in ('sql', 'proxy')
        and (p_entry = 'charge' and p_cause = 'call' or p_entry = 'correction' and p_cause in ('recovery', 'dispute'))
        and p_provenance in ('provider_cost', 'provider_usage', 'estimated', 'recovered', 'disputed');
    end
  $function$;
revoke execute on function tollgate.charge_is_sound(numeric,character varying,character varying,character varying,character varying) from public;
grant execute on function tollgate.charge_is_sound(numeric,character varying,character varying,character varying,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.claim_idempotency_key(p_org_id uuid, p_user_id character varying, p_key character varying, p_body_hash bytea, p_call_id uuid, OUT outcome character varying, OUT call_id uuid, OUT status integer, OUT headers jsonb, OUT body bytea)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_row idempotency_keys; v_now timestamptz := tollgate_now();
    begin
      insert into idempotency_keys as k (org_id, user_id, key, body_hash, call_id, created_at)
        values (p_org_id, p_user_id, p_key, p_body_hash, p_call_id, v_now)
        on conflict (org_id, user_id, key) do update
          set body_hash = excluded.body_hash, call_id = excluded.call_id, created_at = excluded.created_at,
            state = 'running', status = null, headers = null, body = null
          where idempotency_key_state(k, v_now) is null
        returning * into v_row;
      if v_row.call_id is null then
        select * into v_row from idempotency_keys k where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key;
      end if;
      call_id := v_row.call_id;
      outcome := case
        when v_row.call_id = p_call_id then 'claimed'
        when v_row.body_hash <> p_body_hash then 'other_body'
        else coalesce(idempotency_key_state(v_row, v_now), 'running') end;
      if outcome = 'answered' then status := v_row.status; headers := v_row.headers; body := v_row.body; end if;
    end
  $function$;
revoke execute on function tollgate.claim_idempotency_key(uuid,character varying,character varying,bytea,uuid) from public;
grant execute on function tollgate.claim_idempotency_key(uuid,character varying,character varying,bytea,uuid) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.erase_user(p_user text, p_org_id uuid, p_pseudonym text)
 RETURNS jsonb
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    #variable_conflict use_column
    declare
      v_orgs uuid[];
      v_of_vault text[];
      v_hashed text := 'sha256:' || encode(sha256(convert_to(p_user, 'UTF8')), 'hex');
      v_done jsonb := '{}';
      v_rows integer;
      v_step record;
    begin
      select array_agg(distinct o.id) into v_orgs from public.organizations o
        where (p_org_id is null or o.id = p_org_id) and (
          exists (select 1 from public.user_credit_allocations a where a.org_id = o.id and a.user_id = p_user)
          or exists (select 1 from public.organization_members m where m.org_id = o.id and m.user_id = p_user)
          or exists (select 1 from api_keys k where k.org_id = o.id and k.user_id = p_user)
          or exists (select 1 from spenders s where s.org_id = o.id and s.user_id = p_user));
      if v_orgs is null then return null; end if;
      -- Whoever holds, settles or resets for the user waits here for the end of this.
      perform 1 from public.organization_credit_pools p where p.org_id = any(v_orgs) order by p.org_id for update;
      perform 1 from public.user_credit_allocations a where a.org_id = any(v_orgs) and a.user_id = p_user order by a.org_id for update;
      if exists (select 1 from ledger_holds h where h.state = 'open' and h.org_id = any(v_orgs) and h.user_id = p_user) then
        raise exception 'Calls of this user are running: revoke the keys, and erase the user when the calls have ended' using errcode = 'P0001';
      end if;
      v_of_vault := array(select o.id || '/' || p_user from unnest(v_orgs) as o(id)) || case when p_org_id is null then array[p_user] else '{}' end;
      perform set_config('tollgate.rewriting', 'on', true);
      for v_step in select * from (values
          -- What lets the person in, and what only the person would ask for.
          ('organization_members', 'delete from public.organization_members where org_id = any($1) and user_id = $2'),
          ('user_provider_keys', 'delete from public.user_provider_keys where user_id = any($4)'),
          ('api_keys', 'update tollgate.api_keys set user_id = case when user_id = $2 then $3 else user_id end,
              created_by = case when created_by = $2 then $3 else created_by end,
              name = case when user_id = $2 then null else name end, is_active = is_active and user_id <> $2
            where org_id = any($1) and (user_id = $2 or created_by = $2)'),
          ('spenders', 'update tollgate.spenders set user_id = case when user_id = $2 then $3 else user_id end,
              name = case when user_id = $2 or kind = ''user'' then tollgate.erased_id(name, $2, $3) else name end,
              settings = case when user_id = $2 or kind = ''user'' and name = $2 then ''{}'' else settings end,
              is_blocked = is_blocked or coalesce(user_id = $2, false) or kind = ''user'' and name = $2,
              created_by = case when created_by = $2 then $3 else created_by end
            where org_id = any($1) and (user_id = $2 or created_by = $2 or kind = ''user'' and name = $2)'),
          ('sessions', 'delete from tollgate.sessions where tollgate.erased_document(data, $2, $3) <> data'),
          ('idempotency_keys', 'delete from tollgate.idempotency_keys where org_id = any($1) and user_id = $2'),
          ('change_keys', 'delete from tollgate.change_keys where tollgate.erased_id(actor, $2, $3) <> actor or position(to_jsonb($2)::text in body) > 0'),
          ('kept_responses', 'delete from tollgate.kept_responses where org_id = any($1) and user_id = $2'),
          ('invitations', 'update tollgate.invitations set email = case when accepted_by = $2 then null else email end,
              accepted_by = case when accepted_by = $2 then $3 else accepted_by end,
              invited_by = case when invited_by = $2 then $3 else invited_by end
            where org_id = any($1) and (accepted_by = $2 or invited_by = $2)'),
          -- The books. keep_amounts refuses whatever else would change.
          ('user_credit_allocations', 'update public.user_credit_allocations set user_id = case when user_id = $2 then $3 else user_id end,
              allocated_by = case when allocated_by = $2 then $3 else allocated_by end, notes = case when user_id = $2 then null else notes end,
              is_active = is_active and user_id <> $2
            where org_id = any($1) and (user_id = $2 or allocated_by = $2)'),
          ('ledger_holds', 'update tollgate.ledger_holds h set user_id = $3, request_id = null,
              context = h.context - array[''session_id'', ''agent_id'', ''parent_agent_id''],
              limits = array(select row(t.kind, tollgate.erased_id(tollgate.erased_id(t.id, $2, $3), $5, $3), t.window_start, t.unit,
                t.is_counted)::tollgate.limit_use from unnest(h.limits) with ordinality as t(kind, id, window_start, unit, is_counted, place)
                order by t.place)
            from (select distinct c.call_id from public.credit_usage_attribution c where c.org_id = any($1) and c.user_id = $2) c
            where h.call_id = c.call_id'),
          ('credit_usage_attribution', 'update public.credit_usage_attribution set user_id = $3, request_id = null, request_metadata = null,
              details = tollgate.erased_document(details - array[''session_id'', ''agent_id'', ''parent_agent_id''], $2, $3)
            where org_id = any($1) and user_id = $2'),
          ('ledger_journal', 'update tollgate.ledger_journal set user_id = case when user_id = $2 then $3 else user_id end,
              actor = tollgate.erased_id(actor, $2, $3), note = case when user_id = $2 or actor = $2 then replace(note, $2, $3) else note end
            where org_id = any($1) and (user_id = $2 or tollgate.erased_id(actor, $2, $3) <> actor)'),
          ('ledger_limits', 'update tollgate.ledger_limits set id = tollgate.erased_id(tollgate.erased_id(id, $2, $3), $5, $3)
            where split_part(id, ''/'', 1) = any($1::text[]) and tollgate.erased_id(tollgate.erased_id(id, $2, $3), $5, $3) <> id'),
          ('ledger_openings', 'update tollgate.ledger_openings set limit_id = tollgate.erased_id(tollgate.erased_id(limit_id, $2, $3), $5, $3)
            where split_part(limit_id, ''/'', 1) = any($1::text[])
              and tollgate.erased_id(tollgate.erased_id(limit_id, $2, $3), $5, $3) <> limit_id'),
          ('usage_days', 'update tollgate.usage_days set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('usage_deltas', 'update tollgate.usage_deltas set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('runs', 'update tollgate.runs set user_id = $3, name = null where org_id = any($1) and user_id = $2'),
          ('payments', 'update tollgate.payments set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('org_billing_history', 'update public.org_billing_history set event_metadata = tollgate.erased_document(event_metadata, $2, $3)
            where org_id = any($1) and tollgate.erased_document(event_metadata, $2, $3) <> event_metadata'),
          ('outbox_events', 'update tollgate.outbox_events set user_id = case when user_id = $2 then $3 else user_id end,
              data = tollgate.erased_document(data, $2, $3), once_key = tollgate.erased_id(once_key, $2, $3)
            where (org_id = any($1) or org_id is null) and (user_id = $2 or tollgate.erased_document(data, $2, $3) <> data
              or tollgate.erased_id(once_key, $2, $3) <> once_key)'),
          -- Last: what was removed above has left its entries there.
          ('audit_log', 'update tollgate.audit_log set actor = tollgate.erased_id(actor, $2, $3), subject = tollgate.erased_id(subject, $2, $3),
              ip = case when tollgate.erased_id(actor, $2, $3) <> actor then null else ip end, details = tollgate.erased_document(details, $2, $3)
            where tollgate.erased_id(actor, $2, $3) <> actor or tollgate.erased_id(subject, $2, $3) <> subject
              or tollgate.erased_document(details, $2, $3) <> details'),
          -- Sums that an audit carried name the user under a digest: the next audit reads all rows and writes them anew.
          ('ledger_carried_users', 'delete from tollgate.ledger_carried_users'),
          ('ledger_carried_limits', 'delete from tollgate.ledger_carried_limits'),
          ('ledger_carries', 'delete from tollgate.ledger_carries')) as steps(what, statement)
      loop
        execute v_step.statement using v_orgs, p_user, p_pseudonym, v_of_vault, v_hashed;
        get diagnostics v_rows = row_count;
        if v_rows > 0 then v_done := v_done || jsonb_build_object(v_step.what, v_rows); end if;
      end loop;
      perform set_config('tollgate.rewriting', 'off', true);
      return v_done;
    end
  $function$;
revoke execute on function tollgate.erase_user(text,uuid,text) from public;

CREATE OR REPLACE FUNCTION tollgate.erased_document(p_document jsonb, p_user text, p_pseudonym text)
 RETURNS jsonb
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    select regexp_replace(p_document::text,
      '(?<=["/])' || regexp_replace(substr(to_jsonb(p_user)::text, 2, length(to_jsonb(p_user)::text) - 2), '([^[:alnum:]_-])', '\\\1', 'g') || '(?=/|"(?!:))',
      p_pseudonym, 'g')::jsonb
  $function$;
revoke execute on function tollgate.erased_document(jsonb,text,text) from public;
grant execute on function tollgate.erased_document(jsonb,text,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.erased_id(p_text text, p_user text, p_pseudonym text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    select substr(t.swapped, 2, length(t.swapped) - 2)
    from (select replace('/' || p_text || '/', '/' || p_user || '/', '/' || p_pseudonym || '/') as swapped) t
  $function$;
revoke execute on function tollgate.erased_id(text,text,text) from public;
grant execute on function tollgate.erased_id(text,text,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.find_idempotency_key(p_org_id uuid, p_user_id character varying, p_key character varying)
 RETURNS TABLE(outcome character varying, call_id uuid, body_hash bytea, status integer, headers jsonb, body bytea)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_row idempotency_keys; v_now timestamptz := tollgate_now();
    begin
      select k.* into v_row from idempotency_keys k where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key;
      if not found then return; end if;
      outcome := idempotency_key_state(v_row, v_now);
      if outcome is null then return; end if;
      call_id := v_row.call_id;
      body_hash := v_row.body_hash;
      if outcome = 'answered' then status := v_row.status; headers := v_row.headers; body := v_row.body; end if;
      return next;
    end
  $function$;
revoke execute on function tollgate.find_idempotency_key(uuid,character varying,character varying) from public;
grant execute on function tollgate.find_idempotency_key(uuid,character varying,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.forget_details(p_days integer, p_most integer)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_done timestamptz;
      v_rows integer;
    begin
      insert into retention (what, done_until) values ('details', '-infinity') on conflict do nothing;
      select r.done_until into v_done from retention r where r.what = 'details' for update skip locked;
      if not found then return 0; end if;
      perform set_config('tollgate.rewriting', 'on', true);
      -- Rows of one instant go together, or the next batch would miss some.
      with oldest as (
          select c.id, c.created_at from public.credit_usage_attribution c
          where c.created_at > v_done and c.created_at < tollgate_now() - make_interval(days => greatest(p_days, 30))
          order by c.created_at limit p_most),
        batch as (
          select c.id, c.created_at, c.provenance, c.cause, c.call_id from public.credit_usage_attribution c
          where c.created_at > v_done and c.created_at <= (select max(o.created_at) from oldest o)),
        changed as (
          update public.credit_usage_attribution c
            set request_metadata = null,
              details = nullif(jsonb_strip_nulls(jsonb_build_object('provider', c.details -> 'provider', 'key_id', c.details -> 'key_id',
                'byok', c.details -> 'byok', 'at_risk', c.details -> 'at_risk', 'deployment', c.details -> 'deployment',
                'upstream_model', c.details -> 'upstream_model', 'served_model', c.details -> 'served_model')), '{}')
            from batch b
            where c.id = b.id and (c.details is not null or c.request_metadata is not null)
              and (b.provenance is distinct from 'disputed' or 'dispute' = any((ledger_booked(b.call_id)).corrected)))
        select count(*), max(b.created_at) into v_rows, v_done from batch b;
      perform set_config('tollgate.rewriting', 'off', true);
      if v_rows > 0 then update retention r set done_until = v_done where r.what = 'details'; end if;
      return v_rows;
    end
  $function$;
revoke execute on function tollgate.forget_details(integer,integer) from public;
grant execute on function tollgate.forget_details(integer,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.grant_roles()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      revoke execute on all functions in schema tollgate from public;
      -- Only our own functions, by their arguments: other products may live in this schema, and have functions of the same name.
      revoke execute on function public.update_updated_at_column(), public.is_org_admin(uuid, varchar),
        public.has_sufficient_credits(uuid, varchar, numeric),
        public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
        public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar)
        from public;

      if exists (select 1 from pg_roles where rolname = 'tollgate_caller') then
        grant usage on schema public to tollgate_caller;
        grant execute on function public.has_sufficient_credits(uuid, varchar, numeric),
          public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
          public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar),
          public.is_org_admin(uuid, varchar), tollgate.tollgate_now() to tollgate_caller;
        grant select on public.organizations, public.organization_members, public.organization_subscriptions,
          public.organization_credit_pools, public.user_credit_allocations, public.credit_usage_attribution,
          public.org_billing_history, public.org_billing_summary, public.user_multi_org_credits, public.top_credit_users_by_org,
          public.org_billing_metrics to tollgate_caller;
        grant usage on schema tollgate_whole to tollgate_caller;
        grant select on all tables in schema tollgate_whole to tollgate_caller;
      end if;

      if exists (select 1 from pg_roles where rolname = 'tollgate_app') then
        -- Exactly what follows, whatever was granted before.
        revoke all on all tables in schema tollgate from tollgate_app;
        grant usage on schema public, tollgate to tollgate_app;
        grant execute on all functions in schema tollgate to tollgate_app;
        -- Migrations, roles and the erasing of people are the owner's.
        revoke execute on function tollgate.grant_roles(), tollgate.erase_user(text, uuid, text) from tollgate_app;
        grant execute on function public.has_sufficient_credits(uuid, varchar, numeric),
          public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
          public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar),
          public.is_org_admin(uuid, varchar), public.update_updated_at_column() to tollgate_app;
        grant select, insert, update on public.organizations, public.organization_members, public.organization_subscriptions,
          public.organization_credit_pools, public.user_credit_allocations, public.org_billing_history, public.platform_settings,
          public.user_provider_keys, tollgate.organization_provider_keys, tollgate.vault_root, tollgate.api_keys,
          tollgate.idempotency_keys, tollgate.change_keys, tollgate.payments, tollgate.payment_disputes, tollgate.lago_subscriptions, tollgate.invitations, tollgate.ledger_holds, tollgate.ledger_limits, tollgate.ledger_processes,
          tollgate.sessions, tollgate.runs, tollgate.kept_responses, tollgate.spenders, tollgate.ledger_waiters, tollgate.ledger_shared_limits to tollgate_app;
        grant select, insert on public.credit_usage_attribution, tollgate.ledger_journal, tollgate.ledger_openings to tollgate_app;
        -- Written and pruned by functions that run with our rights: whoever takes the program over can neither forge nor remove an entry.
        grant select on tollgate.audit_log to tollgate_app;
        -- Written by ledger_carry, which runs with our rights: what is carried is what the rows add up to.
        grant select on tollgate.ledger_carries, tollgate.ledger_carried_users, tollgate.ledger_carried_limits,
          tollgate.retention to tollgate_app;
        -- Written by usage_add and usage_fold, which run with our rights: sums can't be set to anything but what the charges add up to.
        grant select on tollgate.usage_deltas, tollgate.usage_days, tollgate.usage_organization_days, tollgate.usage_by_user,
          tollgate.usage_by_organization to tollgate_app;
        grant delete on public.organization_members, tollgate.change_keys, public.platform_settings, public.user_provider_keys, tollgate.organization_provider_keys,
          tollgate.idempotency_keys, tollgate.sessions, tollgate.kept_responses, tollgate.spenders, tollgate.ledger_waiters to tollgate_app;
        grant select, insert, delete on tollgate.outbox_events to tollgate_app;
        grant select, insert, update, delete on tollgate.outbox_consumers, tollgate.outbox_blocked, tollgate.outbox_letters,
          tollgate.outbox_sent to tollgate_app;
        grant update (time_zone) on tollgate.ledger_identity to tollgate_app;
        grant select on public.org_billing_summary, public.user_multi_org_credits, public.top_credit_users_by_org,
          public.org_billing_metrics, tollgate.ledger_identity, tollgate.quote_secret, tollgate.migrations, tollgate.function_set, tollgate.spender_terms to tollgate_app;
      end if;
    end
  $function$;
revoke execute on function tollgate.grant_roles() from public;

CREATE OR REPLACE FUNCTION tollgate.idempotency_key_state(p_key tollgate.idempotency_keys, p_now timestamp with time zone)
 RETURNS character varying
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_hold record;
    begin
      if p_key.state <> 'running' then
        return case when p_key.created_at >= p_now - interval '24 hours' then p_key.state end;
      end if;
      select h.state, h.closed_at into v_hold from ledger_holds h where h.call_id = p_key.call_id;
      if not found then return case when p_key.created_at >= p_now - interval '1 hour' then 'running' end; end if;
      if v_hold.closed_at is null or v_hold.closed_at >= p_now - interval '1 minute' then return 'running'; end if;
      if p_key.created_at < p_now - interval '24 hours' then return null; end if;
      return case when v_hold.state = 'settled' or exists (
          select 1 from public.credit_usage_attribution c where c.call_id = p_key.call_id and c.credits_used > 0) then 'streamed' end;
    end
  $function$;
revoke execute on function tollgate.idempotency_key_state(tollgate.idempotency_keys,timestamp with time zone) from public;
grant execute on function tollgate.idempotency_key_state(tollgate.idempotency_keys,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.keep_amounts()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_may constant text[] := '{user_id,actor,note,request_id,request_metadata,details}';
    begin
      if to_jsonb(old) - v_may is distinct from to_jsonb(new) - v_may then
        raise exception '% is append-only: write a new row that corrects the old one', tg_table_name using errcode = 'P0001';
      end if;
      return new;
    end
  $function$;
revoke execute on function tollgate.keep_amounts() from public;
grant execute on function tollgate.keep_amounts() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_add_credits(p_org_id uuid, p_credits numeric, p_paid numeric, p_actor character varying, p_note text DEFAULT NULL::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform ledger_check_amount(p_credits);
      if p_paid is null or p_paid = 'NaN' or p_paid < 0 then
        raise exception 'Invalid amount: the purchase amount must not be negative, got %', p_paid using errcode = 'P0001';
      end if;
      insert into public.organization_credit_pools as p (org_id, total_credits, lifetime_purchased_credits, lifetime_spent_amount)
        values (p_org_id, p_credits, p_credits, p_paid)
        on conflict (org_id) do update
          set total_credits = p.total_credits + excluded.total_credits,
            lifetime_purchased_credits = p.lifetime_purchased_credits + excluded.lifetime_purchased_credits,
            lifetime_spent_amount = p.lifetime_spent_amount + excluded.lifetime_spent_amount;
      insert into ledger_journal (kind, org_id, pool_total, paid, actor, note)
        values ('purchase', p_org_id, p_credits, p_paid, p_actor, p_note);
    end
  $function$;
revoke execute on function tollgate.ledger_add_credits(uuid,numeric,numeric,character varying,text) from public;
grant execute on function tollgate.ledger_add_credits(uuid,numeric,numeric,character varying,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_adopt_server()
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_server bigint := (select c.system_identifier from pg_control_system() c);
      v_base bigint;
    begin
      if outbox_is_at_home(v_server) then return false; end if;
      lock table public.credit_usage_attribution, ledger_journal, outbox_events in access exclusive mode;
      if outbox_is_at_home(v_server) then return false; end if;
      select i.sequence_base into v_base from ledger_identity i for update;
      v_base := greatest(v_base, 1 - pg_current_xact_id()::text::bigint + greatest(
        (select max(sequence) from public.credit_usage_attribution where sequence is not null),
        (select max(sequence) from ledger_journal where sequence is not null), (select max(sequence) from outbox_events), 0));
      execute format('alter table public.credit_usage_attribution alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      execute format('alter table tollgate.ledger_journal alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      execute format('alter table tollgate.outbox_events alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      update ledger_identity set server = v_server, sequence_base = v_base;
      return true;
    end
  $function$;
revoke execute on function tollgate.ledger_adopt_server() from public;
grant execute on function tollgate.ledger_adopt_server() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_all_time()
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN '1970-01-01 00:00:00+00'::timestamp with time zone;
revoke execute on function tollgate.ledger_all_time() from public;
grant execute on function tollgate.ledger_all_time() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_audit()
 RETURNS TABLE(finding text, org_id uuid, user_id character varying, call_id uuid, stored numeric, recomputed numeric)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$ select * from ledger_audit_from(null) $function$;
revoke execute on function tollgate.ledger_audit() from public;
grant execute on function tollgate.ledger_audit() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_audit_from(p_carry bigint)
 RETURNS TABLE(finding text, org_id uuid, user_id character varying, call_id uuid, stored numeric, recomputed numeric)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    #variable_conflict use_column
    declare
      v_last bigint := (select c.id from ledger_carries c order by c.id desc limit 1);
      v_from timestamptz := coalesce((select c.cut_at from ledger_carries c where c.id = p_carry), '-infinity');
    begin
      if p_carry is not null and v_from = '-infinity' then
        raise exception 'no sums are carried under %', p_carry using errcode = 'P0001';
      end if;
      -- Planned for these values: a plan for any would read whole tables for a day, or look up each of ten million rows.
      -- The whole books check what is carried on the way.
      return query execute format($q$
        with journal as (
          select j.org_id, sum(pool_total) as total, sum(pool_allocated) as allocated from ledger_journal j group by 1),
        user_journal as (
          select j.org_id, j.user_id, sum(allocation_allocated) as allocated, sum(allocation_used) as used
          from ledger_journal j where j.user_id is not null group by 1, 2),
        recent as (
          select c.org_id, c.user_id, sum(credits_used) as used, sum(credits_used) filter (where c.created_at < $3) as used_before
          from public.credit_usage_attribution c where c.created_at >= $1 group by 1, 2),
        spent as (
          select p.org_id, p.user_id, sum(used) as used from (
            select r.org_id, r.user_id, r.used from recent r
            union all
            select u.org_id, u.user_id, u.credits from ledger_carried_users u where u.carry_id = $2) p group by 1, 2),
        org_spent as (select s.org_id, sum(used) as used from spent s group by 1),
        held as (
          select h.org_id, h.user_id, sum(held_credits) as held, sum(margin_credits) as margin
          from ledger_holds h where state = 'open' group by 1, 2),
        org_held as (select h.org_id, sum(held) as held from held h group by 1),
        users as (
          select a.org_id, sum(ledger_overdraft(allocated_credits, used_credits, held_credits)) as overdraft,
            sum(remaining_credits) as remaining
          from public.user_credit_allocations a group by 1),
        correction as (
          select c.org_id, c.user_id, c.call_id, c.cause, c.credits_used as credits
          from public.credit_usage_attribution c where c.entry = 'correction' and c.created_at >= $1
          union all
          select j.org_id, j.user_id, j.call_id, j.cause, -j.allocation_allocated from ledger_journal j
          where j.kind = 'correction' and j.created_at >= $1),
        touched as (
          select t.kind, t.id, t.window_start,
            case when t.is_counted then 0 when t.unit = 'calls' then 1 else h.held_credits end as held, 0 as used
          from ledger_holds h cross join unnest(h.limits) t where h.state = 'open'
          union all
          select u.kind, u.id, u.window_start, 0, u.used from ledger_limits_used($1, 'infinity') u
          union all
          select l.kind, l.id, l.window_start, 0, l.used from ledger_carried_limits l where l.carry_id = $2
          union all
          select e.kind, e.limit_id, e.window_start, 0, e.credits from ledger_openings e),
        counted as (select t.kind, t.id, t.window_start, sum(t.held) as held, sum(t.used) as used from touched t group by 1, 2, 3),
        disputed as (
          select distinct c.call_id from public.credit_usage_attribution c where c.provenance = 'disputed' and c.cause <> 'dispute'),
        org_recent as (select r.org_id, sum(used) as used from recent r group by 1),
        by_day as (
          select u.org_id, u.user_id, sum(credits) as credits from usage_by_user u
          where u.day >= ($1 at time zone 'UTC')::date group by 1, 2),
        organization_by_day as (
          select u.org_id, sum(credits) as credits from usage_by_organization u where u.day >= ($1 at time zone 'UTC')::date group by 1),
        ended as (%s),
        findings as (
          select 'pool.total_credits is not the sum of the journal' as finding, p.org_id, null::varchar as user_id,
            null::uuid as call_id, p.total_credits as stored, coalesce(j.total, 0) as recomputed
          from public.organization_credit_pools p left join journal j using (org_id)
          union all
          select 'pool.allocated_credits is not the sum of the journal', p.org_id, null, null, p.allocated_credits, coalesce(j.allocated, 0)
          from public.organization_credit_pools p left join journal j using (org_id)
          union all
          select 'pool.used_credits is not the sum of the charges', p.org_id, null, null, p.used_credits, coalesce(s.used, 0)
          from public.organization_credit_pools p left join org_spent s using (org_id)
          union all
          select 'pool.held_credits is not the sum of the open holds', p.org_id, null, null, p.held_credits, coalesce(h.held, 0)
          from public.organization_credit_pools p left join org_held h using (org_id)
          union all
          select 'pool.allocated - used is not the sum of what users have left', p.org_id, null, null,
            p.allocated_credits - p.used_credits, coalesce(u.remaining, 0)
          from public.organization_credit_pools p left join users u using (org_id)
          union all
          select 'pool.overage_credits is not what allocations are below zero', p.org_id, null, null, p.overage_credits,
            coalesce(u.overdraft, 0)
          from public.organization_credit_pools p left join users u using (org_id)
          union all
          select 'allocation.allocated_credits is not the sum of the journal', a.org_id, a.user_id, null, a.allocated_credits,
            coalesce(j.allocated, 0)
          from public.user_credit_allocations a left join user_journal j using (org_id, user_id)
          union all
          select 'allocation.used_credits is not the charges less the resets', a.org_id, a.user_id, null, a.used_credits,
            coalesce(s.used, 0) + coalesce(j.used, 0)
          from public.user_credit_allocations a left join spent s using (org_id, user_id) left join user_journal j using (org_id, user_id)
          union all
          select 'allocation.held_credits is not the sum of the open holds', a.org_id, a.user_id, null, a.held_credits, coalesce(h.held, 0)
          from public.user_credit_allocations a left join held h using (org_id, user_id)
          union all
          select 'allocation.margin_credits is not the sum of the open holds', a.org_id, a.user_id, null, a.margin_credits,
            coalesce(h.margin, 0)
          from public.user_credit_allocations a left join held h using (org_id, user_id)
          union all
          select 'a charge belongs to a user without an allocation', s.org_id, s.user_id, null, s.used, 0
          from spent s left join public.user_credit_allocations a using (org_id, user_id) where a.id is null
          union all
          select 'an allocation belongs to an organization without a pool', a.org_id, a.user_id, null, a.allocated_credits, null
          from public.user_credit_allocations a left join public.organization_credit_pools p using (org_id) where p.id is null
          union all
          select 'limit.held is not the sum of the open holds', null, l.id, null, l.held, coalesce(t.held, 0)
          from ledger_limits l left join counted t using (kind, id, window_start)
          union all
          select 'shared limit: granted is not the sum of its slices', null, s.id, null, s.granted, coalesce(sum(l.limit_amount), 0)
          from ledger_shared_limits s
          left join ledger_limits l on l.kind = s.kind and l.window_start = s.window_start and starts_with(l.id, s.id || '#')
          group by s.kind, s.id, s.window_start
          union all
          select 'limit.used is not the sum of the charges', null, l.id, null, l.used, coalesce(t.used, 0)
          from ledger_limits l left join counted t using (kind, id, window_start)
          union all
          select 'a closed hold is not charged what its rows say', h.org_id, h.user_id, h.call_id, h.charged_credits, c.credits_used
          from ended h left join public.credit_usage_attribution c on c.call_id = h.call_id and c.entry = 'charge'
          union all
          select 'an open hold is already charged', h.org_id, h.user_id, h.call_id, null, c.credits_used
          from ledger_holds h join public.credit_usage_attribution c on c.call_id = h.call_id where h.state = 'open'
          union all
          select 'a correction belongs to a call that did not need it', c.org_id, c.user_id, c.call_id, c.credits, null
          from correction c left join ledger_holds h using (call_id) left join disputed d using (call_id)
          where case c.cause when 'recovery' then h.call_id is null or h.state not in ('released', 'recovered') else d.call_id is null end
          union all
          select 'a call is refunded more than it cost', r.org_id, r.user_id, r.call_id, greatest(r.credits, b.credits), b.credits
          from (select j.org_id, j.user_id, j.call_id, sum(j.pool_total) as credits from ledger_journal j
            where j.kind = 'refund' and j.call_id is not null group by 1, 2, 3) r
          cross join lateral ledger_booked(r.call_id) b
          union all
          select 'the sums by day of a user are not the charges', org_id, user_id, null, coalesce(u.credits, 0), coalesce(s.used, 0)
          from by_day u full join recent s using (org_id, user_id)
          union all
          select 'the sums by day of an organization are not the charges', org_id, null, null, coalesce(u.credits, 0), coalesce(s.used, 0)
          from organization_by_day u full join org_recent s using (org_id)
          union all
          select 'credits and dollars of a charge differ', c.org_id, c.user_id, c.call_id, c.credits_used / 1000, c.total_cost
          from public.credit_usage_attribution c where c.source = 'proxy' and c.credits_used > 0 and c.created_at >= $1
          union all
          select 'what is carried of a user is not the sum of the charges before', u.org_id, u.user_id, null, u.credits, coalesce(r.used_before, 0)
          from ledger_carried_users u left join recent r using (org_id, user_id) where u.carry_id = $4
          union all
          select 'sums that are carried were changed since the audit that made them', null, null, null, k.charges, null
          from ledger_carries k
          where k.id = coalesce($2, $4) and k.digest <> ledger_carry_digest(k.id, k.cut_at, k.charges, k.previous))
        select f.finding, f.org_id, f.user_id, f.call_id, f.stored, f.recomputed from findings f
        where f.stored is distinct from f.recomputed$q$,
        case when p_carry is null then 'select h.* from ledger_holds h where h.state <> ''open'''
          else 'select h.* from (select distinct c.call_id from public.credit_usage_attribution c where c.created_at >= $1 - interval ''1 hour'') s
            join ledger_holds h using (call_id) where h.closed_at >= $1' end)
        using v_from, p_carry, (select c.cut_at from ledger_carries c where c.id = v_last and p_carry is null),
          case when p_carry is null then v_last end;
    end
  $function$;
revoke execute on function tollgate.ledger_audit_from(bigint) from public;
grant execute on function tollgate.ledger_audit_from(bigint) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_available(p_free numeric, p_pool_free numeric, p_allow_overage boolean, p_overage_limit numeric, p_overage numeric)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (p_allow_overage IS NOT TRUE) THEN LEAST(p_free, p_pool_free) WHEN (p_overage_limit IS NULL) THEN NULL::numeric ELSE ((GREATEST(p_free, (0)::numeric) + p_overage_limit) - p_overage) END;
revoke execute on function tollgate.ledger_available(numeric,numeric,boolean,numeric,numeric) from public;
grant execute on function tollgate.ledger_available(numeric,numeric,boolean,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_booked(p_call_id uuid, OUT booked boolean, OUT credits numeric, OUT api_cost numeric, OUT markup numeric, OUT disputed boolean, OUT corrected character varying[])
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_given_back record;
    begin
      select count(*) > 0, coalesce(sum(c.credits_used), 0), coalesce(sum(c.api_cost), 0), coalesce(sum(c.markup_applied), 0),
          coalesce(bool_or(c.provenance = 'disputed'), false),
          coalesce(array_agg(c.cause) filter (where c.entry = 'correction'), '{}')
        into booked, credits, api_cost, markup, disputed, corrected
        from public.credit_usage_attribution c where c.call_id = p_call_id;
      select coalesce(sum(j.allocation_allocated), 0) as credits, coalesce(array_agg(j.cause), '{}') as causes into v_given_back
        from ledger_journal j where j.call_id = p_call_id and j.kind = 'correction';
      credits := credits - v_given_back.credits;
      corrected := corrected || v_given_back.causes;
    end
  $function$;
revoke execute on function tollgate.ledger_booked(uuid) from public;
grant execute on function tollgate.ledger_booked(uuid) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_brought_up_to_date(INOUT pool public.organization_credit_pools, INOUT allocation public.user_credit_allocations, p_now timestamp with time zone, OUT refreshed numeric, OUT given_back numeric)
 RETURNS record
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_next timestamptz := pool.next_refresh_date;
    begin
      refreshed := 0;
      given_back := 0;
      if v_next <= p_now then
        while v_next <= p_now loop
          refreshed := refreshed + pool.monthly_refresh_amount;
          v_next := ledger_next_date('monthly', pool.next_refresh_date, v_next, pool.created_at);
        end loop;
        if not exists (select 1 from public.organization_subscriptions
            where org_id = pool.org_id and status in ('active', 'trialing')) then
          refreshed := 0;
        end if;
        pool.total_credits := pool.total_credits + refreshed;
        pool.last_refresh_date := p_now;
        pool.next_refresh_date := v_next;
      end if;
      if allocation.next_reset_date <= p_now then
        given_back := least(allocation.used_credits, pool.total_credits - pool.allocated_credits);
        pool.allocated_credits := pool.allocated_credits + given_back;
        pool.overage_credits := pool.overage_credits
          + ledger_overdraft(allocation.allocated_credits, allocation.used_credits - given_back, allocation.held_credits)
          - ledger_overdraft(allocation.allocated_credits, allocation.used_credits, allocation.held_credits);
        allocation.next_reset_date := ledger_next_date(
          allocation.reset_period, allocation.next_reset_date, p_now, allocation.created_at);
        allocation.used_credits := allocation.used_credits - given_back;
        allocation.last_reset_date := p_now;
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_brought_up_to_date(public.organization_credit_pools,public.user_credit_allocations,timestamp with time zone) from public;
grant execute on function tollgate.ledger_brought_up_to_date(public.organization_credit_pools,public.user_credit_allocations,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_call_first(p_lines text[], p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform pg_notify('tollgate_line', w.call_id::text) from (
        select distinct on (o.line) o.call_id from ledger_waiters o where o.line = any(p_lines) and o.until > p_now
        order by o.line, o.place) w;
    end
  $function$;
revoke execute on function tollgate.ledger_call_first(text[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_call_first(text[],timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_call_first_after(p_call_ids uuid[], p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform ledger_call_first(array(
        select distinct l.line
        from unnest(p_call_ids) as c(call_id)
        cross join lateral (select h.allocation_id, h.limits from ledger_holds h where h.call_id = c.call_id limit 1) h
        cross join lateral unnest(ledger_lines(h.allocation_id, h.limits)) as l(line)), p_now);
    end
  $function$;
revoke execute on function tollgate.ledger_call_first_after(uuid[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_call_first_after(uuid[],timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_carry(p_cut timestamp with time zone, p_base bigint)
 RETURNS TABLE(cut_at timestamp with time zone, digest bytea)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    #variable_conflict use_column
    declare
      v_from timestamptz := coalesce((select c.cut_at from ledger_carries c where c.id = p_base), '-infinity');
      v_id bigint := nextval(pg_get_serial_sequence('tollgate.ledger_carries', 'id'));
      v_previous bytea := (select c.digest from ledger_carries c order by c.id desc limit 1);
      v_charges bigint;
    begin
      if p_base is not null and v_from = '-infinity' then
        raise exception 'no sums are carried under %', p_base using errcode = 'P0001';
      end if;
      execute 'insert into tollgate.ledger_carried_users (carry_id, org_id, user_id, credits)
        select $1, org_id, user_id, sum(credits) from (
          select org_id, user_id, credits from tollgate.ledger_carried_users where carry_id = $2
          union all
          select org_id, user_id, sum(credits_used) from public.credit_usage_attribution
          where created_at >= $3 and created_at < $4 group by 1, 2) parts group by 2, 3'
        using v_id, p_base, v_from, p_cut;
      insert into ledger_carried_limits (carry_id, kind, id, window_start, used)
        select v_id, p.kind, p.id, p.window_start, sum(p.used) from (
          select l.kind, l.id, l.window_start, l.used from ledger_carried_limits l where l.carry_id = p_base
          union all
          select u.kind, u.id, u.window_start, u.used from ledger_limits_used(v_from, p_cut) u) p
        group by 2, 3, 4;
      execute 'select count(*) from public.credit_usage_attribution where created_at >= $1 and created_at < $2'
        into v_charges using v_from, p_cut;
      v_charges := v_charges + coalesce((select c.charges from ledger_carries c where c.id = p_base), 0);
      insert into ledger_carries (id, cut_at, charges, digest, previous) overriding system value
        values (v_id, p_cut, v_charges, ledger_carry_digest(v_id, p_cut, v_charges, v_previous), v_previous);
      delete from ledger_carried_users u where u.carry_id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      delete from ledger_carried_limits l where l.carry_id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      delete from ledger_carries d where d.id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      return query select c.cut_at, c.digest from ledger_carries c where c.id = v_id;
    end
  $function$;
revoke execute on function tollgate.ledger_carry(timestamp with time zone,bigint) from public;
grant execute on function tollgate.ledger_carry(timestamp with time zone,bigint) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_carry_digest(p_carry bigint, p_cut timestamp with time zone, p_charges bigint, p_previous bytea)
 RETURNS bytea
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    with users as (
        select u.org_id::text as place, sha256(convert_to(string_agg(jsonb_build_array(u.user_id, u.credits)::text, ','
          order by u.user_id collate "C"), 'UTF8')) as digest
        from ledger_carried_users u where u.carry_id = p_carry group by 1),
      limits as (
        select jsonb_build_array(l.kind, extract(epoch from l.window_start))::text as place,
          sha256(convert_to(string_agg(jsonb_build_array(l.id, l.used)::text, ',' order by l.id collate "C"), 'UTF8')) as digest
        from ledger_carried_limits l where l.carry_id = p_carry group by l.kind, l.window_start)
    select sha256(convert_to(jsonb_build_array(extract(epoch from p_cut), p_charges, encode(coalesce(p_previous, ''), 'hex'),
      (select string_agg(u.place || encode(u.digest, 'hex'), ',' order by u.place collate "C") from users u),
      (select string_agg(l.place || encode(l.digest, 'hex'), ',' order by l.place collate "C") from limits l))::text, 'UTF8'))
  $function$;
revoke execute on function tollgate.ledger_carry_digest(bigint,timestamp with time zone,bigint,bytea) from public;
grant execute on function tollgate.ledger_carry_digest(bigint,timestamp with time zone,bigint,bytea) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_check_amount(p_amount numeric)
 RETURNS void
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      if p_amount is null or p_amount = 'NaN' then
        raise exception 'Invalid amount: credits must be a number' using errcode = 'P0001';
      elsif p_amount < 0 then
        raise exception 'Invalid amount: credits must not be negative, got %', p_amount using errcode = 'P0001';
      elsif p_amount > 10000000000000 then
        raise exception 'Invalid amount: % credits are more than the ledger can hold', p_amount using errcode = 'P0001';
      elsif p_amount <> round(p_amount, 6) then
        raise exception 'Invalid amount: credits have at most six decimals, got %', p_amount using errcode = 'P0001';
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_check_amount(numeric) from public;
grant execute on function tollgate.ledger_check_amount(numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_checkpoint_one(p_call_id uuid, p_credits numeric, p_api_cost numeric, OUT outcome character varying, OUT held numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform set_config('synchronous_commit', 'off', true);
      update ledger_holds h set checkpoint_credits = p_credits, checkpoint_api_cost = p_api_cost
        where h.call_id = p_call_id and h.state = 'open' and p_credits >= coalesce(h.checkpoint_credits, 0)
        returning h.held_credits into held;
      outcome := case when found then 'noted' else 'closed' end;
    end
  $function$;
revoke execute on function tollgate.ledger_checkpoint_one(uuid,numeric,numeric) from public;
grant execute on function tollgate.ledger_checkpoint_one(uuid,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_close_batch(p_calls jsonb)
 RETURNS TABLE(ordinal integer, charged numeric, remaining numeric, key_used numeric)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_memoize TO 'off'
 SET jit TO 'off'
AS $function$
    declare
      v_calls close_request[] := array(select c from jsonb_populate_recordset(null::close_request, p_calls) c);
      v_call_ids uuid[] := array(select k.call_id from unnest(v_calls) k);
      v_count integer := cardinality(v_calls);
      v_now timestamptz := tollgate_now();
      v_fast integer;
      v_closed integer;
      v_slow integer[];
      v record;
    begin
      if v_count = 1 then
        return query select 1, c.* from ledger_close_one(v_calls[1]) c;
        return;
      end if;
      perform ledger_commit_durably();
      select count(*) filter (where h.closed_at is null) into v_fast from (
        select closed_at from ledger_holds where call_id = any(v_call_ids) order by call_id for update) h;
      if v_fast < v_count then
        v_slow := array(
          select k.ordinality::integer from unnest(v_calls) with ordinality as k
          left join ledger_holds h on h.call_id = k.call_id
          where h.call_id is null or h.closed_at is not null
          order by k.org_id, k.user_id, k.ordinality);
        -- A hold that came between the two looks was missing in the first and is open in the second: done again, both see it.
        if v_fast + cardinality(v_slow) <> v_count then
          raise exception '% of % calls are open, and % are not', v_fast, v_count, cardinality(v_slow) using errcode = '40001';
        end if;
      end if;

      if v_fast > 0 then
        -- Before pools are locked, so that they are for as short as can be: whoever closes these calls has their holds locked.
        insert into public.credit_usage_attribution (
            id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          select k.call_id, k.call_id, h.org_id, h.user_id, h.allocation_id, k.charge, k.service_type, k.service_name, k.api_cost,
            k.markup, k.request_id, k.metadata, k.source, k.provenance, k.outcome, k.details
          from unnest(v_calls) as k
          cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
          where h.closed_at is null;
      end if;
      perform ledger_lock_batch(array(select row(k.org_id, k.user_id)::payer from unnest(v_calls) k));
      -- Those of the slow ones too, before the fast ones move theirs. What a limit has used is read after that.
      perform 1 from ledger_limits l
        where (l.kind, l.id, l.window_start) in (
          select t.kind, t.id, t.window_start
          from unnest(v_call_ids) as c(call_id)
          cross join lateral (select limits from ledger_holds where call_id = c.call_id limit 1) h
          cross join lateral unnest(h.limits) t)
        order by l.kind, l.id, l.window_start for update;

      if v_fast > 0 then
        return query
          with fast as materialized (
              select k.ordinality, k.call_id, k.state, k.charge, h.org_id, h.allocation_id, h.held_credits as released, h.margin_credits as margin, h.limits,
                key.id as key_id, l.used as key_used, l.unit as key_unit, a.allocated_credits - a.used_credits - a.held_credits as free,
                case when a.follows_pool then p.total_credits - p.allocated_credits else 0 end as rest
              from unnest(v_calls) with ordinality as k
              cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
              join public.user_credit_allocations a on a.id = h.allocation_id
              join public.organization_credit_pools p on p.org_id = h.org_id
              left join lateral (
                select t.id, t.window_start from unnest(h.limits) t where t.kind = 'key' limit 1) key on true
              left join lateral (
                select used, unit from ledger_limits
                where kind = 'key' and id = key.id and window_start = key.window_start limit 1) l on true
              where h.closed_at is null),
            hold as (
              update ledger_holds h set state = f.state, charged_credits = f.charge, closed_at = v_now
                from fast f where h.call_id = f.call_id),
            by_user as (
              select f.org_id, f.allocation_id, sum(f.released) as released, sum(f.margin) as margin, sum(f.charge) as used,
                min(f.free) as free
              from fast f group by 1, 2),
            allocation as (
              update public.user_credit_allocations a
                set held_credits = a.held_credits - u.released, margin_credits = a.margin_credits - u.margin,
                  used_credits = a.used_credits + u.used, updated_at = v_now
                from by_user u where a.id = u.allocation_id),
            pool as (
              update public.organization_credit_pools p
                set held_credits = p.held_credits - o.released, used_credits = p.used_credits + o.used,
                  overage_credits = p.overage_credits + o.overdraft, updated_at = v_now
                from (
                  select u.org_id, sum(u.released) as released, sum(u.used) as used,
                    sum(greatest(u.used - u.released - u.free, 0) - greatest(-u.free, 0)) as overdraft
                  from by_user u group by 1) o
                where p.org_id = o.org_id),
            touched as materialized (
              select f.ordinality, t.kind, t.id, t.window_start, f.charge, case when t.is_counted then 0 else f.released end as released,
                (not t.is_counted)::integer as calls_released, (f.state <> 'released')::integer as calls
              from fast f cross join lateral unnest(f.limits) t),
            by_limit as (
              select t.kind, t.id, t.window_start, sum(t.released) as released, sum(t.calls_released) as calls_released,
                sum(t.charge) as charge, sum(t.calls) as calls
              from touched t group by 1, 2, 3),
            moved as (
              update ledger_limits l
                set held = l.held - case l.unit when 'calls' then b.calls_released else b.released end,
                  used = l.used + case l.unit when 'calls' then b.calls else b.charge end
                from by_limit b where l.kind = b.kind and l.id = b.id and l.window_start = b.window_start),
            -- Keys that are used for the first time, and were only counted.
            counted as (
              insert into ledger_limits as l (kind, id, window_start, used)
                select b.kind, b.id, b.window_start, b.charge from by_limit b
                where not exists (
                  select from ledger_limits e where e.kind = b.kind and e.id = b.id and e.window_start = b.window_start)
                order by b.kind, b.id, b.window_start
                on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used)
            select f.ordinality::integer, f.charge,
              f.free + f.rest + sum(f.released - f.charge) over (partition by f.allocation_id order by f.ordinality),
              case when f.key_id is not null then
                coalesce(f.key_used, 0) + sum(case f.key_unit when 'calls' then (f.state <> 'released')::integer else f.charge end)
                  over (partition by f.key_id)
              end
            from fast f;
        get diagnostics v_closed = row_count;
        -- If a call is in the batch twice, or its hold came only now, nothing of the batch is booked.
        if v_closed <> v_fast then
          raise exception '% holds are open, and % calls would be closed', v_fast, v_closed using errcode = '23000';
        end if;
        if exists (select from ledger_waiters) then perform ledger_call_first_after(v_call_ids, v_now); end if;
      end if;

      for v in select c.ordinal from unnest(v_slow) as c(ordinal) loop
        return query select v.ordinal, c.* from ledger_close_one(v_calls[v.ordinal]) c;
      end loop;
    end
  $function$;
revoke execute on function tollgate.ledger_close_batch(jsonb) from public;
grant execute on function tollgate.ledger_close_batch(jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_close_one(p_call tollgate.close_request, OUT charged numeric, OUT remaining numeric, OUT key_used numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_free numeric;
      v_some_wait boolean;
    begin
      if current_setting('synchronous_commit') = 'off' and set_config('synchronous_commit', 'on', true) is null then return; end if;
      for i in 1 .. 2 loop
        select h.state, h.held_credits as released, h.margin_credits as margin, h.limits, h.allocation_id, a.allocated_credits, a.used_credits,
            a.held_credits, case when a.follows_pool then p.total_credits - p.allocated_credits else 0 end as rest, coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due
          into v
          from ledger_holds h
          join public.organization_credit_pools p on p.org_id = h.org_id
          join public.user_credit_allocations a on a.id = h.allocation_id
          where h.call_id = p_call.call_id
          for update of h, p, a;
        exit when not v.due;
        perform ledger_lock_and_refresh(p_call.org_id, p_call.user_id);
      end loop;
      if v.state is distinct from 'open' then
        select * into charged, remaining, key_used from ledger_reconcile_closed(p_call);
        return;
      end if;
      -- One is locked by what moves it.
      if cardinality(v.limits) > 1 then
        perform 1 from unnest(v.limits) t join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
          order by l.kind, l.id, l.window_start for update of l;
      end if;
      charged := p_call.charge;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free + v.released - p_call.charge;
      with hold as (
          update ledger_holds set state = p_call.state, charged_credits = p_call.charge, closed_at = v_now
            where call_id = p_call.call_id),
        pool as (
          update public.organization_credit_pools o
            set held_credits = o.held_credits - v.released, used_credits = o.used_credits + p_call.charge, updated_at = v_now,
              overage_credits = o.overage_credits + greatest(-remaining, 0) - greatest(-v_free, 0)
            where o.org_id = p_call.org_id),
        allocation as (
          update public.user_credit_allocations u
            set held_credits = u.held_credits - v.released, margin_credits = u.margin_credits - v.margin,
              used_credits = u.used_credits + p_call.charge, updated_at = v_now
            where u.id = v.allocation_id),
        charge as (
          insert into public.credit_usage_attribution (
              id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
              request_id, request_metadata, source, provenance, outcome, details)
            values (p_call.call_id, p_call.call_id, p_call.org_id, p_call.user_id, v.allocation_id, p_call.charge, p_call.service_type,
              p_call.service_name, p_call.api_cost, p_call.markup, p_call.request_id, p_call.metadata, p_call.source,
              p_call.provenance, p_call.outcome, p_call.details)),
        moved as (
          update ledger_limits l
            set held = l.held - case when t.is_counted then 0 when l.unit = 'calls' then 1 else v.released end,
              used = l.used + case when l.unit <> 'calls' then p_call.charge when p_call.state = 'released' then 0 else 1 end
            from unnest(v.limits) t where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
            returning l.kind, l.used),
        -- A key that is used for the first time, and was only counted.
        counted as (
          insert into ledger_limits as l (kind, id, window_start, used)
            select t.kind, t.id, t.window_start, p_call.charge from unnest(v.limits) t
            where t.is_counted and not exists (
              select from ledger_limits e where e.kind = t.kind and e.id = t.id and e.window_start = t.window_start)
            on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used
            returning l.kind, l.used)
        select exists (select from ledger_waiters),
            (select k.used from (select * from moved union all select * from counted) k where k.kind = 'key' limit 1)
          into v_some_wait, key_used;
      if v_some_wait then perform ledger_call_first_after(array[p_call.call_id], v_now); end if;
      -- Only now: the overage above goes by what the allocation itself has left.
      remaining := remaining + v.rest;
    end
  $function$;
revoke execute on function tollgate.ledger_close_one(tollgate.close_request) from public;
grant execute on function tollgate.ledger_close_one(tollgate.close_request) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_commit_durably()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_commit_durably() from public;
grant execute on function tollgate.ledger_commit_durably() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_correct(p_cause character varying, p_difference numeric, p_allocation public.user_credit_allocations, p_call tollgate.close_request, p_note text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      -- A dispute is found by its row, so that one is written although it adds nothing to the books.
      if p_difference >= 0 or (p_call.provenance = 'disputed' and p_cause <> 'dispute') then
        insert into public.credit_usage_attribution (
            call_id, entry, cause, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call.call_id, 'correction', p_cause, p_allocation.org_id, p_allocation.user_id, p_allocation.id,
            greatest(p_difference, 0), p_call.service_type, p_call.service_name, p_call.api_cost, p_call.markup, p_call.request_id,
            p_call.metadata, p_call.source, p_call.provenance, p_call.outcome, p_call.details);
      end if;
      if p_difference >= 0 then
        perform ledger_move(p_allocation, 0, p_difference);
        return;
      end if;
      update public.organization_credit_pools p
        set total_credits = p.total_credits - p_difference, allocated_credits = p.allocated_credits - p_difference,
          overage_credits = p.overage_credits
            + ledger_overdraft(p_allocation.allocated_credits - p_difference, p_allocation.used_credits, p_allocation.held_credits)
            - ledger_overdraft(p_allocation.allocated_credits, p_allocation.used_credits, p_allocation.held_credits)
        where p.org_id = p_allocation.org_id;
      update public.user_credit_allocations set allocated_credits = allocated_credits - p_difference where id = p_allocation.id;
      insert into ledger_journal (kind, cause, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
        values ('correction', p_cause, p_allocation.org_id, p_allocation.user_id, p_call.call_id, -p_difference, -p_difference,
          -p_difference, 'ledger', p_note);
    end
  $function$;
revoke execute on function tollgate.ledger_correct(character varying,numeric,public.user_credit_allocations,tollgate.close_request,text) from public;
grant execute on function tollgate.ledger_correct(character varying,numeric,public.user_credit_allocations,tollgate.close_request,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_cut()
 RETURNS timestamp with time zone
 LANGUAGE sql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    select date_trunc('day', tollgate_now() - interval '1 hour' - greatest(interval '0',
      clock_timestamp() - least((select min(xact_start) from pg_stat_activity where datname = current_database()),
        (select min(prepared) from pg_prepared_xacts where database = current_database()))), 'UTC')
  $function$;
revoke execute on function tollgate.ledger_cut() from public;
grant execute on function tollgate.ledger_cut() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_end_allocation(p_org_id uuid, p_user_id character varying, p_actor character varying)
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_allocation public.user_credit_allocations; v_free numeric;
    begin
      v_allocation := (ledger_lock_and_refresh(p_org_id, p_user_id)).allocation;
      if v_allocation.id is null then return 0; end if;
      v_free := greatest(v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits, 0);
      update public.organization_credit_pools p set allocated_credits = p.allocated_credits - v_free where p.org_id = p_org_id;
      -- Without a next reset: one would move credits from the pool to somebody who is gone.
      update public.user_credit_allocations a
        set allocated_credits = a.allocated_credits - v_free, is_active = false, next_reset_date = null where a.id = v_allocation.id;
      if v_free > 0 then
        insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor, note)
          values ('allocate', p_org_id, p_user_id, -v_free, -v_free, p_actor, 'returned to the pool');
      end if;
      return v_free;
    end
  $function$;
revoke execute on function tollgate.ledger_end_allocation(uuid,character varying,character varying) from public;
grant execute on function tollgate.ledger_end_allocation(uuid,character varying,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_extend(p_call_id uuid, p_target numeric, p_min numeric, OUT outcome character varying, OUT held numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_locked record;
      v_pool public.organization_credit_pools;
      v_allocation public.user_credit_allocations;
      v_hold ledger_holds;
      v_limited_to numeric;
      v_more numeric;
    begin
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      if v_hold.call_id is null then outcome := 'unknown'; return; end if;
      held := v_hold.held_credits;
      if v_hold.state <> 'open' then outcome := 'closed'; return; end if;
      if held >= p_target then outcome := 'extended'; return; end if;
      v_locked := ledger_lock_and_refresh(v_hold.org_id, v_hold.user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      v_more := p_target - held;
      if v_allocation.follows_pool
          and v_more > v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits then
        perform ledger_follow_pool(v_hold.org_id, v_hold.user_id,
          v_more - (v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits));
        v_locked := ledger_lock_and_refresh(v_hold.org_id, v_hold.user_id);
        v_pool := v_locked.pool;
        v_allocation := v_locked.allocation;
      end if;
      v_more := least(v_more, coalesce(ledger_available(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits), v_more));
      if v_hold.limits is not null then
        select min(l.limit_amount - l.used - l.held) into v_limited_to from (
          select l.* from ledger_limits l, unnest(v_hold.limits) t
          where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start and not t.is_counted and l.unit = 'credits'
          order by l.kind, l.id, l.window_start for update of l) l;
        v_more := least(v_more, coalesce(v_limited_to, v_more));
      end if;
      v_more := greatest(v_more, 0);
      if held + v_more < p_min then outcome := 'refused'; return; end if;
      outcome := 'extended';
      if v_more = 0 then return; end if;
      perform ledger_move(v_allocation, v_more, 0);
      if v_hold.limits is not null then perform ledger_move_limits(v_hold.limits, v_more, 0, 0, 0); end if;
      update ledger_holds set held_credits = held_credits + v_more where call_id = p_call_id returning held_credits into held;
    end
  $function$;
revoke execute on function tollgate.ledger_extend(uuid,numeric,numeric) from public;
grant execute on function tollgate.ledger_extend(uuid,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_fill_slice(p_kind character varying, p_id character varying, p_window character varying, p_amount numeric, p_slice character varying, p_wanted numeric, p_least numeric, OUT available numeric, OUT limited_by jsonb)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v_start timestamptz := ledger_window_start(p_window, v_now);
      v_whole ledger_shared_limits;
      v_own ledger_limits;
      v_short numeric;
      v_more numeric;
      v_used numeric;
    begin
      insert into ledger_shared_limits as s (kind, id, window_start, window_end, amount)
        values (p_kind, p_id, v_start, ledger_window_end(p_window, v_now), p_amount)
        on conflict (kind, id, window_start) do update set amount = excluded.amount
        returning * into v_whole;
      insert into ledger_limits (kind, id, window_start, window_end, unit, limit_amount)
        values (p_kind, p_slice, v_start, v_whole.window_end, 'credits', 0) on conflict (kind, id, window_start) do nothing;
      -- Those that follow wait for it here, and read what it left: slices change hands under this lock only.
      perform 1 from ledger_limits l
        where l.kind = p_kind and l.window_start = v_start and l.id = p_slice for update;
      select * into v_own from ledger_limits l where l.kind = p_kind and l.id = p_slice and l.window_start = v_start;
      v_short := p_wanted - (v_own.limit_amount - v_own.used - v_own.held);
      if v_short > v_whole.amount - v_whole.granted then
        perform 1 from ledger_limits l
          where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#') order by l.id for update;
        with idle as (
            update ledger_limits l set limit_amount = greatest(l.used + l.held, 0)
              where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#') and l.id <> p_slice
              returning l.limit_amount)
          select coalesce(sum(i.limit_amount), 0) + v_own.limit_amount into v_whole.granted from idle i;
      end if;
      v_more := greatest(least(v_whole.amount - v_whole.granted,
        greatest(v_short, round((v_whole.amount - v_whole.granted) / 16, 6))), 0);
      if v_short > 0 then
        update ledger_limits l set limit_amount = l.limit_amount + v_more
          where l.kind = p_kind and l.id = p_slice and l.window_start = v_start returning * into v_own;
        v_whole.granted := v_whole.granted + v_more;
      end if;
      update ledger_shared_limits s set granted = v_whole.granted where s.kind = p_kind and s.id = p_id and s.window_start = v_start;
      available := v_own.limit_amount - v_own.used - v_own.held;
      select sum(l.used) into v_used from ledger_limits l
        where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#');
      limited_by := jsonb_build_object('kind', p_kind, 'id', p_id, 'unit', 'credits', 'amount', trim_scale(v_whole.amount),
        'left', trim_scale(greatest(available, 0)), 'window_start', v_start, 'window_end', v_whole.window_end,
        'in_flight', v_whole.amount - v_used >= p_least);
    end
  $function$;
revoke execute on function tollgate.ledger_fill_slice(character varying,character varying,character varying,numeric,character varying,numeric,numeric) from public;
grant execute on function tollgate.ledger_fill_slice(character varying,character varying,character varying,numeric,character varying,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_find_dead(p_dead_after interval)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_now timestamptz := tollgate_now();
    begin
      update ledger_processes p set dead_at = v_now
        where p.id in (
          select d.id from ledger_processes d
          where d.stopped_at is null and d.dead_at is null and d.lease_until < v_now - p_dead_after
          order by d.id for update skip locked);
      return query
        select distinct h.org_id from ledger_holds h left join ledger_processes p on p.id = h.owner
        where h.state = 'open' and case when p.id is null then h.created_at < v_now - p_dead_after
          else p.stopped_at is not null or p.dead_at is not null end;
    end
  $function$;
revoke execute on function tollgate.ledger_find_dead(interval) from public;
grant execute on function tollgate.ledger_find_dead(interval) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_first_in_lines()
 RETURNS SETOF uuid
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_now timestamptz := tollgate_now();
    begin
      delete from ledger_waiters where call_id in (
        select w.call_id from ledger_waiters w where w.until < v_now - interval '10 seconds' order by w.call_id for update skip locked);
      return query
        select distinct on (w.line) w.call_id from ledger_waiters w where w.until > v_now order by w.line, w.place;
    end
  $function$;
revoke execute on function tollgate.ledger_first_in_lines() from public;
grant execute on function tollgate.ledger_first_in_lines() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_fit_limits(p_calls tollgate.hold_request[], p_limits tollgate.call_limits[], p_is_new boolean, p_plan tollgate.hold_plan, p_now timestamp with time zone)
 RETURNS tollgate.hold_plan
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_uses batch_limit[] := array(
        select row(k.ordinality, u.kind, u.id, u.window_start, u."window", u.unit, u.stated,
          greatest(k.input, k.input_bytes) + k.output)::batch_limit
        from unnest(p_calls) with ordinality as k
        cross join lateral unnest(k.limits, (p_limits[k.ordinality]).touched)
          as u(asked_kind, asked_id, "window", asked_start, asked_unit, stated, kind, id, window_start, unit, is_counted)
        where not u.is_counted);
      v_kinds varchar[];
      v_ids varchar[];
      v_starts timestamptz[];
      v_by_call boolean[];
      v_left numeric[];
      v_idle numeric[];
      v_is_near boolean[];
      v_is_kept_out boolean[];
      v_calls integer[];
      v_places integer[];
      v_use integer := 1;
      v_first integer;
      v_limit integer;
      v_none_left integer;
      v_tightest integer;
      v_least numeric;
      v_fits boolean;
      v_fits_if_idle boolean;
      v_has_waiter boolean[];
      v_is_behind boolean;
      v_later_payer integer;
      v_is_later boolean;
    begin
      if p_is_new then
        insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
          select distinct on (u.kind, u.id, u.window_start) u.kind, u.id, u.window_start, ledger_window_end(u."window", p_now),
            u.unit, u.stated
          from unnest(v_uses) u order by u.kind, u.id, u.window_start, u.stated
          on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
            where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
      end if;

      select array_agg(n.kind), array_agg(n.id), array_agg(n.window_start), array_agg(l.unit = 'calls'), array_agg(l.rest),
          array_agg(l.idle), array_agg(l.rest < case l.unit when 'calls' then n.calls else n.credits end)
        into v_kinds, v_ids, v_starts, v_by_call, v_left, v_idle, v_is_near
        from (
          select u.kind, u.id, u.window_start, count(*) as calls, sum(u.wanted) as credits
          from unnest(v_uses) u group by 1, 2, 3 order by 1, 2, 3 offset 0) n
        cross join lateral (
          select l.unit, l.limit_amount - l.used - l.held as rest, l.limit_amount - l.used as idle from ledger_limits l
          where l.kind = n.kind and l.id = n.id and l.window_start = n.window_start limit 1 for update) l;
      if not true = any(v_is_near) and not true = any(p_plan.in_turn) then return p_plan; end if;

      select array_agg(u.call order by u.call, u.place), array_agg(u.place order by u.call, u.place) into v_calls, v_places
        from (
          select u.call, dense_rank() over (order by u.kind, u.id, u.window_start)::integer as place
          from unnest(v_uses) u) u;
      v_is_kept_out := array_fill(false, array[cardinality(v_left)]);
      v_has_waiter := v_is_kept_out;
      for i in 1 .. cardinality(p_calls) loop
        v_first := v_use;
        v_none_left := null;
        v_tightest := null;
        v_least := p_calls[i].input + p_calls[i].min_output;
        v_fits_if_idle := true;
        v_is_behind := p_plan.in_turn[i];
        v_is_later := not p_plan.is_set[i] or coalesce(p_plan.payers[i] = v_later_payer, false);
        while v_calls[v_use] = i loop
          v_limit := v_places[v_use];
          v_is_later := v_is_later or v_is_kept_out[v_limit];
          v_is_behind := v_is_behind or p_calls[i].wait_ms > 0 and v_has_waiter[v_limit];
          v_is_later := v_is_later or p_calls[i].sliced is not true and ledger_is_sliced(v_kinds[v_limit])
            and v_left[v_limit] < greatest(p_calls[i].input, p_calls[i].input_bytes) + p_calls[i].output;
          v_fits_if_idle := v_fits_if_idle and v_idle[v_limit] >= case when v_by_call[v_limit] then 1 else v_least end;
          if v_by_call[v_limit] then
            if v_left[v_limit] < 1 then v_none_left := coalesce(v_none_left, v_limit); end if;
          elsif v_tightest is null or v_left[v_limit] < v_left[v_tightest] then
            v_tightest := v_limit;
          end if;
          v_use := v_use + 1;
        end loop;

        continue when p_plan.is_stuck[i];
        v_fits := v_none_left is null and (v_left[v_tightest] < v_least) is not true;
        if v_is_later or v_fits and v_is_behind then
          p_plan.is_set[i] := false;
          v_later_payer := p_plan.payers[i];
          for u in v_first .. v_use - 1 loop
            v_is_kept_out[v_places[u]] := v_is_near[v_places[u]];
          end loop;
        elsif not v_fits then
          v_limit := coalesce(v_none_left, v_tightest);
          p_plan.held[i] := null;
          p_plan.available[i] := greatest(coalesce(v_left[v_tightest], 0), 0);
          p_plan.limited_by[i] := (
            select ledger_show_limit(l, v_left[v_limit], v_least) from ledger_limits l
            where l.kind = v_kinds[v_limit] and l.id = v_ids[v_limit] and l.window_start = v_starts[v_limit]);
          if not v_fits_if_idle then
            p_plan.refused_in[i] := ledger_line(v_kinds[v_limit], v_ids[v_limit], v_starts[v_limit]);
          elsif p_calls[i].wait_ms > 0 then
            p_plan.lines[i] := ledger_line(v_kinds[v_limit], v_ids[v_limit], v_starts[v_limit]);
            v_has_waiter[v_limit] := true;
          end if;
        else
          p_plan.held[i] := least(p_plan.held[i], v_left[v_tightest]);
          for u in v_first .. v_use - 1 loop
            v_limit := v_places[u];
            v_left[v_limit] := v_left[v_limit] - case when v_by_call[v_limit] then 1 else p_plan.held[i] end;
          end loop;
        end if;
      end loop;
      return p_plan;
    end
  $function$;
revoke execute on function tollgate.ledger_fit_limits(tollgate.hold_request[],tollgate.call_limits[],boolean,tollgate.hold_plan,timestamp with time zone) from public;
grant execute on function tollgate.ledger_fit_limits(tollgate.hold_request[],tollgate.call_limits[],boolean,tollgate.hold_plan,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_follow_pool(p_org_id uuid, p_user_id character varying, p_short numeric)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_taken numeric;
    begin
      update public.organization_credit_pools p
        set allocated_credits = p.allocated_credits + t.taken,
          overage_credits = p.overage_credits
            + ledger_overdraft(a.allocated_credits + t.taken, a.used_credits, a.held_credits)
            - ledger_overdraft(a.allocated_credits, a.used_credits, a.held_credits)
        from public.user_credit_allocations a
        cross join lateral (
          select least(o.total_credits - o.allocated_credits,
            greatest(p_short, round((o.total_credits - o.allocated_credits) / 64, 6))) as taken
          from public.organization_credit_pools o where o.org_id = p_org_id) t
        where p.org_id = p_org_id and a.org_id = p_org_id and a.user_id = p_user_id and a.follows_pool and t.taken > 0
        returning t.taken into v_taken;
      if v_taken is null then return; end if;
      update public.user_credit_allocations a
        set allocated_credits = a.allocated_credits + v_taken where a.org_id = p_org_id and a.user_id = p_user_id;
      insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor)
        values ('allocate', p_org_id, p_user_id, v_taken, v_taken, 'ledger');
    end
  $function$;
revoke execute on function tollgate.ledger_follow_pool(uuid,character varying,numeric) from public;
grant execute on function tollgate.ledger_follow_pool(uuid,character varying,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_hold_batch(p_owner uuid, p_calls jsonb)
 RETURNS TABLE(ordinal integer, outcome character varying, held numeric, input numeric, required numeric, available numeric, remaining numeric, limited_by jsonb, key_used numeric)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_memoize TO 'off'
 SET jit TO 'off'
AS $function$
    declare
      v_calls hold_request[] := array(select c from jsonb_populate_recordset(null::hold_request, p_calls) c);
      v_count integer := cardinality(v_calls);
      v_now timestamptz := tollgate_now();
      v_ordinals integer[];
      v_limits call_limits[];
      v_bounds boolean;
      v_is_new boolean;
      v_has_quota boolean;
      v_some_wait boolean;
      v_zone varchar;
      v_plan hold_plan;
      v_left numeric[];
      v_if_idle numeric[];
      v_answered integer;
      v_more integer;
      v record;
    begin
      if v_count = 1 then
        return query select 1, h.* from ledger_hold_one(p_owner, v_calls[1]) h;
        return;
      end if;
      if p_owner <> ledger_sql_session() then
        if not ledger_lease_is_valid(p_owner, v_now) then
          return query select i, 'no_lease'::varchar, null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
            null::jsonb, null::numeric from generate_series(1, v_count) i;
          return;
        end if;
        perform set_config('synchronous_commit', 'off', true);
      end if;
      perform ledger_lock_batch(array(select row(k.org_id, k.user_id)::payer from unnest(v_calls) k));

      select exists (select from ledger_waiters), z.time_zone into v_some_wait, v_zone from ledger_identity z;

      -- In the order in which they are served.
      select array_agg(k.ordinality order by k.org_id, k.user_id, k.ordinality) into v_ordinals
        from unnest(v_calls) with ordinality as k;
      v_calls := array(select v_calls[o.ordinal] from unnest(v_ordinals) with ordinality as o(ordinal, place) order by o.place);
      select array_agg(row(t.touched, t.key_used, t.lacks_slice)::call_limits order by k.ordinality), coalesce(bool_or(t.bounds), false),
          coalesce(bool_or(t.is_new), false), coalesce(bool_or(t.has_quota), false)
        into v_limits, v_bounds, v_is_new, v_has_quota
        from unnest(v_calls) with ordinality as k
        cross join lateral (
          select array_agg(row(u.kind, u.id, u.window_start, coalesce(l.unit, u.unit, 'credits'),
              coalesce(u.limit_amount, l.limit_amount) is null)::limit_use) as touched,
            max(coalesce(l.used, 0)) filter (where u.kind = 'key') as key_used,
            bool_or(coalesce(u.limit_amount, l.limit_amount) is not null) as bounds,
            bool_or(u.limit_amount is not null and l.limit_amount is distinct from u.limit_amount) as is_new,
            bool_or(u.kind = 'quota') as has_quota,
            bool_or(l.limit_amount is null and ledger_is_sliced(u.kind)) as lacks_slice
          from (
            select r.kind, r.id, coalesce(r.window_start, ledger_window_start_in(r."window", v_now, v_zone)) as window_start, r.unit, r.limit_amount
            from unnest(k.limits) r) u
          left join lateral (
            select l.used, l.unit, l.limit_amount from ledger_limits l
            where l.kind = u.kind and l.id = u.id and l.window_start = u.window_start limit 1) l on true) t;

      select array_agg(j.allocation_id order by j.place), array_agg(j.payer order by j.place),
          array_agg(j.is_far order by j.place), array_agg(j.free order by j.place),
          array_agg(case when j.is_far then j.wanted end order by j.place),
          array_agg(j.is_stuck order by j.place), array_agg(j.in_turn order by j.place), array_agg(j.unheld order by j.place),
          array_agg(j.if_idle order by j.place),
          array_agg(case when j.is_stuck and j.least <= j.if_idle and j.wait_ms > 0 then 'allocation ' || j.allocation_id end order by j.place),
          array_agg(case when j.is_stuck and j.least > j.if_idle then 'allocation ' || j.allocation_id end order by j.place)
        into v_plan.allocations, v_plan.payers, v_plan.is_set, v_plan.free, v_plan.held, v_plan.is_stuck, v_plan.in_turn, v_left, v_if_idle,
          v_plan.lines, v_plan.refused_in
        from (
          -- After one that is not far, no later one of its allocation is.
          select f.*, bool_and(f.is_far_itself) over (partition by f.payer order by f.place) as is_far,
            bool_and(f.is_stuck_itself) over (partition by f.org_id)
              or f.is_pool_wide and bool_and(f.is_stuck_itself) over (partition by f.payer) as is_stuck
          from (
            select a.*, coalesce(a.is_usual and (v_bounds or not a.in_turn) and case
                when not a.allow_overage then least(a.free - a.held_by_user, a.pool_free - a.held_by_org) >= a.margin_by_user
                when a.overage_limit is null then true
                else a.free - a.held_by_user >= a.margin_by_user and a.overage_credits <= a.overage_limit
              end, false) as is_far_itself,
              coalesce(a.is_usual and not a.is_uncertain and not a.allow_overage and not a.may_follow and a.least > greatest(a.unheld, 0), false)
                as is_stuck_itself,
              coalesce(a.pool_free - a.most_held_by_org >= a.free, false) as is_pool_wide
            from (
              select k.ordinality as place, k.org_id, k.wait_ms, a.id as allocation_id, a.allocated_credits - a.used_credits - a.held_credits as free,
                dense_rank() over (order by k.org_id, k.user_id) as payer,
                k.input + k.output as wanted,
                sum(k.input + k.output) over (partition by k.org_id) as held_by_org,
                sum(greatest(k.input, k.input_bytes) + k.output) over (partition by k.org_id) as most_held_by_org,
                sum(k.input + k.output) over (partition by k.org_id, k.user_id) as held_by_user,
                a.margin_credits + sum(k.margin) over (partition by k.org_id, k.user_id) as margin_by_user,
                p.total_credits - p.used_credits - p.held_credits as pool_free,
                greatest(k.input, k.input_bytes) + k.min_output as least, coalesce(k.uncertain, 0) > 0 as is_uncertain,
                least(a.allocated_credits - a.used_credits, p.total_credits - p.used_credits) as if_idle,
                least(a.allocated_credits - a.used_credits - a.held_credits, p.total_credits - p.used_credits - p.held_credits)
                  - a.margin_credits as unheld,
                a.follows_pool and p.total_credits > p.allocated_credits as may_follow,
                p.allow_overage, p.overage_limit, p.overage_credits,
                k.min_output <= k.output and o.status = 'active' and a.is_active and p.org_id is not null and h.call_id is null
                  and c.call_id is null and not coalesce((v_limits[k.ordinality]).lacks_slice, false) and k.leaves is not true as is_usual,
                k.in_line is true or v_some_wait and k.wait_ms > 0 and (
                  ledger_line_ahead(k.call_id, ledger_lines(a.id, (v_limits[k.ordinality]).touched), v_now) is not null
                  or exists (select from ledger_waiters w where w.call_id = k.call_id)) is true as in_turn
              from (
                select c.*, greatest(c.input_bytes - c.input, 0) + coalesce(c.step, 0) as margin
                from unnest(v_calls) with ordinality as c) k
              left join public.organizations o on o.id = k.org_id
              left join public.organization_credit_pools p on p.org_id = k.org_id
              left join public.user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
              -- Under the pool's lock: the same call may be sent again while the first one still runs.
              left join lateral (select call_id from ledger_holds where call_id = k.call_id limit 1) h on true
              left join lateral (
                select call_id from public.credit_usage_attribution where call_id = k.call_id and cause = 'call' limit 1) c on true
            ) a) f) j;
      if v_bounds then v_plan := ledger_fit_limits(v_calls, v_limits, v_is_new, v_plan, v_now); end if;
      if v_has_quota then v_plan := ledger_show_quotas(v_limits, v_plan); end if;

      return query
        with planned as materialized (
            select k.*, p.*,
              greatest(k.input_bytes - k.input, 0) + case when p.held = k.input + k.output then coalesce(k.step, 0) else 0 end as margin
            from unnest(v_calls) with ordinality as k
            cross join lateral (
              select k.ordinality::integer as place, v_plan.allocations[k.ordinality] as allocation_id, v_plan.free[k.ordinality] as free,
                v_plan.held[k.ordinality] as held, (v_limits[k.ordinality]).touched, (v_limits[k.ordinality]).key_used) p
            where v_plan.is_set[k.ordinality]),
          fast as (select f.* from planned f where f.held is not null),
          hold as (
            insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, margin_credits, limits,
                context, service_type, service_name, request_id)
              select f.call_id, p_owner, f.org_id, f.user_id, f.allocation_id, f.held, f.input, f.margin, f.touched, f.context,
                f.service_type, f.service_name, f.request_id
              from fast f),
          by_user as (
            select f.org_id, f.allocation_id, sum(f.held) as held, sum(f.margin) as margin, min(f.free) as free from fast f group by 1, 2),
          allocation as (
            update public.user_credit_allocations a
              set held_credits = a.held_credits + u.held, margin_credits = a.margin_credits + u.margin, updated_at = v_now
              from by_user u where a.id = u.allocation_id and (u.held > 0 or u.margin > 0)),
          pool as (
            update public.organization_credit_pools p
              set held_credits = p.held_credits + o.held, overage_credits = p.overage_credits + o.overdraft, updated_at = v_now
              from (
                select u.org_id, sum(u.held) as held, sum(greatest(u.held - u.free, 0) - greatest(-u.free, 0)) as overdraft
                from by_user u group by 1) o
              where p.org_id = o.org_id and o.held > 0),
          by_limit as (
            select t.kind, t.id, t.window_start, sum(f.held) as credits, count(*) as calls
            from fast f cross join lateral unnest(f.touched) t where v_bounds and not t.is_counted group by 1, 2, 3),
          limits as (
            update ledger_limits l set held = l.held + case l.unit when 'calls' then b.calls else b.credits end
              from by_limit b where l.kind = b.kind and l.id = b.id and l.window_start = b.window_start)
        select v_ordinals[s.place],
          case when s.held is not null then 'held' when v_plan.lines[s.place] is not null then 'waits' else 'limit' end::varchar, s.held,
          case when s.held is not null then s.input end, case when s.held is null then s.input + s.min_output end,
          v_plan.available[s.place], s.free - coalesce(sum(s.held) over (partition by s.allocation_id order by s.place), 0),
          v_plan.limited_by[s.place], s.key_used
        from planned s;
      get diagnostics v_answered = row_count;
      if v_answered < v_count then
        return query
          select v_ordinals[k.ordinality],
            case when v_plan.lines[k.ordinality] is not null then 'waits' when k.needs <= v_if_idle[k.ordinality] then 'in_flight'
              else 'insufficient' end::varchar,
            null::numeric, null::numeric, k.needs, greatest(v_left[k.ordinality], 0), v_plan.free[k.ordinality], null::jsonb,
            (v_limits[k.ordinality]).key_used
          from (
            select c.ordinality, greatest(c.input, c.input_bytes) + c.min_output as needs from unnest(v_calls) with ordinality as c) k
          where v_plan.is_stuck[k.ordinality];
        get diagnostics v_more = row_count;
        v_answered := v_answered + v_more;
      end if;
      if exists (select from unnest(v_plan.lines) l where l is not null) then perform ledger_join_lines(v_calls, v_plan.lines, v_now); end if;
      if v_some_wait then
        with refused as (
            select k.call_id, v_plan.refused_in[k.ordinality] as line,
              case when v_plan.limited_by[k.ordinality] ->> 'unit' = 'calls' then 0 else k.input + k.min_output end as needs
            from unnest(v_calls) with ordinality as k
            where (k.in_line or k.wait_ms > 0) and v_plan.lines[k.ordinality] is null
              and (v_plan.is_stuck[k.ordinality] or v_plan.is_set[k.ordinality] and v_plan.held[k.ordinality] is null))
          select array_agg(r.call_id) as call_ids, array_agg(r.line) as lines, array_agg(r.needs) as needs into v from refused r;
        if v.call_ids is not null then perform ledger_leave_refused(v.call_ids, v.lines, v.needs, v_now); end if;
      end if;
      if v_answered = v_count then return; end if;

      for v in
        select k.place from unnest(v_plan.is_set) with ordinality as k(is_set, place)
        where not k.is_set and not v_plan.is_stuck[k.place] order by k.place
      loop
        return query select v_ordinals[v.place], h.* from ledger_hold_one(p_owner, v_calls[v.place]) h;
      end loop;
    end
  $function$;
revoke execute on function tollgate.ledger_hold_batch(uuid,jsonb) from public;
grant execute on function tollgate.ledger_hold_batch(uuid,jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_hold_is_sound(p_state character varying, p_closed_at timestamp with time zone, p_held numeric, p_input numeric, p_margin numeric, p_checkpoint numeric, p_checkpoint_api_cost numeric, p_charged numeric)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    begin
      return p_state in ('open', 'settled', 'released', 'recovered') and (p_state = 'open') = (p_closed_at is null)
        and least(p_held, p_input, p_margin, p_checkpoint, p_checkpoint_api_cost, p_charged) >= 0;
    end
  $function$;
revoke execute on function tollgate.ledger_hold_is_sound(character varying,timestamp with time zone,numeric,numeric,numeric,numeric,numeric,numeric) from public;
grant execute on function tollgate.ledger_hold_is_sound(character varying,timestamp with time zone,numeric,numeric,numeric,numeric,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_hold_one(p_owner uuid, p_call tollgate.hold_request, OUT outcome character varying, OUT held numeric, OUT input numeric, OUT required numeric, OUT available numeric, OUT remaining numeric, OUT limited_by jsonb, OUT key_used numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_is_proxy boolean := p_owner <> ledger_sql_session();
      v_known record;
      v_limits limits_seen;
      v_free numeric;
      v_unheld numeric;
      v_available numeric;
      v_margin numeric := 0;
      v_is_taken boolean;
      v_may_overtake boolean := p_call.wait_ms > 0 is not true;
      -- Also of one that does not say so: nobody knows of a first ask whose answer was lost.
      v_may_stand boolean := coalesce(p_call.in_line, false);
      v_if_idle numeric;
      v_full numeric;
      v_line text;
      v_fits_if_idle boolean;
    begin
      if p_call.leaves then
        perform ledger_leave_line(p_call.call_id, v_now);
        outcome := 'left';
        return;
      end if;
      for i in 1 .. 3 loop
        select not v_is_proxy or exists (
              select from ledger_processes l
              where l.id = p_owner and l.stopped_at is null and l.dead_at is null and l.lease_until > v_now) as has_lease,
            p.total_credits, p.allocated_credits as pool_allocated, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit,
            p.overage_credits, a.id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits, a.margin_credits,
            coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due,
            case when a.follows_pool and a.is_active then greatest(p_call.input, p_call.input_bytes) + p_call.output + a.margin_credits
              - (a.allocated_credits - a.used_credits - a.held_credits) else 0 end as short
          into v
          from public.organization_credit_pools p
          join public.user_credit_allocations a on a.org_id = p.org_id
          where p.org_id = p_call.org_id and a.user_id = p_call.user_id
          for update of p, a;
        if not found then
          outcome := case when not v_is_proxy or ledger_lease_is_valid(p_owner, v_now) then 'no_allocation' else 'no_lease' end;
          return;
        end if;
        if not v.has_lease then outcome := 'no_lease'; return; end if;
        -- Without a statement of its own: an assignment is a tenth of its time.
        if v_is_proxy and set_config('synchronous_commit', 'off', true) is null then return; end if;
        if v.due then
          perform ledger_lock_and_refresh(p_call.org_id, p_call.user_id);
        elsif v.short > 0 and v.total_credits > v.pool_allocated then
          perform ledger_follow_pool(p_call.org_id, p_call.user_id, v.short);
        else
          exit;
        end if;
      end loop;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free;
      if p_call.limits is not null then
        v_limits := ledger_see_limits(p_call.limits, p_call.input + p_call.min_output,
          greatest(p_call.input, p_call.input_bytes) + p_call.output, v_now);
        key_used := v_limits.key_used;
      end if;

      if not v.is_active then
        outcome := 'no_allocation';
      else
        v_unheld := ledger_available(v_free, v.total_credits - v.pool_used - v.pool_held, v.allow_overage, v.overage_limit,
          v.overage_credits);
        v_available := v_unheld;
        input := p_call.input;
        if greatest(input, p_call.input_bytes) + p_call.output > v_unheld - v.margin_credits then
          input := greatest(input, p_call.input_bytes);
          v_available := v_unheld - v.margin_credits;
        end if;
        v_full := input + p_call.min_output;
        v_if_idle := case when v.allow_overage then v_unheld + v.held_credits
          else least(v.allocated_credits - v.used_credits, v.total_credits - v.pool_used) end;
        required := v_full - case when v_full > coalesce(v_if_idle, v_full) then coalesce(p_call.uncertain, 0) else 0 end;
        if required < v_full and exists (
            select 1 from ledger_holds h where h.org_id = p_call.org_id and h.state = 'open' and h.context ? 'unheld') then
          v_available := 0;
        end if;
        available := greatest(coalesce(v_available, input + p_call.output), 0);
        held := least(input + p_call.output, available);
        outcome := case
          when required <= available then 'held'
          when required <= v_if_idle then 'in_flight'
          else 'insufficient' end;
      end if;
      if outcome = 'held' and v_limits.touched is not null then
        if not v_limits.has_call or v_limits.available < v_full then
          outcome := 'limit';
          required := v_full;
          limited_by := v_limits.limited_by;
          available := greatest(coalesce(v_limits.available, 0), 0);
        else
          held := least(held, v_limits.available);
        end if;
      end if;
      if v_limits.short_slice and p_call.sliced is not true
          and (outcome = 'held' or outcome = 'limit' and (v_limits.limited_by is null or ledger_is_sliced(v_limits.limited_by ->> 'kind'))) then
        outcome := 'slice';
        required := v_full;
        available := greatest(p_call.input, p_call.input_bytes) + p_call.output;
        limited_by := null;
      end if;
      if outcome = 'held' then
        v_margin := greatest(p_call.input_bytes - input, 0) + case
          when held = input + p_call.output then coalesce(p_call.step, 0)
          when held < v_full then least(p_call.uncertain, input + p_call.output - held)
          else 0 end;
        for i in 1 .. 2 loop
          -- A separate statement: one that waited for locks still reads other tables from its old snapshot. Under the pool's lock: the same
          -- call may be sent again while the first one still runs, or after it was closed.
          with hold as (
              insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, margin_credits, limits,
                  context, service_type, service_name, request_id)
                select p_call.call_id, p_owner, p_call.org_id, p_call.user_id, v.id, held, input, v_margin, v_limits.touched,
                  case when held < v_full and held < input + p_call.output and p_call.uncertain > 0
                    then coalesce(p_call.context, '{}') || '{"unheld": true}' else p_call.context end,
                  p_call.service_type, p_call.service_name, p_call.request_id
                from public.organizations o
                where o.id = p_call.org_id and o.status = 'active'
                  and not exists (select from public.credit_usage_attribution c where c.call_id = p_call.call_id)
                  and (v_may_overtake or not exists (select from ledger_waiters))
                on conflict (call_id) do nothing
                returning held_credits, margin_credits),
            pool as (
              update public.organization_credit_pools o
                set held_credits = o.held_credits + h.held_credits, updated_at = v_now,
                  overage_credits = o.overage_credits + greatest(h.held_credits - v_free, 0) - greatest(-v_free, 0)
                from hold h where o.org_id = p_call.org_id and h.held_credits > 0),
            allocation as (
              update public.user_credit_allocations u
                set held_credits = u.held_credits + h.held_credits, margin_credits = u.margin_credits + h.margin_credits, updated_at = v_now
                from hold h where u.id = v.id and (h.held_credits > 0 or h.margin_credits > 0))
            select count(*) > 0 into v_is_taken from hold;
          exit when v_is_taken or v_may_overtake;
          v_may_overtake := true;
          v_may_stand := true;
          v_line := ledger_line_ahead(p_call.call_id, ledger_lines(v.id, v_limits.touched), v_now);
          exit when v_line is not null;
        end loop;
        if v_is_taken then
          required := null;
          available := null;
          remaining := v_free - held;
          limited_by := v_limits.quota;
          if v_may_stand then perform ledger_leave_line(p_call.call_id, v_now); end if;
          if v_limits.bounds then
            update ledger_limits l set held = l.held + case l.unit when 'calls' then 1 else ledger_hold_one.held end
              from unnest(v_limits.touched) t
              where not t.is_counted and l.kind = t.kind and l.id = t.id and l.window_start = t.window_start;
          end if;
          return;
        end if;
      elsif p_call.wait_ms > 0 then
        v_fits_if_idle := v_limits.has_call_if_idle and (v_limits.available_if_idle >= v_full) is not false;
        v_line := case
          when outcome = 'in_flight' then 'allocation ' || v.id
          when outcome = 'limit' and v_fits_if_idle then v_limits.line end;
      end if;
      if v_line is not null then outcome := 'waits'; end if;
      if v.is_active and not exists (select from public.organizations o where o.id = p_call.org_id and o.status = 'active') then
        outcome := 'suspended';
        required := null;
        available := null;
        limited_by := null;
      end if;

      -- Refused, unless the same call was held before.
      v_may_stand := v_may_stand or p_call.wait_ms > 0;
      select h.state, h.held_credits, h.input_credits into v_known from ledger_holds h where h.call_id = p_call.call_id;
      if found or exists (select 1 from public.credit_usage_attribution c where c.call_id = p_call.call_id) then
        outcome := case v_known.state when 'open' then 'held' else 'closed' end;
        held := v_known.held_credits;
        input := v_known.input_credits;
        required := null;
        available := null;
        limited_by := null;
        if v_may_stand then perform ledger_leave_line(p_call.call_id, v_now); end if;
        return;
      end if;
      if outcome = 'waits' then
        perform ledger_join_line(p_call, v_line, v_now);
      elsif v_may_stand and outcome <> 'slice' then
        perform ledger_leave_refused(array[p_call.call_id],
          array[case when outcome = 'insufficient' then 'allocation ' || v.id when outcome = 'limit' and not v_fits_if_idle then v_limits.line end],
          array[case when outcome = 'limit' and not v_limits.has_call then 0 else p_call.input + p_call.min_output end], v_now);
      end if;
      held := null;
      input := null;
    end
  $function$;
revoke execute on function tollgate.ledger_hold_one(uuid,tollgate.hold_request) from public;
grant execute on function tollgate.ledger_hold_one(uuid,tollgate.hold_request) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_is_sliced(p_kind character varying)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((p_kind)::text = 'proxy'::text);
revoke execute on function tollgate.ledger_is_sliced(character varying) from public;
grant execute on function tollgate.ledger_is_sliced(character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_join_line(p_call tollgate.hold_request, p_line text, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      insert into ledger_waiters as w (call_id, line, since, until, needs)
        values (p_call.call_id, p_line, p_now, p_now + make_interval(secs => p_call.wait_ms / 1000.0), p_call.input + p_call.min_output)
        on conflict (call_id) do update set line = excluded.line where w.line <> excluded.line;
    end
  $function$;
revoke execute on function tollgate.ledger_join_line(tollgate.hold_request,text,timestamp with time zone) from public;
grant execute on function tollgate.ledger_join_line(tollgate.hold_request,text,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_join_lines(p_calls tollgate.hold_request[], p_lines text[], p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      insert into ledger_waiters as w (call_id, line, since, until, needs)
        select k.call_id, p_lines[k.ordinality], p_now, p_now + make_interval(secs => k.wait_ms / 1000.0), k.input + k.min_output
        from unnest(p_calls) with ordinality as k where p_lines[k.ordinality] is not null order by k.ordinality
        on conflict (call_id) do update set line = excluded.line where w.line <> excluded.line;
    end
  $function$;
revoke execute on function tollgate.ledger_join_lines(tollgate.hold_request[],text[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_join_lines(tollgate.hold_request[],text[],timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_journal_durable()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      if new.kind in ('purchase', 'allocate', 'refund', 'correction') then perform ledger_commit_durably(); end if;
      return new;
    end
  $function$;
revoke execute on function tollgate.ledger_journal_durable() from public;
grant execute on function tollgate.ledger_journal_durable() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_lease_is_valid(p_owner uuid, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      return exists (
        select 1 from ledger_processes
        where id = p_owner and stopped_at is null and dead_at is null and lease_until > p_now);
    end
  $function$;
revoke execute on function tollgate.ledger_lease_is_valid(uuid,timestamp with time zone) from public;
grant execute on function tollgate.ledger_lease_is_valid(uuid,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_leave_line(p_call_id uuid, p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_line text;
    begin
      delete from ledger_waiters where call_id = p_call_id returning line into v_line;
      if found then perform ledger_call_first(array[v_line], p_now); end if;
    end
  $function$;
revoke execute on function tollgate.ledger_leave_line(uuid,timestamp with time zone) from public;
grant execute on function tollgate.ledger_leave_line(uuid,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_leave_refused(p_call_ids uuid[], p_refused_in text[], p_needs numeric[], p_now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_lines text[];
      v_needs numeric[];
    begin
      with gone as (
          delete from ledger_waiters w using unnest(p_call_ids, p_refused_in, p_needs) as r(call_id, line, needs)
            where w.call_id = r.call_id
            returning w.line, case when w.line = r.line then r.needs end as needs)
        select array_agg(g.line), array_agg(g.needs) into v_lines, v_needs
        from (select line, min(needs) as needs from gone group by line) g;
      if v_lines is null then return; end if;
      perform ledger_call_first(v_lines, p_now);
      perform pg_notify('tollgate_line', w.call_id::text)
        from unnest(v_lines, v_needs) as g(line, needs) join ledger_waiters w on w.line = g.line
        where w.until > p_now and w.needs >= g.needs;
    end
  $function$;
revoke execute on function tollgate.ledger_leave_refused(uuid[],text[],numeric[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_leave_refused(uuid[],text[],numeric[],timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_limit_is_sound(p_unit character varying, p_amount numeric, p_held numeric, p_used numeric)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    begin
      return p_unit in ('credits', 'calls') and least(p_amount, p_held, p_used) >= 0;
    end
  $function$;
revoke execute on function tollgate.ledger_limit_is_sound(character varying,numeric,numeric,numeric) from public;
grant execute on function tollgate.ledger_limit_is_sound(character varying,numeric,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_limits_used(p_from timestamp with time zone, p_until timestamp with time zone)
 RETURNS TABLE(kind character varying, id character varying, window_start timestamp with time zone, used numeric)
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      return query execute format($q$
        with correction as (
            select c.call_id, c.cause, c.credits_used as credits, c.created_at
            from public.credit_usage_attribution c where c.entry = 'correction' and c.created_at < $2
            union all
            select j.call_id, j.cause, -j.allocation_allocated, j.created_at
            from ledger_journal j where j.kind = 'correction' and j.created_at < $2),
          corrected as (
            select c.call_id, sum(c.credits) as credits, bool_or(c.cause = 'recovery') as was_recovered,
              sum(c.credits) filter (where c.created_at < $1) as credits_before,
              bool_or(c.cause = 'recovery') filter (where c.created_at < $1) as was_recovered_before,
              bool_or(c.created_at >= $1) as is_since
            from correction c group by 1),
          ended as (%s),
          part as (
            select t.kind, t.id, t.window_start,
              case when t.unit is distinct from 'calls' then e.charged_credits + coalesce(c.credits, 0)
                when e.state = 'released' and c.was_recovered is not true then 0 else 1 end as used
            from ended e left join corrected c using (call_id) cross join unnest(e.limits) t
            union all
            select t.kind, t.id, t.window_start,
              case when t.unit is distinct from 'calls' then c.credits - coalesce(c.credits_before, 0)
                when h.state = 'released' and c.was_recovered and c.was_recovered_before is not true then 1 else 0 end
            from corrected c join ledger_holds h using (call_id) cross join unnest(h.limits) t
            where c.is_since and h.closed_at < $1)
        select p.kind, p.id, p.window_start, sum(p.used) from part p group by 1, 2, 3$q$,
        case when p_from = '-infinity' then 'select h.call_id, h.state, h.charged_credits, h.limits from ledger_holds h where h.closed_at < $2'
          else 'select h.call_id, h.state, h.charged_credits, h.limits
            from (select distinct c.call_id from public.credit_usage_attribution c where c.created_at >= $1 - interval ''1 hour'') s
            join ledger_holds h using (call_id) where h.closed_at >= $1 and h.closed_at < $2' end)
        using p_from, p_until;
    end
  $function$;
revoke execute on function tollgate.ledger_limits_used(timestamp with time zone,timestamp with time zone) from public;
grant execute on function tollgate.ledger_limits_used(timestamp with time zone,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_line(p_kind character varying, p_id character varying, p_window_start timestamp with time zone)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (((((p_kind)::text || ' '::text) || (p_id)::text) || ' '::text) || (EXTRACT(epoch FROM p_window_start))::bigint);
revoke execute on function tollgate.ledger_line(character varying,character varying,timestamp with time zone) from public;
grant execute on function tollgate.ledger_line(character varying,character varying,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_line_ahead(p_call_id uuid, p_lines text[], p_now timestamp with time zone)
 RETURNS text
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      return (
        select w.line from ledger_waiters w
        where w.line = any(p_lines) and w.until > p_now and w.call_id <> p_call_id
          and w.place < coalesce((select o.place from ledger_waiters o where o.call_id = p_call_id), 9223372036854775807)
        order by w.place limit 1);
    end
  $function$;
revoke execute on function tollgate.ledger_line_ahead(uuid,text[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_line_ahead(uuid,text[],timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_lines(p_allocation_id uuid, p_limits tollgate.limit_use[])
 RETURNS text[]
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (ARRAY(SELECT tollgate.ledger_line(t.kind, t.id, t.window_start) AS ledger_line FROM unnest(ledger_lines.p_limits) t(kind, id, window_start, unit, is_counted) WHERE (NOT t.is_counted)) || ('allocation '::text || p_allocation_id));
revoke execute on function tollgate.ledger_lines(uuid,tollgate.limit_use[]) from public;
grant execute on function tollgate.ledger_lines(uuid,tollgate.limit_use[]) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_lock_and_refresh(p_org_id uuid, p_user_id character varying, OUT pool public.organization_credit_pools, OUT allocation public.user_credit_allocations)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v_due record;
    begin
      select * into pool from public.organization_credit_pools where org_id = p_org_id for update;
      if pool.id is null then return; end if;
      select * into allocation from public.user_credit_allocations where org_id = p_org_id and user_id = p_user_id for update;
      if not coalesce(pool.next_refresh_date <= v_now, false) and not coalesce(allocation.next_reset_date <= v_now, false) then
        return;
      end if;

      v_due := ledger_brought_up_to_date(pool, allocation, v_now);
      update public.organization_credit_pools
        set total_credits = (v_due.pool).total_credits, allocated_credits = (v_due.pool).allocated_credits,
          overage_credits = (v_due.pool).overage_credits, last_refresh_date = (v_due.pool).last_refresh_date,
          next_refresh_date = (v_due.pool).next_refresh_date
        where org_id = p_org_id returning * into pool;
      update public.user_credit_allocations
        set used_credits = (v_due.allocation).used_credits, last_reset_date = (v_due.allocation).last_reset_date,
          next_reset_date = (v_due.allocation).next_reset_date
        where id = allocation.id returning * into allocation;
      if v_due.refreshed > 0 then
        insert into ledger_journal (kind, org_id, pool_total, actor) values ('refresh', p_org_id, v_due.refreshed, 'ledger');
      end if;
      if v_due.given_back > 0 then
        insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_used, actor)
          values ('reset', p_org_id, p_user_id, v_due.given_back, -v_due.given_back, 'ledger');
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_lock_and_refresh(uuid,character varying) from public;
grant execute on function tollgate.ledger_lock_and_refresh(uuid,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_lock_batch(p_payers tollgate.payer[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v_pool_due boolean;
      v_allocation_due boolean;
      v record;
    begin
      select bool_or(p.next_refresh_date <= v_now) into v_pool_due from (
        select next_refresh_date from public.organization_credit_pools
        where org_id = any(array(select k.org_id from unnest(p_payers) k)) order by org_id for update) p;
      select bool_or(a.next_reset_date <= v_now) into v_allocation_due from (
        select a.next_reset_date from unnest(p_payers) k
        join public.user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
        order by a.org_id, a.user_id for update of a) a;
      if v_pool_due or v_allocation_due then
        for v in
          select a.org_id, a.user_id from public.user_credit_allocations a
          where (a.org_id, a.user_id) in (select k.org_id, k.user_id from unnest(p_payers) k)
          order by a.org_id, a.user_id
        loop
          perform ledger_lock_and_refresh(v.org_id, v.user_id);
        end loop;
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_lock_batch(tollgate.payer[]) from public;
grant execute on function tollgate.ledger_lock_batch(tollgate.payer[]) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_lock_limits(p_limits tollgate.limit_use[])
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_key_used numeric;
    begin
      select max(l.used) filter (where l.kind = 'key') into v_key_used from (
        select l.kind, l.used
        from unnest(p_limits) as t
        join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
        order by l.kind, l.id, l.window_start for update of l) l;
      -- A key that was only counted has no row before it is charged.
      if v_key_used is null and exists (select from unnest(p_limits) t where t.kind = 'key') then return 0; end if;
      return v_key_used;
    end
  $function$;
revoke execute on function tollgate.ledger_lock_limits(tollgate.limit_use[]) from public;
grant execute on function tollgate.ledger_lock_limits(tollgate.limit_use[]) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_move(p_allocation public.user_credit_allocations, p_held numeric, p_used numeric)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      update public.organization_credit_pools p
        set held_credits = p.held_credits + p_held, used_credits = p.used_credits + p_used,
          overage_credits = p.overage_credits
            + ledger_overdraft(p_allocation.allocated_credits, p_allocation.used_credits + p_used, p_allocation.held_credits + p_held)
            - ledger_overdraft(p_allocation.allocated_credits, p_allocation.used_credits, p_allocation.held_credits)
        where p.org_id = p_allocation.org_id;
      update public.user_credit_allocations a
        set held_credits = a.held_credits + p_held, used_credits = a.used_credits + p_used
        where a.id = p_allocation.id;
    end
  $function$;
revoke execute on function tollgate.ledger_move(public.user_credit_allocations,numeric,numeric) from public;
grant execute on function tollgate.ledger_move(public.user_credit_allocations,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_move_limits(p_limits tollgate.limit_use[], p_held numeric, p_calls_held integer, p_used numeric, p_calls_used integer)
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_key_used numeric;
    begin
      with moved as (
          update ledger_limits l
            set held = l.held + case when t.is_counted then 0 when l.unit = 'calls' then p_calls_held else p_held end,
              used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
            from unnest(p_limits) t
            -- Nothing is held of what is only counted.
            where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
              and (not t.is_counted or p_used <> 0 or p_calls_used <> 0)
            returning l.kind, l.used),
        -- Only counted until now. Never negative: what is given back was counted, so the row exists.
        counted as (
          insert into ledger_limits as l (kind, id, window_start, used)
            select t.kind, t.id, t.window_start, p_used from unnest(p_limits) t
            where t.is_counted and p_used > 0 and not exists (
              select from ledger_limits e where e.kind = t.kind and e.id = t.id and e.window_start = t.window_start)
            order by t.kind, t.id, t.window_start
            on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used
            returning l.kind, l.used)
        select max(k.used) into v_key_used
          from (select * from moved union all select * from counted) k where k.kind = 'key';
      if v_key_used is null and exists (select from unnest(p_limits) t where t.kind = 'key') then
        select coalesce(max(l.used), 0) into v_key_used
          from unnest(p_limits) t join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
          where t.kind = 'key';
      end if;
      return v_key_used;
    end
  $function$;
revoke execute on function tollgate.ledger_move_limits(tollgate.limit_use[],numeric,integer,numeric,integer) from public;
grant execute on function tollgate.ledger_move_limits(tollgate.limit_use[],numeric,integer,numeric,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_nearest_quota(p_limits tollgate.limit_use[])
 RETURNS jsonb
 LANGUAGE sql
 STABLE
RETURN (SELECT tollgate.ledger_show_limit(l.*, ((l.limit_amount - l.used) - l.held), (0)::numeric) AS ledger_show_limit FROM (unnest(ledger_nearest_quota.p_limits) t(kind, id, window_start, unit, is_counted) JOIN tollgate.ledger_limits l ON ((((l.kind)::text = (t.kind)::text) AND ((l.id)::text = (t.id)::text) AND (l.window_start = t.window_start)))) WHERE (((t.kind)::text = 'quota'::text) AND (l.limit_amount IS NOT NULL)) ORDER BY ((l.limit_amount - l.used) - l.held), l.window_end LIMIT 1);
revoke execute on function tollgate.ledger_nearest_quota(tollgate.limit_use[]) from public;
grant execute on function tollgate.ledger_nearest_quota(tollgate.limit_use[]) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_next_date(p_period character varying, p_from timestamp with time zone, p_now timestamp with time zone, p_created timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_zone varchar := ledger_time_zone();
      v_from timestamp := p_from at time zone v_zone;
      v_now timestamp := p_now at time zone v_zone;
      v_months integer;
      v_day integer := extract(day from p_created at time zone v_zone);
    begin
      if p_period = 'daily' or p_period = 'weekly' then
        return (v_from + make_interval(days => (case p_period when 'daily' then 1 else 7 end) *
          (floor(extract(epoch from v_now - v_from) / (case p_period when 'daily' then 86400 else 604800 end))::integer + 1)))
          at time zone v_zone;
      elsif p_period = 'monthly' then
        if v_day > extract(day from v_from) and extract(day from v_from + interval '1 day') = 1 then
          v_from := date_trunc('year', v_from) + make_interval(days => v_day - 1) + v_from::time;
        end if;
        v_months := greatest(0, (extract(year from age(v_now, v_from)) * 12 + extract(month from age(v_now, v_from)))::integer);
        while v_from + make_interval(months => v_months) <= v_now loop
          v_months := v_months + 1;
        end loop;
        return (v_from + make_interval(months => v_months)) at time zone v_zone;
      end if;
      return null;
    end
  $function$;
revoke execute on function tollgate.ledger_next_date(character varying,timestamp with time zone,timestamp with time zone,timestamp with time zone) from public;
grant execute on function tollgate.ledger_next_date(character varying,timestamp with time zone,timestamp with time zone,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_overdraft(p_allocated numeric, p_used numeric, p_held numeric)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN GREATEST(((p_used + p_held) - p_allocated), (0)::numeric);
revoke execute on function tollgate.ledger_overdraft(numeric,numeric,numeric) from public;
grant execute on function tollgate.ledger_overdraft(numeric,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_payer_ended(p_hold tollgate.ledger_holds, p_now timestamp with time zone)
 RETURNS character varying
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_key varchar := p_hold.context ->> 'key_id';
      v record;
    begin
      if v_key ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        select k.is_active, k.expires_at into v from api_keys k where k.id = v_key::uuid;
        if not found or not v.is_active then return 'key_revoked'; end if;
        if v.expires_at <= p_now then return 'expired_api_key'; end if;
      end if;
      select o.status, a.is_active into v
        from public.organizations o, public.user_credit_allocations a
        where o.id = p_hold.org_id and a.id = p_hold.allocation_id;
      if v.status <> 'active' then return 'organization_suspended'; end if;
      if not v.is_active then return 'no_allocation'; end if;
      return null;
    end
  $function$;
revoke execute on function tollgate.ledger_payer_ended(tollgate.ledger_holds,timestamp with time zone) from public;
grant execute on function tollgate.ledger_payer_ended(tollgate.ledger_holds,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_progress_batch(p_calls jsonb)
 RETURNS TABLE(ordinal integer, outcome character varying, held numeric)
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_memoize TO 'off'
 SET jit TO 'off'
AS $function$
    declare
      v_calls progress_request[] := array(select c from jsonb_populate_recordset(null::progress_request, p_calls) c);
      v_now timestamptz := tollgate_now();
      v record;
      v_extended record;
    begin
      perform set_config('synchronous_commit', 'off', true);
      perform 1 from ledger_holds where call_id = any(array(select k.call_id from unnest(v_calls) k)) order by call_id for update;
      perform 1 from public.organization_credit_pools
        where org_id = any(array(select k.org_id from unnest(v_calls) k where k.target is not null)) order by org_id for update;
      update ledger_holds h
        set checkpoint_credits = k.credits, checkpoint_api_cost = k.api_cost
        from unnest(v_calls) k
        where h.call_id = k.call_id and h.closed_at is null
          and k.credits >= coalesce(h.checkpoint_credits, 0);
      for v in
        select k.ordinality::integer as ordinal, k.call_id, k.target, k.min, k.shrink, h.state, h.held_credits,
          case when h.state = 'open' and (k.ask or k.target is not null) then ledger_payer_ended(h, v_now) end as ended
        from unnest(v_calls) with ordinality as k
        left join ledger_holds h on h.call_id = k.call_id
        order by k.org_id, h.user_id, k.ordinality
      loop
        ordinal := v.ordinal;
        held := v.held_credits;
        if v.shrink and v.state = 'open' and v.held_credits > v.target then
          held := ledger_shrink(v.call_id, v.target);
          outcome := coalesce(v.ended, 'extended');
        elsif v.ended is not null then
          outcome := v.ended;
        elsif v.target is not null then
          v_extended := ledger_extend(v.call_id, v.target, v.min);
          outcome := v_extended.outcome;
          held := v_extended.held;
        else
          outcome := case when v.state is null then 'unknown' when v.state = 'open' then 'noted' else 'closed' end;
        end if;
        return next;
      end loop;
    end
  $function$;
revoke execute on function tollgate.ledger_progress_batch(jsonb) from public;
grant execute on function tollgate.ledger_progress_batch(jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_reconcile_closed(p_call tollgate.close_request, OUT charged numeric, OUT remaining numeric, OUT key_used numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_hold ledger_holds;
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_difference numeric;
      v_missing boolean;
    begin
      select * into v_hold from ledger_holds where call_id = p_call.call_id for update;
      select * into v_allocation from public.user_credit_allocations where org_id = p_call.org_id and user_id = p_call.user_id;
      v_missing := v_hold.call_id is null;
      if v_hold.state = 'open' then
        raise exception 'the hold of call % is open', p_call.call_id using errcode = 'XX000';
      end if;
      -- Nothing was taken, nothing is to be dropped; the hold may also be a late commit that a later release will find.
      if v_missing and p_call.state <> 'settled' then charged := 0; return; end if;
      remaining := v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits
        + case when v_allocation.follows_pool then (
            select p.total_credits - p.allocated_credits from public.organization_credit_pools p where p.org_id = v_allocation.org_id)
          else 0 end;
      if v_hold.limits is not null then key_used := ledger_lock_limits(v_hold.limits); end if;

      v_booked := ledger_booked(p_call.call_id);
      charged := v_booked.credits;
      v_difference := p_call.charge - charged;
      if v_missing and v_booked.booked or not v_missing and (v_hold.state = 'settled' or v_difference = 0
          or (p_call.state <> 'settled' and v_hold.state <> 'recovered')
          or 'recovery' = any(v_booked.corrected)
          -- What a refund gave back is not given back again.
          or v_difference < 0 and exists (select 1 from ledger_journal j where j.call_id = p_call.call_id and j.kind = 'refund')) then
        return;
      end if;
      if v_allocation.id is null then
        raise exception 'No credit allocation found for user % in org %', p_call.user_id, p_call.org_id using errcode = 'P0001';
      end if;

      charged := p_call.charge;
      remaining := remaining - v_difference;
      if v_missing then
        perform ledger_move(v_allocation, 0, p_call.charge);
        insert into public.credit_usage_attribution (
            call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call.call_id, p_call.org_id, p_call.user_id, v_allocation.id, p_call.charge, p_call.service_type, p_call.service_name,
            p_call.api_cost, p_call.markup, p_call.request_id, p_call.metadata, p_call.source, p_call.provenance, p_call.outcome,
            p_call.details);
        return;
      end if;
      p_call.api_cost := p_call.api_cost - v_booked.api_cost;
      p_call.markup := p_call.markup - v_booked.markup;
      perform ledger_correct('recovery', v_difference, v_allocation, p_call, 'charged less than was booked when the hold was recovered');
      if v_hold.limits is not null then
        key_used := ledger_move_limits(v_hold.limits, 0, 0, v_difference, case v_hold.state when 'released' then 1 else 0 end);
      end if;
    end
  $function$;
revoke execute on function tollgate.ledger_reconcile_closed(tollgate.close_request) from public;
grant execute on function tollgate.ledger_reconcile_closed(tollgate.close_request) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_recover(p_dead_after interval, p_org_id uuid, p_max integer, OUT recovered integer, OUT released integer, OUT credits numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v_calls jsonb;
    begin
      select jsonb_agg(jsonb_build_object(
            'call_id', h.call_id, 'org_id', h.org_id, 'user_id', h.user_id,
            'state', case when h.checkpoint_credits is null then 'released' else 'recovered' end,
            'charge', coalesce(h.checkpoint_credits, 0),
            'api_cost', coalesce(h.checkpoint_api_cost, 0),
            'markup', coalesce(h.checkpoint_credits / 1000 - h.checkpoint_api_cost, 0),
            'service_type', h.service_type, 'service_name', h.service_name, 'request_id', h.request_id,
            'source', 'proxy', 'outcome', 'recovered',
            'provenance', case when h.checkpoint_credits is not null then 'recovered' end,
            'details', jsonb_build_object('model', h.service_name, 'deployment', h.context -> 'deployment',
              'key_id', h.context -> 'key_id', 'recovered_from', h.owner)
              || jsonb_strip_nulls(jsonb_build_object('session_id', h.context -> 'session_id', 'agent_id', h.context -> 'agent_id',
                'parent_agent_id', h.context -> 'parent_agent_id')))),
          count(*) filter (where h.checkpoint_credits is not null),
          count(*) filter (where h.checkpoint_credits is null),
          coalesce(sum(h.checkpoint_credits), 0)
        into v_calls, recovered, released, credits
        from (
          select h.* from ledger_holds h
          where h.org_id = p_org_id and h.state = 'open' and not exists (
              select 1 from ledger_processes p where p.id = h.owner and p.stopped_at is null and p.dead_at is null)
            and (h.created_at < v_now - p_dead_after or exists (select 1 from ledger_processes p where p.id = h.owner))
          order by h.call_id limit p_max for update skip locked) h;
      if v_calls is not null then perform ledger_close_batch(v_calls); end if;
    end
  $function$;
revoke execute on function tollgate.ledger_recover(interval,uuid,integer) from public;
grant execute on function tollgate.ledger_recover(interval,uuid,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_refund_call(p_call_id uuid, p_credits numeric, p_actor character varying, p_note text, OUT outcome character varying, OUT refunded numeric, OUT refundable numeric, OUT org_id uuid, OUT user_id character varying)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_given numeric;
    begin
      if p_credits is not null then perform ledger_check_amount(p_credits); end if;
      perform 1 from ledger_holds h where h.call_id = p_call_id for update;
      select c.org_id, c.user_id into org_id, user_id from public.credit_usage_attribution c
        where c.call_id = p_call_id order by c.cause limit 1;
      if not found then outcome := 'unknown'; return; end if;
      v_allocation := (ledger_lock_and_refresh(org_id, user_id)).allocation;

      -- A separate statement: one that waited for locks still reads other tables from its old snapshot.
      v_booked := ledger_booked(p_call_id);
      refundable := v_booked.credits - coalesce(
        (select sum(j.pool_total) from ledger_journal j where j.call_id = p_call_id and j.kind = 'refund'), 0);
      if v_booked.disputed and not 'dispute' = any(v_booked.corrected) then outcome := 'disputed'; return; end if;
      refunded := coalesce(p_credits, refundable);
      if refunded > refundable or refunded <= 0 then outcome := 'too_much'; return; end if;

      v_given := case when v_allocation.is_active then refunded else 0 end;
      update public.organization_credit_pools p
        set total_credits = p.total_credits + refunded, allocated_credits = p.allocated_credits + v_given,
          overage_credits = p.overage_credits
            + ledger_overdraft(v_allocation.allocated_credits + v_given, v_allocation.used_credits, v_allocation.held_credits)
            - ledger_overdraft(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits)
        where p.org_id = v_allocation.org_id;
      update public.user_credit_allocations a set allocated_credits = a.allocated_credits + v_given where a.id = v_allocation.id;
      insert into ledger_journal (kind, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
        values ('refund', v_allocation.org_id, v_allocation.user_id, p_call_id, refunded, v_given, v_given, p_actor, p_note);
      refundable := refundable - refunded;
      outcome := 'refunded';
    end
  $function$;
revoke execute on function tollgate.ledger_refund_call(uuid,numeric,character varying,text) from public;
grant execute on function tollgate.ledger_refund_call(uuid,numeric,character varying,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_see_limits(p_limits tollgate.limit_request[], p_least numeric, p_wanted numeric, p_now timestamp with time zone)
 RETURNS tollgate.limits_seen
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v limit_request;
      v_row ledger_limits;
      v_tightest ledger_limits;
      v_quota ledger_limits;
      v_left numeric;
      v_idle numeric;
      v_touched limit_use[] := '{}';
      v_bounds boolean := false;
      v_available numeric;
      v_if_idle numeric;
      v_has_call boolean := true;
      v_has_call_if_idle boolean := true;
      v_short_slice boolean := false;
      v_key_used numeric;
    begin
      foreach v in array array(
        select row(s.kind, s.id, s."window", s.starts, s.unit, s.limit_amount)::limit_request
        from (
          select t.*, coalesce(t.window_start, ledger_window_start_in(t."window", p_now, z.time_zone)) as starts
          from ledger_identity z, unnest(p_limits) as t) s
        order by s.kind, s.id, s.starts)
      loop
        -- What is only counted is nobody's lock.
        select * into v_row from ledger_limits l
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start and l.limit_amount is not null for update;
        if v.limit_amount is not null and v_row.limit_amount is distinct from v.limit_amount then
          insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), coalesce(v.unit, 'credits'), v.limit_amount)
            on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount
            returning * into v_row;
        elsif v_row.kind is null and ledger_is_sliced(v.kind) then
          -- The first one of its process in this window.
          insert into ledger_limits (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), 'credits', 0)
            on conflict (kind, id, window_start) do nothing;
          select * into v_row from ledger_limits l
            where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start for update;
        elsif v_row.kind is null then
          select * into v_row from ledger_limits l where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start;
        end if;
        if v.kind = 'key' then v_key_used := coalesce(v_row.used, 0); end if;
        v_touched := v_touched
          || row(v.kind, v.id, v.window_start, coalesce(v_row.unit, v.unit, 'credits'), v_row.limit_amount is null)::limit_use;
        continue when v_row.limit_amount is null;
        v_bounds := true;
        v_idle := v_row.limit_amount - v_row.used;
        v_left := v_idle - v_row.held;
        if v_row.unit = 'calls' then
          if v.kind = 'quota' and (v_quota.kind is null or (v_left, v_row.window_end) < (v_quota.limit_amount - v_quota.used - v_quota.held, v_quota.window_end)) then
            v_quota := v_row;
          end if;
          continue when v_left >= 1 and v_idle >= 1;
          v_has_call_if_idle := v_has_call_if_idle and v_idle >= 1;
          continue when not v_has_call;
          v_has_call := false;
          v_tightest := v_row;
        else
          v_if_idle := least(v_if_idle, v_idle);
          v_short_slice := v_short_slice or v_left < p_wanted and ledger_is_sliced(v.kind);
          continue when v_left >= v_available;
          v_available := v_left;
          if v_has_call then v_tightest := v_row; end if;
        end if;
      end loop;
      return row(v_touched, v_bounds, v_available,
        case when v_tightest.kind is not null and (not v_has_call or v_available < p_least + p_wanted)
          then ledger_show_limit(v_tightest, v_tightest.limit_amount - v_tightest.used - v_tightest.held, p_least) end,
        v_has_call, v_key_used, v_if_idle, v_has_call_if_idle,
        ledger_line(v_tightest.kind, v_tightest.id, v_tightest.window_start), v_short_slice,
        case when v_quota.kind is not null then ledger_show_limit(v_quota, v_quota.limit_amount - v_quota.used - v_quota.held - 1, 0) end);
    end
  $function$;
revoke execute on function tollgate.ledger_see_limits(tollgate.limit_request[],numeric,numeric,timestamp with time zone) from public;
grant execute on function tollgate.ledger_see_limits(tollgate.limit_request[],numeric,numeric,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_set_time_zone(p_zone character varying)
 RETURNS boolean
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform tollgate_now() at time zone p_zone;
      update ledger_identity set time_zone = p_zone where time_zone <> p_zone;
      return found;
    end
  $function$;
revoke execute on function tollgate.ledger_set_time_zone(character varying) from public;
grant execute on function tollgate.ledger_set_time_zone(character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_settle_dispute(p_call_id uuid, p_charge numeric, p_api_cost numeric, p_actor character varying, OUT outcome character varying, OUT charged numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_hold ledger_holds;
      v_row public.credit_usage_attribution;
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_difference numeric;
    begin
      perform ledger_check_amount(p_charge);
      if p_api_cost is null or p_api_cost = 'NaN' or p_api_cost < 0 then
        raise exception 'Invalid amount: the provider''s cost must not be negative, got %', p_api_cost using errcode = 'P0001';
      end if;
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      select * into v_row from public.credit_usage_attribution
        where call_id = p_call_id order by provenance = 'disputed' desc nulls last limit 1;
      if not found then outcome := 'unknown'; return; end if;
      v_allocation := (ledger_lock_and_refresh(v_row.org_id, v_row.user_id)).allocation;
      if v_hold.limits is not null then perform ledger_lock_limits(v_hold.limits); end if;

      -- A separate statement: one that waited for locks still reads other tables from its old snapshot.
      v_booked := ledger_booked(p_call_id);
      charged := v_booked.credits;
      if not v_booked.disputed then outcome := 'not_disputed'; return; end if;
      if 'dispute' = any(v_booked.corrected) then outcome := 'already_settled'; return; end if;
      v_difference := p_charge - charged;
      perform ledger_correct('dispute', v_difference, v_allocation,
        row(p_call_id, 'settled', v_row.org_id, v_row.user_id, p_charge, v_row.service_type, v_row.service_name,
          p_api_cost - v_booked.api_cost, v_difference / 1000 - (p_api_cost - v_booked.api_cost), v_row.request_id,
          v_row.request_metadata, v_row.source, v_row.provenance, 'dispute_settled',
          jsonb_build_object('settled_by', p_actor))::close_request,
        format('dispute settled by %s: the provider takes $%s', coalesce(p_actor, session_user), trim_scale(p_api_cost)));
      if v_hold.limits is not null then perform ledger_move_limits(v_hold.limits, 0, 0, v_difference, 0); end if;
      perform ledger_commit_durably();
      charged := round(p_charge, 6);
      outcome := 'settled';
    end
  $function$;
revoke execute on function tollgate.ledger_settle_dispute(uuid,numeric,numeric,character varying) from public;
grant execute on function tollgate.ledger_settle_dispute(uuid,numeric,numeric,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_show_limit(p_limit tollgate.ledger_limits, p_left numeric, p_least numeric)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
RETURN jsonb_build_object('kind', (p_limit).kind, 'id', (p_limit).id, 'unit', (p_limit).unit, 'amount', trim_scale((p_limit).limit_amount), 'left', trim_scale(GREATEST(p_left, (0)::numeric)), 'window_start', (p_limit).window_start, 'window_end', (p_limit).window_end, 'in_flight', (((p_limit).limit_amount - (p_limit).used) >= CASE (p_limit).unit WHEN 'calls'::text THEN (1)::numeric ELSE p_least END));
revoke execute on function tollgate.ledger_show_limit(tollgate.ledger_limits,numeric,numeric) from public;
grant execute on function tollgate.ledger_show_limit(tollgate.ledger_limits,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_show_quotas(p_limits tollgate.call_limits[], p_plan tollgate.hold_plan)
 RETURNS tollgate.hold_plan
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v record;
    begin
      for v in
        select distinct on (u.place) u.place, ledger_show_limit(u.of_limit, u.rest, 0) as shown
        from (
          select k.place, l.of_limit, l.rest - count(*) over (partition by t.kind, t.id, t.window_start order by k.place) as rest
          from generate_subscripts(p_limits, 1) as k(place)
          cross join lateral unnest(p_limits[k.place].touched) t
          cross join lateral (
            select o as of_limit, o.limit_amount - o.used - o.held as rest from ledger_limits o
            where o.kind = t.kind and o.id = t.id and o.window_start = t.window_start limit 1) l
          where p_plan.is_set[k.place] and p_plan.held[k.place] is not null and t.kind = 'quota' and not t.is_counted) u
        order by u.place, u.rest, (u.of_limit).window_end
      loop
        p_plan.limited_by[v.place] := v.shown;
      end loop;
      return p_plan;
    end
  $function$;
revoke execute on function tollgate.ledger_show_quotas(tollgate.call_limits[],tollgate.hold_plan) from public;
grant execute on function tollgate.ledger_show_quotas(tollgate.call_limits[],tollgate.hold_plan) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_shrink(p_call_id uuid, p_target numeric)
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_hold ledger_holds;
      v_locked record;
      v_less numeric;
    begin
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      v_less := v_hold.held_credits - p_target;
      if v_hold.state <> 'open' or v_less <= 0 then return v_hold.held_credits; end if;
      v_locked := ledger_lock_and_refresh(v_hold.org_id, v_hold.user_id);
      perform ledger_move(v_locked.allocation, -v_less, 0);
      if v_hold.limits is not null then
        perform ledger_lock_limits(v_hold.limits);
        perform ledger_move_limits(v_hold.limits, -v_less, 0, 0, 0);
      end if;
      update ledger_holds set held_credits = p_target where call_id = p_call_id;
      return p_target;
    end
  $function$;
revoke execute on function tollgate.ledger_shrink(uuid,numeric) from public;
grant execute on function tollgate.ledger_shrink(uuid,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_sql_session()
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN '00000000-0000-0000-0000-000000000000'::uuid;
revoke execute on function tollgate.ledger_sql_session() from public;
grant execute on function tollgate.ledger_sql_session() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_take_credits(p_org_id uuid, p_credits numeric, p_paid numeric, p_actor character varying, p_note text DEFAULT NULL::text)
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_pool public.organization_credit_pools; v_taken numeric;
    begin
      perform ledger_check_amount(p_credits);
      v_pool := (ledger_lock_and_refresh(p_org_id, null)).pool;
      v_taken := least(p_credits, coalesce(v_pool.total_credits - v_pool.allocated_credits, 0));
      update public.organization_credit_pools p
        set total_credits = p.total_credits - v_taken,
          lifetime_purchased_credits = greatest(p.lifetime_purchased_credits - v_taken, 0),
          lifetime_spent_amount = greatest(p.lifetime_spent_amount - p_paid, 0)
        where p.org_id = p_org_id;
      insert into ledger_journal (kind, org_id, pool_total, paid, actor, note)
        values ('refund', p_org_id, -v_taken, -p_paid, p_actor, p_note);
      return v_taken;
    end
  $function$;
revoke execute on function tollgate.ledger_take_credits(uuid,numeric,numeric,character varying,text) from public;
grant execute on function tollgate.ledger_take_credits(uuid,numeric,numeric,character varying,text) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_time_zone()
 RETURNS character varying
 LANGUAGE plpgsql
 STABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      return (select time_zone from ledger_identity);
    end
  $function$;
revoke execute on function tollgate.ledger_time_zone() from public;
grant execute on function tollgate.ledger_time_zone() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_window_end(p_window character varying, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN CASE WHEN (p_window IS NOT NULL) THEN (((tollgate.ledger_window_start(p_window, p_now) AT TIME ZONE tollgate.ledger_window_zone(p_window)) + CASE WHEN ((p_window)::text ~~ '%mo'::text) THEN make_interval(months => ("left"((p_window)::text, '-2'::integer))::integer) WHEN ((p_window)::text ~~ '%s'::text) THEN make_interval(secs => ("left"((p_window)::text, '-1'::integer))::double precision) ELSE (('1 '::text || (p_window)::text))::interval END) AT TIME ZONE tollgate.ledger_window_zone(p_window)) ELSE NULL::timestamp with time zone END;
revoke execute on function tollgate.ledger_window_end(character varying,timestamp with time zone) from public;
grant execute on function tollgate.ledger_window_end(character varying,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_window_start(p_window character varying, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN tollgate.ledger_window_start_in(p_window, p_now, tollgate.ledger_time_zone());
revoke execute on function tollgate.ledger_window_start(character varying,timestamp with time zone) from public;
grant execute on function tollgate.ledger_window_start(character varying,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_window_start_in(p_window character varying, p_now timestamp with time zone, p_zone character varying)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN CASE WHEN (p_window IS NULL) THEN tollgate.ledger_all_time() WHEN ((p_window)::text ~~ '%mo'::text) THEN ((date_trunc('month'::text, (p_now AT TIME ZONE p_zone)) - make_interval(months => (((((EXTRACT(year FROM (p_now AT TIME ZONE p_zone)) * (12)::numeric) + EXTRACT(month FROM (p_now AT TIME ZONE p_zone))) - (1)::numeric))::integer % ("left"((p_window)::text, '-2'::integer))::integer))) AT TIME ZONE p_zone) WHEN ((p_window)::text ~~ '%s'::text) THEN CASE WHEN ((("left"((p_window)::text, '-1'::integer))::integer % 86400) <> 0) THEN (date_bin(make_interval(secs => ("left"((p_window)::text, '-1'::integer))::double precision), (p_now AT TIME ZONE 'UTC'::text), '2001-01-01 00:00:00'::timestamp without time zone) AT TIME ZONE 'UTC'::text) ELSE (date_bin(make_interval(secs => ("left"((p_window)::text, '-1'::integer))::double precision), (p_now AT TIME ZONE p_zone), '2001-01-01 00:00:00'::timestamp without time zone) AT TIME ZONE p_zone) END ELSE date_trunc((p_window)::text, p_now, (p_zone)::text) END;
revoke execute on function tollgate.ledger_window_start_in(character varying,timestamp with time zone,character varying) from public;
grant execute on function tollgate.ledger_window_start_in(character varying,timestamp with time zone,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_window_zone(p_window character varying)
 RETURNS character varying
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN CASE WHEN (((p_window)::text ~~ '%s'::text) AND ((("left"((p_window)::text, '-1'::integer))::integer % 86400) <> 0)) THEN 'UTC'::character varying ELSE tollgate.ledger_time_zone() END;
revoke execute on function tollgate.ledger_window_zone(character varying) from public;
grant execute on function tollgate.ledger_window_zone(character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_allocation_used()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform outbox_note(case when new.used_credits >= new.allocated_credits then 'allocation.exhausted' else 'allocation.near_end' end,
        new.org_id, new.user_id, jsonb_build_object('allocated', trim_scale(new.allocated_credits)::text,
          'used', trim_scale(new.used_credits)::text, 'next_reset', new.next_reset_date));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $function$;
revoke execute on function tollgate.outbox_allocation_used() from public;
grant execute on function tollgate.outbox_allocation_used() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_balance_fell()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_left numeric := new.total_credits - new.used_credits;
    begin
      perform outbox_note(case when v_left <= 0 then 'balance.exhausted' else 'balance.low' end, new.org_id, null,
        jsonb_build_object('left', trim_scale(v_left)::text, 'low_at', trim_scale(new.low_balance_at)::text,
          'used', trim_scale(new.used_credits)::text));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $function$;
revoke execute on function tollgate.outbox_balance_fell() from public;
grant execute on function tollgate.outbox_balance_fell() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_charge_type(c public.credit_usage_attribution)
 RETURNS character varying
 LANGUAGE sql
 IMMUTABLE
RETURN CASE WHEN (((c).entry)::text = 'correction'::text) THEN 'charge.corrected'::text WHEN (((c).provenance)::text = 'disputed'::text) THEN 'charge.disputed'::text WHEN (((c).provenance)::text = 'recovered'::text) THEN 'charge.recovered'::text ELSE 'charge.created'::text END;
revoke execute on function tollgate.outbox_charge_type(public.credit_usage_attribution) from public;
grant execute on function tollgate.outbox_charge_type(public.credit_usage_attribution) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_find(p_source integer, p_row_id character varying)
 RETURNS SETOF tollgate.outbox_event
 LANGUAGE plpgsql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      if p_source = 1 then
        return query select m.* from ledger_journal j cross join lateral outbox_of_movement(j) m where j.id = p_row_id::bigint;
      elsif p_source = 2 then
        return query select c.* from public.credit_usage_attribution a cross join lateral outbox_of_charge(a) c where a.id = p_row_id::uuid;
      else
        return query select n.* from outbox_events o cross join lateral outbox_of_event(o) n where o.id = p_row_id::uuid;
      end if;
    end
  $function$;
revoke execute on function tollgate.outbox_find(integer,character varying) from public;
grant execute on function tollgate.outbox_find(integer,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_horizon()
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
RETURN ((SELECT ledger_identity.sequence_base FROM tollgate.ledger_identity) + ((pg_snapshot_xmin(pg_current_snapshot()))::text)::bigint);
revoke execute on function tollgate.outbox_horizon() from public;
grant execute on function tollgate.outbox_horizon() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_is_at_home(p_server bigint)
 RETURNS boolean
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    select i.server = p_server and i.sequence_base = (
      select substring(pg_get_expr(d.adbin, d.adrelid) from '[0-9]+')::bigint
      from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
      where d.adrelid = 'tollgate.outbox_events'::regclass and a.attname = 'sequence')
    from ledger_identity i
  $function$;
revoke execute on function tollgate.outbox_is_at_home(bigint) from public;
grant execute on function tollgate.outbox_is_at_home(bigint) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_limit_used()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_id uuid := case when new.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' then left(new.id, 36)::uuid end;
      v_org_id uuid;
      v_user_id varchar;
      v_name varchar;
      v_about varchar := case when new.kind = 'quota' then 'quota' when new.kind in ('run', 'run_calls') then 'run' else 'limit' end;
    begin
      if v_about = 'quota' then
        v_org_id := v_id;
        v_user_id := substring(new.id from '^[^/]+/(.*)/[^/]+$');
      else
        select w.org_id, w.user_id, w.name into v_org_id, v_user_id, v_name from (
          select r.org_id, r.user_id, r.name from runs r where v_about = 'run' and r.id = v_id
          union all select s.org_id, s.user_id, s.name from spenders s where s.id = v_id
          union all select k.org_id, k.user_id, k.name from api_keys k where k.id = v_id) w limit 1;
      end if;
      perform outbox_note(v_about || case when new.used >= new.limit_amount then '.reached' else '.near_end' end, v_org_id,
        v_user_id, jsonb_build_object('kind', new.kind, 'id', new.id, 'name', v_name, 'unit', new.unit,
          'amount', trim_scale(new.limit_amount)::text, 'used', trim_scale(new.used)::text, 'window_start', new.window_start,
          'window_end', new.window_end));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $function$;
revoke execute on function tollgate.outbox_limit_used() from public;
grant execute on function tollgate.outbox_limit_used() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_note(p_type character varying, p_org_id uuid, p_user_id character varying, p_data jsonb)
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$ insert into outbox_events (type, org_id, user_id, data) values (p_type, p_org_id, p_user_id, p_data) $function$;
revoke execute on function tollgate.outbox_note(character varying,uuid,character varying,jsonb) from public;
grant execute on function tollgate.outbox_note(character varying,uuid,character varying,jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_note_key(p_action character varying, p_subject character varying, p_actor character varying)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_parts text[] := string_to_array(p_subject, '/');
    begin
      if p_action = 'key.resealed' then return; end if;
      perform outbox_note('key.changed', case v_parts[1] when 'organization' then v_parts[2]::uuid
          when 'api_key' then (select k.org_id from api_keys k where k.id = v_parts[2]::uuid)
          when 'service_key' then (select k.org_id from api_keys k where k.kind = 'service_key' and k.name = v_parts[2] limit 1) end,
        null, jsonb_build_object('action', p_action, 'subject', p_subject, 'actor', p_actor));
    end
  $function$;
revoke execute on function tollgate.outbox_note_key(character varying,character varying,character varying) from public;
grant execute on function tollgate.outbox_note_key(character varying,character varying,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_note_unusual()
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_today date := (tollgate_now() at time zone 'UTC')::date;
      v_count bigint;
    begin
      if not pg_try_advisory_xact_lock(hashtext('tollgate.outbox_note_unusual')) then return 0; end if;
      insert into outbox_events (type, org_id, data, once_key)
        select 'spend.unusual', t.org_id, jsonb_build_object('day', v_today, 'spent', trim_scale(t.spent)::text,
          'usual', trim_scale(round(u.usual, 6))::text), 'spend.unusual/' || t.org_id || '/' || v_today
        from (
          select d.org_id, sum(d.credits) as spent from usage_by_organization d where d.day = v_today group by 1
          having sum(d.credits) >= 1000) t
        cross join lateral (
          select avg(p.spent) as usual, count(*) as days from (
            select sum(d.credits) as spent from usage_by_organization d
            where d.org_id = t.org_id and d.day >= v_today - 14 and d.day < v_today group by d.day having sum(d.credits) > 0) p) u
        where u.days >= 3 and t.spent > 3 * u.usual
        on conflict (once_key) where once_key is not null do nothing;
      get diagnostics v_count = row_count;
      return v_count;
    end
  $function$;
revoke execute on function tollgate.outbox_note_unusual() from public;
grant execute on function tollgate.outbox_note_unusual() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_of_charge(c public.credit_usage_attribution)
 RETURNS tollgate.outbox_event
 LANGUAGE sql
 STABLE
RETURN ROW((c).sequence, (2)::smallint, (((c).id)::text)::character varying, (((c).id)::text)::character varying, tollgate.outbox_charge_type(c), (c).org_id, ((c).user_id)::character varying, (c).created_at, ((c).credits_used)::numeric, jsonb_build_object('call_id', (c).call_id, 'cause', (c).cause, 'credits', (trim_scale((c).credits_used))::text, 'api_cost', (trim_scale((c).api_cost))::text, 'service_type', (c).service_type, 'model', (c).service_name, 'provider', ((c).details ->> 'provider'::text), 'key_id', ((c).details ->> 'key_id'::text), 'request_id', (c).request_id, 'source', (c).source, 'provenance', (c).provenance, 'outcome', (c).outcome, 'input_tokens', tollgate.usage_count((((c).details -> 'usage'::text) -> 'prompt_tokens'::text)), 'cached_tokens', tollgate.usage_count(((c).details #> '{usage,prompt_tokens_details,cached_tokens}'::text[])), 'output_tokens', tollgate.usage_count((((c).details -> 'usage'::text) -> 'completion_tokens'::text))))::tollgate.outbox_event;
revoke execute on function tollgate.outbox_of_charge(public.credit_usage_attribution) from public;
grant execute on function tollgate.outbox_of_charge(public.credit_usage_attribution) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_of_event(e tollgate.outbox_events)
 RETURNS tollgate.outbox_event
 LANGUAGE sql
 STABLE
RETURN ROW((e).sequence, (3)::smallint, (((e).id)::text)::character varying, (((e).id)::text)::character varying, ((e).type)::character varying, (e).org_id, ((e).user_id)::character varying, (e).created_at, NULL::numeric, (e).data)::tollgate.outbox_event;
revoke execute on function tollgate.outbox_of_event(tollgate.outbox_events) from public;
grant execute on function tollgate.outbox_of_event(tollgate.outbox_events) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_of_movement(j tollgate.ledger_journal)
 RETURNS tollgate.outbox_event
 LANGUAGE sql
 STABLE
RETURN ROW((j).sequence, (1)::smallint, (((j).id)::text)::character varying, (((('movement-'::text || (j).id) || '-'::text) || (SELECT "left"((i.ledger_id)::text, 8) AS "left" FROM tollgate.ledger_identity i)))::character varying, (('credits.'::text || (CASE (j).kind WHEN 'purchase'::text THEN 'purchased'::character varying WHEN 'allocate'::text THEN 'allocated'::character varying WHEN 'refresh'::text THEN 'refreshed'::character varying WHEN 'refund'::text THEN 'refunded'::character varying WHEN 'correction'::text THEN 'corrected'::character varying ELSE (j).kind END)::text))::character varying, (j).org_id, ((j).user_id)::character varying, (j).created_at, NULL::numeric, jsonb_build_object('call_id', (j).call_id, 'cause', (j).cause, 'pool_total', (trim_scale((j).pool_total))::text, 'pool_allocated', (trim_scale((j).pool_allocated))::text, 'allocation_allocated', (trim_scale((j).allocation_allocated))::text, 'allocation_used', (trim_scale((j).allocation_used))::text, 'paid', ((j).paid)::text, 'actor', (j).actor))::tollgate.outbox_event;
revoke execute on function tollgate.outbox_of_movement(tollgate.ledger_journal) from public;
grant execute on function tollgate.outbox_of_movement(tollgate.ledger_journal) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_read(p_sequence bigint, p_source integer, p_row_id character varying, p_sources integer[], p_org_id uuid, p_most integer)
 RETURNS SETOF tollgate.outbox_event
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET enable_sort TO 'off'
 SET jit TO 'off'
AS $function$
    declare
      v_horizon bigint := outbox_horizon();
      v_movement bigint := case p_source when 1 then p_row_id::bigint end;
      v_row uuid := case when p_source in (2, 3) then p_row_id::uuid end;
    begin
      return query
        select e.* from (
          (select m.* from (
              select j from ledger_journal j
              where 1 = any(p_sources) and j.sequence >= p_sequence and j.sequence < v_horizon
                and (j.sequence > p_sequence or p_source < 1 or p_source = 1 and j.id > v_movement)
                and (p_org_id is null or j.org_id = p_org_id)
              order by j.sequence, j.id limit p_most) r cross join lateral outbox_of_movement(r.j) m)
          union all
          (select c.* from (
              select a from public.credit_usage_attribution a
              where 2 = any(p_sources) and a.sequence >= p_sequence and a.sequence < v_horizon
                and (a.sequence > p_sequence or p_source < 2 or p_source = 2 and a.id > v_row)
                and (p_org_id is null or a.org_id = p_org_id)
              order by a.sequence, a.id limit p_most) r cross join lateral outbox_of_charge(r.a) c)
          union all
          (select n.* from (
              select o from outbox_events o
              where 3 = any(p_sources) and o.sequence >= p_sequence and o.sequence < v_horizon
                and (o.sequence > p_sequence or p_source < 3 or p_source = 3 and o.id > v_row)
                and (p_org_id is null or coalesce(o.org_id, '00000000-0000-0000-0000-000000000000') = p_org_id)
              order by o.sequence, o.id limit p_most) r cross join lateral outbox_of_event(r.o) n)) e
        order by e.sequence, e.source, case when e.source = 1 then e.row_id::bigint end, e.row_id
        limit p_most;
    end
  $function$;
revoke execute on function tollgate.outbox_read(bigint,integer,character varying,integer[],uuid,integer) from public;
grant execute on function tollgate.outbox_read(bigint,integer,character varying,integer[],uuid,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_send_again(p_consumer character varying, p_from timestamp with time zone, p_to timestamp with time zone, p_org_id uuid)
 RETURNS bigint
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_count bigint;
    begin
      insert into outbox_letters as t (consumer, event_id, org_id, source, row_id, type, state, was_sent)
        select c.name, e.event_id, coalesce(e.org_id, '00000000-0000-0000-0000-000000000000'), e.source, e.row_id, e.type, 'again', true
        from outbox_consumers c
        cross join lateral (
          select m.* from ledger_journal j cross join lateral outbox_of_movement(j) m
            where 1 = any(c.sources) and j.created_at >= p_from and j.created_at < p_to
          union all
          select m.* from public.credit_usage_attribution a cross join lateral outbox_of_charge(a) m
            where 2 = any(c.sources) and a.created_at >= p_from and a.created_at < p_to
          union all
          select m.* from outbox_events o cross join lateral outbox_of_event(o) m
            where 3 = any(c.sources) and o.created_at >= p_from and o.created_at < p_to) e
        where c.name = p_consumer and e.type like any (c.types) and coalesce(e.sequence, 0) <= c.sequence
          and (p_org_id is null or e.org_id = p_org_id)
        on conflict (consumer, event_id) do update
          set state = 'again', attempts = 0, since = tollgate_now(), next_attempt_at = tollgate_now(), last_error = null;
      get diagnostics v_count = row_count;
      return v_count;
    end
  $function$;
revoke execute on function tollgate.outbox_send_again(character varying,timestamp with time zone,timestamp with time zone,uuid) from public;
grant execute on function tollgate.outbox_send_again(character varying,timestamp with time zone,timestamp with time zone,uuid) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_set_low_balance()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_mark numeric := round(greatest(new.total_credits - new.used_credits, 0) * 0.2, 6);
    begin
      if tg_op = 'INSERT' or new.total_credits - new.used_credits > old.total_credits - old.used_credits then
        new.low_balance_at := case
          when tg_op = 'INSERT' or old.total_credits - old.used_credits <= old.low_balance_at then v_mark
          else greatest(old.low_balance_at, v_mark) end;
      end if;
      return new;
    end
  $function$;
revoke execute on function tollgate.outbox_set_low_balance() from public;
grant execute on function tollgate.outbox_set_low_balance() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.outbox_verify(p_consumer character varying)
 RETURNS TABLE(org_id uuid, day date, booked bigint, booked_credits numeric, sent bigint, sent_credits numeric, waiting bigint, waiting_credits numeric)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    with books as (
      select a.org_id, (a.created_at at time zone 'UTC')::date as day, count(*) as booked, sum(a.credits_used) as credits,
        count(*) filter (where w.waits) as waiting, coalesce(sum(a.credits_used) filter (where w.waits), 0) as waiting_credits
      from outbox_consumers c
      join public.credit_usage_attribution a on a.sequence > c.started_sequence and (a.sequence < c.sequence or a.sequence = c.sequence
        and case c.source when 1 then false when 2 then a.id <= c.row_id::uuid else true end)
      left join outbox_blocked b on b.consumer = c.name and b.org_id = a.org_id
      left join outbox_letters l on l.consumer = c.name and l.event_id = a.id::text and not l.was_sent
      cross join lateral (
        select l.event_id is not null or b.org_id is not null and (a.sequence > b.sequence or a.sequence = b.sequence
          and case b.source when 1 then true when 2 then a.id > b.row_id::uuid else false end) as waits) w
      where c.name = p_consumer and 2 = any(c.sources) and outbox_charge_type(a) like any (c.types)
      group by 1, 2),
    sums as (
      select s.org_id, s.day, s.charges, s.credits from outbox_sent s where s.consumer = p_consumer and s.charges > 0)
    select org_id, day, coalesce(b.booked, 0), coalesce(b.credits, 0), coalesce(s.charges, 0), coalesce(s.credits, 0),
      coalesce(b.waiting, 0), coalesce(b.waiting_credits, 0)
    from books b full join sums s using (org_id, day)
    where coalesce(b.booked, 0) <> coalesce(s.charges, 0) or coalesce(b.credits, 0) <> coalesce(s.credits, 0)
    order by day, org_id
  $function$;
revoke execute on function tollgate.outbox_verify(character varying) from public;
grant execute on function tollgate.outbox_verify(character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.plan_begins_or_ends()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      if tg_op = 'INSERT' or (old.status in ('active', 'trialing')) <> (new.status in ('active', 'trialing')) then
        perform ledger_lock_and_refresh(new.org_id, null);
      end if;
      return new;
    end
  $function$;
revoke execute on function tollgate.plan_begins_or_ends() from public;
grant execute on function tollgate.plan_begins_or_ends() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.pool_is_sound(p_total numeric, p_allocated numeric, p_used numeric, p_held numeric, p_overage numeric, p_monthly_refresh numeric, p_overage_limit numeric, p_purchased numeric, p_spent numeric)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    begin
      return p_allocated <= p_total
        and least(p_allocated, p_used, p_held, p_overage, p_monthly_refresh, p_overage_limit, p_purchased, p_spent) >= 0;
    end
  $function$;
revoke execute on function tollgate.pool_is_sound(numeric,numeric,numeric,numeric,numeric,numeric,numeric,numeric,numeric) from public;
grant execute on function tollgate.pool_is_sound(numeric,numeric,numeric,numeric,numeric,numeric,numeric,numeric,numeric) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.prune_idempotency_keys(p_most integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_gone integer;
    begin
      delete from idempotency_keys k using (
          select o.org_id, o.user_id, o.key from idempotency_keys o
          where o.created_at < tollgate_now() - interval '24 hours' and not exists (
            select 1 from ledger_holds h where h.call_id = o.call_id and h.state = 'open')
          order by o.created_at limit p_most for update skip locked) old
        where k.org_id = old.org_id and k.user_id = old.user_id and k.key = old.key;
      get diagnostics v_gone = row_count;
      return v_gone;
    end
  $function$;
revoke execute on function tollgate.prune_idempotency_keys(integer) from public;
grant execute on function tollgate.prune_idempotency_keys(integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      -- Functions that remove what is personal set this; what else they may not touch is refused row by row.
      if tg_op = 'UPDATE' and tg_level = 'STATEMENT' and current_setting('tollgate.rewriting', true) = 'on' then return null; end if;
      raise exception '% is append-only: write a new row that corrects the old one', tg_table_name
        using errcode = 'P0001';
    end
  $function$;
revoke execute on function tollgate.refuse_change() from public;
grant execute on function tollgate.refuse_change() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spender_limits_write(p_ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
        select t.kind, t.id::text, ledger_all_time(), 'credits', t.amount
        from (
          select s.kind, s.id, (
            select min((b ->> 'amount')::numeric) from jsonb_array_elements(s.budgets) b
            where b ->> 'window' is null and b ->> 'model' is null) as amount
          from spender_terms s
          where s.kind <> 'budget' and (s.id = any(p_ids) or exists (
            select from spenders n join spenders b on b.org_id = n.org_id and b.kind = 'budget' and b.name = n.budget
            where n.id = s.id and b.id = any(p_ids)))) t
        where t.amount is not null or exists (
          select from ledger_limits e where e.kind = t.kind and e.id = t.id::text and e.window_start = ledger_all_time())
        order by t.kind, t.id
        on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
          where l.limit_amount is distinct from excluded.limit_amount;
    end
  $function$;
revoke execute on function tollgate.spender_limits_write(uuid[]) from public;
grant execute on function tollgate.spender_limits_write(uuid[]) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spender_open(p_kind character varying, p_id uuid, p_window character varying, p_model text, p_credits numeric, p_source character varying)
 RETURNS numeric
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v_kind varchar := p_kind || case when p_model is null and p_window is null then '' else '_budget' end;
      v_id varchar := p_id || coalesce('/' || p_window, '') || coalesce(':' || p_model, '');
      v_start timestamptz := ledger_window_start(p_window, v_now);
      v_more numeric;
    begin
      if p_credits <= 0 then return 0; end if;
      insert into ledger_limits (kind, id, window_start, window_end)
        values (v_kind, v_id, v_start, ledger_window_end(p_window, v_now)) on conflict (kind, id, window_start) do nothing;
      -- Two that state it at once must not both add it.
      perform 1 from ledger_limits l where l.kind = v_kind and l.id = v_id and l.window_start = v_start for update;
      select p_credits - coalesce(sum(o.credits), 0) into v_more from ledger_openings o
        where o.kind = v_kind and o.limit_id = v_id and o.window_start = v_start and o.source = p_source;
      if v_more <= 0 then return 0; end if;
      insert into ledger_openings (kind, limit_id, window_start, credits, source) values (v_kind, v_id, v_start, v_more, p_source);
      update ledger_limits l set used = l.used + v_more where l.kind = v_kind and l.id = v_id and l.window_start = v_start;
      return v_more;
    end
  $function$;
revoke execute on function tollgate.spender_open(character varying,uuid,character varying,text,numeric,character varying) from public;
grant execute on function tollgate.spender_open(character varying,uuid,character varying,text,numeric,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spender_used(p_kind character varying, p_id uuid, p_budgets jsonb)
 RETURNS TABLE(model text, "window" character varying, amount numeric, used numeric, held numeric, window_end timestamp with time zone)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    select b.model, b."window", b.amount, coalesce(l.used, 0), coalesce(l.held, 0), ledger_window_end(b."window", tollgate_now())
    from (
      select 0 as place, null::text as model, null::varchar as "window", null::numeric as amount
      union all
      select e.place, e.b ->> 'model', e.b ->> 'window', (e.b ->> 'amount')::numeric
      from jsonb_array_elements(p_budgets) with ordinality as e(b, place)) b
    left join ledger_limits l
      on l.kind = p_kind || case when b.model is null and b."window" is null then '' else '_budget' end
        and l.id = p_id || coalesce('/' || b."window", '') || coalesce(':' || b.model, '')
        and l.window_start = ledger_window_start(b."window", tollgate_now())
    order by b.place
  $function$;
revoke execute on function tollgate.spender_used(character varying,uuid,jsonb) from public;
grant execute on function tollgate.spender_used(character varying,uuid,jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spender_view(p tollgate.spender_terms)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
RETURN jsonb_build_object('kind', (p).kind, 'id', (p).id, 'name', (p).name, 'budgets', (p).budgets, 'rpm', (p).requests_per_minute, 'tpm', (p).tokens_per_minute, 'parallel', (p).calls_at_once, 'models', to_jsonb((p).models), 'is_blocked', (p).is_blocked, 'aliases', ((p).settings -> 'aliases'::text), 'tags', ((p).settings -> 'tags'::text), 'soft', ((p).settings -> 'soft_budget'::text), 'model_rpm', ((p).settings -> 'model_rpm_limit'::text), 'model_tpm', ((p).settings -> 'model_tpm_limit'::text));
revoke execute on function tollgate.spender_view(tollgate.spender_terms) from public;
grant execute on function tollgate.spender_view(tollgate.spender_terms) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spenders_of_key(p_org_id uuid, p_key_id uuid)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (SELECT jsonb_agg(tollgate.spender_view(s.*) ORDER BY s.kind) AS jsonb_agg FROM (tollgate.spenders k JOIN tollgate.spender_terms s ON (((s.org_id = k.org_id) AND ((((s.kind)::text = 'key'::text) AND ((s.name)::text = (k.name)::text)) OR (((s.kind)::text = 'team'::text) AND ((s.name)::text = (k.team)::text)) OR (((s.kind)::text = 'team_member'::text) AND ((s.team)::text = (k.team)::text) AND ((s.user_id)::text = (k.user_id)::text)))))) WHERE ((k.org_id = spenders_of_key.p_org_id) AND ((k.kind)::text = 'key'::text) AND ((k.name)::text = (spenders_of_key.p_key_id)::text)));
revoke execute on function tollgate.spenders_of_key(uuid,uuid) from public;
grant execute on function tollgate.spenders_of_key(uuid,uuid) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.spenders_of_user(p_org_id uuid, p_user_id character varying)
 RETURNS jsonb
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (SELECT jsonb_agg(tollgate.spender_view(s.*) ORDER BY s.kind) AS jsonb_agg FROM tollgate.spender_terms s WHERE ((s.org_id = spenders_of_user.p_org_id) AND ((((s.kind)::text = 'user'::text) AND ((s.name)::text = (spenders_of_user.p_user_id)::text)) OR (((s.kind)::text = 'organization'::text) AND ((s.name)::text = (spenders_of_user.p_org_id)::text)))));
revoke execute on function tollgate.spenders_of_user(uuid,character varying) from public;
grant execute on function tollgate.spenders_of_user(uuid,character varying) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.store_idempotent_answer(p_org_id uuid, p_user_id character varying, p_key character varying, p_call_id uuid, p_status integer, p_headers jsonb, p_body bytea, p_keep integer)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      update idempotency_keys k set state = 'answered', status = p_status, headers = p_headers, body = p_body
        where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key and k.call_id = p_call_id;
      update idempotency_keys k set state = 'streamed', status = null, headers = null, body = null
        where k.org_id = p_org_id and k.user_id = p_user_id and k.key in (
          select a.key from idempotency_keys a
          where a.org_id = p_org_id and a.user_id = p_user_id and a.state = 'answered' and a.created_at <= (
            select n.created_at from idempotency_keys n
            where n.org_id = p_org_id and n.user_id = p_user_id and n.state = 'answered'
            order by n.created_at desc offset p_keep limit 1)
          for update skip locked);
    end
  $function$;
revoke execute on function tollgate.store_idempotent_answer(uuid,character varying,character varying,uuid,integer,jsonb,bytea,integer) from public;
grant execute on function tollgate.store_idempotent_answer(uuid,character varying,character varying,uuid,integer,jsonb,bytea,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.tollgate_now()
 RETURNS timestamp with time zone
 LANGUAGE sql
 PARALLEL SAFE
AS $function$ select pg_catalog.clock_timestamp() $function$;
comment on function tollgate.tollgate_now() is 'The one clock of money: leases, resets, refreshes, expiry.';
revoke execute on function tollgate.tollgate_now() from public;
grant execute on function tollgate.tollgate_now() to tollgate_app;
grant execute on function tollgate.tollgate_now() to tollgate_caller;

CREATE OR REPLACE FUNCTION tollgate.usage_add()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      insert into usage_deltas (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost,
          input_tokens, cached_tokens, output_tokens)
        select (c.created_at at time zone 'UTC')::date, c.org_id, c.user_id, c.service_type, coalesce(c.service_name, ''),
          left(coalesce(c.details ->> 'provider', ''), 100), left(coalesce(c.details ->> 'key_id', ''), 255),
          count(*) filter (where c.entry = 'charge'), count(*) filter (where c.outcome = 'failed'),
          sum(c.credits_used), sum(c.api_cost),
          sum(usage_count(c.details -> 'usage' -> 'prompt_tokens')),
          sum(usage_count(c.details #> '{usage,prompt_tokens_details,cached_tokens}')),
          sum(usage_count(c.details -> 'usage' -> 'completion_tokens'))
        from added c group by 1, 2, 3, 4, 5, 6, 7;
      return null;
    end
  $function$;
revoke execute on function tollgate.usage_add() from public;
grant execute on function tollgate.usage_add() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.usage_count(p_value jsonb)
 RETURNS numeric
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (jsonb_typeof(p_value) = 'number'::text) THEN (p_value)::numeric ELSE (0)::numeric END;
revoke execute on function tollgate.usage_count(jsonb) from public;
grant execute on function tollgate.usage_count(jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.usage_fold(p_most integer)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_moved bigint;
    begin
      if not pg_try_advisory_xact_lock(hashtext('tollgate.usage_fold')) then return 0; end if;
      with part as materialized (
          delete from usage_deltas where ctid = any(array(select d.ctid from usage_deltas d limit p_most)) returning *),
        by_user as (
          insert into usage_days as u (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost,
              input_tokens, cached_tokens, output_tokens)
            select day, org_id, user_id, service_type, model, provider, key_id, sum(calls), sum(failed_calls), sum(credits), sum(api_cost),
              sum(input_tokens), sum(cached_tokens), sum(output_tokens)
            from part group by 1, 2, 3, 4, 5, 6, 7
            on conflict (org_id, day, user_id, model, provider, service_type, key_id) do update
              set calls = u.calls + excluded.calls, failed_calls = u.failed_calls + excluded.failed_calls,
                credits = u.credits + excluded.credits, api_cost = u.api_cost + excluded.api_cost,
                input_tokens = u.input_tokens + excluded.input_tokens, cached_tokens = u.cached_tokens + excluded.cached_tokens,
                output_tokens = u.output_tokens + excluded.output_tokens),
        by_organization as (
          insert into usage_organization_days as u (day, org_id, service_type, model, provider, calls, failed_calls, credits, api_cost,
              input_tokens, cached_tokens, output_tokens)
            select day, org_id, service_type, model, provider, sum(calls), sum(failed_calls), sum(credits), sum(api_cost),
              sum(input_tokens), sum(cached_tokens), sum(output_tokens)
            from part group by 1, 2, 3, 4, 5
            on conflict (org_id, day, model, provider, service_type) do update
              set calls = u.calls + excluded.calls, failed_calls = u.failed_calls + excluded.failed_calls,
                credits = u.credits + excluded.credits, api_cost = u.api_cost + excluded.api_cost,
                input_tokens = u.input_tokens + excluded.input_tokens, cached_tokens = u.cached_tokens + excluded.cached_tokens,
                output_tokens = u.output_tokens + excluded.output_tokens)
        select count(*) into v_moved from part;
      return v_moved;
    end
  $function$;
revoke execute on function tollgate.usage_fold(integer) from public;
grant execute on function tollgate.usage_fold(integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.vault_key_changed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
      v_is jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
      v_subject_was varchar;
      v_subject_is varchar;
      v_saved varchar := coalesce(nullif(current_setting('tollgate.action', true), ''), 'key.saved');
    begin
      if tg_table_name = 'platform_settings' then
        if v_was ->> 'category' is distinct from 'api_keys' then v_was := null; end if;
        if v_is ->> 'category' is distinct from 'api_keys' then v_is := null; end if;
      end if;
      v_subject_was := concat_ws('/', tg_argv[0], v_was ->> tg_argv[1], v_was ->> tg_argv[2]);
      v_subject_is := concat_ws('/', tg_argv[0], v_is ->> tg_argv[1], v_is ->> tg_argv[2]);
      if v_was is not null and (v_is is null or v_subject_is <> v_subject_was) then
        perform vault_record('key.removed', v_subject_was, null);
      end if;
      if v_is is null then return null; end if;
      if v_was is null or v_subject_is <> v_subject_was or v_is -> tg_argv[3] is distinct from v_was -> tg_argv[3] then
        perform vault_record(v_saved, v_subject_is, jsonb_build_object('replaced', v_was is not null, 'enabled', v_is -> 'enabled'));
      elsif v_is -> 'enabled' is distinct from v_was -> 'enabled' then
        perform vault_record(case when (v_is ->> 'enabled')::boolean then 'key.enabled' else 'key.disabled' end, v_subject_is, null);
      end if;
      return null;
    end
  $function$;
revoke execute on function tollgate.vault_key_changed() from public;
grant execute on function tollgate.vault_key_changed() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.vault_keys_truncated()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$ begin perform vault_record('key.removed', 'all of ' || tg_table_name, null); return null; end $function$;
revoke execute on function tollgate.vault_keys_truncated() from public;
grant execute on function tollgate.vault_keys_truncated() to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.vault_record(p_action character varying, p_subject character varying, p_details jsonb)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare v_actor varchar := nullif(current_setting('tollgate.actor', true), '');
    begin
      insert into audit_log (action, subject, actor, ip, request_id, details) values (p_action, p_subject,
        left(coalesce(v_actor, 'sql:' || session_user), 255),
        case when v_actor is null then coalesce(host(inet_client_addr()), 'local')
          else left(nullif(current_setting('tollgate.ip', true), ''), 100) end,
        left(nullif(current_setting('tollgate.request_id', true), ''), 255), p_details);
      perform pg_notify('tollgate_vault', p_subject);
      perform outbox_note_key(p_action, p_subject, left(coalesce(v_actor, 'sql:' || session_user), 255));
    end
  $function$;
revoke execute on function tollgate.vault_record(character varying,character varying,jsonb) from public;
grant execute on function tollgate.vault_record(character varying,character varying,jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.vault_root_changed()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    begin
      perform vault_record(
        case when tg_op = 'DELETE' then 'root.removed' when tg_op = 'INSERT' then 'root.registered'
          when new.previous is not null then 'root.rotation_started' else 'root.rotation_finished' end,
        'root', jsonb_build_object('name', case when tg_op = 'DELETE' then old.name else new.name end,
          'previous', case when tg_op = 'UPDATE' then coalesce(new.previous, old.previous) end));
      return null;
    end
  $function$;
revoke execute on function tollgate.vault_root_changed() from public;
grant execute on function tollgate.vault_root_changed() to tollgate_app;


-- ---------- schema tollgate_whole ----------

create schema tollgate_whole;
comment on schema tollgate_whole is 'The public billing tables with whole credits, as Ops-Center documents them.';
grant usage on schema tollgate_whole to tollgate_caller;

create view tollgate_whole.credit_usage_attribution as
 SELECT id,
    org_id,
    user_id,
    allocation_id,
    ceil(credits_used)::bigint AS credits_used,
    service_type,
    service_name,
    api_cost,
    markup_applied,
    total_cost,
    request_id,
    request_metadata,
    created_at
   FROM public.credit_usage_attribution;
grant select on table tollgate_whole.credit_usage_attribution to tollgate_caller;

create view tollgate_whole.org_billing_summary as
 SELECT org_id,
    org_name,
    subscription_plan,
    monthly_price,
    subscription_status,
    floor(total_credits)::bigint AS total_credits,
    ceil(allocated_credits)::bigint AS allocated_credits,
    ceil(used_credits)::bigint AS used_credits,
    floor(available_credits)::bigint AS available_credits,
    lifetime_spent_amount,
    member_count,
    allocated_users_count
   FROM public.org_billing_summary;
grant select on table tollgate_whole.org_billing_summary to tollgate_caller;

create view tollgate_whole.organization_credit_pools as
 SELECT id,
    org_id,
    floor(total_credits)::bigint AS total_credits,
    ceil(allocated_credits)::bigint AS allocated_credits,
    ceil(used_credits)::bigint AS used_credits,
    floor(available_credits)::bigint AS available_credits,
    floor(monthly_refresh_amount)::bigint AS monthly_refresh_amount,
    last_refresh_date,
    next_refresh_date,
    allow_overage,
    floor(overage_limit)::bigint AS overage_limit,
    overage_rate,
    floor(lifetime_purchased_credits)::bigint AS lifetime_purchased_credits,
    lifetime_spent_amount,
    created_at,
    updated_at
   FROM public.organization_credit_pools;
grant select on table tollgate_whole.organization_credit_pools to tollgate_caller;

create view tollgate_whole.top_credit_users_by_org as
 SELECT org_id,
    user_id,
    ceil(total_credits_used)::bigint AS total_credits_used,
    request_count,
    services_used,
    last_usage
   FROM public.top_credit_users_by_org;
grant select on table tollgate_whole.top_credit_users_by_org to tollgate_caller;

create view tollgate_whole.user_credit_allocations as
 SELECT id,
    org_id,
    user_id,
    floor(allocated_credits)::bigint AS allocated_credits,
    ceil(used_credits)::bigint AS used_credits,
    floor(remaining_credits)::bigint AS remaining_credits,
    reset_period,
    last_reset_date,
    next_reset_date,
    is_active,
    allocated_by,
    notes,
    created_at,
    updated_at
   FROM public.user_credit_allocations;
grant select on table tollgate_whole.user_credit_allocations to tollgate_caller;

create view tollgate_whole.user_multi_org_credits as
 SELECT user_id,
    org_id,
    org_name,
    floor(allocated_credits)::bigint AS allocated_credits,
    ceil(used_credits)::bigint AS used_credits,
    floor(remaining_credits)::bigint AS remaining_credits,
    reset_period,
    next_reset_date,
    is_active
   FROM public.user_multi_org_credits;
grant select on table tollgate_whole.user_multi_org_credits to tollgate_caller;
