-- The end of a call: settled or recovered with its charge, released with none, and corrected where a charge was wrong. The true cost is
-- booked in full, beyond the hold too.

-- Books the signed difference between a charge and the true charge, once for each cause: more is a correction row of the attribution,
-- less is given back by a row of the journal, since the books themselves never decrease. Pool and allocation are locked by the caller.
--   p_call  the true charge; its api_cost and markup are the differences that a correction row states
create or replace function tollgate.ledger_correct(
    p_cause varchar, p_difference numeric, p_allocation public.user_credit_allocations, p_call tollgate.close_request, p_note text)
  returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      -- A dispute is found by its row, so that one is written although it adds nothing to the books.
      if p_difference >= 0 or (p_call.provenance = 'disputed' and p_cause <> 'dispute') then
        insert into public.credit_usage_attribution (
            call_id, entry, cause, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call.call_id, 'correction', p_cause, p_allocation.org_id, p_allocation.user_id, p_allocation.id,
            greatest(p_difference, 0), p_call.service_type, p_call.service_name, p_call.api_cost, p_call.markup, p_call.request_id,
            p_call.metadata, p_call.source, p_call.provenance, p_call.outcome, p_call.details);
      end if;
      if p_difference >= 0 then
        perform ledger_move(p_allocation, 0, p_difference);
        return;
      end if;
      update public.organization_credit_pools p
        set total_credits = p.total_credits - p_difference, allocated_credits = p.allocated_credits - p_difference,
          overage_credits = p.overage_credits
            + ledger_overdraft(p_allocation.allocated_credits - p_difference, p_allocation.used_credits, p_allocation.held_credits)
            - ledger_overdraft(p_allocation.allocated_credits, p_allocation.used_credits, p_allocation.held_credits)
        where p.org_id = p_allocation.org_id;
      update public.user_credit_allocations set allocated_credits = allocated_credits - p_difference where id = p_allocation.id;
      insert into ledger_journal (kind, cause, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
        values ('correction', p_cause, p_allocation.org_id, p_allocation.user_id, p_call.call_id, -p_difference, -p_difference,
          -p_difference, 'ledger', p_note);
    end
  $$;

-- What is on the books for a call, corrections included. booked: there is a row at all.
create or replace function tollgate.ledger_booked(p_call_id uuid,
    out booked boolean, out credits numeric, out api_cost numeric, out markup numeric, out disputed boolean, out corrected varchar[])
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_given_back record;
    begin
      select count(*) > 0, coalesce(sum(c.credits_used), 0), coalesce(sum(c.api_cost), 0), coalesce(sum(c.markup_applied), 0),
          coalesce(bool_or(c.provenance = 'disputed'), false),
          coalesce(array_agg(c.cause) filter (where c.entry = 'correction'), '{}')
        into booked, credits, api_cost, markup, disputed, corrected
        from public.credit_usage_attribution c where c.call_id = p_call_id;
      select coalesce(sum(j.allocation_allocated), 0) as credits, coalesce(array_agg(j.cause), '{}') as causes into v_given_back
        from ledger_journal j where j.call_id = p_call_id and j.kind = 'correction';
      credits := credits - v_given_back.credits;
      corrected := corrected || v_given_back.causes;
    end
  $$;

-- Closes one call whose hold is not open any more, or was never seen. Pool and allocation are locked by the caller.
--   settled before          returns what is booked
--   released or recovered   books the difference to the true charge, once; a release of what was recovered gives all of it back
--   no hold row             books in full (a release has nothing to do)
create or replace function tollgate.ledger_reconcile_closed(p_call tollgate.close_request,
    out charged numeric, out remaining numeric, out key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_hold ledger_holds;
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_difference numeric;
      v_missing boolean;
    begin
      select * into v_hold from ledger_holds where call_id = p_call.call_id for update;
      select * into v_allocation from public.user_credit_allocations where org_id = p_call.org_id and user_id = p_call.user_id;
      v_missing := v_hold.call_id is null;
      if v_hold.state = 'open' then
        raise exception 'the hold of call % is open', p_call.call_id using errcode = 'XX000';
      end if;
      -- Nothing was taken, nothing is to be dropped; the hold may also be a late commit that a later release will find.
      if v_missing and p_call.state <> 'settled' then charged := 0; return; end if;
      remaining := v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits
        + case when v_allocation.follows_pool then (
            select p.total_credits - p.allocated_credits from public.organization_credit_pools p where p.org_id = v_allocation.org_id)
          else 0 end;
      if v_hold.limits is not null then key_used := ledger_lock_limits(v_hold.limits); end if;

      v_booked := ledger_booked(p_call.call_id);
      charged := v_booked.credits;
      v_difference := p_call.charge - charged;
      if v_missing and v_booked.booked or not v_missing and (v_hold.state = 'settled' or v_difference = 0
          or (p_call.state <> 'settled' and v_hold.state <> 'recovered')
          or 'recovery' = any(v_booked.corrected)
          -- What a refund gave back is not given back again.
          or v_difference < 0 and exists (select 1 from ledger_journal j where j.call_id = p_call.call_id and j.kind = 'refund')) then
        return;
      end if;
      if v_allocation.id is null then
        raise exception 'No credit allocation found for user % in org %', p_call.user_id, p_call.org_id using errcode = 'P0001';
      end if;

      charged := p_call.charge;
      remaining := remaining - v_difference;
      if v_missing then
        perform ledger_move(v_allocation, 0, p_call.charge);
        insert into public.credit_usage_attribution (
            call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call.call_id, p_call.org_id, p_call.user_id, v_allocation.id, p_call.charge, p_call.service_type, p_call.service_name,
            p_call.api_cost, p_call.markup, p_call.request_id, p_call.metadata, p_call.source, p_call.provenance, p_call.outcome,
            p_call.details);
        return;
      end if;
      p_call.api_cost := p_call.api_cost - v_booked.api_cost;
      p_call.markup := p_call.markup - v_booked.markup;
      perform ledger_correct('recovery', v_difference, v_allocation, p_call, 'charged less than was booked when the hold was recovered');
      if v_hold.limits is not null then
        key_used := ledger_move_limits(v_hold.limits, 0, 0, v_difference, case v_hold.state when 'released' then 1 else 0 end);
      end if;
    end
  $$;

-- Settles a dispute, once: from then on the call has cost p_charge, of which the provider takes p_api_cost dollars.
-- outcome: settled, already_settled, not_disputed, unknown. charged: what is on the books afterwards.
create or replace function tollgate.ledger_settle_dispute(p_call_id uuid, p_charge numeric, p_api_cost numeric, p_actor varchar,
    out outcome varchar, out charged numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_hold ledger_holds;
      v_row public.credit_usage_attribution;
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_difference numeric;
    begin
      perform ledger_check_amount(p_charge);
      if p_api_cost is null or p_api_cost = 'NaN' or p_api_cost < 0 then
        raise exception 'Invalid amount: the provider''s cost must not be negative, got %', p_api_cost using errcode = 'P0001';
      end if;
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      select * into v_row from public.credit_usage_attribution
        where call_id = p_call_id order by provenance = 'disputed' desc nulls last limit 1;
      if not found then outcome := 'unknown'; return; end if;
      v_allocation := (ledger_lock_and_refresh(v_row.org_id, v_row.user_id)).allocation;
      if v_hold.limits is not null then perform ledger_lock_limits(v_hold.limits); end if;

      -- A separate statement: one that waited for locks still reads other tables from its old snapshot.
      v_booked := ledger_booked(p_call_id);
      charged := v_booked.credits;
      if not v_booked.disputed then outcome := 'not_disputed'; return; end if;
      if 'dispute' = any(v_booked.corrected) then outcome := 'already_settled'; return; end if;
      v_difference := p_charge - charged;
      perform ledger_correct('dispute', v_difference, v_allocation,
        row(p_call_id, 'settled', v_row.org_id, v_row.user_id, p_charge, v_row.service_type, v_row.service_name,
          p_api_cost - v_booked.api_cost, v_difference / 1000 - (p_api_cost - v_booked.api_cost), v_row.request_id,
          v_row.request_metadata, v_row.source, v_row.provenance, 'dispute_settled',
          jsonb_build_object('settled_by', p_actor))::close_request,
        format('dispute settled by %s: the provider takes $%s', coalesce(p_actor, session_user), trim_scale(p_api_cost)));
      if v_hold.limits is not null then perform ledger_move_limits(v_hold.limits, 0, 0, v_difference, 0); end if;
      perform ledger_commit_durably();
      charged := round(p_charge, 6);
      outcome := 'settled';
    end
  $$;

-- Closes one call: what ledger_close_batch does with many, without the cost of a set, and with all the rules.
create or replace function tollgate.ledger_close_one(p_call tollgate.close_request,
    out charged numeric, out remaining numeric, out key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
      v_free numeric;
      v_some_wait boolean;
    begin
      if current_setting('synchronous_commit') = 'off' and set_config('synchronous_commit', 'on', true) is null then return; end if;
      for i in 1 .. 2 loop
        select h.state, h.held_credits as released, h.margin_credits as margin, h.limits, h.allocation_id, a.allocated_credits, a.used_credits,
            a.held_credits, case when a.follows_pool then p.total_credits - p.allocated_credits else 0 end as rest, coalesce(a.next_reset_date <= v_now, false) or coalesce(p.next_refresh_date <= v_now, false) as due
          into v
          from ledger_holds h
          join public.organization_credit_pools p on p.org_id = h.org_id
          join public.user_credit_allocations a on a.id = h.allocation_id
          where h.call_id = p_call.call_id
          for update of h, p, a;
        exit when not v.due;
        perform ledger_lock_and_refresh(p_call.org_id, p_call.user_id);
      end loop;
      if v.state is distinct from 'open' then
        select * into charged, remaining, key_used from ledger_reconcile_closed(p_call);
        return;
      end if;
      -- One is locked by what moves it.
      if cardinality(v.limits) > 1 then
        perform 1 from unnest(v.limits) t join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
          order by l.kind, l.id, l.window_start for update of l;
      end if;
      charged := p_call.charge;
      v_free := v.allocated_credits - v.used_credits - v.held_credits;
      remaining := v_free + v.released - p_call.charge;
      with hold as (
          update ledger_holds set state = p_call.state, charged_credits = p_call.charge, closed_at = v_now
            where call_id = p_call.call_id),
        pool as (
          update public.organization_credit_pools o
            set held_credits = o.held_credits - v.released, used_credits = o.used_credits + p_call.charge, updated_at = v_now,
              overage_credits = o.overage_credits + greatest(-remaining, 0) - greatest(-v_free, 0)
            where o.org_id = p_call.org_id),
        allocation as (
          update public.user_credit_allocations u
            set held_credits = u.held_credits - v.released, margin_credits = u.margin_credits - v.margin,
              used_credits = u.used_credits + p_call.charge, updated_at = v_now
            where u.id = v.allocation_id),
        charge as (
          insert into public.credit_usage_attribution (
              id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
              request_id, request_metadata, source, provenance, outcome, details)
            values (p_call.call_id, p_call.call_id, p_call.org_id, p_call.user_id, v.allocation_id, p_call.charge, p_call.service_type,
              p_call.service_name, p_call.api_cost, p_call.markup, p_call.request_id, p_call.metadata, p_call.source,
              p_call.provenance, p_call.outcome, p_call.details)),
        moved as (
          update ledger_limits l
            set held = l.held - case when t.is_counted then 0 when l.unit = 'calls' then 1 else v.released end,
              used = l.used + case when l.unit <> 'calls' then p_call.charge when p_call.state = 'released' then 0 else 1 end
            from unnest(v.limits) t where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
            returning l.kind, l.used),
        -- A key that is used for the first time, and was only counted.
        counted as (
          insert into ledger_limits as l (kind, id, window_start, used)
            select t.kind, t.id, t.window_start, p_call.charge from unnest(v.limits) t
            where t.is_counted and not exists (
              select from ledger_limits e where e.kind = t.kind and e.id = t.id and e.window_start = t.window_start)
            on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used
            returning l.kind, l.used)
        select exists (select from ledger_waiters),
            (select k.used from (select * from moved union all select * from counted) k where k.kind = 'key' limit 1)
          into v_some_wait, key_used;
      if v_some_wait then perform ledger_call_first_after(array[p_call.call_id], v_now); end if;
      -- Only now: the overage above goes by what the allocation itself has left.
      remaining := remaining + v.rest;
    end
  $$;

-- Ends calls and writes their attribution rows: p_calls is a JSON array of tollgate.close_request. Open holds are closed by two statements
-- (the fast path); what is not open any more is reconciled, one by one, by ledger_close_one.
--   charged    what is on the books for the call
--   remaining  what the allocation has left, holds subtracted; of one that follows its pool, what nobody was given of that too
--   key_used   what the caller's key has spent
create or replace function tollgate.ledger_close_batch(p_calls jsonb)
  returns table (ordinal integer, charged numeric, remaining numeric, key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_memoize = off set jit = off
  as $$
    declare
      v_calls close_request[] := array(select c from jsonb_populate_recordset(null::close_request, p_calls) c);
      v_call_ids uuid[] := array(select k.call_id from unnest(v_calls) k);
      v_count integer := cardinality(v_calls);
      v_now timestamptz := tollgate_now();
      v_fast integer;
      v_closed integer;
      v_slow integer[];
      v record;
    begin
      if v_count = 1 then
        return query select 1, c.* from ledger_close_one(v_calls[1]) c;
        return;
      end if;
      perform ledger_commit_durably();
      select count(*) filter (where h.closed_at is null) into v_fast from (
        select closed_at from ledger_holds where call_id = any(v_call_ids) order by call_id for update) h;
      if v_fast < v_count then
        v_slow := array(
          select k.ordinality::integer from unnest(v_calls) with ordinality as k
          left join ledger_holds h on h.call_id = k.call_id
          where h.call_id is null or h.closed_at is not null
          order by k.org_id, k.user_id, k.ordinality);
        -- A hold that came between the two looks was missing in the first and is open in the second: done again, both see it.
        if v_fast + cardinality(v_slow) <> v_count then
          raise exception '% of % calls are open, and % are not', v_fast, v_count, cardinality(v_slow) using errcode = '40001';
        end if;
      end if;

      if v_fast > 0 then
        -- Before pools are locked, so that they are for as short as can be: whoever closes these calls has their holds locked.
        insert into public.credit_usage_attribution (
            id, call_id, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          select k.call_id, k.call_id, h.org_id, h.user_id, h.allocation_id, k.charge, k.service_type, k.service_name, k.api_cost,
            k.markup, k.request_id, k.metadata, k.source, k.provenance, k.outcome, k.details
          from unnest(v_calls) as k
          cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
          where h.closed_at is null;
      end if;
      perform ledger_lock_batch(array(select row(k.org_id, k.user_id)::payer from unnest(v_calls) k));
      -- Those of the slow ones too, before the fast ones move theirs. What a limit has used is read after that.
      perform 1 from ledger_limits l
        where (l.kind, l.id, l.window_start) in (
          select t.kind, t.id, t.window_start
          from unnest(v_call_ids) as c(call_id)
          cross join lateral (select limits from ledger_holds where call_id = c.call_id limit 1) h
          cross join lateral unnest(h.limits) t)
        order by l.kind, l.id, l.window_start for update;

      if v_fast > 0 then
        return query
          with fast as materialized (
              select k.ordinality, k.call_id, k.state, k.charge, h.org_id, h.allocation_id, h.held_credits as released, h.margin_credits as margin, h.limits,
                key.id as key_id, l.used as key_used, l.unit as key_unit, a.allocated_credits - a.used_credits - a.held_credits as free,
                case when a.follows_pool then p.total_credits - p.allocated_credits else 0 end as rest
              from unnest(v_calls) with ordinality as k
              cross join lateral (select * from ledger_holds where call_id = k.call_id limit 1) h
              join public.user_credit_allocations a on a.id = h.allocation_id
              join public.organization_credit_pools p on p.org_id = h.org_id
              left join lateral (
                select t.id, t.window_start from unnest(h.limits) t where t.kind = 'key' limit 1) key on true
              left join lateral (
                select used, unit from ledger_limits
                where kind = 'key' and id = key.id and window_start = key.window_start limit 1) l on true
              where h.closed_at is null),
            hold as (
              update ledger_holds h set state = f.state, charged_credits = f.charge, closed_at = v_now
                from fast f where h.call_id = f.call_id),
            by_user as (
              select f.org_id, f.allocation_id, sum(f.released) as released, sum(f.margin) as margin, sum(f.charge) as used,
                min(f.free) as free
              from fast f group by 1, 2),
            allocation as (
              update public.user_credit_allocations a
                set held_credits = a.held_credits - u.released, margin_credits = a.margin_credits - u.margin,
                  used_credits = a.used_credits + u.used, updated_at = v_now
                from by_user u where a.id = u.allocation_id),
            pool as (
              update public.organization_credit_pools p
                set held_credits = p.held_credits - o.released, used_credits = p.used_credits + o.used,
                  overage_credits = p.overage_credits + o.overdraft, updated_at = v_now
                from (
                  select u.org_id, sum(u.released) as released, sum(u.used) as used,
                    sum(greatest(u.used - u.released - u.free, 0) - greatest(-u.free, 0)) as overdraft
                  from by_user u group by 1) o
                where p.org_id = o.org_id),
            touched as materialized (
              select f.ordinality, t.kind, t.id, t.window_start, f.charge, case when t.is_counted then 0 else f.released end as released,
                (not t.is_counted)::integer as calls_released, (f.state <> 'released')::integer as calls
              from fast f cross join lateral unnest(f.limits) t),
            by_limit as (
              select t.kind, t.id, t.window_start, sum(t.released) as released, sum(t.calls_released) as calls_released,
                sum(t.charge) as charge, sum(t.calls) as calls
              from touched t group by 1, 2, 3),
            moved as (
              update ledger_limits l
                set held = l.held - case l.unit when 'calls' then b.calls_released else b.released end,
                  used = l.used + case l.unit when 'calls' then b.calls else b.charge end
                from by_limit b where l.kind = b.kind and l.id = b.id and l.window_start = b.window_start),
            -- Keys that are used for the first time, and were only counted.
            counted as (
              insert into ledger_limits as l (kind, id, window_start, used)
                select b.kind, b.id, b.window_start, b.charge from by_limit b
                where not exists (
                  select from ledger_limits e where e.kind = b.kind and e.id = b.id and e.window_start = b.window_start)
                order by b.kind, b.id, b.window_start
                on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used)
            select f.ordinality::integer, f.charge,
              f.free + f.rest + sum(f.released - f.charge) over (partition by f.allocation_id order by f.ordinality),
              case when f.key_id is not null then
                coalesce(f.key_used, 0) + sum(case f.key_unit when 'calls' then (f.state <> 'released')::integer else f.charge end)
                  over (partition by f.key_id)
              end
            from fast f;
        get diagnostics v_closed = row_count;
        -- If a call is in the batch twice, or its hold came only now, nothing of the batch is booked.
        if v_closed <> v_fast then
          raise exception '% holds are open, and % calls would be closed', v_fast, v_closed using errcode = '23000';
        end if;
        if exists (select from ledger_waiters) then perform ledger_call_first_after(v_call_ids, v_now); end if;
      end if;

      for v in select c.ordinal from unnest(v_slow) as c(ordinal) loop
        return query select v.ordinal, c.* from ledger_close_one(v_calls[v.ordinal]) c;
      end loop;
    end
  $$;
