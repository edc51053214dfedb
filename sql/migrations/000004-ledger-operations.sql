-- breaking
-- What is done to a call's money: hold, extend, close. Locks in the order of 000003.

-- THE GATE. Every path that spends takes its credits here, all or nothing over allocation, pool and limits.
--   p_input        credits of the input, by the fast estimate
--   p_input_bytes  the same at one token a byte: used when less than ten times p_input is left
--   p_output       credits of the output wanted
--   p_least        credits of the least output worth starting for
-- outcome: held, no_allocation, suspended, insufficient (out of money), in_flight (running calls hold it), limit.
-- Idempotent by call id: a repeated call answers what the first did.
create function ledger_hold(
    p_call_id uuid, p_owner uuid, p_org_id uuid, p_user_id varchar,
    p_input numeric, p_input_bytes numeric, p_output numeric, p_least numeric,
    p_limits jsonb, p_context jsonb,
    out outcome varchar, out held numeric, out input numeric, out required numeric, out available numeric,
    out remaining numeric, out limit_kind varchar, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
      v_hold ledger_holds;
      v_room numeric;
      v_limits record;
      v_sorted jsonb;
    begin
      v_locked := ledger_lock(p_org_id, p_user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      -- Under the lock: the same call may be sent again while the first one still runs.
      select * into v_hold from ledger_holds where call_id = p_call_id;
      if v_hold.call_id is not null then
        select 'held', v_hold.held_credits, v_hold.input_credits, v_hold.held_credits, v_hold.held_credits,
            a.allocated_credits - a.used_credits - a.held_credits
          into outcome, held, input, required, available, remaining
          from user_credit_allocations a where a.id = v_hold.allocation_id;
        return;
      end if;

      if v_allocation.id is null or not v_allocation.is_active then outcome := 'no_allocation'; return; end if;
      if not exists (select 1 from organizations where id = p_org_id and status = 'active') then
        outcome := 'suspended'; return;
      end if;

      v_room := ledger_room(v_pool, v_allocation);
      input := case when v_room < 10 * p_input then greatest(p_input, p_input_bytes) else p_input end;
      required := input + p_least;
      available := greatest(coalesce(v_room, input + p_output), 0);
      remaining := v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits;
      if required > available then
        outcome := case when required <= case
            when v_pool.allow_overage then v_room + v_allocation.held_credits
            else least(v_allocation.allocated_credits - v_allocation.used_credits, v_pool.total_credits - v_pool.used_credits)
          end then 'in_flight' else 'insufficient' end;
        return;
      end if;
      held := least(input + p_output, available);

      if p_limits is not null then
        select * into v_limits from ledger_lock_limits(p_limits);
        if v_limits.calls_refused is not null or v_limits.room < required then
          outcome := 'limit';
          limit_kind := coalesce(v_limits.calls_refused, v_limits.room_kind);
          available := greatest(coalesce(v_limits.room, 0), 0);
          held := null;
          return;
        end if;
        held := least(held, v_limits.room);
        v_sorted := v_limits.sorted;
        key_used := ledger_move_limits(v_sorted, held, 1, 0, 0);
      end if;

      perform ledger_move(v_allocation, held, 0);
      insert into ledger_holds (call_id, owner, org_id, user_id, allocation_id, held_credits, input_credits, limits, context)
        values (p_call_id, p_owner, p_org_id, p_user_id, v_allocation.id, held, input,
          v_sorted, p_context);
      outcome := 'held';
      remaining := remaining - held;
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
      v_more := least(p_total - held, coalesce(ledger_room(v_pool, v_allocation), p_total - held));
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

-- Books p_charge to pool and allocation and gives back p_held. The true cost is booked in full, beyond the hold too.
create function ledger_book(p_org_id uuid, p_user_id varchar, p_held numeric, p_charge numeric,
    out allocation_id uuid, out remaining numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
    begin
      v_locked := ledger_lock(p_org_id, p_user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      if v_allocation.id is null then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      end if;
      perform ledger_move(v_allocation, -p_held, p_charge);
      allocation_id := v_allocation.id;
      remaining := v_allocation.allocated_credits - v_allocation.used_credits - p_charge - (v_allocation.held_credits - p_held);
    end
  $$;

-- Ends a hold as p_state ('settled' with its charge, 'released' with 0) and writes the attribution row.
--   a call settled before       answers what the first settle booked
--   a hold released, recovered  books the signed difference once: more is a correction row of the attribution,
--                               less is given back by a journal row (the books themselves never decrease)
--   no hold row                 books in full (a release has nothing to do)
create function ledger_close(
    p_call_id uuid, p_state varchar, p_org_id uuid, p_user_id varchar, p_charge numeric,
    p_service_type varchar, p_service_name varchar, p_api_cost numeric, p_markup numeric,
    p_request_id varchar, p_metadata jsonb, p_source varchar, p_provenance varchar, p_outcome varchar, p_details jsonb,
    out charged numeric, out remaining numeric, out repeated boolean, out key_used numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_hold ledger_holds;
      v_booked record;
      v_entry varchar := 'charge';
      v_amount numeric := p_charge;
      v_held numeric := 0;
    begin
      repeated := false;
      select * into v_hold from ledger_holds where call_id = p_call_id for update;
      if v_hold.call_id is null then
        -- Nothing was taken, nothing is to be dropped; the hold may also be a late commit that a later release will find.
        if p_state = 'released' then charged := 0; repeated := true; return; end if;
        -- No hold row to lock: the pool is the lock under which a second settle of the same call must wait.
        perform ledger_lock(p_org_id, p_user_id);
        if exists (select 1 from credit_usage_attribution where call_id = p_call_id) then
          v_hold.state := 'settled';
        end if;
      elsif v_hold.state = 'open' then
        v_held := v_hold.held_credits;
      elsif v_hold.state in ('released', 'recovered') and p_state = 'settled' then
        v_amount := p_charge - coalesce(v_hold.charged_credits, 0);
        v_entry := 'correction';
      end if;

      if v_hold.state in ('settled') or (v_hold.state in ('released', 'recovered') and (p_state <> 'settled' or v_amount = 0
          or exists (select 1 from credit_usage_attribution where call_id = p_call_id and entry = 'correction')
          or exists (select 1 from ledger_journal where call_id = p_call_id and kind = 'correction'))) then
        repeated := true;
        select coalesce(sum(credits_used), 0) into charged from credit_usage_attribution where call_id = p_call_id;
        select charged + coalesce(sum(allocation_allocated), 0) * -1 into charged
          from ledger_journal where call_id = p_call_id and kind = 'correction';
        select a.allocated_credits - a.used_credits - a.held_credits into remaining
          from user_credit_allocations a where a.org_id = p_org_id and a.user_id = p_user_id;
        return;
      end if;

      select * into v_booked from ledger_book(p_org_id, p_user_id, v_held, greatest(v_amount, 0));
      remaining := v_booked.remaining;
      charged := p_charge;
      if v_amount < 0 then
        update organization_credit_pools
          set total_credits = total_credits - v_amount, allocated_credits = allocated_credits - v_amount,
            overage_credits = overage_credits - (
              select ledger_below_zero(allocated_credits, used_credits, held_credits)
                - ledger_below_zero(allocated_credits - v_amount, used_credits, held_credits)
              from user_credit_allocations a where a.id = v_booked.allocation_id)
          where org_id = p_org_id;
        update user_credit_allocations set allocated_credits = allocated_credits - v_amount where id = v_booked.allocation_id;
        insert into ledger_journal (kind, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
          values ('correction', p_org_id, p_user_id, p_call_id, -v_amount, -v_amount, -v_amount, 'ledger',
            'charged less than was booked when the hold was recovered');
        remaining := remaining - v_amount;
      else
        insert into credit_usage_attribution (
            call_id, entry, org_id, user_id, allocation_id, credits_used, service_type, service_name, api_cost, markup_applied,
            request_id, request_metadata, source, provenance, outcome, details)
          values (
            p_call_id, v_entry, p_org_id, p_user_id, v_booked.allocation_id, v_amount, p_service_type, p_service_name, p_api_cost,
            p_markup, p_request_id, p_metadata, p_source, p_provenance, p_outcome, p_details);
      end if;

      if v_hold.limits is not null then
        perform 1 from ledger_limits l, jsonb_to_recordset(v_hold.limits) as t(kind varchar, id varchar, window_start timestamptz)
          where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
          order by l.kind, l.id, l.window_start for update of l;
      end if;
      if v_hold.state = 'open' then
        update ledger_holds set state = p_state, charged_credits = p_charge, closed_at = tollgate_now() where call_id = p_call_id;
        if v_hold.limits is not null then
          key_used := ledger_move_limits(v_hold.limits, -v_held, -1, p_charge, case p_state when 'settled' then 1 else 0 end);
        end if;
      elsif v_hold.limits is not null then
        key_used := ledger_move_limits(v_hold.limits, 0, 0, v_amount, case v_hold.state when 'released' then 1 else 0 end);
      end if;
    end
  $$;
