-- breaking
-- The ledger: holds, limits, processes, the journal, and the functions through which every spending path goes.
-- Locks are always taken in one order: hold row, pool, allocation, limits by (kind, id, window_start).

-- One row. A settlement spooled for another ledger is refused by this id.
create table ledger_identity (
  ledger_id uuid primary key default gen_random_uuid(),
  only_row boolean not null unique default true check (only_row),
  created_at timestamptz not null default tollgate_now()
);
insert into ledger_identity default values;

-- A process owns the holds of its calls.
create table ledger_processes (
  id uuid primary key,
  host varchar(255) not null,
  pid integer not null,
  version varchar(50) not null,
  started_at timestamptz not null default tollgate_now(),
  lease_until timestamptz,
  stopped_at timestamptz
);

create table ledger_holds (
  -- the billing key, minted by the proxy
  call_id uuid primary key,
  owner uuid not null,
  org_id uuid not null references organizations (id) on delete restrict,
  user_id varchar(255) not null,
  allocation_id uuid not null references user_credit_allocations (id) on delete restrict,
  state varchar(20) not null default 'open' check (state in ('open', 'settled', 'released', 'recovered')),
  held_credits numeric(20, 6) not null check (held_credits >= 0),
  -- the part of the hold meant for the input
  input_credits numeric(20, 6) not null check (input_credits >= 0),
  -- delivered so far, as of the last checkpoint; null before the first
  checkpoint_credits numeric(20, 6) check (checkpoint_credits >= 0),
  charged_credits numeric(20, 6) check (charged_credits >= 0),
  -- the ledger_limits rows this hold touched: [{kind, id, window_start, unit}]; given back to those, whatever window is current
  limits jsonb,
  -- rates, markup, level: fixed when the hold was taken
  context jsonb,
  created_at timestamptz not null default tollgate_now(),
  closed_at timestamptz,
  check ((state = 'open') = (closed_at is null))
) with (fillfactor = 80);
create index idx_ledger_holds_open on ledger_holds (owner) where state = 'open';
create index idx_ledger_holds_org_id on ledger_holds (org_id, created_at);

-- Every limit besides pool and allocation: key budgets, teams, end users, call quotas. Unit 'calls' counts one a call.
create table ledger_limits (
  kind varchar(40) not null,
  id varchar(255) not null,
  window_start timestamptz not null,
  unit varchar(10) not null default 'credits' check (unit in ('credits', 'calls')),
  -- null: no limit, only counted
  limit_amount numeric(20, 6) check (limit_amount >= 0),
  held numeric(20, 6) not null default 0 check (held >= 0),
  used numeric(20, 6) not null default 0 check (used >= 0),
  primary key (kind, id, window_start)
) with (fillfactor = 70);

-- Every movement that is not a charge. What each row did to each balance, so that an audit can add them up.
create table ledger_journal (
  id bigint generated always as identity primary key,
  kind varchar(20) not null check (kind in ('purchase', 'allocate', 'reset', 'refresh', 'refund', 'correction')),
  org_id uuid not null references organizations (id) on delete restrict,
  user_id varchar(255),
  call_id uuid,
  pool_total numeric(20, 6) not null default 0,
  pool_allocated numeric(20, 6) not null default 0,
  allocation_allocated numeric(20, 6) not null default 0,
  allocation_used numeric(20, 6) not null default 0,
  -- dollars paid, where money changed hands
  paid numeric(12, 2),
  actor varchar(255),
  note text,
  created_at timestamptz not null default tollgate_now()
);
create index idx_ledger_journal_org_id on ledger_journal (org_id, created_at);
create unique index idx_ledger_journal_correction on ledger_journal (call_id) where kind = 'correction';

create function ledger_append_only() returns trigger
  language plpgsql set search_path = pg_catalog, pg_temp
  as $$
    begin
      raise exception '% is append-only: write a new row that corrects the old one', tg_table_name
        using errcode = 'P0001';
    end
  $$;
create trigger ledger_journal_append_only before update or delete or truncate on ledger_journal
  for each statement execute function ledger_append_only();
create trigger credit_usage_attribution_append_only before update or delete or truncate on credit_usage_attribution
  for each statement execute function ledger_append_only();

-- The first instant of the series from + k periods that lies after now; null for 'never'. In UTC, whatever the session says.
-- p_created is when the series began: where that was the 29th to the 31st, a short month must not move it to the 28th for good.
create function ledger_next_date(p_period varchar, p_from timestamptz, p_now timestamptz, p_created timestamptz default null)
  returns timestamptz
  language plpgsql immutable set search_path = pg_catalog, pg_temp
  as $$
    declare
      v_from timestamp := p_from at time zone 'UTC';
      v_now timestamp := p_now at time zone 'UTC';
      v_months integer;
      v_day integer := extract(day from p_created at time zone 'UTC');
    begin
      if p_period = 'daily' or p_period = 'weekly' then
        return (v_from + make_interval(days => (case p_period when 'daily' then 1 else 7 end) *
          (floor(extract(epoch from v_now - v_from) / (case p_period when 'daily' then 86400 else 604800 end))::integer + 1)))
          at time zone 'UTC';
      elsif p_period = 'monthly' then
        if v_day > extract(day from v_from) and extract(day from v_from + interval '1 day') = 1 then
          v_from := date_trunc('year', v_from) + make_interval(days => v_day - 1) + v_from::time;
        end if;
        v_months := greatest(0, (extract(year from age(v_now, v_from)) * 12 + extract(month from age(v_now, v_from)))::integer);
        while v_from + make_interval(months => v_months) <= v_now loop
          v_months := v_months + 1;
        end loop;
        return (v_from + make_interval(months => v_months)) at time zone 'UTC';
      end if;
      return null;
    end
  $$;

-- What an allocation may still hold: its own rest and the organization's prepaid rest, whichever is less; where overage is
-- allowed, what is left of it comes on top. Null: unlimited.
create function ledger_room(p_pool organization_credit_pools, p_allocation user_credit_allocations) returns numeric
  language sql immutable set search_path = pg_catalog, pg_temp
  as $$
    select case
      when p_pool.allow_overage and p_pool.overage_limit is null then null
      when p_pool.allow_overage then
        greatest(p_allocation.allocated_credits - p_allocation.used_credits - p_allocation.held_credits, 0)
          + p_pool.overage_limit - p_pool.overage_credits
      else least(
        p_allocation.allocated_credits - p_allocation.used_credits - p_allocation.held_credits,
        p_pool.total_credits - p_pool.used_credits - p_pool.held_credits)
    end
  $$;

create function ledger_below_zero(p_allocated numeric, p_used numeric, p_held numeric) returns numeric
  language sql immutable set search_path = pg_catalog, pg_temp
  as $$ select greatest(p_used + p_held - p_allocated, 0) $$;

-- Locks pool and allocation, in that order, and brings them up to date: a refresh that is due adds to the pool once for each
-- elapsed period, a reset that is due gives the allocation back what the pool can cover. Either may be null.
create function ledger_lock(p_org_id uuid, p_user_id varchar,
    out pool organization_credit_pools, out allocation user_credit_allocations)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v_next timestamptz;
      v_amount numeric;
    begin
      select * into pool from organization_credit_pools where org_id = p_org_id for update;
      if pool.id is null then return; end if;
      select * into allocation from user_credit_allocations where org_id = p_org_id and user_id = p_user_id for update;

      if pool.next_refresh_date <= v_now then
        v_amount := 0;
        v_next := pool.next_refresh_date;
        while v_next <= v_now loop
          v_amount := v_amount + pool.monthly_refresh_amount;
          v_next := ledger_next_date('monthly', pool.next_refresh_date, v_next, pool.created_at);
        end loop;
        if not exists (select 1 from organization_subscriptions
            where org_id = p_org_id and status in ('active', 'trialing')) then
          v_amount := 0;
        end if;
        update organization_credit_pools
          set total_credits = total_credits + v_amount, last_refresh_date = v_now, next_refresh_date = v_next
          where org_id = p_org_id returning * into pool;
        if v_amount > 0 then
          insert into ledger_journal (kind, org_id, pool_total, actor) values ('refresh', p_org_id, v_amount, 'ledger');
        end if;
      end if;

      if allocation.next_reset_date <= v_now then
        v_next := ledger_next_date(allocation.reset_period, allocation.next_reset_date, v_now, allocation.created_at);
        v_amount := least(allocation.used_credits, pool.total_credits - pool.allocated_credits);
        update organization_credit_pools p
          set allocated_credits = p.allocated_credits + v_amount,
            overage_credits = p.overage_credits
              + ledger_below_zero(allocation.allocated_credits, allocation.used_credits - v_amount, allocation.held_credits)
              - ledger_below_zero(allocation.allocated_credits, allocation.used_credits, allocation.held_credits)
          where p.org_id = p_org_id returning * into pool;
        update user_credit_allocations
          set used_credits = used_credits - v_amount, last_reset_date = v_now, next_reset_date = v_next
          where id = allocation.id returning * into allocation;
        if v_amount > 0 then
          insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_used, actor)
            values ('reset', p_org_id, p_user_id, v_amount, -v_amount, 'ledger');
        end if;
      end if;
    end
  $$;

-- Moves pool and allocation together, both locked: held by p_held (negative gives back), used by p_used.
create function ledger_move(p_allocation user_credit_allocations, p_held numeric, p_used numeric) returns void
  language sql volatile set search_path = pg_catalog, public, pg_temp
  as $$
    update organization_credit_pools p
      set held_credits = p.held_credits + p_held, used_credits = p.used_credits + p_used,
        overage_credits = p.overage_credits
          + ledger_below_zero(p_allocation.allocated_credits, p_allocation.used_credits + p_used, p_allocation.held_credits + p_held)
          - ledger_below_zero(p_allocation.allocated_credits, p_allocation.used_credits, p_allocation.held_credits)
      where p.org_id = p_allocation.org_id;
    update user_credit_allocations a
      set held_credits = a.held_credits + p_held, used_credits = a.used_credits + p_used
      where a.id = p_allocation.id
  $$;

-- Moves what the limits of a hold have held and used (negative gives back). Answers what the caller's key has used, if counted.
create function ledger_move_limits(p_limits jsonb, p_held numeric, p_calls_held integer, p_used numeric, p_calls_used integer)
  returns numeric
  language sql volatile set search_path = pg_catalog, public, pg_temp
  as $$
    with moved as (
      update ledger_limits l
      set held = l.held + case l.unit when 'calls' then p_calls_held else p_held end,
        used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
      from jsonb_to_recordset(p_limits) as t(kind varchar, id varchar, window_start timestamptz)
      where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
      returning l.kind, l.used)
    select max(used) from moved where kind = 'key'
  $$;

-- Locks the limits of a call in order, making the rows that are missing, and tells the room of the tightest.
-- room null: no limit applies. A 'calls' limit with no call left refuses by name.
create function ledger_lock_limits(p_limits jsonb,
    out sorted jsonb, out room numeric, out room_kind varchar, out calls_refused varchar)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare v_limit record; v_row ledger_limits;
    begin
      for v_limit in
        select * from jsonb_to_recordset(p_limits)
          as t(kind varchar, id varchar, window_start timestamptz, unit varchar, limit_amount numeric)
        order by kind, id, window_start
      loop
        insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
          values (v_limit.kind, v_limit.id, v_limit.window_start, coalesce(v_limit.unit, 'credits'), v_limit.limit_amount)
          on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount
          returning * into v_row;
        sorted := coalesce(sorted, '[]'::jsonb) || jsonb_build_object(
          'kind', v_row.kind, 'id', v_row.id, 'window_start', v_row.window_start, 'unit', v_row.unit);
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

-- Recomputes every balance from the rows, in the one snapshot of the calling statement. No rows: the books are right.
create function ledger_audit()
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
    touched as (
      select t.kind, t.id, t.window_start,
        sum(case when h.state <> 'open' then 0 when t.unit = 'calls' then 1 else h.held_credits end) as held
      from ledger_holds h, jsonb_to_recordset(h.limits) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
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
      select 'limit.held is not the sum of the open holds', null, t.id, null, l.held, t.held
      from ledger_limits l join touched t using (kind, id, window_start)
      union all
      select 'a closed hold is not charged what its rows say', h.org_id, h.user_id, h.call_id, h.charged_credits, c.credits_used
      from ledger_holds h left join credit_usage_attribution c on c.call_id = h.call_id and c.entry = 'charge'
      where h.state in ('settled', 'released')
      union all
      select 'an open hold is already charged', h.org_id, h.user_id, h.call_id, 0, c.credits_used
      from ledger_holds h join credit_usage_attribution c on c.call_id = h.call_id where h.state = 'open'
      union all
      select 'credits and dollars of a charge differ', c.org_id, c.user_id, c.call_id, c.credits_used / 1000, c.total_cost
      from credit_usage_attribution c where c.source = 'proxy' and c.entry = 'charge' and c.credits_used > 0)
    select f.finding, f.org_id, f.user_id, f.call_id, f.stored, f.recomputed from findings f
    where f.stored is distinct from f.recomputed
  $$;
