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
--   carried      what the last clean audit wrote down, with the charges before and with its digest

-- Recomputes every balance, in the one snapshot of the calling statement. No rows: the books are right. From p_carry on where it is given,
-- what came before is taken from its sums, and rows of before are not read: what somebody changed in those, it can't see.
create or replace function tollgate.ledger_audit_from(p_carry bigint)
  returns table (finding text, org_id uuid, user_id varchar, call_id uuid, stored numeric, recomputed numeric)
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
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
  $$;

-- Recomputes every balance from all rows.
create or replace function tollgate.ledger_audit()
  returns table (finding text, org_id uuid, user_id varchar, call_id uuid, stored numeric, recomputed numeric)
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$ select * from ledger_audit_from(null) $$;
