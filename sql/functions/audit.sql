-- The check that the books are right. Compared, each with the rows it must be the sum of:
--   pool         total and allocated with the journal; used with the charges; held with the open holds; allocated - used with what users
--                have left; overage with what allocations are below zero
--   allocation   allocated with the journal; used with the charges less the resets; held and byte margin with the open holds; it has
--                a pool
--   limit        held with the open holds that touched it; used with the charges of those and with what was spent of it elsewhere before
--   hold         a closed one is charged what its row says; an open one has no charge yet
--   correction   it belongs to a call that could need it: recovered or released (recovery), or disputed (dispute)
--   refund       those of one call are together at most what it cost
--   charge       its user has an allocation; its credits and its dollars are the same amount
--   usage        the sums by day, of each user and of each organization, with the charges

-- Recomputes every balance, in the one snapshot of the calling statement. No rows: the books are right.
create or replace function tollgate.ledger_audit()
  returns table (finding text, org_id uuid, user_id varchar, call_id uuid, stored numeric, recomputed numeric)
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
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
      left join corrected c using (call_id)
      union all
      select e.kind, e.limit_id, e.window_start, 0, e.credits from ledger_openings e),
    counted as (select t.kind, t.id, t.window_start, sum(t.held) as held, sum(t.used) as used from touched t group by 1, 2, 3),
    disputed as (
      select distinct c.call_id from public.credit_usage_attribution c where c.provenance = 'disputed' and c.cause <> 'dispute'),
    by_day as (select u.org_id, u.user_id, sum(credits) as credits from usage_by_user u group by 1, 2),
    organization_by_day as (select u.org_id, sum(credits) as credits from usage_by_organization u group by 1),
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
      select 'the sums by day of a user are not the charges', org_id, user_id, null, coalesce(u.credits, 0), coalesce(s.used, 0)
      from by_day u full join spent s using (org_id, user_id)
      union all
      select 'the sums by day of an organization are not the charges', org_id, null, null, coalesce(u.credits, 0), coalesce(s.used, 0)
      from organization_by_day u full join org_spent s using (org_id)
      union all
      select 'credits and dollars of a charge differ', c.org_id, c.user_id, c.call_id, c.credits_used / 1000, c.total_cost
      from public.credit_usage_attribution c where c.source = 'proxy' and c.credits_used > 0)
    select f.finding, f.org_id, f.user_id, f.call_id, f.stored, f.recomputed from findings f
    where f.stored is distinct from f.recomputed
  $$;
