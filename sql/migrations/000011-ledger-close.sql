-- breaking
-- The end of a call: settled, released or recovered.

-- Closes one call whose hold is not open any more, or was never seen. Pool and allocation are locked by the caller.
--   settled before              answers what the first settle booked
--   released or recovered       books the signed difference once: more is a correction row of the attribution,
--                               less is given back by a journal row (the books themselves never decrease);
--                               a release of what was recovered gives all of it back
--   no hold row                 books in full (a release has nothing to do)
create function ledger_close_late(
    p_call_id uuid, p_state varchar, p_org_id uuid, p_user_id varchar, p_charge numeric,
    p_service_type varchar, p_service_name varchar, p_api_cost numeric, p_markup numeric,
    p_request_id varchar, p_metadata jsonb, p_source varchar, p_provenance varchar, p_outcome varchar, p_details jsonb,
    out charged numeric, out remaining numeric, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_hold ledger_holds;
      v_allocation user_credit_allocations;
      v_booked record;
      v_amount numeric := p_charge;
      v_missing boolean;
    begin
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      select * into v_allocation from user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      v_missing := v_hold.call_id is null;
      if v_hold.state = 'open' then
        raise exception 'the hold of call % is open', p_call_id using errcode = 'XX000';
      end if;
      -- Nothing was taken, nothing is to be dropped; the hold may also be a late commit that a later release will find.
      if v_missing and p_state <> 'settled' then charged := 0; return; end if;
      remaining := v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits;
      if v_hold.limits is not null then key_used := (ledger_lock_limits(v_hold.limits, false)).key_used; end if;

      select coalesce(sum(credits_used), 0) as credits, coalesce(sum(api_cost), 0) as api_cost,
          coalesce(sum(markup_applied), 0) as markup, count(*) > 0 as booked, bool_or(entry = 'correction') as corrected
        into v_booked from credit_usage_attribution where call_id = p_call_id;
      charged := v_booked.credits - coalesce((
        select sum(allocation_allocated) from ledger_journal where call_id = p_call_id and kind = 'correction'), 0);
      if not v_missing then v_amount := p_charge - charged; end if;
      if v_missing and v_booked.booked or not v_missing and (v_hold.state = 'settled' or v_amount = 0
          or (p_state <> 'settled' and v_hold.state <> 'recovered')
          or v_booked.corrected
          or exists (select 1 from ledger_journal where call_id = p_call_id and kind = 'correction')) then
        return;
      end if;

      if v_allocation.id is null then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      end if;
      charged := p_charge;
      remaining := remaining - v_amount;
      if v_amount >= 0 then
        perform ledger_move(v_allocation, 0, v_amount);
        insert into credit_usage_attribution (
            call_id, entry, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call_id, case when v_missing then 'charge' else 'correction' end, p_org_id, p_user_id, v_allocation.id, v_amount,
            p_service_type, p_service_name, p_api_cost - v_booked.api_cost, p_markup - v_booked.markup,
            p_request_id, p_metadata, p_source, p_provenance, p_outcome, p_details);
      else
        update organization_credit_pools p
          set total_credits = p.total_credits - v_amount, allocated_credits = p.allocated_credits - v_amount,
            overage_credits = p.overage_credits
              + ledger_below_zero(v_allocation.allocated_credits - v_amount, v_allocation.used_credits, v_allocation.held_credits)
              - ledger_below_zero(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits)
          where p.org_id = p_org_id;
        update user_credit_allocations set allocated_credits = allocated_credits - v_amount where id = v_allocation.id;
        insert into ledger_journal (kind, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
          values ('correction', p_org_id, p_user_id, p_call_id, -v_amount, -v_amount, -v_amount, 'ledger',
            'charged less than was booked when the hold was recovered');
      end if;
      if v_hold.limits is not null then
        key_used := ledger_move_limits(v_hold.limits, 0, 0, v_amount, case v_hold.state when 'released' then 1 else 0 end);
      end if;
    end
  $$;

-- Closes one call: what ledger_close_batch does with many, without the cost of a set. The two must do the same.
create function ledger_close_one(
    p_call_id uuid, p_state varchar, p_org_id uuid, p_user_id varchar, p_charge numeric,
    p_service_type varchar, p_service_name varchar, p_api_cost numeric, p_markup numeric,
    p_request_id varchar, p_metadata jsonb, p_source varchar, p_provenance varchar, p_outcome varchar, p_details jsonb,
    out charged numeric, out remaining numeric, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      h record;
      p record;
      a record;
      v_free numeric;
    begin
      perform ledger_durable();
      select state, held_credits, allocation_id, limits into h from ledger_holds where call_id = p_call_id for update;
      select next_refresh_date into p from organization_credit_pools where org_id = p_org_id for update;
      if h.allocation_id is null then
        select id, allocated_credits, used_credits, held_credits, next_reset_date
          into a from user_credit_allocations where org_id = p_org_id and user_id = p_user_id for update;
      else
        select id, allocated_credits, used_credits, held_credits, next_reset_date
          into a from user_credit_allocations where id = h.allocation_id for update;
      end if;
      if a.next_reset_date <= v_now or p.next_refresh_date <= v_now then
        perform ledger_lock(p_org_id, p_user_id);
        select id, allocated_credits, used_credits, held_credits into a from user_credit_allocations where id = a.id;
      end if;
      if h.state is distinct from 'open' then
        select * into charged, remaining, key_used from ledger_close_late(p_call_id, p_state, p_org_id, p_user_id, p_charge,
          p_service_type, p_service_name, p_api_cost, p_markup, p_request_id, p_metadata, p_source, p_provenance, p_outcome,
          p_details);
        return;
      end if;
      if h.limits is not null then
        perform ledger_lock_limits(h.limits, false);
        key_used := ledger_move_limits(h.limits, -h.held_credits, -1, p_charge, case p_state when 'released' then 0 else 1 end);
      end if;
      charged := p_charge;
      v_free := a.allocated_credits - a.used_credits - a.held_credits;
      remaining := v_free + h.held_credits - p_charge;
      insert into credit_usage_attribution (
          call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
          request_id, request_metadata, source, provenance, outcome, details)
        values (p_call_id, p_org_id, p_user_id, a.id, p_charge, p_service_type, p_service_name, p_api_cost, p_markup,
          p_request_id, p_metadata, p_source, p_provenance, p_outcome, p_details);
      update ledger_holds set state = p_state, charged_credits = p_charge, closed_at = v_now where call_id = p_call_id;
      update organization_credit_pools o
        set held_credits = o.held_credits - h.held_credits, used_credits = o.used_credits + p_charge, updated_at = v_now,
          overage_credits = o.overage_credits + greatest(-remaining, 0) - greatest(-v_free, 0)
        where o.org_id = p_org_id;
      update user_credit_allocations u
        set held_credits = u.held_credits - h.held_credits, used_credits = u.used_credits + p_charge, updated_at = v_now
        where u.id = a.id;
    end
  $$;

-- Ends calls, each as its p_state says: 'settled' or 'recovered' with its charge, 'released' with 0; and writes their
-- attribution rows. The true cost is booked in full, beyond the hold too. What is not open any more goes to ledger_close_late.
-- charged: what is on the books for the call. remaining: what the user has left, holds subtracted. key_used: by the caller's key.
create function ledger_close_batch(
    p_call_ids uuid[], p_states varchar[], p_org_ids uuid[], p_user_ids varchar[], p_charges numeric[],
    p_service_types varchar[], p_service_names varchar[], p_api_costs numeric[], p_markups numeric[],
    p_request_ids varchar[], p_metadata jsonb[], p_source varchar, p_provenances varchar[], p_outcomes varchar[], p_details jsonb[])
  returns table (place integer, charged numeric, remaining numeric, key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
  as $$
    declare
      v_count integer := cardinality(p_call_ids);
      v_now timestamptz := tollgate_now();
      v record;
      v_late record;
      v_org_id uuid;
      v_allocation_id uuid;
      v_free numeric;
      v_below numeric;
      v_counts boolean := false;
      a_open boolean[] := array_fill(false, array[v_count]);
      a_charged numeric[] := array_fill(null::numeric, array[v_count]);
      a_remaining numeric[] := a_charged;
      a_key_used numeric[] := a_charged;
      a_released numeric[] := a_charged;
      a_allocation uuid[] := array_fill(null::uuid, array[v_count]);
      a_limits jsonb[] := array_fill(null::jsonb, array[v_count]);
      m_org_ids uuid[] := '{}';
      m_pool_released numeric[] := '{}';
      m_pool_used numeric[] := '{}';
      m_pool_overage numeric[] := '{}';
      m_allocations uuid[] := '{}';
      m_released numeric[] := '{}';
      m_used numeric[] := '{}';
      n integer := 0;
      m integer := 0;
    begin
      if v_count = 1 then
        return query select 1, c.* from ledger_close_one(p_call_ids[1], p_states[1], p_org_ids[1], p_user_ids[1], p_charges[1],
          p_service_types[1], p_service_names[1], p_api_costs[1], p_markups[1], p_request_ids[1], p_metadata[1], p_source,
          p_provenances[1], p_outcomes[1], p_details[1]) c;
        return;
      end if;
      perform ledger_durable();
      perform 1 from ledger_holds where call_id = any(p_call_ids) order by call_id for update;
      perform ledger_lock_batch(p_org_ids, p_user_ids);
      perform 1 from ledger_limits l
        where (l.kind, l.id, l.window_start) in (
          select t.kind, t.id, t.window_start
          from ledger_holds h, jsonb_to_recordset(h.limits) as t(kind varchar, id varchar, window_start timestamptz)
          where h.call_id = any(p_call_ids) and h.limits is not null)
        order by l.kind, l.id, l.window_start for update;

      for v in
        select k.place::integer as place, k.org_id, k.charge, h.state, h.held_credits as released, h.limits,
          a.id as allocation_id, a.allocated_credits, a.used_credits, a.held_credits
        from unnest(p_call_ids, p_org_ids, p_charges) with ordinality as k(call_id, org_id, charge, place)
        left join ledger_holds h on h.call_id = k.call_id
        left join user_credit_allocations a on a.id = h.allocation_id
        order by k.org_id, a.id, k.place
      loop
        -- Not in the query, where it would be answered from the index of all open holds.
        continue when v.state is distinct from 'open';
        if v_org_id is distinct from v.org_id then
          v_org_id := v.org_id;
          n := n + 1;
          m_org_ids[n] := v_org_id;
          m_pool_released[n] := 0;
          m_pool_used[n] := 0;
          m_pool_overage[n] := 0;
        end if;
        if v_allocation_id is distinct from v.allocation_id then
          v_allocation_id := v.allocation_id;
          v_free := v.allocated_credits - v.used_credits - v.held_credits;
          m := m + 1;
          m_allocations[m] := v_allocation_id;
          m_released[m] := 0;
          m_used[m] := 0;
        end if;
        v_below := greatest(-v_free, 0);
        v_free := v_free + v.released - v.charge;
        m_pool_overage[n] := m_pool_overage[n] + greatest(-v_free, 0) - v_below;
        m_pool_released[n] := m_pool_released[n] + v.released;
        m_pool_used[n] := m_pool_used[n] + v.charge;
        m_released[m] := m_released[m] + v.released;
        m_used[m] := m_used[m] + v.charge;
        a_open[v.place] := true;
        a_released[v.place] := v.released;
        a_allocation[v.place] := v_allocation_id;
        a_charged[v.place] := v.charge;
        a_remaining[v.place] := v_free;
        if v.limits is not null then
          a_limits[v.place] := v.limits;
          v_counts := true;
        end if;
      end loop;

      if n > 0 then
        insert into credit_usage_attribution (
            call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          select k.call_id, k.org_id, k.user_id, k.allocation_id, k.charge, k.service_type, k.service_name, k.api_cost, k.markup,
            k.request_id, k.metadata, p_source, k.provenance, k.outcome, k.details
          from unnest(p_call_ids, p_org_ids, p_user_ids, a_allocation, p_charges, p_service_types, p_service_names, p_api_costs,
              p_markups, p_request_ids, p_metadata, p_provenances, p_outcomes, p_details, a_open)
            as k(call_id, org_id, user_id, allocation_id, charge, service_type, service_name, api_cost, markup, request_id,
              metadata, provenance, outcome, details, is_open)
          where k.is_open;
        update ledger_holds h set state = k.state, charged_credits = k.charge, closed_at = v_now
          from unnest(p_call_ids, p_states, p_charges, a_open) as k(call_id, state, charge, is_open)
          where h.call_id = k.call_id and k.is_open;
        update organization_credit_pools p
          set held_credits = p.held_credits - k.released, used_credits = p.used_credits + k.used,
            overage_credits = p.overage_credits + k.overage, updated_at = v_now
          from unnest(m_org_ids, m_pool_released, m_pool_used, m_pool_overage) as k(org_id, released, used, overage)
          where p.org_id = k.org_id;
        update user_credit_allocations a
          set held_credits = a.held_credits - k.released, used_credits = a.used_credits + k.used, updated_at = v_now
          from unnest(m_allocations, m_released, m_used) as k(id, released, used)
          where a.id = k.id;
        if v_counts then
          update ledger_limits l set held = l.held - k.held, used = l.used + k.used
            from (
              select t.kind, t.id, t.window_start,
                sum(case t.unit when 'calls' then 1 else k.released end) as held,
                sum(case when t.unit is distinct from 'calls' then k.charge when k.state = 'released' then 0 else 1 end) as used
              from unnest(a_limits, a_released, p_charges, p_states, a_open) as k(limits, released, charge, state, is_open),
                jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
              where k.is_open
              group by 1, 2, 3) k
            where l.kind = k.kind and l.id = k.id and l.window_start = k.window_start;
          for v in
            select k.place::integer as place, max(l.used) filter (where t.kind = 'key') as key_used
            from unnest(a_limits) with ordinality as k(limits, place),
              jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz)
            join ledger_limits l using (kind, id, window_start)
            group by 1
          loop
            a_key_used[v.place] := v.key_used;
          end loop;
        end if;
      end if;

      for v in
        select k.place::integer as place from unnest(a_open) with ordinality as k(is_open, place)
        where not k.is_open order by p_org_ids[k.place], p_user_ids[k.place], k.place
      loop
        v_late := ledger_close_late(p_call_ids[v.place], p_states[v.place], p_org_ids[v.place], p_user_ids[v.place],
          p_charges[v.place], p_service_types[v.place], p_service_names[v.place], p_api_costs[v.place], p_markups[v.place],
          p_request_ids[v.place], p_metadata[v.place], p_source, p_provenances[v.place], p_outcomes[v.place], p_details[v.place]);
        a_charged[v.place] := v_late.charged;
        a_remaining[v.place] := v_late.remaining;
        a_key_used[v.place] := v_late.key_used;
      end loop;
      return query
        select k.place::integer, k.charged, k.remaining, k.key_used
        from unnest(a_charged, a_remaining, a_key_used) with ordinality as k(charged, remaining, key_used, place);
    end
  $$;

revoke execute on function ledger_close_late, ledger_close_one, ledger_close_batch from public;
