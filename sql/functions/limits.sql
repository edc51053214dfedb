-- Limits besides pool and allocation: rows of ledger_limits, named by [{kind, id, window_start, unit, limit_amount}].

-- Locks the limits of a call in order, making the rows that are missing.
--   p_set          the amounts that are stated count from now on; a hold that is closed states those of its time
--   available      credits that the tightest limit leaves; null where no limit applies. limit_kind: that limit
--   calls_refused  a limit of calls that has none left
--   key_used       what the caller's key has used
create or replace function tollgate.ledger_lock_limits(p_limits jsonb, p_set boolean,
    out available numeric, out limit_kind varchar, out calls_refused varchar, out key_used numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
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
        elsif available is null or v_row.limit_amount - v_row.used - v_row.held < available then
          available := v_row.limit_amount - v_row.used - v_row.held;
          limit_kind := v_row.kind;
        end if;
      end loop;
    end
  $$;

-- Makes and locks the limits of a batch, in order.
create or replace function tollgate.ledger_lock_limits_batch(p_calls tollgate.hold_request[]) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      insert into ledger_limits as l (kind, id, window_start, unit, limit_amount)
        select distinct on (t.kind, t.id, t.window_start) t.kind, t.id, t.window_start, coalesce(t.unit, 'credits'), t.limit_amount
        from unnest(p_calls) as k, jsonb_to_recordset(k.limits)
          as t(kind varchar, id varchar, window_start timestamptz, unit varchar, limit_amount numeric)
        order by t.kind, t.id, t.window_start, t.limit_amount
        on conflict on constraint ledger_limits_pkey do update set limit_amount = excluded.limit_amount
          where excluded.limit_amount is not null and l.limit_amount is distinct from excluded.limit_amount;
    end
  $$;

-- Moves what limits have held and used (negative gives back), all locked. Returns what the caller's key has used.
create or replace function tollgate.ledger_move_limits(
    p_limits jsonb, p_held numeric, p_calls_held integer, p_used numeric, p_calls_used integer) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
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

-- Counts what a key without a limit has spent (negative gives back). Returns all it has spent.
create or replace function tollgate.ledger_count_key(p_key_id varchar, p_amount numeric) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_used numeric;
    begin
      -- An insert never goes negative: what is given back was counted, so the row exists.
      insert into ledger_limits as l (kind, id, window_start, used)
        values ('key', p_key_id, ledger_all_time(), greatest(p_amount, 0))
        on conflict (kind, id, window_start) do update set used = l.used + p_amount
        returning used into v_used;
      return v_used;
    end
  $$;
