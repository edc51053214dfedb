-- The ledger's batches as sets. Calls that are far from every limit are held by one statement, and closed by two, however many
-- they are; whatever needs care goes one by one, through ledger_hold_one and ledger_close_one, which have all the rules. Measured
-- before: a third of a batch was spent in counting for keys that have no limit, a quarter in loops.
--
-- Keys and holds are looked up by subqueries with a limit. As a plain join the plan, made while a table had few rows, read all of it
-- for each call (measured: twice the time at a hundred keys).

alter table ledger_holds
  -- the caller's key, where its spending is only counted. One that has a limit stands in limits, like every limit
  add column key_id varchar(255);

-- A batch writes its charges before it locks pools, so that those are locked for as short as can be. Checked at once, the key would
-- lock the allocation before the pool; at the end of the transaction it is locked already.
alter table credit_usage_attribution
  alter constraint credit_usage_attribution_allocation_id_fkey deferrable initially deferred;

-- Counts what a key without a limit has spent, less where it is given back; answers all it has spent.
create function ledger_count_key(p_key_id varchar, p_amount numeric) returns numeric
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare v_used numeric;
    begin
      -- A row of less than nothing could not even be proposed; what is given back was counted, so that its row is there.
      insert into ledger_limits as l (kind, id, window_start, used)
        values ('key', p_key_id, '1970-01-01T00:00:00Z', greatest(p_amount, 0))
        on conflict (kind, id, window_start) do update set used = l.used + p_amount
        returning used into v_used;
      return v_used;
    end
  $$;

-- Locks the pools and allocations of a batch and does what is due on them: refreshes and resets.
create or replace function ledger_lock_batch(p_org_ids uuid[], p_user_ids varchar[]) returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v_pool_due boolean;
      v_due boolean;
      v record;
    begin
      select bool_or(p.next_refresh_date <= v_now) into v_pool_due from (
        select next_refresh_date from organization_credit_pools where org_id = any(p_org_ids) order by org_id for update) p;
      select bool_or(a.next_reset_date <= v_now) into v_due from (
        select a.next_reset_date from unnest(p_org_ids, p_user_ids) as k(org_id, user_id)
        join user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
        order by a.org_id, a.user_id for update of a) a;
      if v_pool_due or v_due then
        for v in
          select a.org_id, a.user_id from user_credit_allocations a
          where (a.org_id, a.user_id) in (select k.org_id, k.user_id from unnest(p_org_ids, p_user_ids) as k(org_id, user_id))
          order by a.org_id, a.user_id
        loop
          perform ledger_lock(v.org_id, v.user_id);
        end loop;
      end if;
    end
  $$;

drop function ledger_hold_batch(uuid, uuid[], uuid[], varchar[], numeric[], numeric[], numeric[], numeric[], jsonb[], jsonb[],
  varchar[], varchar[]);
drop function ledger_hold_one(uuid, uuid, uuid, varchar, numeric, numeric, numeric, numeric, jsonb, jsonb, varchar, varchar);

-- One call through the gate, with all the rules. p_key_id: a key that is only counted, unless its row has a limit.
create function ledger_hold_one(
    p_owner uuid, p_call_id uuid, p_org_id uuid, p_user_id varchar,
    p_input numeric, p_input_bytes numeric, p_output numeric, p_least numeric,
    p_limits jsonb, p_context jsonb, p_service_name varchar, p_request_id varchar, p_key_id varchar default null,
    out outcome varchar, out held numeric, out input numeric, out required numeric, out available numeric,
    out remaining numeric, out limit_kind varchar, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_known record;
      v_now_is record;
      v_asked jsonb := p_limits;
      v_counted varchar := p_key_id;
      v_limits record;
      v_free numeric;
      v_room numeric;
    begin
      if not ledger_may_hold(p_owner, v_now) then outcome := 'no_lease'; return; end if;
      for i in 1 .. 2 loop
        select p.total_credits, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit,
            p.overage_credits, a.id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits,
            coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due
          into v
          from organization_credit_pools p
          join user_credit_allocations a on a.org_id = p.org_id
          where p.org_id = p_org_id and a.user_id = p_user_id
          for update of p, a;
        if not found then outcome := 'no_allocation'; return; end if;
        exit when not v.due;
        perform ledger_lock(p_org_id, p_user_id);
      end loop;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free;
      -- Only now: what is read in the statement that waits for the locks may be of before them.
      select o.status, l.used, l.limit_amount, l.unit into v_now_is
        from organizations o
        left join ledger_limits l on l.kind = 'key' and l.id = p_key_id and l.window_start = '1970-01-01T00:00:00Z'
        where o.id = p_org_id;
      key_used := case when p_key_id is not null then coalesce(v_now_is.used, 0) end;
      if p_limits is not null and p_key_id is not null and exists (
          select 1 from jsonb_to_recordset(p_limits) as t(kind varchar, id varchar, window_start timestamptz)
          where t.kind = 'key' and t.id = p_key_id and t.window_start = '1970-01-01T00:00:00Z') then
        v_counted := null;
      elsif v_now_is.limit_amount is not null or v_now_is.unit = 'calls' then
        v_asked := coalesce(p_limits, '[]') || jsonb_build_object('kind', 'key', 'id', p_key_id,
          'window_start', '1970-01-01T00:00:00Z', 'unit', v_now_is.unit);
        v_counted := null;
      end if;

      if not v.is_active then
        outcome := 'no_allocation';
      elsif v_now_is.status <> 'active' then
        outcome := 'suspended';
      else
        v_room := ledger_room(v_free, v.total_credits - v.pool_used - v.pool_held, v.allow_overage, v.overage_limit, v.overage_credits);
        input := case when v_room < 10 * p_input then greatest(p_input, p_input_bytes) else p_input end;
        required := input + p_least;
        available := greatest(coalesce(v_room, input + p_output), 0);
        held := least(input + p_output, available);
        outcome := case
          when required <= available then 'held'
          when required <= case when v.allow_overage then v_room + v.held_credits
            else least(v.allocated_credits - v.used_credits, v.total_credits - v.pool_used) end then 'in_flight'
          else 'insufficient' end;
      end if;
      if v_asked is not null then
        v_limits := ledger_lock_limits(v_asked, true);
        key_used := coalesce(v_limits.key_used, key_used);
        if outcome = 'held' then
          if v_limits.calls_refused is not null or v_limits.room < required then
            outcome := 'limit';
            limit_kind := coalesce(v_limits.calls_refused, v_limits.room_kind);
            available := greatest(coalesce(v_limits.room, 0), 0);
          else
            held := least(held, v_limits.room);
          end if;
        end if;
      end if;

      if outcome = 'held' then
        -- Under the pool's lock: the same call may be sent again while the first one still runs, or after it was closed.
        insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, limits, key_id, context,
            service_name, request_id)
          select p_call_id, p_owner, p_org_id, p_user_id, v.id, held, input, v_asked, v_counted, p_context, p_service_name, p_request_id
          where not exists (select 1 from credit_usage_attribution c where c.call_id = p_call_id)
          on conflict (call_id) do nothing;
        if found then
          required := null;
          available := null;
          remaining := v_free - held;
          if v_asked is not null then perform ledger_move_limits(v_asked, held, 1, 0, 0); end if;
          if held > 0 then
            with pool as (
              update organization_credit_pools o
                set held_credits = o.held_credits + held, updated_at = v_now,
                  overage_credits = o.overage_credits + greatest(held - v_free, 0) - greatest(-v_free, 0)
                where o.org_id = p_org_id)
            update user_credit_allocations u set held_credits = u.held_credits + held, updated_at = v_now where u.id = v.id;
          end if;
          return;
        end if;
      end if;

      -- Refused, unless it was answered before.
      select h.state, h.held_credits, h.input_credits into v_known
        from (select p_call_id as call_id) k left join ledger_holds h on h.call_id = k.call_id;
      if v_known.state is not null or exists (select 1 from credit_usage_attribution c where c.call_id = p_call_id) then
        outcome := case v_known.state when 'open' then 'held' else 'closed' end;
        held := v_known.held_credits;
        input := v_known.input_credits;
        required := null;
        available := null;
        limit_kind := null;
        return;
      end if;
      held := null;
      input := null;
    end
  $$;

-- THE GATE. Every path that spends takes its credits here, all or nothing over allocation, pool and limits, each call for itself.
-- Of each call, at the same place of every array:
--   p_inputs        credits of the input, by the fast estimate
--   p_input_bytes   the same at one token a byte: used when less than ten times p_inputs is left
--   p_outputs       credits of the output wanted
--   p_leasts        credits of the least output worth starting for
--   p_limits        [{kind, id, window_start, unit, limit_amount}], or null
--   p_key_ids       a key whose spending is counted, or null; where its row has a limit, that holds
-- p_owner is the process that takes the holds; its lease must be valid. The zero id is a session that settles at once.
-- outcome: held, no_lease, no_allocation, suspended, insufficient (out of money), in_flight (running calls hold it), limit;
-- closed where somebody has closed the hold meanwhile. Idempotent by call id: a repeated call answers what the first did.
create function ledger_hold_batch(
    p_owner uuid, p_call_ids uuid[], p_org_ids uuid[], p_user_ids varchar[],
    p_inputs numeric[], p_input_bytes numeric[], p_outputs numeric[], p_leasts numeric[],
    p_limits jsonb[], p_contexts jsonb[], p_service_names varchar[], p_request_ids varchar[], p_key_ids varchar[] default null)
  returns table (place integer, outcome varchar, held numeric, input numeric, required numeric, available numeric,
    remaining numeric, limit_kind varchar, key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
  as $$
    declare
      v_count integer := cardinality(p_call_ids);
      v_now timestamptz := tollgate_now();
      v_places integer[];
      v_held numeric[];
      v_inputs numeric[];
      v_remaining numeric[];
      v_key_used numeric[];
      v record;
    begin
      if v_count = 1 then
        return query select 1, h.* from ledger_hold_one(p_owner, p_call_ids[1], p_org_ids[1], p_user_ids[1], p_inputs[1],
          p_input_bytes[1], p_outputs[1], p_leasts[1], p_limits[1], p_contexts[1], p_service_names[1], p_request_ids[1],
          p_key_ids[1]) h;
        return;
      end if;
      if not ledger_may_hold(p_owner, v_now) then
        return query select i, 'no_lease'::varchar, null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
          null::varchar, null::numeric from generate_series(1, v_count) i;
        return;
      end if;
      perform ledger_lock_batch(p_org_ids, p_user_ids);

      -- The organizations whose calls can all have what they want: with all of them held, ten times the input of each is left, so
      -- that in whatever order they are looked at none is bounded by anything.
      with asked as (
          select k.*, a.id as allocation_id, l.used as key_used, a.allocated_credits - a.used_credits - a.held_credits as free,
            k.input + k.output as held,
            sum(k.input + k.output) over (partition by k.org_id) as held_by_org,
            sum(k.input + k.output) over (partition by k.org_id, a.id) as held_by_user,
            sum(k.input + k.output) over (partition by k.org_id, a.id order by k.place) as held_so_far,
            p.total_credits - p.used_credits - p.held_credits as pool_free,
            p.allow_overage, p.overage_limit, p.overage_credits,
            k.least <= k.output and o.status = 'active' and a.is_active and k.limits is null and l.limit_amount is null
              and l.unit is distinct from 'calls'
              and h.call_id is null and c.call_id is null as usual
          from unnest(p_call_ids, p_org_ids, p_user_ids, p_inputs, p_outputs, p_leasts, p_limits, p_contexts, p_service_names,
              p_request_ids, p_key_ids) with ordinality
            as k(call_id, org_id, user_id, input, output, least, limits, context, service_name, request_id, key_id, place)
          join organizations o on o.id = k.org_id
          join organization_credit_pools p on p.org_id = k.org_id
          join user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
          left join lateral (
            select used, limit_amount, unit from ledger_limits
            where kind = 'key' and id = k.key_id and window_start = '1970-01-01T00:00:00Z' limit 1) l on true
          -- Under the pool's lock: the same call may be sent again while the first one still runs.
          left join ledger_holds h on h.call_id = k.call_id
          left join credit_usage_attribution c on c.call_id = k.call_id),
        judged as (
          select a.*, bool_and(coalesce(a.usual and case
              when not a.allow_overage then least(a.free - a.held_by_user, a.pool_free - a.held_by_org) >= 10 * a.input
              when a.overage_limit is null then true
              else a.free - a.held_by_user >= 10 * a.input and a.overage_credits <= a.overage_limit
            end, false)) over (partition by a.org_id) as is_easy
          from asked a),
        easy as materialized (select * from judged j where j.is_easy),
        hold as (
          insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, key_id, context,
              service_name, request_id)
            select e.call_id, p_owner, e.org_id, e.user_id, e.allocation_id, e.held, e.input, e.key_id, e.context, e.service_name,
              e.request_id
            from easy e),
        by_user as (
          select e.org_id, e.allocation_id, sum(e.held) as held, min(e.free) as free from easy e group by 1, 2),
        allocation as (
          update user_credit_allocations a set held_credits = a.held_credits + u.held, updated_at = v_now
            from by_user u where a.id = u.allocation_id and u.held > 0),
        pool as (
          update organization_credit_pools p
            set held_credits = p.held_credits + o.held, overage_credits = p.overage_credits + o.below, updated_at = v_now
            from (
              select u.org_id, sum(u.held) as held, sum(greatest(u.held - u.free, 0) - greatest(-u.free, 0)) as below
              from by_user u group by 1) o
            where p.org_id = o.org_id and o.held > 0)
        select array_agg(e.place::integer), array_agg(e.held), array_agg(e.input), array_agg(e.free - e.held_so_far),
            array_agg(case when e.key_id is not null then coalesce(e.key_used, 0) end)
          into v_places, v_held, v_inputs, v_remaining, v_key_used
          from easy e;
      return query
        select k.place, 'held'::varchar, k.held, k.input, null::numeric, null::numeric, k.remaining, null::varchar, k.key_used
        from unnest(v_places, v_held, v_inputs, v_remaining, v_key_used) as k(place, held, input, remaining, key_used);
      if cardinality(v_places) = v_count then return; end if;

      -- The others one by one. Limits are made and locked for all of them first, in order.
      insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
        select distinct on (t.kind, t.id, t.window_start) t.kind, t.id, t.window_start, coalesce(t.unit, 'credits'), t.limit_amount
        from unnest(p_limits) as k(limits), jsonb_to_recordset(k.limits)
          as t(kind varchar, id varchar, window_start timestamptz, unit varchar, limit_amount numeric)
        order by t.kind, t.id, t.window_start, t.limit_amount
        on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
          where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
      for v in
        select k.place::integer as place from unnest(p_org_ids, p_user_ids) with ordinality as k(org_id, user_id, place)
        where k.place <> all(coalesce(v_places, '{}')) order by k.org_id, k.user_id, k.place
      loop
        return query select v.place, h.* from ledger_hold_one(p_owner, p_call_ids[v.place], p_org_ids[v.place], p_user_ids[v.place],
          p_inputs[v.place], p_input_bytes[v.place], p_outputs[v.place], p_leasts[v.place], p_limits[v.place],
          p_contexts[v.place], p_service_names[v.place], p_request_ids[v.place], p_key_ids[v.place]) h;
      end loop;
    end
  $$;

-- Closes one call whose hold is not open any more, or was never seen. Pool and allocation are locked by the caller.
--   settled before              answers what the first settle booked
--   released or recovered       books the signed difference once: more is a correction row of the attribution,
--                               less is given back by a journal row (the books themselves never decrease);
--                               a release of what was recovered gives all of it back
--   no hold row                 books in full (a release has nothing to do)
create or replace function ledger_close_late(
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
      if v_hold.key_id is not null then key_used := ledger_count_key(v_hold.key_id, 0); end if;

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
      if v_hold.key_id is not null then key_used := ledger_count_key(v_hold.key_id, v_amount); end if;
    end
  $$;

-- Closes one call: what ledger_close_batch does with many, without the cost of a set, and with all the rules.
create or replace function ledger_close_one(
    p_call_id uuid, p_state varchar, p_org_id uuid, p_user_id varchar, p_charge numeric,
    p_service_type varchar, p_service_name varchar, p_api_cost numeric, p_markup numeric,
    p_request_id varchar, p_metadata jsonb, p_source varchar, p_provenance varchar, p_outcome varchar, p_details jsonb,
    out charged numeric, out remaining numeric, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_free numeric;
    begin
      perform ledger_durable();
      for i in 1 .. 2 loop
        select h.state, h.held_credits as released, h.limits, h.key_id, h.allocation_id, a.allocated_credits, a.used_credits,
            a.held_credits, coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due
          into v
          from ledger_holds h
          join organization_credit_pools p on p.org_id = h.org_id
          join user_credit_allocations a on a.id = h.allocation_id
          where h.call_id = p_call_id
          for update of h, p, a;
        exit when not v.due;
        perform ledger_lock(p_org_id, p_user_id);
      end loop;
      if v.state is distinct from 'open' then
        select * into charged, remaining, key_used from ledger_close_late(p_call_id, p_state, p_org_id, p_user_id, p_charge,
          p_service_type, p_service_name, p_api_cost, p_markup, p_request_id, p_metadata, p_source, p_provenance, p_outcome,
          p_details);
        return;
      end if;
      charged := p_charge;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free + v.released - p_charge;
      with hold as (
          update ledger_holds set state = p_state, charged_credits = p_charge, closed_at = v_now where call_id = p_call_id),
        pool as (
          update organization_credit_pools o
            set held_credits = o.held_credits - v.released, used_credits = o.used_credits + p_charge, updated_at = v_now,
              overage_credits = o.overage_credits + greatest(-remaining, 0) - greatest(-v_free, 0)
            where o.org_id = p_org_id),
        allocation as (
          update user_credit_allocations u
            set held_credits = u.held_credits - v.released, used_credits = u.used_credits + p_charge, updated_at = v_now
            where u.id = v.allocation_id)
        insert into credit_usage_attribution (
            id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (p_call_id, p_call_id, p_org_id, p_user_id, v.allocation_id, p_charge, p_service_type, p_service_name, p_api_cost,
            p_markup, p_request_id, p_metadata, p_source, p_provenance, p_outcome, p_details);
      if v.limits is not null then
        perform ledger_lock_limits(v.limits, false);
        key_used := ledger_move_limits(v.limits, -v.released, -1, p_charge, case p_state when 'released' then 0 else 1 end);
      end if;
      if v.key_id is not null then
        key_used := ledger_count_key(v.key_id, p_charge);
      end if;
    end
  $$;

-- Ends calls, each as its p_state says: 'settled' or 'recovered' with its charge, 'released' with 0; and writes their
-- attribution rows. The true cost is booked in full, beyond the hold too. What is not open any more goes to ledger_close_late.
-- charged: what is on the books for the call. remaining: what the user has left, holds subtracted. key_used: by the caller's key.
create or replace function ledger_close_batch(
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
      v_easy integer;
      v_closed integer;
      v_careful integer[];
      v record;
    begin
      if v_count = 1 then
        return query select 1, c.* from ledger_close_one(p_call_ids[1], p_states[1], p_org_ids[1], p_user_ids[1], p_charges[1],
          p_service_types[1], p_service_names[1], p_api_costs[1], p_markups[1], p_request_ids[1], p_metadata[1], p_source,
          p_provenances[1], p_outcomes[1], p_details[1]) c;
        return;
      end if;
      perform ledger_durable();
      select count(*) filter (where h.closed_at is null and h.limits is null) into v_easy from (
        select closed_at, limits from ledger_holds where call_id = any(p_call_ids) order by call_id for update) h;
      if v_easy < v_count then
        v_careful := array(
          select k.place::integer from unnest(p_call_ids, p_org_ids, p_user_ids) with ordinality as k(call_id, org_id, user_id, place)
          left join ledger_holds h on h.call_id = k.call_id
          where h.call_id is null or h.closed_at is not null or h.limits is not null
          order by k.org_id, k.user_id, k.place);
        -- A hold that came between the two looks was missing in the first and is open in the second: done again, both see it.
        if v_easy + cardinality(v_careful) <> v_count then
          raise exception '% of % calls are open, and % are not', v_easy, v_count, cardinality(v_careful) using errcode = '40001';
        end if;
      end if;

      if v_easy > 0 then
        -- Before pools are locked, so that they are for as short as can be: whoever closes these calls has their holds locked.
        insert into credit_usage_attribution (
            id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          select k.call_id, k.call_id, h.org_id, h.user_id, h.allocation_id, k.charge, k.service_type, k.service_name, k.api_cost,
            k.markup, k.request_id, k.metadata, p_source, k.provenance, k.outcome, k.details
          from unnest(p_call_ids, p_charges, p_service_types, p_service_names, p_api_costs, p_markups, p_request_ids, p_metadata,
              p_provenances, p_outcomes, p_details)
            as k(call_id, charge, service_type, service_name, api_cost, markup, request_id, metadata, provenance, outcome, details)
          cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
          where h.closed_at is null and h.limits is null;
      end if;
      perform ledger_lock_batch(p_org_ids, p_user_ids);
      if v_careful <> '{}' then
        perform 1 from ledger_limits l
          where (l.kind, l.id, l.window_start) in (
            select t.kind, t.id, t.window_start
            from ledger_holds h, jsonb_to_recordset(h.limits) as t(kind varchar, id varchar, window_start timestamptz)
            where h.call_id = any(p_call_ids) and h.limits is not null)
          order by l.kind, l.id, l.window_start for update;
      end if;

      if v_easy > 0 then
        return query
          with easy as materialized (
              select k.place, k.call_id, k.state, k.charge, h.org_id, h.allocation_id, h.held_credits as released, h.key_id,
                a.allocated_credits - a.used_credits - a.held_credits as free, l.used as key_used
              from unnest(p_call_ids, p_states, p_charges) with ordinality as k(call_id, state, charge, place)
              cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
              join user_credit_allocations a on a.id = h.allocation_id
              left join lateral (
                select used from ledger_limits
                where kind = 'key' and id = h.key_id and window_start = '1970-01-01T00:00:00Z' limit 1) l on true
              where h.closed_at is null and h.limits is null),
            hold as (
              update ledger_holds h set state = e.state, charged_credits = e.charge, closed_at = v_now
                from easy e where h.call_id = e.call_id),
            by_user as (
              select e.org_id, e.allocation_id, sum(e.released) as released, sum(e.charge) as used, min(e.free) as free
              from easy e group by 1, 2),
            allocation as (
              update user_credit_allocations a
                set held_credits = a.held_credits - u.released, used_credits = a.used_credits + u.used, updated_at = v_now
                from by_user u where a.id = u.allocation_id),
            pool as (
              update organization_credit_pools p
                set held_credits = p.held_credits - o.released, used_credits = p.used_credits + o.used,
                  overage_credits = p.overage_credits + o.below, updated_at = v_now
                from (
                  select u.org_id, sum(u.released) as released, sum(u.used) as used,
                    sum(greatest(u.used - u.released - u.free, 0) - greatest(-u.free, 0)) as below
                  from by_user u group by 1) o
                where p.org_id = o.org_id),
            counted as (
              insert into ledger_limits as l (kind, id, window_start, used)
                select 'key', e.key_id, '1970-01-01T00:00:00Z', sum(e.charge) from easy e where e.key_id is not null
                group by e.key_id order by e.key_id
                on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used)
            select e.place::integer, e.charge, e.free + sum(e.released - e.charge) over (partition by e.allocation_id order by e.place),
              case when e.key_id is not null then coalesce(e.key_used, 0) + sum(e.charge) over (partition by e.key_id) end
            from easy e;
        get diagnostics v_closed = row_count;
        -- Should a call be in the batch twice, or its hold have come only now, nothing of the batch is booked.
        if v_closed <> v_easy then
          raise exception '% holds are open, and % calls would be closed', v_easy, v_closed using errcode = '23000';
        end if;
      end if;

      -- The others one by one.
      for v in select c.place from unnest(v_careful) as c(place) loop
        return query select v.place, c.* from ledger_close_one(p_call_ids[v.place], p_states[v.place], p_org_ids[v.place],
          p_user_ids[v.place], p_charges[v.place], p_service_types[v.place], p_service_names[v.place], p_api_costs[v.place],
          p_markups[v.place], p_request_ids[v.place], p_metadata[v.place], p_source, p_provenances[v.place], p_outcomes[v.place],
          p_details[v.place]) c;
      end loop;
    end
  $$;

-- Says so within the statement that asks, and only there where the database's default is another.
create or replace function ledger_may_hold(p_owner uuid, p_now timestamptz) returns boolean
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if p_owner = '00000000-0000-0000-0000-000000000000' then return true; end if;
      return set_config('synchronous_commit', 'off', true) = 'off' and exists (
        select 1 from ledger_processes
        where id = p_owner and stopped_at is null and dead_at is null and lease_until > p_now);
    end
  $$;

-- Recomputes every balance from the rows, in the one snapshot of the calling statement. No rows: the books are right.

revoke execute on function ledger_count_key, ledger_hold_one, ledger_hold_batch from public;
