-- What happened, in an order that is safe to follow. A charge or another movement is told by its own row of the books; what has no such row
-- is one of outbox_events, written in the transaction that causes it. Rows are read in the order of their transactions' numbers, up to the
-- oldest transaction that still runs: nothing can appear behind what was read. One that runs for long, in any database of the server,
-- delays events and loses none.

-- Whether the rows were written on this server, and new ones are numbered as the identity of the ledger says.
create or replace function tollgate.outbox_is_at_home(p_server bigint) returns boolean
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    select i.server = p_server and i.sequence_base = (
      select substring(pg_get_expr(d.adbin, d.adrelid) from '[0-9]+')::bigint
      from pg_attrdef d join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
      where d.adrelid = 'tollgate.outbox_events'::regclass and a.attname = 'sequence')
    from ledger_identity i
  $$;

-- On another server than before transactions are counted anew, and in a database into which rows were put back sequences may begin
-- elsewhere than those rows say: they go on where the rows end. Returns whether they had to. Called at every start, before anybody books.
create or replace function tollgate.ledger_adopt_server() returns boolean
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_server bigint := (select c.system_identifier from pg_control_system() c);
      v_base bigint;
    begin
      if outbox_is_at_home(v_server) then return false; end if;
      lock table public.credit_usage_attribution, ledger_journal, outbox_events in access exclusive mode;
      if outbox_is_at_home(v_server) then return false; end if;
      select i.sequence_base into v_base from ledger_identity i for update;
      v_base := greatest(v_base, 1 - pg_current_xact_id()::text::bigint + greatest(
        (select max(sequence) from public.credit_usage_attribution where sequence is not null),
        (select max(sequence) from ledger_journal where sequence is not null), (select max(sequence) from outbox_events), 0));
      execute format('alter table public.credit_usage_attribution alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      execute format('alter table tollgate.ledger_journal alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      execute format('alter table tollgate.outbox_events alter column sequence set default (%s + pg_current_xact_id()::text::bigint)', v_base);
      update ledger_identity set server = v_server, sequence_base = v_base;
      return true;
    end
  $$;

-- Every transaction below this sequence is over.
create or replace function tollgate.outbox_horizon() returns bigint
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  return (select sequence_base from tollgate.ledger_identity) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint;

create or replace function tollgate.outbox_charge_type(c public.credit_usage_attribution) returns varchar
  language sql immutable
  return case when c.entry = 'correction' then 'charge.corrected' when c.provenance = 'disputed' then 'charge.disputed'
    when c.provenance = 'recovered' then 'charge.recovered' else 'charge.created' end;

-- As it is told: amounts are decimal strings; nothing that a caller wrote into a prompt, and no key.
create or replace function tollgate.outbox_of_charge(c public.credit_usage_attribution) returns tollgate.outbox_event
  language sql stable
  return row(c.sequence, 2, c.id::text, c.id::text,
    tollgate.outbox_charge_type(c), c.org_id, c.user_id, c.created_at, c.credits_used,
    jsonb_build_object('call_id', c.call_id, 'cause', c.cause, 'credits', trim_scale(c.credits_used)::text,
      'api_cost', trim_scale(c.api_cost)::text, 'service_type', c.service_type, 'model', c.service_name,
      'provider', c.details ->> 'provider', 'key_id', c.details ->> 'key_id', 'request_id', c.request_id, 'source', c.source,
      'provenance', c.provenance, 'outcome', c.outcome,
      'input_tokens', tollgate.usage_count(c.details -> 'usage' -> 'prompt_tokens'),
      'cached_tokens', tollgate.usage_count(c.details #> '{usage,prompt_tokens_details,cached_tokens}'),
      'output_tokens', tollgate.usage_count(c.details -> 'usage' -> 'completion_tokens')))::tollgate.outbox_event;

create or replace function tollgate.outbox_of_movement(j tollgate.ledger_journal) returns tollgate.outbox_event
  language sql stable
  return row(j.sequence, 1, j.id::text, 'movement-' || j.id || '-' || (select left(i.ledger_id::text, 8) from tollgate.ledger_identity i),
    'credits.' || case j.kind when 'purchase' then 'purchased' when 'allocate' then 'allocated' when 'refresh' then 'refreshed'
      when 'refund' then 'refunded' when 'correction' then 'corrected' else j.kind end,
    j.org_id, j.user_id, j.created_at, null,
    jsonb_build_object('call_id', j.call_id, 'cause', j.cause, 'pool_total', trim_scale(j.pool_total)::text,
      'pool_allocated', trim_scale(j.pool_allocated)::text, 'allocation_allocated', trim_scale(j.allocation_allocated)::text,
      'allocation_used', trim_scale(j.allocation_used)::text, 'paid', j.paid::text, 'actor', j.actor))::tollgate.outbox_event;

create or replace function tollgate.outbox_of_event(e tollgate.outbox_events) returns tollgate.outbox_event
  language sql stable
  return row(e.sequence, 3, e.id::text, e.id::text, e.type, e.org_id, e.user_id, e.created_at, null, e.data)::tollgate.outbox_event;

-- The next events behind a place, at most p_most of each source and so many in all. p_sources: those that are wanted. p_org_id: of one
-- organization, the zero id for events of none; null for all. Rows come in the order of their index, however many wait behind them:
-- where statistics are missing, the planner would gather them all and sort them for each page.
create or replace function tollgate.outbox_read(
    p_sequence bigint, p_source integer, p_row_id varchar, p_sources integer[], p_org_id uuid, p_most integer)
  returns setof tollgate.outbox_event
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off
  as $$
    declare
      v_horizon bigint := outbox_horizon();
      v_movement bigint := case p_source when 1 then p_row_id::bigint end;
      v_row uuid := case when p_source in (2, 3) then p_row_id::uuid end;
    begin
      return query
        select e.* from (
          (select m.* from (
              select j from ledger_journal j
              where 1 = any(p_sources) and j.sequence >= p_sequence and j.sequence < v_horizon
                and (j.sequence > p_sequence or p_source < 1 or p_source = 1 and j.id > v_movement)
                and (p_org_id is null or j.org_id = p_org_id)
              order by j.sequence, j.id limit p_most) r cross join lateral outbox_of_movement(r.j) m)
          union all
          (select c.* from (
              select a from public.credit_usage_attribution a
              where 2 = any(p_sources) and a.sequence >= p_sequence and a.sequence < v_horizon
                and (a.sequence > p_sequence or p_source < 2 or p_source = 2 and a.id > v_row)
                and (p_org_id is null or a.org_id = p_org_id)
              order by a.sequence, a.id limit p_most) r cross join lateral outbox_of_charge(r.a) c)
          union all
          (select n.* from (
              select o from outbox_events o
              where 3 = any(p_sources) and o.sequence >= p_sequence and o.sequence < v_horizon
                and (o.sequence > p_sequence or p_source < 3 or p_source = 3 and o.id > v_row)
                and (p_org_id is null or coalesce(o.org_id, '00000000-0000-0000-0000-000000000000') = p_org_id)
              order by o.sequence, o.id limit p_most) r cross join lateral outbox_of_event(r.o) n)) e
        order by e.sequence, e.source, case when e.source = 1 then e.row_id::bigint end, e.row_id
        limit p_most;
    end
  $$;

-- One event by where it stands; no row where it is not kept any more.
create or replace function tollgate.outbox_find(p_source integer, p_row_id varchar) returns setof tollgate.outbox_event
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if p_source = 1 then
        return query select m.* from ledger_journal j cross join lateral outbox_of_movement(j) m where j.id = p_row_id::bigint;
      elsif p_source = 2 then
        return query select c.* from public.credit_usage_attribution a cross join lateral outbox_of_charge(a) c where a.id = p_row_id::uuid;
      else
        return query select n.* from outbox_events o cross join lateral outbox_of_event(o) n where o.id = p_row_id::uuid;
      end if;
    end
  $$;

-- Whoever sees a crossing notes it; with our rights, for the event belongs to the change that caused it, whoever makes that.
create or replace function tollgate.outbox_note(p_type varchar, p_org_id uuid, p_user_id varchar, p_data jsonb) returns void
  language sql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$ insert into outbox_events (type, org_id, user_id, data) values (p_type, p_org_id, p_user_id, p_data) $$;

-- Charges as the books have them and as the consumer has taken them, for each organization and day (UTC) where the two are not the same.
-- Those that wait behind one that was not taken, and dead letters, are known to be missing: waiting.
create or replace function tollgate.outbox_verify(p_consumer varchar)
  returns table (org_id uuid, day date, booked bigint, booked_credits numeric, sent bigint, sent_credits numeric, waiting bigint,
    waiting_credits numeric)
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    with books as (
      select a.org_id, (a.created_at at time zone 'UTC')::date as day, count(*) as booked, sum(a.credits_used) as credits,
        count(*) filter (where w.waits) as waiting, coalesce(sum(a.credits_used) filter (where w.waits), 0) as waiting_credits
      from outbox_consumers c
      join public.credit_usage_attribution a on a.sequence > c.started_sequence and (a.sequence < c.sequence or a.sequence = c.sequence
        and case c.source when 1 then false when 2 then a.id <= c.row_id::uuid else true end)
      left join outbox_blocked b on b.consumer = c.name and b.org_id = a.org_id
      left join outbox_letters l on l.consumer = c.name and l.event_id = a.id::text and not l.was_sent
      cross join lateral (
        select l.event_id is not null or b.org_id is not null and (a.sequence > b.sequence or a.sequence = b.sequence
          and case b.source when 1 then true when 2 then a.id > b.row_id::uuid else false end) as waits) w
      where c.name = p_consumer and 2 = any(c.sources) and outbox_charge_type(a) like any (c.types)
      group by 1, 2),
    sums as (
      select s.org_id, s.day, s.charges, s.credits from outbox_sent s where s.consumer = p_consumer and s.charges > 0)
    select org_id, day, coalesce(b.booked, 0), coalesce(b.credits, 0), coalesce(s.charges, 0), coalesce(s.credits, 0),
      coalesce(b.waiting, 0), coalesce(b.waiting_credits, 0)
    from books b full join sums s using (org_id, day)
    where coalesce(b.booked, 0) <> coalesce(s.charges, 0) or coalesce(b.credits, 0) <> coalesce(s.credits, 0)
    order by day, org_id
  $$;

-- Wants events of some days sent again, those that were passed already. Returns how many.
create or replace function tollgate.outbox_send_again(p_consumer varchar, p_from timestamptz, p_to timestamptz, p_org_id uuid)
  returns bigint
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_count bigint;
    begin
      insert into outbox_letters as t (consumer, event_id, org_id, source, row_id, type, state, was_sent)
        select c.name, e.event_id, coalesce(e.org_id, '00000000-0000-0000-0000-000000000000'), e.source, e.row_id, e.type, 'again', true
        from outbox_consumers c
        cross join lateral (
          select m.* from ledger_journal j cross join lateral outbox_of_movement(j) m
            where 1 = any(c.sources) and j.created_at >= p_from and j.created_at < p_to
          union all
          select m.* from public.credit_usage_attribution a cross join lateral outbox_of_charge(a) m
            where 2 = any(c.sources) and a.created_at >= p_from and a.created_at < p_to
          union all
          select m.* from outbox_events o cross join lateral outbox_of_event(o) m
            where 3 = any(c.sources) and o.created_at >= p_from and o.created_at < p_to) e
        where c.name = p_consumer and e.type like any (c.types) and coalesce(e.sequence, 0) <= c.sequence
          and (p_org_id is null or e.org_id = p_org_id)
        on conflict (consumer, event_id) do update
          set state = 'again', attempts = 0, since = tollgate_now(), next_attempt_at = tollgate_now(), last_error = null;
      get diagnostics v_count = row_count;
      return v_count;
    end
  $$;

-- A fifth of what there is after credits were added. While it is not low yet, credits that come back do not lower the mark.
create or replace function tollgate.outbox_set_low_balance() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_mark numeric := round(greatest(new.total_credits - new.used_credits, 0) * 0.2, 6);
    begin
      if tg_op = 'INSERT' or new.total_credits - new.used_credits > old.total_credits - old.used_credits then
        new.low_balance_at := case
          when tg_op = 'INSERT' or old.total_credits - old.used_credits <= old.low_balance_at then v_mark
          else greatest(old.low_balance_at, v_mark) end;
      end if;
      return new;
    end
  $$;

-- The triggers that call these say when: they look at the row that a call changes anyway, and call nobody where nothing was crossed. What
-- fails here is a warning in the log of PostgreSQL: no call is kept from the books by an event.
create or replace function tollgate.outbox_balance_fell() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_left numeric := new.total_credits - new.used_credits;
    begin
      perform outbox_note(case when v_left <= 0 then 'balance.exhausted' else 'balance.low' end, new.org_id, null,
        jsonb_build_object('left', trim_scale(v_left)::text, 'low_at', trim_scale(new.low_balance_at)::text,
          'used', trim_scale(new.used_credits)::text));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $$;

create or replace function tollgate.outbox_allocation_used() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform outbox_note(case when new.used_credits >= new.allocated_credits then 'allocation.exhausted' else 'allocation.near_end' end,
        new.org_id, new.user_id, jsonb_build_object('allocated', trim_scale(new.allocated_credits)::text,
          'used', trim_scale(new.used_credits)::text, 'next_reset', new.next_reset_date));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $$;

create or replace function tollgate.outbox_limit_used() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_id uuid := case when new.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' then left(new.id, 36)::uuid end;
      v_org_id uuid;
      v_user_id varchar;
      v_name varchar;
      v_about varchar := case when new.kind = 'quota' then 'quota' when new.kind in ('run', 'run_calls') then 'run' else 'limit' end;
    begin
      if v_about = 'quota' then
        v_org_id := v_id;
        v_user_id := substring(new.id from '^[^/]+/(.*)/[^/]+$');
      else
        select w.org_id, w.user_id, w.name into v_org_id, v_user_id, v_name from (
          select r.org_id, r.user_id, r.name from runs r where v_about = 'run' and r.id = v_id
          union all select s.org_id, s.user_id, s.name from spenders s where s.id = v_id
          union all select k.org_id, k.user_id, k.name from api_keys k where k.id = v_id) w limit 1;
      end if;
      perform outbox_note(v_about || case when new.used >= new.limit_amount then '.reached' else '.near_end' end, v_org_id,
        v_user_id, jsonb_build_object('kind', new.kind, 'id', new.id, 'name', v_name, 'unit', new.unit,
          'amount', trim_scale(new.limit_amount)::text, 'used', trim_scale(new.used)::text, 'window_start', new.window_start,
          'window_end', new.window_end));
      return null;
    exception when others then
      raise warning 'an event was not noted: %', sqlerrm;
      return null;
    end
  $$;

-- Whose key was changed, and by whom; never a part of it. A key that was sealed anew is the same key.
create or replace function tollgate.outbox_note_key(p_action varchar, p_subject varchar, p_actor varchar) returns void
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_parts text[] := string_to_array(p_subject, '/');
    begin
      if p_action = 'key.resealed' then return; end if;
      perform outbox_note('key.changed', case v_parts[1] when 'organization' then v_parts[2]::uuid
          when 'api_key' then (select k.org_id from api_keys k where k.id = v_parts[2]::uuid)
          when 'service_key' then (select k.org_id from api_keys k where k.kind = 'service_key' and k.name = v_parts[2] limit 1) end,
        null, jsonb_build_object('action', p_action, 'subject', p_subject, 'actor', p_actor));
    end
  $$;

-- Organizations that spent today three times of what is usual for them, and a thousand credits at least: told once a day. Usual is the mean of
-- the days of the last two weeks on which they spent, of three such days at least.
create or replace function tollgate.outbox_note_unusual() returns bigint
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_today date := (tollgate_now() at time zone 'UTC')::date;
      v_count bigint;
    begin
      if not pg_try_advisory_xact_lock(hashtext('tollgate.outbox_note_unusual')) then return 0; end if;
      insert into outbox_events (type, org_id, data, once_key)
        select 'spend.unusual', t.org_id, jsonb_build_object('day', v_today, 'spent', trim_scale(t.spent)::text,
          'usual', trim_scale(round(u.usual, 6))::text), 'spend.unusual/' || t.org_id || '/' || v_today
        from (
          select d.org_id, sum(d.credits) as spent from usage_by_organization d where d.day = v_today group by 1
          having sum(d.credits) >= 1000) t
        cross join lateral (
          select avg(p.spent) as usual, count(*) as days from (
            select sum(d.credits) as spent from usage_by_organization d
            where d.org_id = t.org_id and d.day >= v_today - 14 and d.day < v_today group by d.day having sum(d.credits) > 0) p) u
        where u.days >= 3 and t.spent > 3 * u.usual
        on conflict (once_key) where once_key is not null do nothing;
      get diagnostics v_count = row_count;
      return v_count;
    end
  $$;
