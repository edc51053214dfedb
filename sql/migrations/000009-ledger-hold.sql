-- breaking
-- The gate.

-- Whether this owner may hold: a process whose lease is valid, or (the zero id) a session that settles at once. A process's hold
-- commits asynchronously: losing it takes the process and the database dying within the same fraction of a second, since a
-- settlement that finds no hold books in full.
create function ledger_may_hold(p_owner uuid, p_now timestamptz) returns boolean
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if p_owner = '00000000-0000-0000-0000-000000000000' then return true; end if;
      perform set_config('synchronous_commit', 'off', true);
      return exists (select 1 from ledger_processes
        where id = p_owner and stopped_at is null and dead_at is null and lease_until > p_now);
    end
  $$;

-- One call through the gate: what ledger_hold_batch does with many, without the cost of a set (measured: a quarter of the time).
-- The two must answer and do the same; the model in test/ledger drives both.
create function ledger_hold_one(
    p_owner uuid, p_call_id uuid, p_org_id uuid, p_user_id varchar,
    p_input numeric, p_input_bytes numeric, p_output numeric, p_least numeric,
    p_limits jsonb, p_context jsonb, p_service_name varchar, p_request_id varchar,
    out outcome varchar, out held numeric, out input numeric, out required numeric, out available numeric,
    out remaining numeric, out limit_kind varchar, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      p record;
      a record;
      v_known record;
      v_limits record;
      v_free numeric;
      v_room numeric;
    begin
      if not ledger_may_hold(p_owner, v_now) then outcome := 'no_lease'; return; end if;
      select total_credits, used_credits, held_credits, allow_overage, overage_limit, overage_credits, next_refresh_date
        into p from organization_credit_pools where org_id = p_org_id for update;
      select id, is_active, allocated_credits, used_credits, held_credits, next_reset_date
        into a from user_credit_allocations where org_id = p_org_id and user_id = p_user_id for update;
      if a.id is null or p.total_credits is null then outcome := 'no_allocation'; return; end if;
      if a.next_reset_date <= v_now or p.next_refresh_date <= v_now then
        perform ledger_lock(p_org_id, p_user_id);
        select total_credits, used_credits, held_credits, allow_overage, overage_limit, overage_credits, next_refresh_date
          into p from organization_credit_pools where org_id = p_org_id;
        select id, is_active, allocated_credits, used_credits, held_credits, next_reset_date
          into a from user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      end if;
      v_free := a.allocated_credits - a.used_credits - a.held_credits;
      remaining := v_free;
      -- Under the pool's lock: the same call may be sent again while the first one still runs.
      select o.status, h.state, h.held_credits, h.input_credits,
          exists (select 1 from credit_usage_attribution c where c.call_id = p_call_id) as booked into v_known
        from organizations o left join ledger_holds h on h.call_id = p_call_id where o.id = p_org_id;
      if p_limits is not null then
        v_limits := ledger_lock_limits(p_limits, true);
        key_used := v_limits.key_used;
      end if;
      if v_known.state is not null or v_known.booked then
        outcome := case v_known.state when 'open' then 'held' else 'closed' end;
        held := v_known.held_credits;
        input := v_known.input_credits;
        return;
      end if;
      if not a.is_active then outcome := 'no_allocation'; return; end if;
      if v_known.status <> 'active' then outcome := 'suspended'; return; end if;

      v_room := ledger_room(v_free, p.total_credits - p.used_credits - p.held_credits, p.allow_overage, p.overage_limit, p.overage_credits);
      input := case when v_room < 10 * p_input then greatest(p_input, p_input_bytes) else p_input end;
      required := input + p_least;
      available := greatest(coalesce(v_room, input + p_output), 0);
      if required > available then
        outcome := case when required <= case
            when p.allow_overage then v_room + a.held_credits
            else least(a.allocated_credits - a.used_credits, p.total_credits - p.used_credits)
          end then 'in_flight' else 'insufficient' end;
        input := null;
        return;
      end if;
      held := least(input + p_output, available);
      if p_limits is not null then
        if v_limits.calls_refused is not null or v_limits.room < required then
          outcome := 'limit';
          limit_kind := coalesce(v_limits.calls_refused, v_limits.room_kind);
          available := greatest(coalesce(v_limits.room, 0), 0);
          held := null;
          input := null;
          return;
        end if;
        held := least(held, v_limits.room);
        perform ledger_move_limits(p_limits, held, 1, 0, 0);
      end if;
      if held > 0 then
        update organization_credit_pools o
          set held_credits = o.held_credits + held, updated_at = v_now,
            overage_credits = o.overage_credits + greatest(held - v_free, 0) - greatest(-v_free, 0)
          where o.org_id = p_org_id;
        update user_credit_allocations u set held_credits = u.held_credits + held, updated_at = v_now where u.id = a.id;
      end if;
      insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, limits, context,
          service_name, request_id)
        values (p_call_id, p_owner, p_org_id, p_user_id, a.id, held, input, p_limits, p_context, p_service_name, p_request_id);
      outcome := 'held';
      remaining := v_free - held;
    end
  $$;

-- THE GATE. Every path that spends takes its credits here, all or nothing over allocation, pool and limits, each call for itself.
-- Of each call, at the same place of every array:
--   p_inputs        credits of the input, by the fast estimate
--   p_input_bytes   the same at one token a byte: used when less than ten times p_inputs is left
--   p_outputs       credits of the output wanted
--   p_leasts        credits of the least output worth starting for
--   p_limits        [{kind, id, window_start, unit, limit_amount}], or null
-- p_owner is the process that takes the holds; its lease must be valid. The zero id is a session that settles at once.
-- outcome: held, no_lease, no_allocation, suspended, insufficient (out of money), in_flight (running calls hold it), limit;
-- closed where somebody has closed the hold meanwhile. Idempotent by call id: a repeated call answers what the first did.
create function ledger_hold_batch(
    p_owner uuid, p_call_ids uuid[], p_org_ids uuid[], p_user_ids varchar[],
    p_inputs numeric[], p_input_bytes numeric[], p_outputs numeric[], p_leasts numeric[],
    p_limits jsonb[], p_contexts jsonb[], p_service_names varchar[], p_request_ids varchar[])
  returns table (place integer, outcome varchar, held numeric, input numeric, required numeric, available numeric,
    remaining numeric, limit_kind varchar, key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
  as $$
    declare
      v_count integer := cardinality(p_call_ids);
      v_now timestamptz := tollgate_now();
      v record;
      v_limits record;
      v_org_id uuid;
      v_allocation_id uuid;
      -- of the pool and the allocation at hand, this batch's holds subtracted
      v_pool_free numeric;
      v_overage numeric;
      v_free numeric;
      v_room numeric;
      v_input numeric;
      v_required numeric;
      v_available numeric;
      v_held numeric;
      v_below numeric;
      v_counts boolean := false;
      -- answers
      a_outcome varchar[] := array_fill(null::varchar, array[v_count]);
      a_new boolean[] := array_fill(false, array[v_count]);
      a_held numeric[] := array_fill(null::numeric, array[v_count]);
      a_input numeric[] := a_held;
      a_required numeric[] := a_held;
      a_available numeric[] := a_held;
      a_remaining numeric[] := a_held;
      a_key_used numeric[] := a_held;
      a_limit_kind varchar[] := a_outcome;
      a_allocation uuid[] := array_fill(null::uuid, array[v_count]);
      -- its limits refuse or bound; the others are only counted
      a_limited boolean[] := a_new;
      -- movements
      m_org_ids uuid[] := '{}';
      m_pool_held numeric[] := '{}';
      m_pool_overage numeric[] := '{}';
      m_allocations uuid[] := '{}';
      m_held numeric[] := '{}';
      n integer := 0;
      m integer := 0;
    begin
      if v_count = 1 then
        return query select 1, h.* from ledger_hold_one(p_owner, p_call_ids[1], p_org_ids[1], p_user_ids[1], p_inputs[1],
          p_input_bytes[1], p_outputs[1], p_leasts[1], p_limits[1], p_contexts[1], p_service_names[1], p_request_ids[1]) h;
        return;
      end if;
      if not ledger_may_hold(p_owner, v_now) then
        return query select i, 'no_lease'::varchar, null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
          null::varchar, null::numeric from generate_series(1, v_count) i;
        return;
      end if;
      perform ledger_lock_batch(p_org_ids, p_user_ids);
      -- Makes the rows of limits that are missing and locks all of them, in order.
      insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
        select distinct on (t.kind, t.id, t.window_start) t.kind, t.id, t.window_start, coalesce(t.unit, 'credits'), t.limit_amount
        from unnest(p_limits) as k(limits), jsonb_to_recordset(k.limits)
          as t(kind varchar, id varchar, window_start timestamptz, unit varchar, limit_amount numeric)
        order by t.kind, t.id, t.window_start, t.limit_amount
        on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
          where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
      for v in
        select k.place::integer as place, bool_or(l.limit_amount is not null) as limited,
          max(l.used) filter (where t.kind = 'key') as key_used
        from unnest(p_limits) with ordinality as k(limits, place),
          jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz)
        join ledger_limits l using (kind, id, window_start)
        group by 1
      loop
        v_counts := true;
        a_limited[v.place] := v.limited;
        a_key_used[v.place] := v.key_used;
      end loop;

      for v in
        select k.place::integer as place, k.org_id, k.input, k.input_bytes, k.output, k.least, o.status as org_status,
          p.total_credits, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit, p.overage_credits,
          a.id as allocation_id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits,
          h.state as known, h.held_credits as known_held, h.input_credits as known_input,
          c.call_id is not null as booked
        from unnest(p_call_ids, p_org_ids, p_user_ids, p_inputs, p_input_bytes, p_outputs, p_leasts) with ordinality
          as k(call_id, org_id, user_id, input, input_bytes, output, least, place)
        left join organizations o on o.id = k.org_id
        left join organization_credit_pools p on p.org_id = k.org_id
        left join user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
        -- Under the pool's lock: the same call may be sent again while the first one still runs.
        left join ledger_holds h on h.call_id = k.call_id
        left join credit_usage_attribution c on c.call_id = k.call_id
        order by k.org_id, a.id, k.place
      loop
        if v.allocation_id is null or v.total_credits is null then
          a_outcome[v.place] := 'no_allocation';
          continue;
        end if;
        if v_org_id is distinct from v.org_id then
          v_org_id := v.org_id;
          v_pool_free := v.total_credits - v.pool_used - v.pool_held;
          v_overage := v.overage_credits;
          n := n + 1;
          m_org_ids[n] := v_org_id;
          m_pool_held[n] := 0;
          m_pool_overage[n] := 0;
        end if;
        if v_allocation_id is distinct from v.allocation_id then
          v_allocation_id := v.allocation_id;
          v_free := v.allocated_credits - v.used_credits - v.held_credits;
          m := m + 1;
          m_allocations[m] := v_allocation_id;
          m_held[m] := 0;
        end if;
        a_remaining[v.place] := v_free;
        if v.known is not null or v.booked then
          a_outcome[v.place] := case v.known when 'open' then 'held' else 'closed' end;
          a_held[v.place] := v.known_held;
          a_input[v.place] := v.known_input;
          continue;
        end if;
        if not v.is_active then a_outcome[v.place] := 'no_allocation'; continue; end if;
        if v.org_status <> 'active' then a_outcome[v.place] := 'suspended'; continue; end if;

        v_room := ledger_room(v_free, v_pool_free, v.allow_overage, v.overage_limit, v_overage);
        v_input := case when v_room < 10 * v.input then greatest(v.input, v.input_bytes) else v.input end;
        v_required := v_input + v.least;
        v_available := greatest(coalesce(v_room, v_input + v.output), 0);
        a_required[v.place] := v_required;
        a_available[v.place] := v_available;
        if v_required > v_available then
          a_outcome[v.place] := case when v_required <= case
              when v.allow_overage then v_room + v.allocated_credits - v.used_credits - v_free
              else least(v.allocated_credits - v.used_credits, v.total_credits - v.pool_used)
            end then 'in_flight' else 'insufficient' end;
          continue;
        end if;
        v_held := least(v_input + v.output, v_available);

        if a_limited[v.place] then
          select * into v_limits from ledger_lock_limits(p_limits[v.place], true);
          if v_limits.calls_refused is not null or v_limits.room < v_required then
            a_outcome[v.place] := 'limit';
            a_limit_kind[v.place] := coalesce(v_limits.calls_refused, v_limits.room_kind);
            a_available[v.place] := greatest(coalesce(v_limits.room, 0), 0);
            continue;
          end if;
          v_held := least(v_held, v_limits.room);
          perform ledger_move_limits(p_limits[v.place], v_held, 1, 0, 0);
        end if;

        if v.allow_overage then
          v_below := greatest(v_held - v_free, 0) - greatest(-v_free, 0);
          v_overage := v_overage + v_below;
          m_pool_overage[n] := m_pool_overage[n] + v_below;
        end if;
        v_free := v_free - v_held;
        v_pool_free := v_pool_free - v_held;
        m_pool_held[n] := m_pool_held[n] + v_held;
        m_held[m] := m_held[m] + v_held;
        a_outcome[v.place] := 'held';
        a_new[v.place] := true;
        a_held[v.place] := v_held;
        a_input[v.place] := v_input;
        a_remaining[v.place] := v_free;
        a_allocation[v.place] := v_allocation_id;
      end loop;

      insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, limits, context,
          service_name, request_id)
        select k.call_id, p_owner, k.org_id, k.user_id, k.allocation_id, k.held, k.input, k.limits, k.context,
          k.service_name, k.request_id
        from unnest(p_call_ids, p_org_ids, p_user_ids, a_allocation, a_held, a_input, p_limits, p_contexts, p_service_names,
            p_request_ids, a_new)
          as k(call_id, org_id, user_id, allocation_id, held, input, limits, context, service_name, request_id, is_new)
        where k.is_new;
      update organization_credit_pools p
        set held_credits = p.held_credits + k.held, overage_credits = p.overage_credits + k.overage, updated_at = v_now
        from unnest(m_org_ids, m_pool_held, m_pool_overage) as k(org_id, held, overage)
        where p.org_id = k.org_id and k.held > 0;
      update user_credit_allocations a set held_credits = a.held_credits + k.held, updated_at = v_now
        from unnest(m_allocations, m_held) as k(id, held)
        where a.id = k.id and k.held > 0;
      if v_counts then
        update ledger_limits l set held = l.held + k.held
          from (
            select t.kind, t.id, t.window_start, sum(case t.unit when 'calls' then 1 else k.held end) as held
            from unnest(p_limits, a_held, a_new, a_limited) as k(limits, held, is_new, limited),
              jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
            where k.is_new and not k.limited
            group by 1, 2, 3) k
          where l.kind = k.kind and l.id = k.id and l.window_start = k.window_start;
      end if;
      return query
        select k.place::integer, k.outcome, k.held, k.input, k.required, k.available, k.remaining, k.limit_kind, k.key_used
        from unnest(a_outcome, a_held, a_input, a_required, a_available, a_remaining, a_limit_kind, a_key_used) with ordinality
          as k(outcome, held, input, required, available, remaining, limit_kind, key_used, place);
    end
  $$;

revoke execute on function ledger_may_hold, ledger_hold_one, ledger_hold_batch from public;
