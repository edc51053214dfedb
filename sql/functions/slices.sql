-- Limits that calls of all organizations share (the proxy's). As one row such a limit would be everybody's lock, so each process has slices of
-- it, one for each of its shards: rows of ledger_limits that holds touch like every other limit (id#process/shard). A slice that leaves less than
-- a call wants is filled first, by a transaction of its own, which is the only one that locks the whole. A sixteenth of what nobody has goes
-- with it; near the end what idles in other slices is collected, so that a call is refused only where all slices together leave too little.
-- A slice of a process that is gone idles like the others once its holds are recovered. Order of locks: the whole, then slices.

create or replace function tollgate.ledger_is_sliced(p_kind varchar) returns boolean
  language sql immutable parallel safe
  return p_kind = 'proxy';

-- Makes the slice leave p_wanted, or all there is. Returns what it leaves, and the whole as a refusal of p_least shows it.
create or replace function tollgate.ledger_fill_slice(
    p_kind varchar, p_id varchar, p_window varchar, p_amount numeric, p_slice varchar, p_wanted numeric, p_least numeric,
    out available numeric, out limited_by jsonb)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v_start timestamptz := ledger_window_start(p_window, v_now);
      v_whole ledger_shared_limits;
      v_own ledger_limits;
      v_short numeric;
      v_more numeric;
      v_used numeric;
    begin
      insert into ledger_shared_limits as s (kind, id, window_start, window_end, amount)
        values (p_kind, p_id, v_start, ledger_window_end(p_window, v_now), p_amount)
        on conflict (kind, id, window_start) do update set amount = excluded.amount
        returning * into v_whole;
      insert into ledger_limits (kind, id, window_start, window_end, unit, limit_amount)
        values (p_kind, p_slice, v_start, v_whole.window_end, 'credits', 0) on conflict (kind, id, window_start) do nothing;
      -- Those that follow wait for it here, and read what it left: slices change hands under this lock only.
      perform 1 from ledger_limits l
        where l.kind = p_kind and l.window_start = v_start and l.id = p_slice for update;
      select * into v_own from ledger_limits l where l.kind = p_kind and l.id = p_slice and l.window_start = v_start;
      v_short := p_wanted - (v_own.limit_amount - v_own.used - v_own.held);
      if v_short > v_whole.amount - v_whole.granted then
        perform 1 from ledger_limits l
          where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#') order by l.id for update;
        with idle as (
            update ledger_limits l set limit_amount = greatest(l.used + l.held, 0)
              where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#') and l.id <> p_slice
              returning l.limit_amount)
          select coalesce(sum(i.limit_amount), 0) + v_own.limit_amount into v_whole.granted from idle i;
      end if;
      v_more := greatest(least(v_whole.amount - v_whole.granted,
        greatest(v_short, round((v_whole.amount - v_whole.granted) / 16, 6))), 0);
      if v_short > 0 then
        update ledger_limits l set limit_amount = l.limit_amount + v_more
          where l.kind = p_kind and l.id = p_slice and l.window_start = v_start returning * into v_own;
        v_whole.granted := v_whole.granted + v_more;
      end if;
      update ledger_shared_limits s set granted = v_whole.granted where s.kind = p_kind and s.id = p_id and s.window_start = v_start;
      available := v_own.limit_amount - v_own.used - v_own.held;
      select sum(l.used) into v_used from ledger_limits l
        where l.kind = p_kind and l.window_start = v_start and starts_with(l.id, p_id || '#');
      limited_by := jsonb_build_object('kind', p_kind, 'id', p_id, 'unit', 'credits', 'amount', trim_scale(v_whole.amount),
        'left', trim_scale(greatest(available, 0)), 'window_start', v_start, 'window_end', v_whole.window_end,
        'in_flight', v_whole.amount - v_used >= p_least);
    end
  $$;
