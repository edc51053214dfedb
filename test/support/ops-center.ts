/**
 * A database as Ops-Center makes one: its tables and its functions with their defects (the same request is deducted again, nobody asks
 * the pool, nothing keeps `used` and rows together), in our own words. `drifted`: as deployed ones became, with text ids, floats, NULLs
 * and no constraints.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, inject } from 'vitest'
import { queryOnce } from './empty-database.ts'
import { urlOfDatabase } from './global-database.ts'

export interface OpsCenter {
  readonly url: string
  query(statement: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** Every row of every table, to compare. */
  everything(): Promise<unknown>
}

/** Call it at the top of a test file. */
export function useOpsCenter(fill: string, { drifted = false } = {}): OpsCenter {
  const server = inject('databaseServer').url
  const name = `unicorn_${randomUUID().replaceAll('-', '')}`
  const url = urlOfDatabase(server, name)
  beforeAll(async () => {
    await queryOnce(server, `create database ${name}`)
    await queryOnce(url, schema(drifted))
    await queryOnce(url, fill)
  })
  afterAll(() => queryOnce(server, `drop database if exists ${name} with (force)`))
  return {
    url,
    query: (statement, values) => queryOnce(url, statement, values),
    async everything() {
      const tables = await queryOnce<{ name: string }>(
        url,
        "select table_name as name from information_schema.tables where table_schema = 'public' order by 1",
      )
      return Promise.all(
        tables.map(async (table) => [
          table.name,
          await queryOnce(url, `select t::text as row from ${table.name} t order by 1`),
        ]),
      )
    },
  }
}

function schema(drifted: boolean): string {
  const id = drifted ? 'varchar(60)' : 'uuid'
  const made = drifted ? '' : 'default gen_random_uuid()'
  const credits = drifted ? 'double precision' : 'bigint not null default 0'
  const organization = drifted ? `${id}` : `${id} not null references organizations(id) on delete cascade`
  const check = (text: string) => (drifted ? '' : `check (${text})`)
  return `
create table organizations (
  id ${id} ${made} primary key, name varchar(200) ${drifted ? '' : 'unique not null'}, display_name varchar(200), logo_url text,
  created_at timestamptz default now(), updated_at timestamptz default now(), plan_tier varchar(50) default 'founders_friend',
  max_seats int default 1, lago_customer_id varchar(255), stripe_customer_id varchar(255),
  status varchar(20) default 'active' ${check("status in ('active', 'suspended', 'deleted')")});
create table organization_members (
  id ${id} ${made}, org_id ${organization}, user_id varchar(255) ${drifted ? '' : 'not null'}, role varchar(20) default 'member',
  joined_at timestamptz default now(), unique (org_id, user_id));
create table organization_subscriptions (
  id ${id} ${made} primary key, org_id ${organization},
  subscription_plan varchar(50) ${check("subscription_plan in ('platform', 'byok', 'hybrid')")}, monthly_price decimal(10,2) default 0,
  billing_cycle varchar(20) default 'monthly', lago_subscription_id varchar(255), stripe_subscription_id varchar(255),
  status varchar(50) default 'active' ${check("status in ('active', 'trialing', 'past_due', 'canceled', 'paused')")},
  trial_ends_at timestamptz, current_period_start timestamptz default now(), current_period_end timestamptz, canceled_at timestamptz,
  created_at timestamptz default now(), updated_at timestamptz default now());
create unique index idx_org_subs_one_active on organization_subscriptions (org_id) where status = 'active';
create table organization_credit_pools (
  id ${id} ${made} primary key, org_id ${organization} unique, total_credits ${credits}, allocated_credits ${credits},
  used_credits ${credits}, available_credits ${drifted ? 'double precision' : 'bigint'} generated always as (total_credits - allocated_credits) stored,
  monthly_refresh_amount ${credits}, last_refresh_date timestamptz default now(), next_refresh_date timestamptz,
  allow_overage boolean default false, overage_limit bigint default 0, overage_rate decimal(10,6) default 0,
  lifetime_purchased_credits bigint default 0, lifetime_spent_amount decimal(12,2) default 0,
  created_at timestamptz default now(), updated_at timestamptz default now());
create table user_credit_allocations (
  id ${id} ${made} primary key, org_id ${organization}, user_id varchar(255) not null, allocated_credits ${credits},
  used_credits ${credits}, remaining_credits ${drifted ? 'double precision' : 'bigint'} generated always as (allocated_credits - used_credits) stored,
  reset_period varchar(20) default 'monthly' ${check("reset_period in ('daily', 'weekly', 'monthly', 'never')")},
  last_reset_date timestamptz default now(), next_reset_date timestamptz, is_active boolean default true, allocated_by varchar(255),
  notes text, created_at timestamptz default now(), updated_at timestamptz default now(), unique (org_id, user_id));
create table credit_usage_attribution (
  id ${id} ${made} primary key, org_id ${organization}, user_id varchar(255) not null, allocation_id ${id}, credits_used ${credits},
  service_type varchar(100) not null, service_name varchar(200), api_cost decimal(12,6) default 0,
  markup_applied decimal(12,6) default 0, request_id varchar(255), request_metadata jsonb, created_at timestamptz default now());
create table org_billing_history (
  id ${id} ${made} primary key, org_id ${organization}, subscription_id ${id}, event_type varchar(50) not null,
  lago_invoice_id varchar(255), stripe_invoice_id varchar(255), amount decimal(12,2) not null default 0, currency varchar(3) default 'USD',
  payment_status varchar(20), payment_method varchar(100), paid_at timestamptz, period_start timestamptz, period_end timestamptz,
  event_metadata jsonb, notes text, created_at timestamptz default now());
create table platform_settings (
  key varchar(255) primary key, value text, category varchar(100), is_secret boolean default false, updated_at timestamptz default now());
create table user_provider_keys (
  id serial primary key, user_id varchar(255) not null, provider varchar(100) not null, api_key_encrypted text not null,
  metadata jsonb, enabled boolean default true, unique (user_id, provider));
create table user_credits (user_id varchar(255) unique, credits_remaining decimal(12,6), tier varchar(50) default 'free');
${drifted ? '' : FUNCTIONS}`
}

const FUNCTIONS = `
create function has_sufficient_credits(p_org_id uuid, p_user_id varchar, p_credits_needed bigint) returns boolean language plpgsql as $$
  declare v_left bigint;
  begin
    select remaining_credits into v_left from user_credit_allocations where org_id = p_org_id and user_id = p_user_id and is_active;
    return coalesce(v_left >= p_credits_needed, false);
  end $$;
create function deduct_credits(p_org_id uuid, p_user_id varchar, p_credits_used bigint, p_service_type varchar,
    p_service_name varchar default null, p_request_id varchar default null, p_request_metadata jsonb default null)
  returns boolean language plpgsql as $$
  declare v_allocation user_credit_allocations;
  begin
    select * into v_allocation from user_credit_allocations where org_id = p_org_id and user_id = p_user_id and is_active for update;
    if not found then raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id; end if;
    if v_allocation.remaining_credits < p_credits_used then
      raise exception 'Insufficient credits: % available, % needed', v_allocation.remaining_credits, p_credits_used;
    end if;
    update user_credit_allocations set used_credits = used_credits + p_credits_used where id = v_allocation.id;
    update organization_credit_pools set used_credits = used_credits + p_credits_used where org_id = p_org_id;
    insert into credit_usage_attribution (org_id, user_id, allocation_id, credits_used, service_type, service_name, request_id, request_metadata)
      values (p_org_id, p_user_id, v_allocation.id, p_credits_used, p_service_type, p_service_name, p_request_id, p_request_metadata);
    return true;
  end $$;
create function add_credits_to_pool(p_org_id uuid, p_credits_amount bigint, p_purchase_amount decimal default 0.00)
  returns boolean language plpgsql as $$
  begin
    update organization_credit_pools set total_credits = total_credits + p_credits_amount,
      lifetime_purchased_credits = lifetime_purchased_credits + p_credits_amount,
      lifetime_spent_amount = lifetime_spent_amount + p_purchase_amount where org_id = p_org_id;
    if not found then
      insert into organization_credit_pools (org_id, total_credits, lifetime_purchased_credits, lifetime_spent_amount)
        values (p_org_id, p_credits_amount, p_credits_amount, p_purchase_amount);
    end if;
    return true;
  end $$;
create function allocate_credits_to_user(p_org_id uuid, p_user_id varchar, p_credits_amount bigint, p_allocated_by varchar default null)
  returns boolean language plpgsql as $$
  declare v_available bigint;
  begin
    select available_credits into v_available from organization_credit_pools where org_id = p_org_id for update;
    if not found then raise exception 'No credit pool found for org %', p_org_id; end if;
    if v_available < p_credits_amount then
      raise exception 'Insufficient credits in pool: % available, % needed', v_available, p_credits_amount;
    end if;
    insert into user_credit_allocations as a (org_id, user_id, allocated_credits, allocated_by)
      values (p_org_id, p_user_id, p_credits_amount, p_allocated_by)
      on conflict (org_id, user_id) do update set allocated_credits = a.allocated_credits + p_credits_amount;
    update organization_credit_pools set allocated_credits = allocated_credits + p_credits_amount where org_id = p_org_id;
    return true;
  end $$;`
