-- Limits besides pool and allocation: rows of ledger_limits. A call names its limits, the key it came with among them (limit_request), and
-- its hold remembers which rows it touched (limit_use). A limit without an amount is only counted: nothing is held of it, and its row
-- is not locked before the call is over.

-- By which clock the windows of a kind are counted: hours that do not divide a day are the same everywhere.
create or replace function tollgate.ledger_window_zone(p_window varchar) returns varchar
  language sql stable parallel safe
  return case when p_window like '%s' and left(p_window, -1)::integer % 86400 <> 0 then 'UTC' else tollgate.ledger_time_zone() end;

-- When the window began that an instant lies in, in a time zone, whatever the session says; without a window: of all time. A window is
-- hour, day, week or month by the calendar; or so many seconds (7200s), counted from a Monday, so that those that divide a day or a week
-- begin with it (in UTC where they are no whole days); or so many months (3mo), counted from a January.
create or replace function tollgate.ledger_window_start_in(p_window varchar, p_now timestamptz, p_zone varchar) returns timestamptz
  language sql stable parallel safe
  return case
    when p_window is null then tollgate.ledger_all_time()
    when p_window like '%mo' then (date_trunc('month', p_now at time zone p_zone) - make_interval(months =>
      ((extract(year from p_now at time zone p_zone) * 12 + extract(month from p_now at time zone p_zone) - 1)::integer
        % left(p_window, -2)::integer))) at time zone p_zone
    when p_window like '%s' then case when left(p_window, -1)::integer % 86400 <> 0
      then date_bin(make_interval(secs => left(p_window, -1)::double precision), p_now at time zone 'UTC', timestamp '2001-01-01')
        at time zone 'UTC'
      else date_bin(make_interval(secs => left(p_window, -1)::double precision), p_now at time zone p_zone, timestamp '2001-01-01')
        at time zone p_zone end
    else date_trunc(p_window, p_now, p_zone) end;

-- The same in the time zone of the ledger.
create or replace function tollgate.ledger_window_start(p_window varchar, p_now timestamptz) returns timestamptz
  language sql stable parallel safe
  return tollgate.ledger_window_start_in(p_window, p_now, tollgate.ledger_time_zone());

create or replace function tollgate.ledger_window_end(p_window varchar, p_now timestamptz) returns timestamptz
  language sql stable parallel safe
  return case when p_window is not null
    then (tollgate.ledger_window_start(p_window, p_now) at time zone tollgate.ledger_window_zone(p_window) + case
      when p_window like '%mo' then make_interval(months => left(p_window, -2)::integer)
      when p_window like '%s' then make_interval(secs => left(p_window, -1)::double precision)
      else ('1 ' || p_window)::interval end) at time zone tollgate.ledger_window_zone(p_window) end;

-- As a refusal shows it. in_flight: with no call running it would leave p_least.
create or replace function tollgate.ledger_show_limit(p_limit tollgate.ledger_limits, p_left numeric, p_least numeric) returns jsonb
  language sql stable
  return jsonb_build_object('kind', (p_limit).kind, 'id', (p_limit).id, 'unit', (p_limit).unit,
    'amount', trim_scale((p_limit).limit_amount), 'left', trim_scale(greatest(p_left, 0)),
    'window_start', (p_limit).window_start, 'window_end', (p_limit).window_end,
    'in_flight', (p_limit).limit_amount - (p_limit).used >= case (p_limit).unit when 'calls' then 1 else p_least end);

-- The call quota that has the least left, as its row is now; null where none of these is a quota. Its callers are told with each answer.
create or replace function tollgate.ledger_nearest_quota(p_limits tollgate.limit_use[]) returns jsonb
  language sql stable
  return (
    select tollgate.ledger_show_limit(l, l.limit_amount - l.used - l.held, 0)
    from unnest(p_limits) as t
    join tollgate.ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
    where t.kind = 'quota' and l.limit_amount is not null
    order by l.limit_amount - l.used - l.held, l.window_end limit 1);

-- The same for each call of a batch that is held in the set, as it is with that call and those before it. The limits are locked.
create or replace function tollgate.ledger_show_quotas(p_limits tollgate.call_limits[], p_plan tollgate.hold_plan)
  returns tollgate.hold_plan
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v record;
    begin
      for v in
        select distinct on (u.place) u.place, ledger_show_limit(u.of_limit, u.rest, 0) as shown
        from (
          select k.place, l.of_limit, l.rest - count(*) over (partition by t.kind, t.id, t.window_start order by k.place) as rest
          from generate_subscripts(p_limits, 1) as k(place)
          cross join lateral unnest(p_limits[k.place].touched) t
          cross join lateral (
            select o as of_limit, o.limit_amount - o.used - o.held as rest from ledger_limits o
            where o.kind = t.kind and o.id = t.id and o.window_start = t.window_start limit 1) l
          where p_plan.is_set[k.place] and p_plan.held[k.place] is not null and t.kind = 'quota' and not t.is_counted) u
        order by u.place, u.rest, (u.of_limit).window_end
      loop
        p_plan.limited_by[v.place] := v.shown;
      end loop;
      return p_plan;
    end
  $$;

-- Makes, locks and reads the limits of one call that have an amount, in order; the others are read. p_least, p_wanted: credits the call
-- needs at least, and wants. A small statement a limit: one for all of them, whose plan is large, takes longer (measured).
create or replace function tollgate.ledger_see_limits(
    p_limits tollgate.limit_request[], p_least numeric, p_wanted numeric, p_now timestamptz)
  returns tollgate.limits_seen
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v limit_request;
      v_row ledger_limits;
      v_tightest ledger_limits;
      v_quota ledger_limits;
      v_left numeric;
      v_idle numeric;
      v_touched limit_use[] := '{}';
      v_bounds boolean := false;
      v_available numeric;
      v_if_idle numeric;
      v_has_call boolean := true;
      v_has_call_if_idle boolean := true;
      v_short_slice boolean := false;
      v_key_used numeric;
    begin
      foreach v in array array(
        select row(s.kind, s.id, s."window", s.starts, s.unit, s.limit_amount)::limit_request
        from (
          select t.*, coalesce(t.window_start, ledger_window_start_in(t."window", p_now, z.time_zone)) as starts
          from ledger_identity z, unnest(p_limits) as t) s
        order by s.kind, s.id, s.starts)
      loop
        -- What is only counted is nobody's lock.
        select * into v_row from ledger_limits l
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start and l.limit_amount is not null for update;
        if v.limit_amount is not null and v_row.limit_amount is distinct from v.limit_amount then
          insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), coalesce(v.unit, 'credits'), v.limit_amount)
            on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount
            returning * into v_row;
        elsif v_row.kind is null and ledger_is_sliced(v.kind) then
          -- The first one of its process in this window.
          insert into ledger_limits (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), 'credits', 0)
            on conflict (kind, id, window_start) do nothing;
          select * into v_row from ledger_limits l
            where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start for update;
        elsif v_row.kind is null then
          select * into v_row from ledger_limits l where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start;
        end if;
        if v.kind = 'key' then v_key_used := coalesce(v_row.used, 0); end if;
        v_touched := v_touched
          || row(v.kind, v.id, v.window_start, coalesce(v_row.unit, v.unit, 'credits'), v_row.limit_amount is null)::limit_use;
        continue when v_row.limit_amount is null;
        v_bounds := true;
        v_idle := v_row.limit_amount - v_row.used;
        v_left := v_idle - v_row.held;
        if v_row.unit = 'calls' then
          if v.kind = 'quota' and (v_quota.kind is null or (v_left, v_row.window_end) < (v_quota.limit_amount - v_quota.used - v_quota.held, v_quota.window_end)) then
            v_quota := v_row;
          end if;
          continue when v_left >= 1 and v_idle >= 1;
          v_has_call_if_idle := v_has_call_if_idle and v_idle >= 1;
          continue when not v_has_call;
          v_has_call := false;
          v_tightest := v_row;
        else
          v_if_idle := least(v_if_idle, v_idle);
          v_short_slice := v_short_slice or v_left < p_wanted and ledger_is_sliced(v.kind);
          continue when v_left >= v_available;
          v_available := v_left;
          if v_has_call then v_tightest := v_row; end if;
        end if;
      end loop;
      return row(v_touched, v_bounds, v_available,
        case when v_tightest.kind is not null and (not v_has_call or v_available < p_least + p_wanted)
          then ledger_show_limit(v_tightest, v_tightest.limit_amount - v_tightest.used - v_tightest.held, p_least) end,
        v_has_call, v_key_used, v_if_idle, v_has_call_if_idle,
        ledger_line(v_tightest.kind, v_tightest.id, v_tightest.window_start), v_short_slice,
        case when v_quota.kind is not null then ledger_show_limit(v_quota, v_quota.limit_amount - v_quota.used - v_quota.held - 1, 0) end);
    end
  $$;

-- Locks the limits that a hold remembers, in order. Returns what the caller's key has used.
create or replace function tollgate.ledger_lock_limits(p_limits tollgate.limit_use[]) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_key_used numeric;
    begin
      select max(l.used) filter (where l.kind = 'key') into v_key_used from (
        select l.kind, l.used
        from unnest(p_limits) as t
        join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
        order by l.kind, l.id, l.window_start for update of l) l;
      -- A key that was only counted has no row before it is charged.
      if v_key_used is null and exists (select from unnest(p_limits) t where t.kind = 'key') then return 0; end if;
      return v_key_used;
    end
  $$;

-- Moves what limits have held and used (negative gives back), all locked. Returns what the caller's key has used.
create or replace function tollgate.ledger_move_limits(
    p_limits tollgate.limit_use[], p_held numeric, p_calls_held integer, p_used numeric, p_calls_used integer) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_key_used numeric;
    begin
      with moved as (
          update ledger_limits l
            set held = l.held + case when t.is_counted then 0 when l.unit = 'calls' then p_calls_held else p_held end,
              used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
            from unnest(p_limits) t
            -- Nothing is held of what is only counted.
            where l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
              and (not t.is_counted or p_used <> 0 or p_calls_used <> 0)
            returning l.kind, l.used),
        -- Only counted until now. Never negative: what is given back was counted, so the row exists.
        counted as (
          insert into ledger_limits as l (kind, id, window_start, used)
            select t.kind, t.id, t.window_start, p_used from unnest(p_limits) t
            where t.is_counted and p_used > 0 and not exists (
              select from ledger_limits e where e.kind = t.kind and e.id = t.id and e.window_start = t.window_start)
            order by t.kind, t.id, t.window_start
            on conflict on constraint ledger_limits_pkey do update set used = l.used + excluded.used
            returning l.kind, l.used)
        select max(k.used) into v_key_used
          from (select * from moved union all select * from counted) k where k.kind = 'key';
      if v_key_used is null and exists (select from unnest(p_limits) t where t.kind = 'key') then
        select coalesce(max(l.used), 0) into v_key_used
          from unnest(p_limits) t join ledger_limits l on l.kind = t.kind and l.id = t.id and l.window_start = t.window_start
          where t.kind = 'key';
      end if;
      return v_key_used;
    end
  $$;

-- What limits leave to the calls of a batch, in the order in which they are served: how much each holds, or which limit refuses it. Makes
-- and locks the limits that have an amount. Who may wait for running calls waits, in the line of the limit that leaves too little, and is
-- not held in the set while somebody who came before waits for what it touches. Where all limits leave enough for all calls at a token a byte, the plan stays as it is.
-- p_is_new: at least one call states an amount that its row does not have.
create or replace function tollgate.ledger_fit_limits(
    p_calls tollgate.hold_request[], p_limits tollgate.call_limits[], p_is_new boolean, p_plan tollgate.hold_plan, p_now timestamptz)
  returns tollgate.hold_plan
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_uses batch_limit[] := array(
        select row(k.ordinality, u.kind, u.id, u.window_start, u."window", u.unit, u.stated,
          greatest(k.input, k.input_bytes) + k.output)::batch_limit
        from unnest(p_calls) with ordinality as k
        cross join lateral unnest(k.limits, (p_limits[k.ordinality]).touched)
          as u(asked_kind, asked_id, "window", asked_start, asked_unit, stated, kind, id, window_start, unit, is_counted)
        where not u.is_counted);
      v_kinds varchar[];
      v_ids varchar[];
      v_starts timestamptz[];
      v_by_call boolean[];
      v_left numeric[];
      v_idle numeric[];
      v_is_near boolean[];
      v_is_kept_out boolean[];
      v_calls integer[];
      v_places integer[];
      v_use integer := 1;
      v_first integer;
      v_limit integer;
      v_none_left integer;
      v_tightest integer;
      v_least numeric;
      v_fits boolean;
      v_fits_if_idle boolean;
      v_has_waiter boolean[];
      v_is_behind boolean;
      v_later_payer integer;
      v_is_later boolean;
    begin
      if p_is_new then
        insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
          select distinct on (u.kind, u.id, u.window_start) u.kind, u.id, u.window_start, ledger_window_end(u."window", p_now),
            u.unit, u.stated
          from unnest(v_uses) u order by u.kind, u.id, u.window_start, u.stated
          on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
            where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
      end if;

      select array_agg(n.kind), array_agg(n.id), array_agg(n.window_start), array_agg(l.unit = 'calls'), array_agg(l.rest),
          array_agg(l.idle), array_agg(l.rest < case l.unit when 'calls' then n.calls else n.credits end)
        into v_kinds, v_ids, v_starts, v_by_call, v_left, v_idle, v_is_near
        from (
          select u.kind, u.id, u.window_start, count(*) as calls, sum(u.wanted) as credits
          from unnest(v_uses) u group by 1, 2, 3 order by 1, 2, 3 offset 0) n
        cross join lateral (
          select l.unit, l.limit_amount - l.used - l.held as rest, l.limit_amount - l.used as idle from ledger_limits l
          where l.kind = n.kind and l.id = n.id and l.window_start = n.window_start limit 1 for update) l;
      if not true = any(v_is_near) and not true = any(p_plan.in_turn) then return p_plan; end if;

      select array_agg(u.call order by u.call, u.place), array_agg(u.place order by u.call, u.place) into v_calls, v_places
        from (
          select u.call, dense_rank() over (order by u.kind, u.id, u.window_start)::integer as place
          from unnest(v_uses) u) u;
      v_is_kept_out := array_fill(false, array[cardinality(v_left)]);
      v_has_waiter := v_is_kept_out;
      for i in 1 .. cardinality(p_calls) loop
        v_first := v_use;
        v_none_left := null;
        v_tightest := null;
        v_least := p_calls[i].input + p_calls[i].min_output;
        v_fits_if_idle := true;
        v_is_behind := p_plan.in_turn[i];
        v_is_later := not p_plan.is_set[i] or coalesce(p_plan.payers[i] = v_later_payer, false);
        while v_calls[v_use] = i loop
          v_limit := v_places[v_use];
          v_is_later := v_is_later or v_is_kept_out[v_limit];
          v_is_behind := v_is_behind or p_calls[i].wait_ms > 0 and v_has_waiter[v_limit];
          v_is_later := v_is_later or p_calls[i].sliced is not true and ledger_is_sliced(v_kinds[v_limit])
            and v_left[v_limit] < greatest(p_calls[i].input, p_calls[i].input_bytes) + p_calls[i].output;
          v_fits_if_idle := v_fits_if_idle and v_idle[v_limit] >= case when v_by_call[v_limit] then 1 else v_least end;
          if v_by_call[v_limit] then
            if v_left[v_limit] < 1 then v_none_left := coalesce(v_none_left, v_limit); end if;
          elsif v_tightest is null or v_left[v_limit] < v_left[v_tightest] then
            v_tightest := v_limit;
          end if;
          v_use := v_use + 1;
        end loop;

        continue when p_plan.is_stuck[i];
        v_fits := v_none_left is null and (v_left[v_tightest] < v_least) is not true;
        if v_is_later or v_fits and v_is_behind then
          p_plan.is_set[i] := false;
          v_later_payer := p_plan.payers[i];
          for u in v_first .. v_use - 1 loop
            v_is_kept_out[v_places[u]] := v_is_near[v_places[u]];
          end loop;
        elsif not v_fits then
          v_limit := coalesce(v_none_left, v_tightest);
          p_plan.held[i] := null;
          p_plan.available[i] := greatest(coalesce(v_left[v_tightest], 0), 0);
          p_plan.limited_by[i] := (
            select ledger_show_limit(l, v_left[v_limit], v_least) from ledger_limits l
            where l.kind = v_kinds[v_limit] and l.id = v_ids[v_limit] and l.window_start = v_starts[v_limit]);
          if not v_fits_if_idle then
            p_plan.refused_in[i] := ledger_line(v_kinds[v_limit], v_ids[v_limit], v_starts[v_limit]);
          elsif p_calls[i].wait_ms > 0 then
            p_plan.lines[i] := ledger_line(v_kinds[v_limit], v_ids[v_limit], v_starts[v_limit]);
            v_has_waiter[v_limit] := true;
          end if;
        else
          p_plan.held[i] := least(p_plan.held[i], v_left[v_tightest]);
          for u in v_first .. v_use - 1 loop
            v_limit := v_places[u];
            v_left[v_limit] := v_left[v_limit] - case when v_by_call[v_limit] then 1 else p_plan.held[i] end;
          end loop;
        end if;
      end loop;
      return p_plan;
    end
  $$;
