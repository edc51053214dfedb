-- Limits besides pool and allocation: rows of ledger_limits. A call names its limits, the key it came with among them (limit_request), and
-- its hold remembers which rows it touched (limit_use). A limit without an amount is only counted: nothing is held of it, and its row
-- is not locked before the call is over.

-- When the window began that an instant lies in. In UTC, whatever the session says; without a window: of all time.
create or replace function tollgate.ledger_window_start(p_window varchar, p_now timestamptz) returns timestamptz
  language sql immutable parallel safe
  return case when p_window is null then tollgate.ledger_all_time()
    else date_trunc(p_window, p_now at time zone 'UTC') at time zone 'UTC' end;

create or replace function tollgate.ledger_window_end(p_window varchar, p_now timestamptz) returns timestamptz
  language sql immutable parallel safe
  return case when p_window is not null
    then (date_trunc(p_window, p_now at time zone 'UTC') + ('1 ' || p_window)::interval) at time zone 'UTC' end;

-- As a refusal shows it.
create or replace function tollgate.ledger_show_limit(p_limit tollgate.ledger_limits, p_left numeric) returns jsonb
  language sql stable
  return jsonb_build_object('kind', (p_limit).kind, 'id', (p_limit).id, 'unit', (p_limit).unit,
    'amount', trim_scale((p_limit).limit_amount), 'left', trim_scale(greatest(p_left, 0)), 'window_end', (p_limit).window_end);

-- Makes, locks and reads the limits of one call that have an amount, in order; the others are read.
create or replace function tollgate.ledger_see_limits(p_limits tollgate.limit_request[], p_now timestamptz) returns tollgate.limits_seen
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v record;
      v_row ledger_limits;
      v_left numeric;
      v_seen limits_seen := row('{}', false, null, null, true, null);
    begin
      for v in
        select t.kind, t.id, coalesce(t.window_start, ledger_window_start(t."window", p_now)) as window_start, t."window", t.unit,
          t.limit_amount
        from unnest(p_limits) as t order by 1, 2, 3
      loop
        -- Not locked before it is known to bound something: what is only counted is nobody's lock.
        select * into v_row from ledger_limits l
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start;
        if v_row.limit_amount is not null then
          select * into v_row from ledger_limits l
            where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start for update;
        end if;
        if v.limit_amount is not null and v_row.limit_amount is distinct from v.limit_amount then
          insert into ledger_limits as l (kind, id, window_start, window_end, unit, limit_amount)
            values (v.kind, v.id, v.window_start, ledger_window_end(v."window", p_now), coalesce(v.unit, 'credits'), v.limit_amount)
            on conflict (kind, id, window_start) do update set limit_amount = excluded.limit_amount
            returning * into v_row;
        end if;
        if v.kind = 'key' then v_seen.key_used := coalesce(v_row.used, 0); end if;
        v_seen.touched := v_seen.touched
          || row(v.kind, v.id, v.window_start, coalesce(v_row.unit, v.unit, 'credits'), v_row.limit_amount is null)::limit_use;
        continue when v_row.limit_amount is null;
        v_seen.bounds := true;
        v_left := v_row.limit_amount - v_row.used - v_row.held;
        if v_row.unit = 'calls' then
          if v_left < 1 and v_seen.has_call then
            v_seen.has_call := false;
            v_seen.limited_by := ledger_show_limit(v_row, v_left);
          end if;
        elsif v_seen.available is null or v_left < v_seen.available then
          v_seen.available := v_left;
          if v_seen.has_call then v_seen.limited_by := ledger_show_limit(v_row, v_left); end if;
        end if;
      end loop;
      return v_seen;
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
    declare
      v record;
      v_used numeric;
      v_key_used numeric;
    begin
      for v in
        select t.kind, t.id, t.window_start, not t.is_counted as is_held from unnest(p_limits) as t
      loop
        -- Nothing is held of what is only counted.
        if not v.is_held and p_used = 0 and p_calls_used = 0 then
          if v.kind = 'key' then
            v_key_used := coalesce((
              select l.used from ledger_limits l where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start), 0);
          end if;
          continue;
        end if;
        update ledger_limits l
          set held = l.held + case when v.is_held then case l.unit when 'calls' then p_calls_held else p_held end else 0 end,
            used = l.used + case l.unit when 'calls' then p_calls_used else p_used end
          where l.kind = v.kind and l.id = v.id and l.window_start = v.window_start
          returning l.used into v_used;
        if not found then
          -- Only counted until now. Never negative: what is given back was counted, so the row exists.
          insert into ledger_limits as l (kind, id, window_start, used)
            values (v.kind, v.id, v.window_start, greatest(p_used, 0))
            on conflict (kind, id, window_start) do update set used = l.used + p_used
            returning used into v_used;
        end if;
        if v.kind = 'key' then v_key_used := v_used; end if;
      end loop;
      return v_key_used;
    end
  $$;

-- What limits leave to the calls of a batch, in the order in which they are served: how much each holds, or which limit refuses it. Makes
-- and locks the limits that have an amount. Where all limits leave enough for all calls at a token a byte, the plan stays as it is.
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
      v_is_near boolean[];
      v_is_kept_out boolean[];
      v_calls integer[];
      v_places integer[];
      v_use integer := 1;
      v_first integer;
      v_limit integer;
      v_none_left integer;
      v_tightest integer;
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
          array_agg(l.rest < case l.unit when 'calls' then n.calls else n.credits end)
        into v_kinds, v_ids, v_starts, v_by_call, v_left, v_is_near
        from (
          select u.kind, u.id, u.window_start, count(*) as calls, sum(u.wanted) as credits
          from unnest(v_uses) u group by 1, 2, 3 order by 1, 2, 3 offset 0) n
        cross join lateral (
          select l.unit, l.limit_amount - l.used - l.held as rest from ledger_limits l
          where l.kind = n.kind and l.id = n.id and l.window_start = n.window_start limit 1 for update) l;
      if not true = any(v_is_near) then return p_plan; end if;

      select array_agg(u.call order by u.call, u.place), array_agg(u.place order by u.call, u.place) into v_calls, v_places
        from (
          select u.call, dense_rank() over (order by u.kind, u.id, u.window_start)::integer as place
          from unnest(v_uses) u) u;
      v_is_kept_out := array_fill(false, array[cardinality(v_left)]);
      for i in 1 .. cardinality(p_calls) loop
        v_first := v_use;
        v_none_left := null;
        v_tightest := null;
        v_is_later := not p_plan.is_set[i] or coalesce(p_plan.payers[i] = v_later_payer, false);
        while v_calls[v_use] = i loop
          v_limit := v_places[v_use];
          v_is_later := v_is_later or v_is_kept_out[v_limit];
          if v_by_call[v_limit] then
            if v_left[v_limit] < 1 then v_none_left := coalesce(v_none_left, v_limit); end if;
          elsif v_tightest is null or v_left[v_limit] < v_left[v_tightest] then
            v_tightest := v_limit;
          end if;
          v_use := v_use + 1;
        end loop;

        if v_is_later then
          p_plan.is_set[i] := false;
          v_later_payer := p_plan.payers[i];
          for u in v_first .. v_use - 1 loop
            v_is_kept_out[v_places[u]] := v_is_near[v_places[u]];
          end loop;
        elsif v_none_left is not null or v_left[v_tightest] < p_calls[i].input + p_calls[i].min_output then
          v_limit := coalesce(v_none_left, v_tightest);
          p_plan.held[i] := null;
          p_plan.available[i] := greatest(coalesce(v_left[v_tightest], 0), 0);
          p_plan.limited_by[i] := (
            select ledger_show_limit(l, v_left[v_limit]) from ledger_limits l
            where l.kind = v_kinds[v_limit] and l.id = v_ids[v_limit] and l.window_start = v_starts[v_limit]);
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
