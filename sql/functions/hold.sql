-- THE GATE. Every path that spends takes its credits here, all or nothing, each call for itself. A hold checks, in this order:
--   1. the lease      the owner is a live process, or a SQL session that settles at once     -> no_lease
--   2. the payer      the allocation exists and is active, the organization is active         -> no_allocation, suspended
--   3. the credits    input and the least output fit into what the allocation may still hold  -> insufficient (out of money),
--                     (ledger_available)                                                         in_flight (running calls hold it)
--   4. the limits     the same fits into every further limit, and each limit of calls has one  -> limit
--   5. the line       where it may wait, nobody who came before waits for what it touches     -> waits, as it does where only
--                                                                                               running calls stand in its way
--   6. the call       it is not held, closed or booked already                                -> held as before, closed
-- What is granted is the input and as much of the wanted output as fits. The hold remembers the limits it touched.
--
-- THE BYTE RULE. An input is held by the fast estimate, which may be wrong, as long as all calls that run in the allocation and this one
-- would still be covered at a token a byte, which can't. Where they would not, this call is held at a token a byte, beside what the
-- others would be at that. So a burst never holds less than it can cost: 120 calls on money for 7 are 7 calls.
-- THE NEXT STEP. A stream begins with a small hold and grows. What every running one grows by next is left to it: a further call is held
-- beside that, like beside what the others would be at a token a byte. Both together are the margin of a hold. A stream that got less
-- than it wanted does not grow.
-- UNCERTAIN INPUT. Media are held at the most they can be, which may be several times what they are. Where the credits would not cover that
-- even if no other call ran, the uncertain part may be left unheld. It counts as margin while the call runs, and its hold says so
-- (context: unheld): one call of an organization at a time can cost more than there is, by its uncertain part at most, or many users of
-- one pool could together. Further limits have to cover all of it.
-- Idempotent by call id: a repeated call returns what the first one got.

-- True if the process may take holds.
create or replace function tollgate.ledger_lease_is_valid(p_owner uuid, p_now timestamptz) returns boolean
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      return exists (
        select 1 from ledger_processes
        where id = p_owner and stopped_at is null and dead_at is null and lease_until > p_now);
    end
  $$;

-- One call through the gate, with all the rules.
--   held, input      the hold, and the part of it meant for the input
--   required, available   of a refusal: the least that was needed, and what there was; of a slice that is to be filled: the least, and
--                    what is wanted (ledger_fill_slice)
--   remaining        what the allocation has left, this hold subtracted
--   limited_by       of a refusal by a limit: that limit; of a call that is held: the call quota that has least left with it
--   key_used         what the caller's key has spent
create or replace function tollgate.ledger_hold_one(p_owner uuid, p_call tollgate.hold_request,
    out outcome varchar, out held numeric, out input numeric, out required numeric, out available numeric,
    out remaining numeric, out limited_by jsonb, out key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_is_proxy boolean := p_owner <> ledger_sql_session();
      v_known record;
      v_limits limits_seen;
      v_free numeric;
      v_unheld numeric;
      v_available numeric;
      v_margin numeric := 0;
      v_is_taken boolean;
      v_may_overtake boolean := p_call.wait_ms > 0 is not true;
      -- Also of one that does not say so: nobody knows of a first ask whose answer was lost.
      v_may_stand boolean := coalesce(p_call.in_line, false);
      v_if_idle numeric;
      v_full numeric;
      v_line text;
      v_fits_if_idle boolean;
    begin
      if p_call.leaves then
        perform ledger_leave_line(p_call.call_id, v_now);
        outcome := 'left';
        return;
      end if;
      for i in 1 .. 3 loop
        select not v_is_proxy or exists (
              select from ledger_processes l
              where l.id = p_owner and l.stopped_at is null and l.dead_at is null and l.lease_until > v_now) as has_lease,
            p.total_credits, p.allocated_credits as pool_allocated, p.used_credits as pool_used, p.held_credits as pool_held, p.allow_overage, p.overage_limit,
            p.overage_credits, a.id, a.is_active, a.allocated_credits, a.used_credits, a.held_credits, a.margin_credits,
            coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due,
            case when a.follows_pool and a.is_active then greatest(p_call.input, p_call.input_bytes) + p_call.output + a.margin_credits
              - (a.allocated_credits - a.used_credits - a.held_credits) else 0 end as short
          into v
          from public.organization_credit_pools p
          join public.user_credit_allocations a on a.org_id = p.org_id
          where p.org_id = p_call.org_id and a.user_id = p_call.user_id
          for update of p, a;
        if not found then
          outcome := case when not v_is_proxy or ledger_lease_is_valid(p_owner, v_now) then 'no_allocation' else 'no_lease' end;
          return;
        end if;
        if not v.has_lease then outcome := 'no_lease'; return; end if;
        -- Without a statement of its own: an assignment is a tenth of its time.
        if v_is_proxy and set_config('synchronous_commit', 'off', true) is null then return; end if;
        if v.due then
          perform ledger_lock_and_refresh(p_call.org_id, p_call.user_id);
        elsif v.short > 0 and v.total_credits > v.pool_allocated then
          perform ledger_follow_pool(p_call.org_id, p_call.user_id, v.short);
        else
          exit;
        end if;
      end loop;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free;
      if p_call.limits is not null then
        v_limits := ledger_see_limits(p_call.limits, p_call.input + p_call.min_output,
          greatest(p_call.input, p_call.input_bytes) + p_call.output, v_now);
        key_used := v_limits.key_used;
      end if;

      if not v.is_active then
        outcome := 'no_allocation';
      else
        v_unheld := ledger_available(v_free, v.total_credits - v.pool_used - v.pool_held, v.allow_overage, v.overage_limit,
          v.overage_credits);
        v_available := v_unheld;
        input := p_call.input;
        if greatest(input, p_call.input_bytes) + p_call.output > v_unheld - v.margin_credits then
          input := greatest(input, p_call.input_bytes);
          v_available := v_unheld - v.margin_credits;
        end if;
        v_full := input + p_call.min_output;
        v_if_idle := case when v.allow_overage then v_unheld + v.held_credits
          else least(v.allocated_credits - v.used_credits, v.total_credits - v.pool_used) end;
        required := v_full - case when v_full > coalesce(v_if_idle, v_full) then coalesce(p_call.uncertain, 0) else 0 end;
        if required < v_full and exists (
            select 1 from ledger_holds h where h.org_id = p_call.org_id and h.state = 'open' and h.context ? 'unheld') then
          v_available := 0;
        end if;
        available := greatest(coalesce(v_available, input + p_call.output), 0);
        held := least(input + p_call.output, available);
        outcome := case
          when required <= available then 'held'
          when required <= v_if_idle then 'in_flight'
          else 'insufficient' end;
      end if;
      if outcome = 'held' and v_limits.touched is not null then
        if not v_limits.has_call or v_limits.available < v_full then
          outcome := 'limit';
          required := v_full;
          limited_by := v_limits.limited_by;
          available := greatest(coalesce(v_limits.available, 0), 0);
        else
          held := least(held, v_limits.available);
        end if;
      end if;
      if v_limits.short_slice and p_call.sliced is not true
          and (outcome = 'held' or outcome = 'limit' and (v_limits.limited_by is null or ledger_is_sliced(v_limits.limited_by ->> 'kind'))) then
        outcome := 'slice';
        required := v_full;
        available := greatest(p_call.input, p_call.input_bytes) + p_call.output;
        limited_by := null;
      end if;
      if outcome = 'held' then
        v_margin := greatest(p_call.input_bytes - input, 0) + case
          when held = input + p_call.output then coalesce(p_call.step, 0)
          when held < v_full then least(p_call.uncertain, input + p_call.output - held)
          else 0 end;
        for i in 1 .. 2 loop
          -- A separate statement: one that waited for locks still reads other tables from its old snapshot. Under the pool's lock: the same
          -- call may be sent again while the first one still runs, or after it was closed.
          with hold as (
              insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, margin_credits, limits,
                  context, service_type, service_name, request_id)
                select p_call.call_id, p_owner, p_call.org_id, p_call.user_id, v.id, held, input, v_margin, v_limits.touched,
                  case when held < v_full and held < input + p_call.output and p_call.uncertain > 0
                    then coalesce(p_call.context, '{}') || '{"unheld": true}' else p_call.context end,
                  p_call.service_type, p_call.service_name, p_call.request_id
                from public.organizations o
                where o.id = p_call.org_id and o.status = 'active'
                  and not exists (select from public.credit_usage_attribution c where c.call_id = p_call.call_id)
                  and (v_may_overtake or not exists (select from ledger_waiters))
                on conflict (call_id) do nothing
                returning held_credits, margin_credits),
            pool as (
              update public.organization_credit_pools o
                set held_credits = o.held_credits + h.held_credits, updated_at = v_now,
                  overage_credits = o.overage_credits + greatest(h.held_credits - v_free, 0) - greatest(-v_free, 0)
                from hold h where o.org_id = p_call.org_id and h.held_credits > 0),
            allocation as (
              update public.user_credit_allocations u
                set held_credits = u.held_credits + h.held_credits, margin_credits = u.margin_credits + h.margin_credits, updated_at = v_now
                from hold h where u.id = v.id and (h.held_credits > 0 or h.margin_credits > 0))
            select count(*) > 0 into v_is_taken from hold;
          exit when v_is_taken or v_may_overtake;
          v_may_overtake := true;
          v_may_stand := true;
          v_line := ledger_line_ahead(p_call.call_id, ledger_lines(v.id, v_limits.touched), v_now);
          exit when v_line is not null;
        end loop;
        if v_is_taken then
          required := null;
          available := null;
          remaining := v_free - held;
          limited_by := v_limits.quota;
          if v_may_stand then perform ledger_leave_line(p_call.call_id, v_now); end if;
          if v_limits.bounds then
            update ledger_limits l set held = l.held + case l.unit when 'calls' then 1 else ledger_hold_one.held end
              from unnest(v_limits.touched) t
              where not t.is_counted and l.kind = t.kind and l.id = t.id and l.window_start = t.window_start;
          end if;
          return;
        end if;
      elsif p_call.wait_ms > 0 then
        v_fits_if_idle := v_limits.has_call_if_idle and (v_limits.available_if_idle >= v_full) is not false;
        v_line := case
          when outcome = 'in_flight' then 'allocation ' || v.id
          when outcome = 'limit' and v_fits_if_idle then v_limits.line end;
      end if;
      if v_line is not null then outcome := 'waits'; end if;
      if v.is_active and not exists (select from public.organizations o where o.id = p_call.org_id and o.status = 'active') then
        outcome := 'suspended';
        required := null;
        available := null;
        limited_by := null;
      end if;

      -- Refused, unless the same call was held before.
      v_may_stand := v_may_stand or p_call.wait_ms > 0;
      select h.state, h.held_credits, h.input_credits into v_known from ledger_holds h where h.call_id = p_call.call_id;
      if found or exists (select 1 from public.credit_usage_attribution c where c.call_id = p_call.call_id) then
        outcome := case v_known.state when 'open' then 'held' else 'closed' end;
        held := v_known.held_credits;
        input := v_known.input_credits;
        required := null;
        available := null;
        limited_by := null;
        if v_may_stand then perform ledger_leave_line(p_call.call_id, v_now); end if;
        return;
      end if;
      if outcome = 'waits' then
        perform ledger_join_line(p_call, v_line, v_now);
      elsif v_may_stand and outcome <> 'slice' then
        perform ledger_leave_refused(array[p_call.call_id],
          array[case when outcome = 'insufficient' then 'allocation ' || v.id when outcome = 'limit' and not v_fits_if_idle then v_limits.line end],
          array[case when outcome = 'limit' and not v_limits.has_call then 0 else p_call.input + p_call.min_output end], v_now);
      end if;
      held := null;
      input := null;
    end
  $$;

-- Many calls through the gate: p_calls is a JSON array of tollgate.hold_request, served organization by organization, user by user. Most
-- are held by one statement, the others one by one by ledger_hold_one. The two must do the same; the model in test/ledger drives
-- both. ordinal: the place of the call in p_calls, from 1. Rows come in no order.
--
-- In the set are the calls whose payer is far from the end of the credits: with all calls of the batch held there would be enough even if
-- every byte were a token and every stream took its next step, so that in whatever order they are looked at none is bounded by
-- credits. What limits leave to them is decided exactly, call by call, in memory (ledger_fit_limits), and only where one is near.
-- After a call that is not in the set, no later one of its allocation is, nor one that touches a near limit of it: it is served later.
-- Who is refused or has to wait takes nothing, so that many of them are judged in the set too: those a limit leaves too little, and those whose
-- allocation leaves too little to all their calls in the batch (where other calls of the organization can not change what it leaves). A
-- caller who has used up a key or an allocation and asks again and again costs the others little, and a line that waited
-- in vain is refused at once.
--
-- Limits, holds and charges are looked up by subqueries with a limit: as a plain join the plan, made while a table had few rows, read all of it
-- for each call (measured: twice the time at a hundred keys). A plan is kept by its session when a table has grown, so only plans that
-- read by index are allowed (measured: a tenth of the throughput after 20 000 calls).
create or replace function tollgate.ledger_hold_batch(p_owner uuid, p_calls jsonb)
  returns table (ordinal integer, outcome varchar, held numeric, input numeric, required numeric, available numeric,
    remaining numeric, limited_by jsonb, key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_memoize = off set jit = off
  as $$
    declare
      v_calls hold_request[] := array(select c from jsonb_populate_recordset(null::hold_request, p_calls) c);
      v_count integer := cardinality(v_calls);
      v_now timestamptz := tollgate_now();
      v_ordinals integer[];
      v_limits call_limits[];
      v_bounds boolean;
      v_is_new boolean;
      v_has_quota boolean;
      v_some_wait boolean;
      v_zone varchar;
      v_plan hold_plan;
      v_left numeric[];
      v_if_idle numeric[];
      v_answered integer;
      v_more integer;
      v record;
    begin
      if v_count = 1 then
        return query select 1, h.* from ledger_hold_one(p_owner, v_calls[1]) h;
        return;
      end if;
      if p_owner <> ledger_sql_session() then
        if not ledger_lease_is_valid(p_owner, v_now) then
          return query select i, 'no_lease'::varchar, null::numeric, null::numeric, null::numeric, null::numeric, null::numeric,
            null::jsonb, null::numeric from generate_series(1, v_count) i;
          return;
        end if;
        perform set_config('synchronous_commit', 'off', true);
      end if;
      perform ledger_lock_batch(array(select row(k.org_id, k.user_id)::payer from unnest(v_calls) k));

      select exists (select from ledger_waiters), z.time_zone into v_some_wait, v_zone from ledger_identity z;

      -- In the order in which they are served.
      select array_agg(k.ordinality order by k.org_id, k.user_id, k.ordinality) into v_ordinals
        from unnest(v_calls) with ordinality as k;
      v_calls := array(select v_calls[o.ordinal] from unnest(v_ordinals) with ordinality as o(ordinal, place) order by o.place);
      select array_agg(row(t.touched, t.key_used, t.lacks_slice)::call_limits order by k.ordinality), coalesce(bool_or(t.bounds), false),
          coalesce(bool_or(t.is_new), false), coalesce(bool_or(t.has_quota), false)
        into v_limits, v_bounds, v_is_new, v_has_quota
        from unnest(v_calls) with ordinality as k
        cross join lateral (
          select array_agg(row(u.kind, u.id, u.window_start, coalesce(l.unit, u.unit, 'credits'),
              coalesce(u.limit_amount, l.limit_amount) is null)::limit_use) as touched,
            max(coalesce(l.used, 0)) filter (where u.kind = 'key') as key_used,
            bool_or(coalesce(u.limit_amount, l.limit_amount) is not null) as bounds,
            bool_or(u.limit_amount is not null and l.limit_amount is distinct from u.limit_amount) as is_new,
            bool_or(u.kind = 'quota') as has_quota,
            bool_or(l.limit_amount is null and ledger_is_sliced(u.kind)) as lacks_slice
          from (
            select r.kind, r.id, coalesce(r.window_start, ledger_window_start_in(r."window", v_now, v_zone)) as window_start, r.unit, r.limit_amount
            from unnest(k.limits) r) u
          left join lateral (
            select l.used, l.unit, l.limit_amount from ledger_limits l
            where l.kind = u.kind and l.id = u.id and l.window_start = u.window_start limit 1) l on true) t;

      select array_agg(j.allocation_id order by j.place), array_agg(j.payer order by j.place),
          array_agg(j.is_far order by j.place), array_agg(j.free order by j.place),
          array_agg(case when j.is_far then j.wanted end order by j.place),
          array_agg(j.is_stuck order by j.place), array_agg(j.in_turn order by j.place), array_agg(j.unheld order by j.place),
          array_agg(j.if_idle order by j.place),
          array_agg(case when j.is_stuck and j.least <= j.if_idle and j.wait_ms > 0 then 'allocation ' || j.allocation_id end order by j.place),
          array_agg(case when j.is_stuck and j.least > j.if_idle then 'allocation ' || j.allocation_id end order by j.place)
        into v_plan.allocations, v_plan.payers, v_plan.is_set, v_plan.free, v_plan.held, v_plan.is_stuck, v_plan.in_turn, v_left, v_if_idle,
          v_plan.lines, v_plan.refused_in
        from (
          -- After one that is not far, no later one of its allocation is.
          select f.*, bool_and(f.is_far_itself) over (partition by f.payer order by f.place) as is_far,
            bool_and(f.is_stuck_itself) over (partition by f.org_id)
              or f.is_pool_wide and bool_and(f.is_stuck_itself) over (partition by f.payer) as is_stuck
          from (
            select a.*, coalesce(a.is_usual and (v_bounds or not a.in_turn) and case
                when not a.allow_overage then least(a.free - a.held_by_user, a.pool_free - a.held_by_org) >= a.margin_by_user
                when a.overage_limit is null then true
                else a.free - a.held_by_user >= a.margin_by_user and a.overage_credits <= a.overage_limit
              end, false) as is_far_itself,
              coalesce(a.is_usual and not a.is_uncertain and not a.allow_overage and not a.may_follow and a.least > greatest(a.unheld, 0), false)
                as is_stuck_itself,
              coalesce(a.pool_free - a.most_held_by_org >= a.free, false) as is_pool_wide
            from (
              select k.ordinality as place, k.org_id, k.wait_ms, a.id as allocation_id, a.allocated_credits - a.used_credits - a.held_credits as free,
                dense_rank() over (order by k.org_id, k.user_id) as payer,
                k.input + k.output as wanted,
                sum(k.input + k.output) over (partition by k.org_id) as held_by_org,
                sum(greatest(k.input, k.input_bytes) + k.output) over (partition by k.org_id) as most_held_by_org,
                sum(k.input + k.output) over (partition by k.org_id, k.user_id) as held_by_user,
                a.margin_credits + sum(k.margin) over (partition by k.org_id, k.user_id) as margin_by_user,
                p.total_credits - p.used_credits - p.held_credits as pool_free,
                greatest(k.input, k.input_bytes) + k.min_output as least, coalesce(k.uncertain, 0) > 0 as is_uncertain,
                least(a.allocated_credits - a.used_credits, p.total_credits - p.used_credits) as if_idle,
                least(a.allocated_credits - a.used_credits - a.held_credits, p.total_credits - p.used_credits - p.held_credits)
                  - a.margin_credits as unheld,
                a.follows_pool and p.total_credits > p.allocated_credits as may_follow,
                p.allow_overage, p.overage_limit, p.overage_credits,
                k.min_output <= k.output and o.status = 'active' and a.is_active and p.org_id is not null and h.call_id is null
                  and c.call_id is null and not coalesce((v_limits[k.ordinality]).lacks_slice, false) and k.leaves is not true as is_usual,
                k.in_line is true or v_some_wait and k.wait_ms > 0 and (
                  ledger_line_ahead(k.call_id, ledger_lines(a.id, (v_limits[k.ordinality]).touched), v_now) is not null
                  or exists (select from ledger_waiters w where w.call_id = k.call_id)) is true as in_turn
              from (
                select c.*, greatest(c.input_bytes - c.input, 0) + coalesce(c.step, 0) as margin
                from unnest(v_calls) with ordinality as c) k
              left join public.organizations o on o.id = k.org_id
              left join public.organization_credit_pools p on p.org_id = k.org_id
              left join public.user_credit_allocations a on a.org_id = k.org_id and a.user_id = k.user_id
              -- Under the pool's lock: the same call may be sent again while the first one still runs.
              left join lateral (select call_id from ledger_holds where call_id = k.call_id limit 1) h on true
              left join lateral (
                select call_id from public.credit_usage_attribution where call_id = k.call_id and cause = 'call' limit 1) c on true
            ) a) f) j;
      if v_bounds then v_plan := ledger_fit_limits(v_calls, v_limits, v_is_new, v_plan, v_now); end if;
      if v_has_quota then v_plan := ledger_show_quotas(v_limits, v_plan); end if;

      return query
        with planned as materialized (
            select k.*, p.*,
              greatest(k.input_bytes - k.input, 0) + case when p.held = k.input + k.output then coalesce(k.step, 0) else 0 end as margin
            from unnest(v_calls) with ordinality as k
            cross join lateral (
              select k.ordinality::integer as place, v_plan.allocations[k.ordinality] as allocation_id, v_plan.free[k.ordinality] as free,
                v_plan.held[k.ordinality] as held, (v_limits[k.ordinality]).touched, (v_limits[k.ordinality]).key_used) p
            where v_plan.is_set[k.ordinality]),
          fast as (select f.* from planned f where f.held is not null),
          hold as (
            insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, margin_credits, limits,
                context, service_type, service_name, request_id)
              select f.call_id, p_owner, f.org_id, f.user_id, f.allocation_id, f.held, f.input, f.margin, f.touched, f.context,
                f.service_type, f.service_name, f.request_id
              from fast f),
          by_user as (
            select f.org_id, f.allocation_id, sum(f.held) as held, sum(f.margin) as margin, min(f.free) as free from fast f group by 1, 2),
          allocation as (
            update public.user_credit_allocations a
              set held_credits = a.held_credits + u.held, margin_credits = a.margin_credits + u.margin, updated_at = v_now
              from by_user u where a.id = u.allocation_id and (u.held > 0 or u.margin > 0)),
          pool as (
            update public.organization_credit_pools p
              set held_credits = p.held_credits + o.held, overage_credits = p.overage_credits + o.overdraft, updated_at = v_now
              from (
                select u.org_id, sum(u.held) as held, sum(greatest(u.held - u.free, 0) - greatest(-u.free, 0)) as overdraft
                from by_user u group by 1) o
              where p.org_id = o.org_id and o.held > 0),
          by_limit as (
            select t.kind, t.id, t.window_start, sum(f.held) as credits, count(*) as calls
            from fast f cross join lateral unnest(f.touched) t where v_bounds and not t.is_counted group by 1, 2, 3),
          limits as (
            update ledger_limits l set held = l.held + case l.unit when 'calls' then b.calls else b.credits end
              from by_limit b where l.kind = b.kind and l.id = b.id and l.window_start = b.window_start)
        select v_ordinals[s.place],
          case when s.held is not null then 'held' when v_plan.lines[s.place] is not null then 'waits' else 'limit' end::varchar, s.held,
          case when s.held is not null then s.input end, case when s.held is null then s.input + s.min_output end,
          v_plan.available[s.place], s.free - coalesce(sum(s.held) over (partition by s.allocation_id order by s.place), 0),
          v_plan.limited_by[s.place], s.key_used
        from planned s;
      get diagnostics v_answered = row_count;
      if v_answered < v_count then
        return query
          select v_ordinals[k.ordinality],
            case when v_plan.lines[k.ordinality] is not null then 'waits' when k.needs <= v_if_idle[k.ordinality] then 'in_flight'
              else 'insufficient' end::varchar,
            null::numeric, null::numeric, k.needs, greatest(v_left[k.ordinality], 0), v_plan.free[k.ordinality], null::jsonb,
            (v_limits[k.ordinality]).key_used
          from (
            select c.ordinality, greatest(c.input, c.input_bytes) + c.min_output as needs from unnest(v_calls) with ordinality as c) k
          where v_plan.is_stuck[k.ordinality];
        get diagnostics v_more = row_count;
        v_answered := v_answered + v_more;
      end if;
      if exists (select from unnest(v_plan.lines) l where l is not null) then perform ledger_join_lines(v_calls, v_plan.lines, v_now); end if;
      if v_some_wait then
        with refused as (
            select k.call_id, v_plan.refused_in[k.ordinality] as line,
              case when v_plan.limited_by[k.ordinality] ->> 'unit' = 'calls' then 0 else k.input + k.min_output end as needs
            from unnest(v_calls) with ordinality as k
            where (k.in_line or k.wait_ms > 0) and v_plan.lines[k.ordinality] is null
              and (v_plan.is_stuck[k.ordinality] or v_plan.is_set[k.ordinality] and v_plan.held[k.ordinality] is null))
          select array_agg(r.call_id) as call_ids, array_agg(r.line) as lines, array_agg(r.needs) as needs into v from refused r;
        if v.call_ids is not null then perform ledger_leave_refused(v.call_ids, v.lines, v.needs, v_now); end if;
      end if;
      if v_answered = v_count then return; end if;

      for v in
        select k.place from unnest(v_plan.is_set) with ordinality as k(is_set, place)
        where not k.is_set and not v_plan.is_stuck[k.place] order by k.place
      loop
        return query select v_ordinals[v.place], h.* from ledger_hold_one(p_owner, v_calls[v.place]) h;
      end loop;
    end
  $$;
