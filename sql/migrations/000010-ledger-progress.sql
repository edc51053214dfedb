-- breaking
-- What a running call has delivered, and a larger hold for it.

-- Makes a hold at least p_least and at most p_total. outcome: extended, refused (the hold stays as it was), closed, unknown.
-- Idempotent: p_total is the size wanted, not an increment.
create function ledger_extend(p_call_id uuid, p_total numeric, p_least numeric, out outcome varchar, out held numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
      v_hold ledger_holds;
      v_limits record;
      v_more numeric;
    begin
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      if v_hold.call_id is null then outcome := 'unknown'; return; end if;
      held := v_hold.held_credits;
      if v_hold.state <> 'open' then outcome := 'closed'; return; end if;
      if held >= p_total then outcome := 'extended'; return; end if;
      v_locked := ledger_lock(v_hold.org_id, v_hold.user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      v_more := p_total - held;
      v_more := least(v_more, coalesce(ledger_room(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits), v_more));
      if v_hold.limits is not null then
        select min(l.limit_amount - l.used - l.held) as room into v_limits from (
          select l.* from ledger_limits l, jsonb_to_recordset(v_hold.limits) as t(kind varchar, id varchar, window_start timestamptz)
          where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start and l.unit = 'credits'
          order by l.kind, l.id, l.window_start for update of l) l;
        v_more := least(v_more, coalesce(v_limits.room, v_more));
      end if;
      v_more := greatest(v_more, 0);
      if held + v_more < p_least then outcome := 'refused'; return; end if;
      outcome := 'extended';
      if v_more = 0 then return; end if;
      perform ledger_move(v_allocation, v_more, 0);
      if v_hold.limits is not null then perform ledger_move_limits(v_hold.limits, v_more, 0, 0, 0); end if;
      update ledger_holds set held_credits = held_credits + v_more where call_id = p_call_id returning held_credits into held;
    end
  $$;

-- How far one call has come; like a hold it commits asynchronously: what is lost with it is what a settlement books anyway.
create function ledger_checkpoint_one(p_call_id uuid, p_credits numeric, p_api_cost numeric, out outcome varchar, out held numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      perform set_config('synchronous_commit', 'off', true);
      update ledger_holds h set checkpoint_credits = p_credits, checkpoint_api_cost = p_api_cost
        where h.call_id = p_call_id and h.state = 'open' and p_credits >= coalesce(h.checkpoint_credits, 0)
        returning h.held_credits into held;
      outcome := case when found then 'noted' else 'closed' end;
    end
  $$;

-- How far running calls have come, and larger holds for those that near the end of theirs. Of each call:
--   p_checkpoints   credits delivered so far; never goes back. p_api_costs: the provider's part, dollars
--   p_totals        the size its hold should have, or null where it need not grow
--   p_leasts        the least size worth having
-- outcome: noted, extended, refused, closed, unknown. held: the hold's size afterwards.
create function ledger_progress_batch(
    p_call_ids uuid[], p_org_ids uuid[], p_checkpoints numeric[], p_api_costs numeric[], p_totals numeric[], p_leasts numeric[])
  returns table (place integer, outcome varchar, held numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
  as $$
    declare
      v record;
      v_extended record;
    begin
      -- Like a hold, and for the same reason: what is lost with it is what a settlement books anyway.
      perform set_config('synchronous_commit', 'off', true);
      perform 1 from ledger_holds where call_id = any(p_call_ids) order by call_id for update;
      if exists (select 1 from unnest(p_totals) t where t is not null) then
        perform 1 from organization_credit_pools
          where org_id in (select k.org_id from unnest(p_org_ids, p_totals) as k(org_id, total) where k.total is not null)
          order by org_id for update;
      end if;
      update ledger_holds h
        set checkpoint_credits = k.credits, checkpoint_api_cost = k.api_cost
        from unnest(p_call_ids, p_checkpoints, p_api_costs) as k(call_id, credits, api_cost)
        where h.call_id = k.call_id and h.closed_at is null
          and k.credits >= coalesce(h.checkpoint_credits, 0);
      for v in
        select k.place::integer as place, k.call_id, k.total, k.least, h.state, h.held_credits
        from unnest(p_call_ids, p_org_ids, p_totals, p_leasts) with ordinality as k(call_id, org_id, total, least, place)
        left join ledger_holds h on h.call_id = k.call_id
        order by k.org_id, h.user_id, k.place
      loop
        place := v.place;
        held := v.held_credits;
        if v.total is not null then
          v_extended := ledger_extend(v.call_id, v.total, v.least);
          outcome := v_extended.outcome;
          held := v_extended.held;
        else
          outcome := case v.state when 'open' then 'noted' else case when v.state is null then 'unknown' else 'closed' end end;
        end if;
        return next;
      end loop;
    end
  $$;

revoke execute on function ledger_extend, ledger_checkpoint_one, ledger_progress_batch from public;
