-- breaking
-- From here on the ledger's operations take many calls at once: one transaction, one flush to disk, one set of locks for all of
-- them. This file has what they share; hold, progress, close and recovery follow.
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
    when p_allow_overage is not true then least(p_free, p_pool_free)
    when p_overage_limit is null then null
    else greatest(p_free, 0) + p_overage_limit - p_overage
  end;

-- Locks the limits of a call in order, making the rows that are missing, and tells the room of the tightest and what the
-- caller's key has used. room null: no limit applies. A 'calls' limit with no call left refuses by name. p_set: the amounts stated
-- are the ones from now on; a hold that is closed states those of its time.
drop function ledger_lock_limits(jsonb);
create function ledger_lock_limits(p_limits jsonb, p_set boolean,
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
        v_amount := case when p_set then (v_limit ->> 'limit_amount')::numeric end;
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

revoke execute on function ledger_durable, ledger_room, ledger_lock_limits, ledger_lock_batch from public;
