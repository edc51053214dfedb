-- Calls that wait. A call that only running calls stand in the way of, and that may wait, gets a row in ledger_waiters instead of a
-- refusal, under the locks under which it was judged. A line is what it waits for: its allocation, or one of its limits. Who touches
-- that and came later goes behind it, in whatever process; who may not wait takes what is free. The first of a line is told by a
-- notification when a call of that line is over or left the line. One that gets lost costs a quarter of a second: processes
-- look for the first of each line that often while they have calls that wait.

create or replace function tollgate.ledger_line(p_kind varchar, p_id varchar, p_window_start timestamptz) returns text
  language sql immutable parallel safe
  return p_kind || ' ' || p_id || ' ' || extract(epoch from p_window_start)::bigint;

-- Lines that a call may stand in, or may have to stand behind. What is only counted stands in nobody's way.
create or replace function tollgate.ledger_lines(p_allocation_id uuid, p_limits tollgate.limit_use[]) returns text[]
  language sql immutable parallel safe
  return array(select tollgate.ledger_line(t.kind, t.id, t.window_start) from unnest(p_limits) t where not t.is_counted)
    || ('allocation ' || p_allocation_id);

-- The line of somebody who came before and touches the same; null where there is none.
create or replace function tollgate.ledger_line_ahead(p_call_id uuid, p_lines text[], p_now timestamptz) returns text
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      return (
        select w.line from ledger_waiters w
        where w.line = any(p_lines) and w.until > p_now and w.call_id <> p_call_id
          and w.place < coalesce((select o.place from ledger_waiters o where o.call_id = p_call_id), 9223372036854775807)
        order by w.place limit 1);
    end
  $$;

-- Tells the first of each of these lines to ask.
create or replace function tollgate.ledger_call_first(p_lines text[], p_now timestamptz) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform pg_notify('tollgate_line', w.call_id::text) from (
        select distinct on (o.line) o.call_id from ledger_waiters o where o.line = any(p_lines) and o.until > p_now
        order by o.line, o.place) w;
    end
  $$;

-- Calls are over: whoever is first in line for what they held is told. Asked only where somebody waits at all.
create or replace function tollgate.ledger_call_first_after(p_call_ids uuid[], p_now timestamptz) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform ledger_call_first(array(
        select distinct l.line
        from unnest(p_call_ids) as c(call_id)
        cross join lateral (select h.allocation_id, h.limits from ledger_holds h where h.call_id = c.call_id limit 1) h
        cross join lateral unnest(ledger_lines(h.allocation_id, h.limits)) as l(line)), p_now);
    end
  $$;

-- Stands in this line, in the place it came to at first.
create or replace function tollgate.ledger_join_line(p_call tollgate.hold_request, p_line text, p_now timestamptz) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      insert into ledger_waiters as w (call_id, line, since, until, needs)
        values (p_call.call_id, p_line, p_now, p_now + make_interval(secs => p_call.wait_ms / 1000.0), p_call.input + p_call.min_output)
        on conflict (call_id) do update set line = excluded.line where w.line <> excluded.line;
    end
  $$;

create or replace function tollgate.ledger_leave_line(p_call_id uuid, p_now timestamptz) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_line text;
    begin
      delete from ledger_waiters where call_id = p_call_id returning line into v_line;
      if found then perform ledger_call_first(array[v_line], p_now); end if;
    end
  $$;

-- Many calls at once get places in lines, in their order. p_lines: null for those that do not wait.
create or replace function tollgate.ledger_join_lines(p_calls tollgate.hold_request[], p_lines text[], p_now timestamptz) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      insert into ledger_waiters as w (call_id, line, since, until, needs)
        select k.call_id, p_lines[k.ordinality], p_now, p_now + make_interval(secs => k.wait_ms / 1000.0), k.input + k.min_output
        from unnest(p_calls) with ordinality as k where p_lines[k.ordinality] is not null order by k.ordinality
        on conflict (call_id) do update set line = excluded.line where w.line <> excluded.line;
    end
  $$;

-- Calls that are refused wait no longer. The next of each line is told, and with it all that stand in a line that refused one of them for good
-- and need no less: they ask in one batch, instead of one after another. A call of theirs that would fit after all keeps its place.
--   p_refused_in  the line of what refused it for good; null where it may fit later
--   p_needs       what it needed of that at least; 0 where nobody in the line can get any
create or replace function tollgate.ledger_leave_refused(p_call_ids uuid[], p_refused_in text[], p_needs numeric[], p_now timestamptz)
  returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_lines text[];
      v_needs numeric[];
    begin
      with gone as (
          delete from ledger_waiters w using unnest(p_call_ids, p_refused_in, p_needs) as r(call_id, line, needs)
            where w.call_id = r.call_id
            returning w.line, case when w.line = r.line then r.needs end as needs)
        select array_agg(g.line), array_agg(g.needs) into v_lines, v_needs
        from (select line, min(needs) as needs from gone group by line) g;
      if v_lines is null then return; end if;
      perform ledger_call_first(v_lines, p_now);
      perform pg_notify('tollgate_line', w.call_id::text)
        from unnest(v_lines, v_needs) as g(line, needs) join ledger_waiters w on w.line = g.line
        where w.until > p_now and w.needs >= g.needs;
    end
  $$;

-- The first of each line. Takes away what dead processes left.
create or replace function tollgate.ledger_first_in_lines() returns setof uuid
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_now timestamptz := tollgate_now();
    begin
      delete from ledger_waiters where call_id in (
        select w.call_id from ledger_waiters w where w.until < v_now - interval '10 seconds' order by w.call_id for update skip locked);
      return query
        select distinct on (w.line) w.call_id from ledger_waiters w where w.until > v_now order by w.line, w.place;
    end
  $$;
