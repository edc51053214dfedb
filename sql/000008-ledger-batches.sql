-- breaking
-- The ledger's operations, each on many calls at once: one transaction, one flush to disk, one set of locks for all of them.
-- Everything that spends goes through ledger_hold_batch, a single deduct_credits too.
--
-- A plan made while a table was small is kept by its session when the table has grown, and scans all of it (measured: a tenth of
-- the throughput after 20 000 calls). Every row a batch needs is found by an index, so the batches allow nothing else.
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

-- One small index of what is open; an index more is paid by every call, twice. Organizations are kept by their allocations.
drop index idx_ledger_holds_open;
drop index idx_ledger_holds_org_id;
create index idx_ledger_holds_open on ledger_holds (org_id) where state = 'open';
alter table ledger_holds drop constraint ledger_holds_org_id_fkey;

-- An allocation is found by both. With an index of one of them at hand, a plan made before there were statistics reads every
-- allocation of that user, or of that organization (measured: half of the throughput at 100 organizations).
drop index idx_user_credits_org_id;
drop index idx_user_credits_user_id;
create index idx_user_credits_org_id on user_credit_allocations (org_id, user_id);
create index idx_user_credits_user_id on user_credit_allocations (user_id, org_id);

-- The ledger says itself when a balance changed; a trigger for each row is a call for each row.
drop trigger update_org_credit_pools_updated_at on organization_credit_pools;
create trigger update_org_credit_pools_updated_at before update on organization_credit_pools
  for each row when (new.updated_at = old.updated_at) execute function update_updated_at_column();
drop trigger update_user_credits_updated_at on user_credit_allocations;
create trigger update_user_credits_updated_at before update on user_credit_allocations
  for each row when (new.updated_at = old.updated_at) execute function update_updated_at_column();

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

-- Locks the limits of a call in order, making the rows that are missing, and tells the room of the tightest and what the
-- caller's key has used. room null: no limit applies. A 'calls' limit with no call left refuses by name.
drop function ledger_lock_limits(jsonb);
create function ledger_lock_limits(p_limits jsonb,
    out room numeric, out room_kind varchar, out calls_refused varchar, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_limits jsonb := p_limits;
      v_limit jsonb;
      v_amount numeric;
      v_row ledger_limits;
    begin
      if jsonb_array_length(p_limits) > 1 then
        select jsonb_agg(l order by l ->> 'kind', l ->> 'id', (l ->> 'window_start')::timestamptz)
          into v_limits from jsonb_array_elements(p_limits) l;
      end if;
      for i in 0 .. jsonb_array_length(v_limits) - 1 loop
        v_limit := v_limits -> i;
        v_amount := (v_limit ->> 'limit_amount')::numeric;
        select * into v_row from ledger_limits l where l.kind = v_limit ->> 'kind' and l.id = v_limit ->> 'id'
          and l.window_start = (v_limit ->> 'window_start')::timestamptz for update;
        if v_row.kind is null or v_row.limit_amount is distinct from coalesce(v_amount, v_row.limit_amount) then
          insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
            values (v_limit ->> 'kind', v_limit ->> 'id', (v_limit ->> 'window_start')::timestamptz,
              coalesce(v_limit ->> 'unit', 'credits'), v_amount)
            on conflict (kind, id, window_start) do update set limit_amount = coalesce(excluded.limit_amount, l.limit_amount)
            returning * into v_row;
        end if;
        if v_row.kind = 'key' then key_used := v_row.used; end if;
        continue when v_row.limit_amount is null;
        if v_row.unit = 'calls' then
          if v_row.limit_amount - v_row.used - v_row.held < 1 then
            calls_refused := coalesce(calls_refused, v_row.kind);
          end if;
        elsif room is null or v_row.limit_amount - v_row.used - v_row.held < room then
          room := v_row.limit_amount - v_row.used - v_row.held;
          room_kind := v_row.kind;
        end if;
      end loop;
    end
  $$;

-- Moves what the limits of a hold have held and used (negative gives back), all locked. Answers what the caller's key has used.
create or replace function ledger_move_limits(
    p_limits jsonb, p_held numeric, p_calls_held integer, p_used numeric, p_calls_used integer) returns numeric
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_limit jsonb;
      v_used numeric;
      v_key_used numeric;
    begin
      for i in 0 .. jsonb_array_length(p_limits) - 1 loop
        v_limit := p_limits -> i;
        update ledger_limits l
          set held = l.held + case l.unit when 'calls' then p_calls_held else p_held end,
            used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
          where l.kind = v_limit ->> 'kind' and l.id = v_limit ->> 'id'
            and l.window_start = (v_limit ->> 'window_start')::timestamptz
          returning l.used into v_used;
        if v_limit ->> 'kind' = 'key' then v_key_used := v_used; end if;
      end loop;
      return v_key_used;
    end
  $$;

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
      if a.id is null then outcome := 'no_allocation'; return; end if;
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
        v_limits := ledger_lock_limits(p_limits);
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
          select * into v_limits from ledger_lock_limits(p_limits[v.place]);
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
      if v_hold.limits is not null then key_used := (ledger_lock_limits(v_hold.limits)).key_used; end if;

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
      select id, allocated_credits, used_credits, held_credits, next_reset_date
        into a from user_credit_allocations where org_id = p_org_id and user_id = p_user_id for update;
      if a.next_reset_date <= v_now or p.next_refresh_date <= v_now then
        perform ledger_lock(p_org_id, p_user_id);
        select id, allocated_credits, used_credits, held_credits
          into a from user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      end if;
      if h.state is distinct from 'open' then
        select * into charged, remaining, key_used from ledger_close_late(p_call_id, p_state, p_org_id, p_user_id, p_charge,
          p_service_type, p_service_name, p_api_cost, p_markup, p_request_id, p_metadata, p_source, p_provenance, p_outcome,
          p_details);
        return;
      end if;
      if h.limits is not null then
        perform ledger_lock_limits(h.limits);
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
  ledger_durable, ledger_room, ledger_lock_limits, ledger_lock_batch, ledger_may_hold, ledger_hold_one, ledger_hold_batch, ledger_extend, ledger_checkpoint_one,
  ledger_progress_batch, ledger_close_late,
  ledger_close_one, ledger_close_batch, ledger_find_dead, ledger_recover, ledger_journal_durable
  from public;
