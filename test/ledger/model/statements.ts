/** The SQL of the real side: what a test database gets on top of the product's migrations, and every statement that is sent. */

export const definitions = `
  create table public.model_clock (instant timestamptz not null);
  insert into public.model_clock values ('2031-01-15T12:00:00Z');
  create or replace function tollgate.tollgate_now() returns timestamptz language sql volatile parallel safe
    as $$ select instant from public.model_clock $$;

  create sequence public.model_ids;
  alter table user_credit_allocations
    alter column id set default lpad(to_hex(nextval('public.model_ids')), 32, '0')::uuid;

  create function public.model_begin(p_now timestamptz, p_orgs jsonb, p_allocations jsonb, p_processes uuid[], p_lease timestamptz,
      p_budgets jsonb)
    returns void language plpgsql as $$
    begin
      update public.model_clock set instant = p_now;
      delete from tollgate.ledger_waiters;
      insert into tollgate.ledger_processes (id, host, pid, version, lease_until)
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
      insert into tollgate.ledger_journal (kind, org_id, pool_total)
        select 'purchase', id, bought from jsonb_to_recordset(p_orgs) as t(id uuid, bought numeric);
      insert into tollgate.ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated)
        select 'allocate', org_id, user_id, granted, granted
        from jsonb_to_recordset(p_allocations) as t(org_id uuid, user_id text, granted numeric);
      insert into tollgate.ledger_limits (kind, id, window_start, limit_amount)
        select 'key', id, '1970-01-01T00:00:00Z', amount from jsonb_to_recordset(p_budgets) as t(id text, amount numeric);
    end $$;

  create function public.model_forget() returns void language plpgsql as $$
    begin
      -- The journals are append-only: their triggers sleep for this one transaction of a superuser.
      perform set_config('session_replication_role', 'replica', true);
      truncate tollgate.usage_deltas, tollgate.usage_days, tollgate.usage_organization_days, tollgate.ledger_journal, credit_usage_attribution, tollgate.ledger_holds, tollgate.ledger_limits, tollgate.ledger_shared_limits, tollgate.ledger_processes,
        user_credit_allocations, organization_credit_pools, organization_subscriptions, organizations cascade;
    end $$;`

export const statements: Record<string, string> = {
  begin: 'select public.model_begin($1, $2, $3, $4, $5, $6)',
  hold: `select outcome, held, input, required, available, remaining, concat_ws(' ', limited_by ->> 'kind', case limited_by ->> 'kind' when 'quota' then limited_by ->> 'left' end) as limit_kind, key_used
    from tollgate.ledger_hold_batch($1, $2) order by ordinal`,
  leave: 'select outcome from tollgate.ledger_hold_batch($1, $2)',
  fill: "select available, limited_by ->> 'in_flight' as in_flight from tollgate.ledger_fill_slice('proxy', $1, 'day', $2, $3, $4, $5)",
  firstInLines: 'select tollgate.ledger_first_in_lines() as call_id',
  progress: 'select outcome, held from tollgate.ledger_progress_batch($1) order by ordinal',
  close: 'select charged, remaining, key_used from tollgate.ledger_close_batch($1) order by ordinal',
  settleDispute: "select outcome, charged from tollgate.ledger_settle_dispute($1, $2, $3, 'model')",
  findDead: "select org_id from tollgate.ledger_find_dead('30 seconds') as org_id",
  recover: "select recovered, released, credits from tollgate.ledger_recover('30 seconds', $1, $2)",
  purchase: 'select add_credits_to_pool($1, $2) as answer',
  allocate: 'select allocate_credits_to_user($1, $2, $3) as answer',
  deduct: "select deduct_credits($1, $2, $3, 'valuation', null, $4) as answer",
  setActive: 'update organizations set status = $2 where id = $1',
  startProcess: `insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'model', 1, 'model', $2)`,
  stopProcess: 'update tollgate.ledger_processes set stopped_at = tollgate.tollgate_now() where id = $1',
  advance: `with moved as (update public.model_clock set instant = $1)
    update tollgate.ledger_processes set lease_until = $3 where id = any($2::uuid[]) and stopped_at is null and dead_at is null`,
  audit: 'select * from tollgate.ledger_audit()',
  snapshot: `select jsonb_build_object(
    'pools', (
      select jsonb_agg(jsonb_build_array(org_id, trim_scale(total_credits)::text, trim_scale(allocated_credits)::text,
        trim_scale(used_credits)::text, trim_scale(held_credits)::text, trim_scale(overage_credits)::text, next_refresh_date))
      from organization_credit_pools where org_id = any($1::uuid[])),
    'users', (
      select jsonb_agg(jsonb_build_array(org_id, user_id, trim_scale(allocated_credits)::text, trim_scale(used_credits)::text,
        trim_scale(held_credits)::text, trim_scale(margin_credits)::text, next_reset_date))
      from user_credit_allocations where org_id = any($1::uuid[])),
    'limits', (
      select jsonb_agg(jsonb_build_array(kind, id, window_start, trim_scale(held)::text, trim_scale(used)::text))
      from tollgate.ledger_limits where id like $2 || ':%' and (held <> 0 or used <> 0)),
    'holds', (
      select jsonb_agg(jsonb_build_array(call_id, state, trim_scale(held_credits)::text, trim_scale(checkpoint_credits)::text,
        trim_scale(charged_credits)::text))
      from tollgate.ledger_holds where org_id = any($1::uuid[]) and owner <> '00000000-0000-0000-0000-000000000000'),
    'rows', (
      select jsonb_agg(jsonb_build_array(call_id, charge::text, recovery::text, dispute::text))
      from (
        select call_id, trim_scale(sum(credits) filter (where cause = 'call')) as charge,
          trim_scale(sum(credits) filter (where cause = 'recovery')) as recovery,
          trim_scale(sum(credits) filter (where cause = 'dispute')) as dispute
        from (
          select call_id, cause, credits_used as credits from credit_usage_attribution
          where org_id = any($1::uuid[]) and source = 'proxy'
          union all
          select call_id, cause, -allocation_allocated from tollgate.ledger_journal
          where org_id = any($1::uuid[]) and kind = 'correction') r
        group by call_id) c),
    'waiters', (
      select jsonb_agg(jsonb_build_array(w.call_id, coalesce(a.org_id || '/' || a.user_id, w.line)) order by w.place)
      from tollgate.ledger_waiters w left join user_credit_allocations a on w.line = 'allocation ' || a.id
      where w.until > tollgate.tollgate_now()),
    'slices', (
      select jsonb_agg(jsonb_build_array(id, window_start, trim_scale(amount)::text))
      from (
        select id, window_start, limit_amount as amount from tollgate.ledger_limits where kind = 'proxy'
        union all
        select id, window_start, granted from tollgate.ledger_shared_limits) s
      where id like $2 || ':%' and amount <> 0),
    'deductions', (
      select jsonb_agg(jsonb_build_array(org_id, user_id, trim_scale(credits_used)::text))
      from credit_usage_attribution where org_id = any($1::uuid[]) and source = 'sql'),
    'processes', (
      select jsonb_agg(jsonb_build_array(id, case when stopped_at is not null then 'stopped' when dead_at is not null then 'dead' end))
      from tollgate.ledger_processes where id >= ($2 || '-0000-0000-0000-000000000000')::uuid
        and id <= ($2 || '-ffff-ffff-ffff-ffffffffffff')::uuid)) as books`,
}
