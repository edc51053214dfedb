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
  constraint credit_usage_attribution_pkey PRIMARY KEY (id),
  constraint credit_usage_attribution_call_id_cause_key UNIQUE (call_id, cause),
  constraint credit_usage_attribution_allocation_id_fkey FOREIGN KEY (allocation_id) REFERENCES public.user_credit_allocations(id) ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
  constraint credit_usage_attribution_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint credit_usage_attribution_cause_check CHECK (cause::text = ANY (ARRAY['call'::character varying, 'recovery'::character varying, 'dispute'::character varying]::text[])),
  constraint credit_usage_attribution_check CHECK ((entry::text = 'charge'::text) = (cause::text = 'call'::text)),
  constraint credit_usage_attribution_credits_used_check CHECK (credits_used >= 0::numeric),
  constraint credit_usage_attribution_entry_check CHECK (entry::text = ANY (ARRAY['charge'::character varying, 'correction'::character varying]::text[])),
  constraint credit_usage_attribution_provenance_check CHECK (provenance::text = ANY (ARRAY['provider_cost'::character varying, 'provider_usage'::character varying, 'estimated'::character varying, 'recovered'::character varying, 'disputed'::character varying]::text[])),
  constraint credit_usage_attribution_source_check CHECK (source::text = ANY (ARRAY['sql'::character varying, 'proxy'::character varying]::text[]))
);
CREATE INDEX idx_credit_usage_allocation_id ON public.credit_usage_attribution USING btree (allocation_id);
CREATE INDEX idx_credit_usage_created_at ON public.credit_usage_attribution USING btree (created_at);
CREATE INDEX idx_credit_usage_metadata_gin ON public.credit_usage_attribution USING gin (request_metadata) WHERE (request_metadata IS NOT NULL);
CREATE INDEX idx_credit_usage_org_id ON public.credit_usage_attribution USING btree (org_id);
CREATE INDEX idx_credit_usage_request_id ON public.credit_usage_attribution USING btree (org_id, request_id) WHERE (request_id IS NOT NULL);
CREATE INDEX idx_credit_usage_service_type ON public.credit_usage_attribution USING btree (service_type);
CREATE INDEX idx_credit_usage_user_id ON public.credit_usage_attribution USING btree (user_id);
CREATE TRIGGER credit_usage_attribution_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.credit_usage_attribution FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
comment on table public.credit_usage_attribution is 'The journal of charges: one row for each call and each deduct_credits, and corrections. Append-only.';
comment on column public.credit_usage_attribution.api_cost is 'Dollars the provider takes; of a disputed row, what it stated.';
comment on column public.credit_usage_attribution.call_id is 'Minted here: the billing key.';
comment on column public.credit_usage_attribution.cause is 'Why there is this row: the call itself, its recovery, or a dispute that was settled.';
comment on column public.credit_usage_attribution.details is 'Usage, rates, timing, who served it: what GET /v1/calls/{call_id} shows.';
comment on column public.credit_usage_attribution.outcome is 'How the call ended: answered, failed, disconnected ...';
comment on column public.credit_usage_attribution.request_id is 'As the caller sent it: recorded, not unique, never the billing key.';
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
  constraint organization_credit_pools_pkey PRIMARY KEY (id),
  constraint organization_credit_pools_org_id_key UNIQUE (org_id),
  constraint organization_credit_pools_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint organization_credit_pools_allocated_credits_check CHECK (allocated_credits >= 0::numeric),
  constraint organization_credit_pools_check CHECK (allocated_credits <= total_credits),
  constraint organization_credit_pools_held_credits_check CHECK (held_credits >= 0::numeric),
  constraint organization_credit_pools_lifetime_purchased_credits_check CHECK (lifetime_purchased_credits >= 0::numeric),
  constraint organization_credit_pools_lifetime_spent_amount_check CHECK (lifetime_spent_amount >= 0::numeric),
  constraint organization_credit_pools_monthly_refresh_amount_check CHECK (monthly_refresh_amount >= 0::numeric),
  constraint organization_credit_pools_overage_credits_check CHECK (overage_credits >= 0::numeric),
  constraint organization_credit_pools_overage_limit_check CHECK (overage_limit >= 0::numeric),
  constraint organization_credit_pools_total_credits_check CHECK (total_credits >= 0::numeric),
  constraint organization_credit_pools_used_credits_check CHECK (used_credits >= 0::numeric)
) with (fillfactor=70);
CREATE INDEX idx_org_credit_pools_org_id ON public.organization_credit_pools USING btree (org_id);
CREATE TRIGGER update_org_credit_pools_updated_at BEFORE UPDATE ON public.organization_credit_pools FOR EACH ROW WHEN (new.updated_at = old.updated_at) EXECUTE FUNCTION public.update_updated_at_column();
comment on table public.organization_credit_pools is 'An organization''s prepaid credits.';
comment on column public.organization_credit_pools.available_credits is 'What can still be handed to users.';
comment on column public.organization_credit_pools.held_credits is 'Set aside by running calls.';
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
CREATE INDEX idx_org_subs_plan ON public.organization_subscriptions USING btree (subscription_plan);
CREATE INDEX idx_org_subs_status ON public.organization_subscriptions USING btree (status);
CREATE INDEX idx_org_subs_stripe ON public.organization_subscriptions USING btree (stripe_subscription_id);
CREATE UNIQUE INDEX idx_org_subs_one_active ON public.organization_subscriptions USING btree (org_id) WHERE ((status)::text = 'active'::text);
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
  constraint organizations_pkey PRIMARY KEY (id),
  constraint organizations_name_key UNIQUE (name),
  constraint organizations_max_seats_check CHECK (max_seats >= 0),
  constraint organizations_status_check CHECK (status::text = ANY (ARRAY['active'::character varying, 'suspended'::character varying, 'deleted'::character varying]::text[]))
);
CREATE TRIGGER update_organizations_updated_at BEFORE UPDATE ON public.organizations FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
comment on table public.organizations is 'Who pays. An organization that has books is deactivated, never deleted.';
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
  constraint user_credit_allocations_allocated_credits_check CHECK (allocated_credits >= 0::numeric),
  constraint user_credit_allocations_held_credits_check CHECK (held_credits >= 0::numeric),
  constraint user_credit_allocations_margin_credits_check CHECK (margin_credits >= 0::numeric),
  constraint user_credit_allocations_reset_period_check CHECK (reset_period::text = ANY (ARRAY['daily'::character varying, 'weekly'::character varying, 'monthly'::character varying, 'never'::character varying]::text[])),
  constraint user_credit_allocations_used_credits_check CHECK (used_credits >= 0::numeric)
) with (fillfactor=70);
CREATE INDEX idx_user_credits_active ON public.user_credit_allocations USING btree (is_active);
CREATE INDEX idx_user_credits_org_id ON public.user_credit_allocations USING btree (org_id, user_id);
CREATE INDEX idx_user_credits_user_id ON public.user_credit_allocations USING btree (user_id, org_id);
CREATE TRIGGER update_user_credits_updated_at BEFORE UPDATE ON public.user_credit_allocations FOR EACH ROW WHEN (new.updated_at = old.updated_at) EXECUTE FUNCTION public.update_updated_at_column();
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
  key_used numeric
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
  limited_by jsonb[]
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
  limits tollgate.limit_request[]
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
  key_used numeric
);
comment on type tollgate.limits_seen is 'What a call alone finds out about its limits.';

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
  constraint ledger_holds_charged_credits_check CHECK (charged_credits >= 0::numeric),
  constraint ledger_holds_check CHECK ((state::text = 'open'::text) = (closed_at IS NULL)),
  constraint ledger_holds_checkpoint_api_cost_check CHECK (checkpoint_api_cost >= 0::numeric),
  constraint ledger_holds_checkpoint_credits_check CHECK (checkpoint_credits >= 0::numeric),
  constraint ledger_holds_held_credits_check CHECK (held_credits >= 0::numeric),
  constraint ledger_holds_input_credits_check CHECK (input_credits >= 0::numeric),
  constraint ledger_holds_margin_credits_check CHECK (margin_credits >= 0::numeric),
  constraint ledger_holds_state_check CHECK (state::text = ANY (ARRAY['open'::character varying, 'settled'::character varying, 'released'::character varying, 'recovered'::character varying]::text[]))
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
  constraint ledger_identity_pkey PRIMARY KEY (ledger_id),
  constraint ledger_identity_only_row_key UNIQUE (only_row),
  constraint ledger_identity_only_row_check CHECK (only_row)
);
comment on table tollgate.ledger_identity is 'One row. A settlement that was spooled for another ledger is refused by this id.';
grant select on table tollgate.ledger_identity to tollgate_app;

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
  constraint ledger_journal_pkey PRIMARY KEY (id),
  constraint ledger_journal_org_id_fkey FOREIGN KEY (org_id) REFERENCES public.organizations(id) ON DELETE RESTRICT,
  constraint ledger_journal_cause_check CHECK (cause::text = ANY (ARRAY['recovery'::character varying, 'dispute'::character varying]::text[])),
  constraint ledger_journal_check CHECK ((kind::text = 'correction'::text) = (cause IS NOT NULL)),
  constraint ledger_journal_kind_check CHECK (kind::text = ANY (ARRAY['purchase'::character varying, 'allocate'::character varying, 'reset'::character varying, 'refresh'::character varying, 'refund'::character varying, 'correction'::character varying]::text[]))
);
CREATE INDEX idx_ledger_journal_org_id ON tollgate.ledger_journal USING btree (org_id, created_at);
CREATE INDEX idx_ledger_journal_refund ON tollgate.ledger_journal USING btree (call_id) WHERE (((kind)::text = 'refund'::text) AND (call_id IS NOT NULL));
CREATE INDEX idx_ledger_journal_user ON tollgate.ledger_journal USING btree (user_id, created_at) WHERE (user_id IS NOT NULL);
CREATE UNIQUE INDEX idx_ledger_journal_correction ON tollgate.ledger_journal USING btree (call_id, cause) WHERE ((kind)::text = 'correction'::text);
CREATE TRIGGER ledger_journal_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON tollgate.ledger_journal FOR EACH STATEMENT EXECUTE FUNCTION tollgate.refuse_change();
CREATE TRIGGER ledger_journal_durable BEFORE INSERT ON tollgate.ledger_journal FOR EACH ROW EXECUTE FUNCTION tollgate.ledger_journal_durable();
comment on table tollgate.ledger_journal is 'Every movement of credits that is not a charge, by what it did to each balance, so that the audit can add them up. Append-only.';
comment on column tollgate.ledger_journal.cause is 'Of a correction: what made it necessary. At most one correction of a call for each.';
comment on column tollgate.ledger_journal.paid is 'Dollars, where money changed hands.';
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
  constraint ledger_limits_held_check CHECK (held >= 0::numeric),
  constraint ledger_limits_limit_amount_check CHECK (limit_amount >= 0::numeric),
  constraint ledger_limits_unit_check CHECK (unit::text = ANY (ARRAY['credits'::character varying, 'calls'::character varying]::text[])),
  constraint ledger_limits_used_check CHECK (used >= 0::numeric)
) with (fillfactor=70);
comment on table tollgate.ledger_limits is 'Every limit besides pool and allocation, one row a window: key budgets, teams, end users, call quotas.';
comment on column tollgate.ledger_limits.limit_amount is 'Null: no limit, only counted.';
comment on column tollgate.ledger_limits.unit is 'What is counted. ''calls'' counts one a call.';
comment on column tollgate.ledger_limits.window_end is 'When the next window begins; null where there is none, or nobody knows.';
comment on column tollgate.ledger_limits.window_start is 'When the window began; 1970-01-01 (ledger_all_time) where there are no windows.';
grant insert, select, update on table tollgate.ledger_limits to tollgate_app;

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
        -- Migrations and roles are the owner's.
        revoke execute on function tollgate.grant_roles() from tollgate_app;
        grant execute on function public.has_sufficient_credits(uuid, varchar, numeric),
          public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
          public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar),
          public.is_org_admin(uuid, varchar), public.update_updated_at_column() to tollgate_app;
        grant select, insert, update on public.organizations, public.organization_members, public.organization_subscriptions,
          public.organization_credit_pools, public.user_credit_allocations, public.org_billing_history, public.platform_settings,
          public.user_provider_keys, tollgate.organization_provider_keys, tollgate.vault_root, tollgate.api_keys,
          tollgate.idempotency_keys, tollgate.change_keys, tollgate.payments, tollgate.payment_disputes, tollgate.invitations, tollgate.ledger_holds, tollgate.ledger_limits, tollgate.ledger_processes,
          tollgate.sessions to tollgate_app;
        grant select, insert on public.credit_usage_attribution, tollgate.ledger_journal to tollgate_app;
        -- Written and pruned by functions that run with our rights: whoever takes the program over can neither forge nor remove an entry.
        grant select on tollgate.audit_log to tollgate_app;
        grant delete on public.organization_members, tollgate.change_keys, public.platform_settings, public.user_provider_keys, tollgate.organization_provider_keys,
          tollgate.idempotency_keys, tollgate.sessions to tollgate_app;
        grant select on public.org_billing_summary, public.user_multi_org_credits, public.top_credit_users_by_org,
          public.org_billing_metrics, tollgate.ledger_identity, tollgate.quote_secret, tollgate.migrations, tollgate.function_set to tollgate_app;
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
AS $function$
    with journal as (
      select j.org_id, sum(pool_total) as total, sum(pool_allocated) as allocated from ledger_journal j group by 1),
    user_journal as (
      select j.org_id, j.user_id, sum(allocation_allocated) as allocated, sum(allocation_used) as used
      from ledger_journal j where j.user_id is not null group by 1, 2),
    spent as (
      select c.org_id, c.user_id, sum(credits_used) as used from public.credit_usage_attribution c group by 1, 2),
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
      from public.credit_usage_attribution c where c.entry = 'correction'
      union all
      select j.org_id, j.user_id, j.call_id, j.cause, -j.allocation_allocated from ledger_journal j where j.kind = 'correction'),
    corrected as (
      select c.call_id, sum(c.credits) as credits, bool_or(c.cause = 'recovery') as was_recovered from correction c group by 1),
    touched as (
      select t.kind, t.id, t.window_start,
        case when h.state <> 'open' or t.is_counted then 0 when t.unit = 'calls' then 1 else h.held_credits end as held,
        case
          when h.state = 'open' then 0
          when t.unit is distinct from 'calls' then h.charged_credits + coalesce(c.credits, 0)
          when h.state = 'released' and c.was_recovered is not true then 0
          else 1 end as used
      from ledger_holds h
      cross join unnest(h.limits) t
      left join corrected c using (call_id)),
    counted as (select t.kind, t.id, t.window_start, sum(t.held) as held, sum(t.used) as used from touched t group by 1, 2, 3),
    disputed as (
      select distinct c.call_id from public.credit_usage_attribution c where c.provenance = 'disputed' and c.cause <> 'dispute'),
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
      select 'limit.used is not the sum of the charges', null, l.id, null, l.used, coalesce(t.used, 0)
      from ledger_limits l left join counted t using (kind, id, window_start)
      union all
      select 'a closed hold is not charged what its rows say', h.org_id, h.user_id, h.call_id, h.charged_credits, c.credits_used
      from ledger_holds h left join public.credit_usage_attribution c on c.call_id = h.call_id and c.entry = 'charge'
      where h.state <> 'open'
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
      select 'credits and dollars of a charge differ', c.org_id, c.user_id, c.call_id, c.credits_used / 1000, c.total_cost
      from public.credit_usage_attribution c where c.source = 'proxy' and c.credits_used > 0)
    select f.finding, f.org_id, f.user_id, f.call_id, f.stored, f.recomputed from findings f
    where f.stored is distinct from f.recomputed
  $function$;
revoke execute on function tollgate.ledger_audit() from public;
grant execute on function tollgate.ledger_audit() to tollgate_app;

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
    begin
      perform ledger_commit_durably();
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
            where u.id = v.allocation_id)
        insert into public.credit_usage_attribution (
            id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (p_call.call_id, p_call.call_id, p_call.org_id, p_call.user_id, v.allocation_id, p_call.charge, p_call.service_type,
            p_call.service_name, p_call.api_cost, p_call.markup, p_call.request_id, p_call.metadata, p_call.source,
            p_call.provenance, p_call.outcome, p_call.details);
      if v.limits is not null then
        if cardinality(v.limits) > 1 then perform ledger_lock_limits(v.limits); end if;
        key_used := ledger_move_limits(v.limits, -v.released, -1, p_call.charge, case p_call.state when 'released' then 0 else 1 end);
      end if;
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
      v_is_near boolean[];
      v_is_kept_out boolean[];
      v_calls integer[];
      v_places integer[];
      v_use integer := 1;
      v_first integer;
      v_limit integer;
      v_none_left integer;
      v_tightest integer;
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
          array_agg(l.rest < case l.unit when 'calls' then n.calls else n.credits end)
        into v_kinds, v_ids, v_starts, v_by_call, v_left, v_is_near
        from (
          select u.kind, u.id, u.window_start, count(*) as calls, sum(u.wanted) as credits
          from unnest(v_uses) u group by 1, 2, 3 order by 1, 2, 3 offset 0) n
        cross join lateral (
          select l.unit, l.limit_amount - l.used - l.held as rest from ledger_limits l
          where l.kind = n.kind and l.id = n.id and l.window_start = n.window_start limit 1 for update) l;
      if not true = any(v_is_near) then return p_plan; end if;

      select array_agg(u.call order by u.call, u.place), array_agg(u.place order by u.call, u.place) into v_calls, v_places
        from (
          select u.call, dense_rank() over (order by u.kind, u.id, u.window_start)::integer as place
          from unnest(v_uses) u) u;
      v_is_kept_out := array_fill(false, array[cardinality(v_left)]);
      for i in 1 .. cardinality(p_calls) loop
        v_first := v_use;
        v_none_left := null;
        v_tightest := null;
        v_is_later := not p_plan.is_set[i] or coalesce(p_plan.payers[i] = v_later_payer, false);
        while v_calls[v_use] = i loop
          v_limit := v_places[v_use];
          v_is_later := v_is_later or v_is_kept_out[v_limit];
          if v_by_call[v_limit] then
            if v_left[v_limit] < 1 then v_none_left := coalesce(v_none_left, v_limit); end if;
          elsif v_tightest is null or v_left[v_limit] < v_left[v_tightest] then
            v_tightest := v_limit;
          end if;
          v_use := v_use + 1;
        end loop;

        if v_is_later then
          p_plan.is_set[i] := false;
          v_later_payer := p_plan.payers[i];
          for u in v_first .. v_use - 1 loop
            v_is_kept_out[v_places[u]] := v_is_near[v_places[u]];
          end loop;
        elsif v_none_left is not null or v_left[v_tightest] < p_calls[i].input + p_calls[i].min_output then
          v_limit := coalesce(v_none_left, v_tightest);
          p_plan.held[i] := null;
          p_plan.available[i] := greatest(coalesce(v_left[v_tightest], 0), 0);
          p_plan.limited_by[i] := (
            select ledger_show_limit(l, v_left[v_limit]) from ledger_limits l
            where l.kind = v_kinds[v_limit] and l.id = v_ids[v_limit] and l.window_start = v_starts[v_limit]);
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
      v_plan hold_plan;
      v_in_set integer;
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

      -- In the order in which they are served.
      select array_agg(k.ordinality order by k.org_id, k.user_id, k.ordinality) into v_ordinals
        from unnest(v_calls) with ordinality as k;
      v_calls := array(select v_calls[o.ordinal] from unnest(v_ordinals) with ordinality as o(ordinal, place) order by o.place);
      select array_agg(row(t.touched, t.key_used)::call_limits order by k.ordinality), coalesce(bool_or(t.bounds), false),
          coalesce(bool_or(t.is_new), false)
        into v_limits, v_bounds, v_is_new
        from unnest(v_calls) with ordinality as k
        cross join lateral (
          select array_agg(row(u.kind, u.id, u.window_start, coalesce(l.unit, u.unit, 'credits'),
              coalesce(u.limit_amount, l.limit_amount) is null)::limit_use) as touched,
            max(coalesce(l.used, 0)) filter (where u.kind = 'key') as key_used,
            bool_or(coalesce(u.limit_amount, l.limit_amount) is not null) as bounds,
            bool_or(u.limit_amount is not null and l.limit_amount is distinct from u.limit_amount) as is_new
          from (
            select r.kind, r.id, coalesce(r.window_start, ledger_window_start(r."window", v_now)) as window_start, r.unit, r.limit_amount
            from unnest(k.limits) r) u
          left join lateral (
            select l.used, l.unit, l.limit_amount from ledger_limits l
            where l.kind = u.kind and l.id = u.id and l.window_start = u.window_start limit 1) l on true) t;

      select array_agg(j.allocation_id order by j.place), array_agg(j.payer order by j.place),
          array_agg(j.is_far order by j.place), array_agg(j.free order by j.place),
          array_agg(case when j.is_far then j.wanted end order by j.place)
        into v_plan.allocations, v_plan.payers, v_plan.is_set, v_plan.free, v_plan.held
        from (
          -- After one that is not far, no later one of its allocation is.
          select f.*, bool_and(f.is_far_itself) over (partition by f.payer order by f.place) as is_far
          from (
            select a.*, coalesce(a.is_usual and case
                when not a.allow_overage then least(a.free - a.held_by_user, a.pool_free - a.held_by_org) >= a.margin_by_user
                when a.overage_limit is null then true
                else a.free - a.held_by_user >= a.margin_by_user and a.overage_credits <= a.overage_limit
              end, false) as is_far_itself
            from (
              select k.ordinality as place, a.id as allocation_id, a.allocated_credits - a.used_credits - a.held_credits as free,
                dense_rank() over (order by k.org_id, k.user_id) as payer,
                k.input + k.output as wanted,
                sum(k.input + k.output) over (partition by k.org_id) as held_by_org,
                sum(k.input + k.output) over (partition by k.org_id, k.user_id) as held_by_user,
                a.margin_credits + sum(k.margin) over (partition by k.org_id, k.user_id) as margin_by_user,
                p.total_credits - p.used_credits - p.held_credits as pool_free,
                p.allow_overage, p.overage_limit, p.overage_credits,
                k.min_output <= k.output and o.status = 'active' and a.is_active and p.org_id is not null and h.call_id is null
                  and c.call_id is null as is_usual
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
        select v_ordinals[s.place], case when s.held is null then 'limit' else 'held' end::varchar, s.held,
          case when s.held is not null then s.input end, case when s.held is null then s.input + s.min_output end,
          v_plan.available[s.place], s.free - coalesce(sum(s.held) over (partition by s.allocation_id order by s.place), 0),
          v_plan.limited_by[s.place], s.key_used
        from planned s;
      get diagnostics v_in_set = row_count;
      if v_in_set = v_count then return; end if;

      for v in
        select k.place from unnest(v_plan.is_set) with ordinality as k(is_set, place) where not k.is_set order by k.place
      loop
        return query select v_ordinals[v.place], h.* from ledger_hold_one(p_owner, v_calls[v.place]) h;
      end loop;
    end
  $function$;
revoke execute on function tollgate.ledger_hold_batch(uuid,jsonb) from public;
grant execute on function tollgate.ledger_hold_batch(uuid,jsonb) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_hold_one(p_owner uuid, p_call tollgate.hold_request, OUT outcome character varying, OUT held numeric, OUT input numeric, OUT required numeric, OUT available numeric, OUT remaining numeric, OUT limited_by jsonb, OUT key_used numeric)
 RETURNS record
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_status varchar;
      v_known record;
      v_limits limits_seen;
      v_free numeric;
      v_unheld numeric;
      v_available numeric;
      v_margin numeric := 0;
      v_if_idle numeric;
      v_full numeric;
    begin
      if p_owner <> ledger_sql_session() then
        if not ledger_lease_is_valid(p_owner, v_now) then outcome := 'no_lease'; return; end if;
        perform set_config('synchronous_commit', 'off', true);
      end if;
      for i in 1 .. 3 loop
        select p.total_credits, p.allocated_credits as pool_allocated, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit,
            p.overage_credits, a.id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits, a.margin_credits,
            coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due,
            case when a.follows_pool and a.is_active then greatest(p_call.input, p_call.input_bytes) + p_call.output + a.margin_credits
              - (a.allocated_credits - a.used_credits - a.held_credits) else 0 end as short
          into v
          from public.organization_credit_pools p
          join public.user_credit_allocations a on a.org_id = p.org_id
          where p.org_id = p_call.org_id and a.user_id = p_call.user_id
          for update of p, a;
        if not found then outcome := 'no_allocation'; return; end if;
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
      -- A separate statement: one that waited for locks still reads other tables from its old snapshot.
      select o.status into v_status from public.organizations o where o.id = p_call.org_id;
      if p_call.limits is not null then
        v_limits := ledger_see_limits(p_call.limits, v_now);
        key_used := v_limits.key_used;
      end if;

      if not v.is_active then
        outcome := 'no_allocation';
      elsif v_status <> 'active' then
        outcome := 'suspended';
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

      if outcome = 'held' then
        v_margin := greatest(p_call.input_bytes - input, 0) + case
          when held = input + p_call.output then coalesce(p_call.step, 0)
          when held < v_full then least(p_call.uncertain, input + p_call.output - held)
          else 0 end;
        -- Under the pool's lock: the same call may be sent again while the first one still runs, or after it was closed.
        insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, margin_credits, limits,
            context, service_type, service_name, request_id)
          select p_call.call_id, p_owner, p_call.org_id, p_call.user_id, v.id, held, input, v_margin, v_limits.touched,
            case when held < v_full and held < input + p_call.output and p_call.uncertain > 0
              then coalesce(p_call.context, '{}') || '{"unheld": true}' else p_call.context end,
            p_call.service_type, p_call.service_name, p_call.request_id
          where not exists (select 1 from public.credit_usage_attribution c where c.call_id = p_call.call_id)
          on conflict (call_id) do nothing;
        if found then
          required := null;
          available := null;
          remaining := v_free - held;
          if v_limits.bounds then perform ledger_move_limits(v_limits.touched, held, 1, 0, 0); end if;
          if held > 0 or v_margin > 0 then
            with pool as (
              update public.organization_credit_pools o
                set held_credits = o.held_credits + held, updated_at = v_now,
                  overage_credits = o.overage_credits + greatest(held - v_free, 0) - greatest(-v_free, 0)
                where o.org_id = p_call.org_id)
            update public.user_credit_allocations u
              set held_credits = u.held_credits + held, margin_credits = u.margin_credits + v_margin, updated_at = v_now
              where u.id = v.id;
          end if;
          return;
        end if;
      end if;

      -- Refused, unless the same call was held before.
      select h.state, h.held_credits, h.input_credits into v_known from ledger_holds h where h.call_id = p_call.call_id;
      if found or exists (select 1 from public.credit_usage_attribution c where c.call_id = p_call.call_id) then
        outcome := case v_known.state when 'open' then 'held' else 'closed' end;
        held := v_known.held_credits;
        input := v_known.input_credits;
        required := null;
        available := null;
        limited_by := null;
        return;
      end if;
      held := null;
      input := null;
    end
  $function$;
revoke execute on function tollgate.ledger_hold_one(uuid,tollgate.hold_request) from public;
grant execute on function tollgate.ledger_hold_one(uuid,tollgate.hold_request) to tollgate_app;

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
    declare
      v record;
      v_used numeric;
      v_key_used numeric;
    begin
      for v in
        select t.kind, t.id, t.window_start, not t.is_counted as is_held from unnest(p_limits) as t
      loop
        -- Nothing is held of what is only counted.
        if not v.is_held and p_used = 0 and p_calls_used = 0 then
          if v.kind = 'key' then
            v_key_used := coalesce((
              select l.used from ledger_limits l where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start), 0);
          end if;
          continue;
        end if;
        update ledger_limits l
          set held = l.held + case when v.is_held then case l.unit when 'calls' then p_calls_held else p_held end else 0 end,
            used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start
          returning l.used into v_used;
        if not found then
          -- Only counted until now. Never negative: what is given back was counted, so the row exists.
          insert into ledger_limits as l (kind, id, window_start, used)
            values (v.kind, v.id, v.window_start, greatest(p_used, 0))
            on conflict (kind, id, window_start) do update set used = l.used + p_used
            returning used into v_used;
        end if;
        if v.kind = 'key' then v_key_used := v_used; end if;
      end loop;
      return v_key_used;
    end
  $function$;
revoke execute on function tollgate.ledger_move_limits(tollgate.limit_use[],numeric,integer,numeric,integer) from public;
grant execute on function tollgate.ledger_move_limits(tollgate.limit_use[],numeric,integer,numeric,integer) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_next_date(p_period character varying, p_from timestamp with time zone, p_now timestamp with time zone, p_created timestamp with time zone DEFAULT NULL::timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE plpgsql
 IMMUTABLE
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v_from timestamp := p_from at time zone 'UTC';
      v_now timestamp := p_now at time zone 'UTC';
      v_months integer;
      v_day integer := extract(day from p_created at time zone 'UTC');
    begin
      if p_period = 'daily' or p_period = 'weekly' then
        return (v_from + make_interval(days => (case p_period when 'daily' then 1 else 7 end) *
          (floor(extract(epoch from v_now - v_from) / (case p_period when 'daily' then 86400 else 604800 end))::integer + 1)))
          at time zone 'UTC';
      elsif p_period = 'monthly' then
        if v_day > extract(day from v_from) and extract(day from v_from + interval '1 day') = 1 then
          v_from := date_trunc('year', v_from) + make_interval(days => v_day - 1) + v_from::time;
        end if;
        v_months := greatest(0, (extract(year from age(v_now, v_from)) * 12 + extract(month from age(v_now, v_from)))::integer);
        while v_from + make_interval(months => v_months) <= v_now loop
          v_months := v_months + 1;
        end loop;
        return (v_from + make_interval(months => v_months)) at time zone 'UTC';
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
              'key_id', h.context -> 'key_id', 'recovered_from', h.owner))),
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

CREATE OR REPLACE FUNCTION tollgate.ledger_see_limits(p_limits tollgate.limit_request[], p_now timestamp with time zone)
 RETURNS tollgate.limits_seen
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'tollgate', 'pg_temp'
AS $function$
    declare
      v record;
      v_row ledger_limits;
      v_left numeric;
      v_seen limits_seen := row('{}', false, null, null, true, null);
    begin
      for v in
        select t.kind, t.id, coalesce(t.window_start, ledger_window_start(t."window", p_now)) as window_start, t."window", t.unit,
          t.limit_amount
        from unnest(p_limits) as t order by 1, 2, 3
      loop
        -- Not locked before it is known to bound something: what is only counted is nobody's lock.
        select * into v_row from ledger_limits l
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start;
        if v_row.limit_amount is not null then
          select * into v_row from ledger_limits l
            where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start for update;
        end if;
        if v.limit_amount is not null and v_row.limit_amount is distinct from v.limit_amount then
          insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), coalesce(v.unit, 'credits'), v.limit_amount)
            on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount
            returning * into v_row;
        end if;
        if v.kind = 'key' then v_seen.key_used := coalesce(v_row.used, 0); end if;
        v_seen.touched := v_seen.touched
          || row(v.kind, v.id, v.window_start, coalesce(v_row.unit, v.unit, 'credits'), v_row.limit_amount is null)::limit_use;
        continue when v_row.limit_amount is null;
        v_seen.bounds := true;
        v_left := v_row.limit_amount - v_row.used - v_row.held;
        if v_row.unit = 'calls' then
          if v_left < 1 and v_seen.has_call then
            v_seen.has_call := false;
            v_seen.limited_by := ledger_show_limit(v_row, v_left);
          end if;
        elsif v_seen.available is null or v_left < v_seen.available then
          v_seen.available := v_left;
          if v_seen.has_call then v_seen.limited_by := ledger_show_limit(v_row, v_left); end if;
        end if;
      end loop;
      return v_seen;
    end
  $function$;
revoke execute on function tollgate.ledger_see_limits(tollgate.limit_request[],timestamp with time zone) from public;
grant execute on function tollgate.ledger_see_limits(tollgate.limit_request[],timestamp with time zone) to tollgate_app;

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

CREATE OR REPLACE FUNCTION tollgate.ledger_show_limit(p_limit tollgate.ledger_limits, p_left numeric)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
RETURN jsonb_build_object('kind', (p_limit).kind, 'id', (p_limit).id, 'unit', (p_limit).unit, 'amount', trim_scale((p_limit).limit_amount), 'left', trim_scale(GREATEST(p_left, (0)::numeric)), 'window_end', (p_limit).window_end);
revoke execute on function tollgate.ledger_show_limit(tollgate.ledger_limits,numeric) from public;
grant execute on function tollgate.ledger_show_limit(tollgate.ledger_limits,numeric) to tollgate_app;

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

CREATE OR REPLACE FUNCTION tollgate.ledger_window_end(p_window character varying, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (p_window IS NOT NULL) THEN ((date_trunc((p_window)::text, (p_now AT TIME ZONE 'UTC'::text)) + (('1 '::text || (p_window)::text))::interval) AT TIME ZONE 'UTC'::text) ELSE NULL::timestamp with time zone END;
revoke execute on function tollgate.ledger_window_end(character varying,timestamp with time zone) from public;
grant execute on function tollgate.ledger_window_end(character varying,timestamp with time zone) to tollgate_app;

CREATE OR REPLACE FUNCTION tollgate.ledger_window_start(p_window character varying, p_now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN (p_window IS NULL) THEN tollgate.ledger_all_time() ELSE (date_trunc((p_window)::text, (p_now AT TIME ZONE 'UTC'::text)) AT TIME ZONE 'UTC'::text) END;
revoke execute on function tollgate.ledger_window_start(character varying,timestamp with time zone) from public;
grant execute on function tollgate.ledger_window_start(character varying,timestamp with time zone) to tollgate_app;

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
      raise exception '% is append-only: write a new row that corrects the old one', tg_table_name
        using errcode = 'P0001';
    end
  $function$;
revoke execute on function tollgate.refuse_change() from public;
grant execute on function tollgate.refuse_change() to tollgate_app;

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
