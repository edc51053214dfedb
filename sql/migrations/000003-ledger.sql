-- breaking
-- The ledger: holds, limits, processes, the journal, and how balances are locked, brought up to date and moved.
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
          on conflict (kind, id, window_start) do update set limit_amount = coalesce(excluded.limit_amount, l.limit_amount)
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
