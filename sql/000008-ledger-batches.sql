-- breaking
-- The ledger's operations, each on many calls at once: one transaction, one flush to disk, one set of locks for all of them.
-- Everything that spends goes through ledger_hold_batch, a single deduct_credits too.
--
-- Locks are taken explicitly and in one order over the whole batch: hold rows by id, pools by organization, allocations by
-- (organization, user), limits by (kind, id, window_start). UPDATE ... FROM locks in whatever order its plan finds rows
-- (measured: 7 deadlocks in 880 batches).

alter table ledger_processes
  -- said by whoever recovered its holds: from then on its lease can't be renewed
  add column dead_at timestamptz;

alter table ledger_holds
  -- what the checkpoint is in dollars that go to the provider
  add column checkpoint_api_cost numeric(20, 9) check (checkpoint_api_cost >= 0),
  -- for the row of a call that nobody else can settle
  add column service_name varchar(200),
  add column request_id varchar(255);

-- Rows without metadata, which are all of the proxy's own, need no entry. Serves every `@>` all the same.
drop index idx_credit_usage_metadata_gin;
create index idx_credit_usage_metadata_gin on credit_usage_attribution using gin (request_metadata)
  where request_metadata is not null;

drop function ledger_hold(uuid, uuid, uuid, varchar, numeric, numeric, numeric, numeric, jsonb, jsonb);
drop function ledger_room(organization_credit_pools, user_credit_allocations);
drop function ledger_book(uuid, varchar, numeric, numeric);
drop function ledger_extend(uuid, numeric, numeric);
drop function ledger_close(uuid, varchar, uuid, varchar, numeric, varchar, varchar, numeric, numeric, varchar, jsonb, varchar,
  varchar, varchar, jsonb);

-- Settlements, purchases and allocations are on disk when they are answered, whatever the database's default is.
create function ledger_durable() returns void
  language plpgsql set search_path = pg_catalog, pg_temp
  as $$
    begin
      if current_setting('synchronous_commit') = 'off' then
        perform set_config('synchronous_commit', 'on', true);
      end if;
    end
  $$;

-- What an allocation may still hold: its own rest and the organization's prepaid rest, whichever is less; where overage is
-- allowed, what is left of it comes on top. Null: unlimited.
create function ledger_room(
    p_free numeric, p_pool_free numeric, p_allow_overage boolean, p_overage_limit numeric, p_overage numeric) returns numeric
  language sql immutable
  return case
    when not p_allow_overage then least(p_free, p_pool_free)
    when p_overage_limit is null then null
    else greatest(p_free, 0) + p_overage_limit - p_overage
  end;

-- Locks the pools and allocations of a batch and does what is due on them: refreshes and resets.
create function ledger_lock_batch(p_org_ids uuid[], p_user_ids varchar[]) returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
    begin
      perform 1 from organization_credit_pools where org_id = any(p_org_ids) order by org_id for update;
      for v in
        select a.org_id, a.user_id, a.next_reset_date <= v_now or p.next_refresh_date <= v_now as due
        from user_credit_allocations a
        join (select distinct k.org_id, k.user_id from unnest(p_org_ids, p_user_ids) as k(org_id, user_id)) k
          on k.org_id = a.org_id and k.user_id = a.user_id
        join organization_credit_pools p on p.org_id = a.org_id
        order by a.org_id, a.user_id for update of a
      loop
        if v.due then perform ledger_lock(v.org_id, v.user_id); end if;
      end loop;
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
  as $$
    declare
      v_count integer := cardinality(p_call_ids);
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
      -- places whose limits refuse or bound; the others are only counted
      v_limited integer[];
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
      -- movements
      m_org_ids uuid[] := '{}';
      m_pool_held numeric[] := '{}';
      m_pool_overage numeric[] := '{}';
      m_allocations uuid[] := '{}';
      m_held numeric[] := '{}';
      n integer := 0;
      m integer := 0;
    begin
      if p_owner <> '00000000-0000-0000-0000-000000000000' then
        -- Losing a hold takes this process and the database dying within the same fraction of a second: a settlement that finds
        -- no hold books in full.
        perform set_config('synchronous_commit', 'off', true);
        if not exists (select 1 from ledger_processes
            where id = p_owner and stopped_at is null and dead_at is null and lease_until > tollgate_now()) then
          return query select i, 'no_lease'::varchar, null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
            null::varchar, null::numeric from generate_series(1, v_count) i;
          return;
        end if;
      end if;

      perform ledger_lock_batch(p_org_ids, p_user_ids);
      for v in select 1 from unnest(p_limits) l where l is not null limit 1 loop
        v_counts := true;
        -- Makes the rows that are missing and locks all of them, in order.
        insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
          select distinct on (t.kind, t.id, t.window_start) t.kind, t.id, t.window_start, coalesce(t.unit, 'credits'), t.limit_amount
          from unnest(p_limits) as k(limits), jsonb_to_recordset(k.limits)
            as t(kind varchar, id varchar, window_start timestamptz, unit varchar, limit_amount numeric)
          order by t.kind, t.id, t.window_start, t.limit_amount
          on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
            where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
        select array_agg(k.place) into v_limited
          from unnest(p_limits) with ordinality as k(limits, place),
            jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz)
          join ledger_limits l using (kind, id, window_start)
          where l.limit_amount is not null;
      end loop;

      for v in
        select k.place::integer as place, k.org_id, k.input, k.input_bytes, k.output, k.least, o.status as org_status,
          p.total_credits, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit, p.overage_credits,
          a.id as allocation_id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits,
          h.state as known, h.held_credits as known_held, h.input_credits as known_input
        from unnest(p_call_ids, p_org_ids, p_user_ids, p_inputs, p_input_bytes, p_outputs, p_leasts) with ordinality
          as k(call_id, org_id, user_id, input, input_bytes, output, least, place)
        left join organizations o on o.id = k.org_id
        left join organization_credit_pools p on p.org_id = k.org_id
        left join user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
        -- Under the pool's lock: the same call may be sent again while the first one still runs.
        left join ledger_holds h on h.call_id = k.call_id
        order by k.org_id, a.id, k.place
      loop
        if v.allocation_id is null then
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
        if v.known is not null then
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

        if v.place = any(v_limited) then
          select * into v_limits from ledger_lock_limits(p_limits[v.place]);
          if v_limits.calls_refused is not null or v_limits.room < v_required then
            a_outcome[v.place] := 'limit';
            a_limit_kind[v.place] := coalesce(v_limits.calls_refused, v_limits.room_kind);
            a_available[v.place] := greatest(coalesce(v_limits.room, 0), 0);
            continue;
          end if;
          v_held := least(v_held, v_limits.room);
          a_key_used[v.place] := ledger_move_limits(p_limits[v.place], v_held, 1, 0, 0);
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
        set held_credits = p.held_credits + k.held, overage_credits = p.overage_credits + k.overage
        from unnest(m_org_ids, m_pool_held, m_pool_overage) as k(org_id, held, overage)
        where p.org_id = k.org_id and k.held > 0;
      update user_credit_allocations a set held_credits = a.held_credits + k.held
        from unnest(m_allocations, m_held) as k(id, held)
        where a.id = k.id and k.held > 0;
      if v_counts then
        update ledger_limits l set held = l.held + k.held
          from (
            select t.kind, t.id, t.window_start, sum(case t.unit when 'calls' then 1 else k.held end) as held
            from unnest(p_limits, a_held, a_new) with ordinality as k(limits, held, is_new, place),
              jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
            where k.is_new and (v_limited is null or k.place <> all(v_limited))
            group by 1, 2, 3) k
          where l.kind = k.kind and l.id = k.id and l.window_start = k.window_start;
        return query
          select k.place::integer, k.outcome, k.held, k.input, k.required, k.available, k.remaining, k.limit_kind,
            coalesce(k.key_used, (
              select max(l.used) from jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz)
              join ledger_limits l using (kind, id, window_start) where t.kind = 'key'))
          from unnest(a_outcome, a_held, a_input, a_required, a_available, a_remaining, a_limit_kind, a_key_used, p_limits)
            with ordinality as k(outcome, held, input, required, available, remaining, limit_kind, key_used, limits, place);
      else
        return query
          select k.place::integer, k.outcome, k.held, k.input, k.required, k.available, k.remaining, k.limit_kind, null::numeric
          from unnest(a_outcome, a_held, a_input, a_required, a_available, a_remaining, a_limit_kind) with ordinality
            as k(outcome, held, input, required, available, remaining, limit_kind, place);
      end if;
    end
  $$;

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
      if v_more <= 0 or held + v_more < p_least then outcome := 'refused'; return; end if;
      perform ledger_move(v_allocation, v_more, 0);
      if v_hold.limits is not null then perform ledger_move_limits(v_hold.limits, v_more, 0, 0, 0); end if;
      update ledger_holds set held_credits = held_credits + v_more where call_id = p_call_id returning held_credits into held;
      outcome := 'extended';
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
        where h.call_id = k.call_id and h.state = 'open' and k.credits >= coalesce(h.checkpoint_credits, 0);
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

-- Closes one call whose hold is not open any more, or was never seen. Pool and allocation are locked by the caller.
--   settled before              answers what the first settle booked
--   released or recovered       books the signed difference once: more is a correction row of the attribution,
--                               less is given back by a journal row (the books themselves never decrease)
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

      select coalesce(sum(credits_used), 0) as credits, coalesce(sum(api_cost), 0) as api_cost,
          coalesce(sum(markup_applied), 0) as markup, count(*) > 0 as booked, bool_or(entry = 'correction') as corrected
        into v_booked from credit_usage_attribution where call_id = p_call_id;
      charged := v_booked.credits - coalesce((
        select sum(allocation_allocated) from ledger_journal where call_id = p_call_id and kind = 'correction'), 0);
      if not v_missing then v_amount := p_charge - charged; end if;
      if v_missing and v_booked.booked or not v_missing and (v_hold.state = 'settled' or p_state <> 'settled' or v_amount = 0
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

-- Ends calls, each as its p_state says: 'settled' or 'recovered' with its charge, 'released' with 0; and writes their
-- attribution rows. The true cost is booked in full, beyond the hold too. What is not open any more goes to ledger_close_late.
-- charged: what is on the books for the call. remaining: what the user has left, holds subtracted. key_used: by the caller's key.
create function ledger_close_batch(
    p_call_ids uuid[], p_states varchar[], p_org_ids uuid[], p_user_ids varchar[], p_charges numeric[],
    p_service_types varchar[], p_service_names varchar[], p_api_costs numeric[], p_markups numeric[],
    p_request_ids varchar[], p_metadata jsonb[], p_source varchar, p_provenances varchar[], p_outcomes varchar[], p_details jsonb[])
  returns table (place integer, charged numeric, remaining numeric, key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_count integer := cardinality(p_call_ids);
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
        select k.place::integer as place, k.org_id, k.charge, h.held_credits as released, h.limits,
          a.id as allocation_id, a.allocated_credits, a.used_credits, a.held_credits
        from unnest(p_call_ids, p_org_ids, p_charges) with ordinality as k(call_id, org_id, charge, place)
        join ledger_holds h on h.call_id = k.call_id and h.state = 'open'
        join user_credit_allocations a on a.id = h.allocation_id
        order by k.org_id, a.id, k.place
      loop
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
        update ledger_holds h set state = k.state, charged_credits = k.charge, closed_at = tollgate_now()
          from unnest(p_call_ids, p_states, p_charges, a_open) as k(call_id, state, charge, is_open)
          where h.call_id = k.call_id and k.is_open;
        update organization_credit_pools p
          set held_credits = p.held_credits - k.released, used_credits = p.used_credits + k.used,
            overage_credits = p.overage_credits + k.overage
          from unnest(m_org_ids, m_pool_released, m_pool_used, m_pool_overage) as k(org_id, released, used, overage)
          where p.org_id = k.org_id;
        update user_credit_allocations a set held_credits = a.held_credits - k.released, used_credits = a.used_credits + k.used
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
        select k.place::integer, k.charged, k.remaining, coalesce(k.key_used, (
          select max(l.used) from jsonb_to_recordset(k.limits) as t(kind varchar, id varchar, window_start timestamptz)
          join ledger_limits l using (kind, id, window_start) where t.kind = 'key'))
        from unnest(a_charged, a_remaining, a_key_used, a_limits) with ordinality as k(charged, remaining, key_used, limits, place);
    end
  $$;

-- Says which processes are dead (their lease ran out p_dead_after ago), and the organizations in which a process that is gone
-- holds something: one that stopped, one that is dead, or, after p_dead_after, one nobody knows.
create function ledger_find_dead(p_dead_after interval) returns setof uuid
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
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
  $$;

-- Closes what processes that are gone hold in one organization, at most p_most holds at once. A hold is charged at its last
-- checkpoint; without one nothing went out, and it is released. Any number of processes may recover side by side.
create function ledger_recover(p_dead_after interval, p_org_id uuid, p_most integer,
    out recovered integer, out released integer, out credits numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
    begin
      select array_agg(h.call_id) as call_ids, array_agg(h.org_id) as org_ids, array_agg(h.user_id) as user_ids,
          array_agg(case when h.checkpoint_credits is null then 'released' else 'recovered' end::varchar) as states,
          array_agg(coalesce(h.checkpoint_credits, 0)) as charges,
          array_agg('llm_inference'::varchar) as service_types,
          array_agg(h.service_name) as service_names,
          array_agg(coalesce(h.checkpoint_api_cost, 0)) as api_costs,
          array_agg(coalesce(h.checkpoint_credits / 1000 - h.checkpoint_api_cost, 0)) as markups,
          array_agg(h.request_id) as request_ids,
          array_agg(null::jsonb) as metadata,
          array_agg(case when h.checkpoint_credits is null then null else 'recovered' end::varchar) as provenances,
          array_agg('recovered'::varchar) as outcomes,
          array_agg(jsonb_build_object('model', h.service_name, 'deployment', h.context -> 'deployment',
            'key_id', h.context -> 'key_id', 'recovered_from', h.owner)) as details,
          count(*) filter (where h.checkpoint_credits is not null) as recovered,
          count(*) filter (where h.checkpoint_credits is null) as released,
          coalesce(sum(h.checkpoint_credits), 0) as credits
        into v
        from (
          select h.* from ledger_holds h
          where h.org_id = p_org_id and h.state = 'open' and not exists (
              select 1 from ledger_processes p where p.id = h.owner and p.stopped_at is null and p.dead_at is null)
            and (h.created_at < v_now - p_dead_after or exists (select 1 from ledger_processes p where p.id = h.owner))
          order by h.call_id limit p_most for update skip locked) h;
      recovered := v.recovered;
      released := v.released;
      credits := v.credits;
      if v.call_ids is not null then
        perform ledger_close_batch(v.call_ids, v.states, v.org_ids, v.user_ids, v.charges, v.service_types, v.service_names,
          v.api_costs, v.markups, v.request_ids, v.metadata, 'proxy', v.provenances, v.outcomes, v.details);
      end if;
    end
  $$;

-- Recomputes every balance from the rows, in the one snapshot of the calling statement. No rows: the books are right.
create or replace function ledger_audit()
  returns table (finding text, org_id uuid, user_id varchar, call_id uuid, stored numeric, recomputed numeric)
  language sql stable set search_path = pg_catalog, public, pg_temp
  as $$
    with journal as (
      select j.org_id, sum(pool_total) as total, sum(pool_allocated) as allocated from ledger_journal j group by 1),
    user_journal as (
      select j.org_id, j.user_id, sum(allocation_allocated) as allocated, sum(allocation_used) as used
      from ledger_journal j where j.user_id is not null group by 1, 2),
    spent as (select c.org_id, c.user_id, sum(credits_used) as used from credit_usage_attribution c group by 1, 2),
    org_spent as (select s.org_id, sum(used) as used from spent s group by 1),
    held as (select h.org_id, h.user_id, sum(held_credits) as held from ledger_holds h where state = 'open' group by 1, 2),
    org_held as (select h.org_id, sum(held) as held from held h group by 1),
    below as (
      select a.org_id, sum(ledger_below_zero(allocated_credits, used_credits, held_credits)) as below,
        sum(remaining_credits) as remaining
      from user_credit_allocations a group by 1),
    corrected as (
      select call_id, sum(credits) as credits from (
        select c.call_id, c.credits_used as credits from credit_usage_attribution c where c.entry = 'correction'
        union all
        select j.call_id, -j.allocation_allocated from ledger_journal j where j.kind = 'correction') c
      group by 1),
    touched as (
      select t.kind, t.id, t.window_start,
        sum(case when h.state <> 'open' then 0 when t.unit = 'calls' then 1 else h.held_credits end) as held,
        sum(case
          when h.state = 'open' then 0
          when t.unit is distinct from 'calls' then h.charged_credits + coalesce(c.credits, 0)
          when h.state = 'released' and c.call_id is null then 0
          else 1 end) as used
      from ledger_holds h
      cross join jsonb_to_recordset(h.limits) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
      left join corrected c using (call_id)
      where h.limits is not null group by 1, 2, 3),
    findings as (
      select 'pool.total_credits is not the sum of the journal' as finding, p.org_id, null::varchar as user_id,
        null::uuid as call_id, p.total_credits as stored, coalesce(j.total, 0) as recomputed
      from organization_credit_pools p left join journal j using (org_id)
      union all
      select 'pool.allocated_credits is not the sum of the journal', p.org_id, null, null, p.allocated_credits, coalesce(j.allocated, 0)
      from organization_credit_pools p left join journal j using (org_id)
      union all
      select 'pool.used_credits is not the sum of the charges', p.org_id, null, null, p.used_credits, coalesce(s.used, 0)
      from organization_credit_pools p left join org_spent s using (org_id)
      union all
      select 'pool.held_credits is not the sum of the open holds', p.org_id, null, null, p.held_credits, coalesce(h.held, 0)
      from organization_credit_pools p left join org_held h using (org_id)
      union all
      select 'pool.allocated - used is not the sum of what users have left', p.org_id, null, null,
        p.allocated_credits - p.used_credits, coalesce(b.remaining, 0)
      from organization_credit_pools p left join below b using (org_id)
      union all
      select 'pool.overage_credits is not what allocations are below zero', p.org_id, null, null, p.overage_credits, coalesce(b.below, 0)
      from organization_credit_pools p left join below b using (org_id)
      union all
      select 'allocation.allocated_credits is not the sum of the journal', a.org_id, a.user_id, null, a.allocated_credits, coalesce(j.allocated, 0)
      from user_credit_allocations a left join user_journal j using (org_id, user_id)
      union all
      select 'allocation.used_credits is not the charges less the resets', a.org_id, a.user_id, null, a.used_credits,
        coalesce(s.used, 0) + coalesce(j.used, 0)
      from user_credit_allocations a left join spent s using (org_id, user_id) left join user_journal j using (org_id, user_id)
      union all
      select 'allocation.held_credits is not the sum of the open holds', a.org_id, a.user_id, null, a.held_credits, coalesce(h.held, 0)
      from user_credit_allocations a left join held h using (org_id, user_id)
      union all
      select 'a charge belongs to a user without an allocation', s.org_id, s.user_id, null, s.used, 0
      from spent s left join user_credit_allocations a using (org_id, user_id) where a.id is null
      union all
      select 'limit.held is not the sum of the open holds', null, l.id, null, l.held, coalesce(t.held, 0)
      from ledger_limits l left join touched t using (kind, id, window_start)
      union all
      select 'limit.used is not the sum of the charges', null, l.id, null, l.used, coalesce(t.used, 0)
      from ledger_limits l left join touched t using (kind, id, window_start)
      union all
      select 'a closed hold is not charged what its rows say', h.org_id, h.user_id, h.call_id, h.charged_credits, c.credits_used
      from ledger_holds h left join credit_usage_attribution c on c.call_id = h.call_id and c.entry = 'charge'
      where h.state <> 'open'
      union all
      select 'an open hold is already charged', h.org_id, h.user_id, h.call_id, 0, c.credits_used
      from ledger_holds h join credit_usage_attribution c on c.call_id = h.call_id where h.state = 'open'
      union all
      select 'a correction belongs to a call that was never closed', j.org_id, j.user_id, j.call_id, -j.allocation_allocated, 0
      from ledger_journal j left join ledger_holds h using (call_id)
      where j.kind = 'correction' and (h.call_id is null or h.state not in ('released', 'recovered'))
      union all
      select 'credits and dollars of a charge differ', c.org_id, c.user_id, c.call_id, c.credits_used / 1000, c.total_cost
      from credit_usage_attribution c where c.source = 'proxy' and c.credits_used > 0)
    select f.finding, f.org_id, f.user_id, f.call_id, f.stored, f.recomputed from findings f
    where f.stored is distinct from f.recomputed
  $$;

-- As it was, by way of the gate above.
create or replace function has_sufficient_credits(p_org_id uuid, p_user_id varchar, p_credits_needed numeric) returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
    begin
      perform ledger_check_amount(p_credits_needed);
      select * into v_pool from organization_credit_pools where org_id = p_org_id;
      select * into v_allocation from user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      -- A refresh or reset that is due is done first; otherwise this only reads.
      if (v_pool.next_refresh_date <= tollgate_now() or v_allocation.next_reset_date <= tollgate_now())
          and current_setting('transaction_read_only') = 'off' then
        v_locked := ledger_lock(p_org_id, p_user_id);
        v_pool := v_locked.pool;
        v_allocation := v_locked.allocation;
      end if;
      if v_allocation.id is null or not v_allocation.is_active
          or not exists (select 1 from organizations where id = p_org_id and status = 'active') then
        return false;
      end if;
      return coalesce(ledger_room(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits) >= p_credits_needed, true);
    end
  $$;

create or replace function deduct_credits(
    p_org_id uuid, p_user_id varchar, p_credits_used numeric, p_service_type varchar, p_service_name varchar default null,
    p_request_id varchar default null, p_request_metadata jsonb default null) returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_call_id uuid := gen_random_uuid();
      v_hold record;
    begin
      perform ledger_check_amount(p_credits_used);
      perform ledger_lock(p_org_id, p_user_id);
      if p_request_id is not null and exists (
          select 1 from credit_usage_attribution
          where org_id = p_org_id and request_id = p_request_id and source = 'sql' and user_id = p_user_id
            and credits_used = p_credits_used and service_type is not distinct from p_service_type
            and service_name is not distinct from p_service_name
            and request_metadata is not distinct from p_request_metadata
            and created_at > tollgate_now() - interval '10 minutes') then
        return true;
      end if;
      select * into v_hold from ledger_hold_batch(
        '00000000-0000-0000-0000-000000000000', array[v_call_id], array[p_org_id], array[p_user_id], array[0::numeric],
        array[0::numeric], array[p_credits_used], array[p_credits_used], array[null::jsonb], array[null::jsonb],
        array[null::varchar], array[null::varchar]);
      if v_hold.outcome = 'no_allocation' then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      elsif v_hold.outcome = 'suspended' then
        raise exception 'Organization % is not active', p_org_id using errcode = 'P0001';
      elsif v_hold.outcome <> 'held' then
        raise exception 'Insufficient credits: % available, % needed',
          trim_scale(v_hold.available), trim_scale(p_credits_used) using errcode = 'P0001';
      end if;
      perform ledger_close_batch(array[v_call_id], array['settled'::varchar], array[p_org_id], array[p_user_id],
        array[p_credits_used], array[p_service_type], array[p_service_name], array[0::numeric], array[0::numeric],
        array[p_request_id], array[p_request_metadata], 'sql', array[null::varchar], array['answered'::varchar],
        array[null::jsonb]);
      return true;
    end
  $$;

-- The journal of a movement that is answered is on disk.
create function ledger_journal_durable() returns trigger
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if new.kind in ('purchase', 'allocate', 'refund', 'correction') then perform ledger_durable(); end if;
      return new;
    end
  $$;
create trigger ledger_journal_durable before insert on ledger_journal
  for each row execute function ledger_journal_durable();

revoke execute on function
  ledger_durable, ledger_room, ledger_lock_batch, ledger_hold_batch, ledger_extend, ledger_progress_batch, ledger_close_late,
  ledger_close_batch, ledger_find_dead, ledger_recover, ledger_journal_durable
  from public;
