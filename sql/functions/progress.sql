-- What a running call has delivered, and a larger hold for it. Commits asynchronously, like a hold: what is lost with it is what a
-- settlement books anyway. Both ask whether the payer may still spend: who is revoked or suspended gets no larger hold, and the program
-- stops the stream.

-- Why the payer of a call may spend no longer, as a new call would be told: key_revoked, expired_api_key, organization_suspended,
-- no_allocation. Null while it may. The master key has no row, and ids of keys made elsewhere are no uuids: those are not asked for.
create or replace function tollgate.ledger_payer_ended(p_hold tollgate.ledger_holds, p_now timestamptz) returns varchar
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
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
  $$;

-- Makes a hold at least p_min and at most p_target. Idempotent: p_target is the size wanted, not an increment.
-- outcome: extended, refused (the hold stays as it was), closed, unknown.
create or replace function tollgate.ledger_extend(p_call_id uuid, p_target numeric, p_min numeric,
    out outcome varchar, out held numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
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
  $$;

-- Makes an open hold as small as p_target. Idempotent.
create or replace function tollgate.ledger_shrink(p_call_id uuid, p_target numeric) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
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
  $$;

-- How far one call has come. outcome: noted, closed.
create or replace function tollgate.ledger_checkpoint_one(p_call_id uuid, p_credits numeric, p_api_cost numeric,
    out outcome varchar, out held numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform set_config('synchronous_commit', 'off', true);
      update ledger_holds h set checkpoint_credits = p_credits, checkpoint_api_cost = p_api_cost
        where h.call_id = p_call_id and h.state = 'open' and p_credits >= coalesce(h.checkpoint_credits, 0)
        returning h.held_credits into held;
      outcome := case when found then 'noted' else 'closed' end;
    end
  $$;

-- How far running calls have come, and larger holds for those that near the end of theirs: p_calls is a JSON array of
-- tollgate.progress_request. outcome: noted, extended, refused, closed, unknown, or why the payer may spend no longer
-- (ledger_payer_ended), where that was asked: what was delivered is noted then, and the hold does not grow.
-- held: the hold's size afterwards.
create or replace function tollgate.ledger_progress_batch(p_calls jsonb)
  returns table (ordinal integer, outcome varchar, held numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_memoize = off set jit = off
  as $$
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
  $$;
