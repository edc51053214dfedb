/** The SQL of the real side: what a test database gets on top of the product's migrations, and every statement that is sent. */

export const definitions = `
  create table public.model_clock (instant timestamptz not null);
  insert into model_clock values ('2031-01-15T12:00:00Z');
  create or replace function public.tollgate_now() returns timestamptz language sql volatile parallel safe
    as $$ select instant from public.model_clock $$;

  create sequence model_ids;
  alter table user_credit_allocations
    alter column id set default lpad(to_hex(nextval('model_ids')), 32, '0')::uuid;

  create function public.model_begin(p_now timestamptz, p_orgs jsonb, p_allocations jsonb, p_processes uuid[], p_lease timestamptz,
      p_budgets jsonb)
    returns void language plpgsql as $$
    begin
      update model_clock set instant = p_now;
      insert into ledger_processes (id, host, pid, version, lease_until)
        select id, 'model', 1, 'model', p_lease from unnest(p_processes) id;
      insert into organizations (id, name, status)
        select id, name, case when active then 'active' else 'suspended' end
        from jsonb_to_recordset(p_orgs) as t(id uuid, name text, active boolean);
      insert into organization_subscriptions (org_id, subscription_plan, status)
        select id, 'platform', case when subscribed then 'active' else 'past_due' end
        from jsonb_to_recordset(p_orgs) as t(id uuid, subscribed boolean);
      insert into organization_credit_pools (org_id, total_credits, allocated_credits, allow_overage, overage_limit,
          monthly_refresh_amount, next_refresh_date)
        select t.id, t.bought, t.granted, t.overage, t.overage_limit, t.refresh, t.next_refresh
        from jsonb_to_recordset(p_orgs) as t(id uuid, bought numeric, granted numeric, overage boolean, overage_limit numeric,
          refresh numeric, next_refresh timestamptz);
      insert into user_credit_allocations (org_id, user_id, allocated_credits, reset_period, next_reset_date)
        select org_id, user_id, granted, period, next_reset from jsonb_to_recordset(p_allocations)
          as t(org_id uuid, user_id text, granted numeric, period text, next_reset timestamptz);
      insert into ledger_journal (kind, org_id, pool_total)
        select 'purchase', id, bought from jsonb_to_recordset(p_orgs) as t(id uuid, bought numeric);
      insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated)
        select 'allocate', org_id, user_id, granted, granted
        from jsonb_to_recordset(p_allocations) as t(org_id uuid, user_id text, granted numeric);
      insert into ledger_limits (kind, id, window_start, limit_amount)
        select 'key', id, '1970-01-01T00:00:00Z', amount from jsonb_to_recordset(p_budgets) as t(id text, amount numeric);
    end $$;

  create function public.model_forget() returns void language plpgsql as $$
    begin
      -- The journals are append-only: their triggers sleep for this one transaction of a superuser.
      perform set_config('session_replication_role', 'replica', true);
      truncate ledger_journal, credit_usage_attribution, ledger_holds, ledger_limits, ledger_processes,
        user_credit_allocations, organization_credit_pools, organization_subscriptions, organizations cascade;
    end $$;`

export const statements: Record<string, string> = {
  begin: 'select model_begin($1, $2, $3, $4, $5, $6)',
  hold: `select outcome, held, input, required, available, remaining, limit_kind, key_used
    from ledger_hold_batch($1, $2::uuid[], $3::uuid[], $4::varchar[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
      $9::jsonb[], array_fill(null::jsonb, array[cardinality($2::uuid[])]),
      array_fill('gpt-5'::varchar, array[cardinality($2::uuid[])]), array_fill(null::varchar, array[cardinality($2::uuid[])]),
      $10::varchar[])
    order by place`,
  progress: `select outcome, held
    from ledger_progress_batch($1::uuid[], $2::uuid[], $3::numeric[], array(select c / 1000 from unnest($3::numeric[]) c),
      $4::numeric[], $5::numeric[]) order by place`,
  close: `select charged, remaining, key_used
    from ledger_close_batch($1::uuid[], $2::varchar[], $3::uuid[], $4::varchar[], $5::numeric[],
      array_fill('llm_inference'::varchar, array[cardinality($1::uuid[])]),
      array_fill('gpt-5'::varchar, array[cardinality($1::uuid[])]), array(select c / 1000 from unnest($5::numeric[]) c),
      array_fill(0::numeric, array[cardinality($1::uuid[])]), array_fill(null::varchar, array[cardinality($1::uuid[])]),
      array_fill(null::jsonb, array[cardinality($1::uuid[])]), 'proxy',
      array_fill('provider_usage'::varchar, array[cardinality($1::uuid[])]),
      array_fill('answered'::varchar, array[cardinality($1::uuid[])]), array_fill(null::jsonb, array[cardinality($1::uuid[])]))
    order by place`,
  findDead: "select org_id from ledger_find_dead('30 seconds') as org_id",
  recover: "select recovered, released, credits from ledger_recover('30 seconds', $1, $2)",
  purchase: 'select add_credits_to_pool($1, $2) as answer',
  allocate: 'select allocate_credits_to_user($1, $2, $3) as answer',
  deduct: "select deduct_credits($1, $2, $3, 'valuation', null, $4) as answer",
  setActive: 'update organizations set status = $2 where id = $1',
  startProcess: `insert into ledger_processes (id, host, pid, version, lease_until) values ($1, 'model', 1, 'model', $2)`,
  stopProcess: 'update ledger_processes set stopped_at = tollgate_now() where id = $1',
  advance: `with moved as (update model_clock set instant = $1)
    update ledger_processes set lease_until = $3 where id = any($2::uuid[]) and stopped_at is null and dead_at is null`,
  audit: 'select * from ledger_audit()',
  snapshot: `select jsonb_build_object(
    'pools', (
      select jsonb_agg(jsonb_build_array(org_id, trim_scale(total_credits)::text, trim_scale(allocated_credits)::text,
        trim_scale(used_credits)::text, trim_scale(held_credits)::text, trim_scale(overage_credits)::text, next_refresh_date))
      from organization_credit_pools where org_id = any($1::uuid[])),
    'users', (
      select jsonb_agg(jsonb_build_array(org_id, user_id, trim_scale(allocated_credits)::text, trim_scale(used_credits)::text,
        trim_scale(held_credits)::text, next_reset_date))
      from user_credit_allocations where org_id = any($1::uuid[])),
    'limits', (
      select jsonb_agg(jsonb_build_array(kind, id, window_start, trim_scale(held)::text, trim_scale(used)::text))
      from ledger_limits where id like $2 || ':%' and (held <> 0 or used <> 0)),
    'holds', (
      select jsonb_agg(jsonb_build_array(call_id, state, trim_scale(held_credits)::text, trim_scale(checkpoint_credits)::text,
        trim_scale(charged_credits)::text))
      from ledger_holds where org_id = any($1::uuid[]) and owner <> '00000000-0000-0000-0000-000000000000'),
    'rows', (
      select jsonb_agg(jsonb_build_array(c.call_id, trim_scale(c.charge)::text, trim_scale(c.correction)::text,
        trim_scale(j.allocation_allocated)::text))
      from (
        select call_id, sum(credits_used) filter (where entry = 'charge') as charge,
          sum(credits_used) filter (where entry = 'correction') as correction
        from credit_usage_attribution where org_id = any($1::uuid[]) and source = 'proxy' group by call_id) c
      left join ledger_journal j on j.call_id = c.call_id and j.kind = 'correction'),
    'deductions', (
      select jsonb_agg(jsonb_build_array(org_id, user_id, trim_scale(credits_used)::text))
      from credit_usage_attribution where org_id = any($1::uuid[]) and source = 'sql'),
    'processes', (
      select jsonb_agg(jsonb_build_array(id, case when stopped_at is not null then 'stopped' when dead_at is not null then 'dead' end))
      from ledger_processes where id >= ($2 || '-0000-0000-0000-000000000000')::uuid
        and id <= ($2 || '-ffff-ffff-ffff-ffffffffffff')::uuid)) as books`,
}
