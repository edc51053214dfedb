-- Sums that an audit carries forward: what the rows before a day in UTC add up to. The next audit starts from them.

-- The last instant before which no row can come any more: the beginning of a day, an hour ago or more, and before every transaction that
-- runs. A role that may not see the sessions of others (pg_read_all_stats) goes by the hour alone.
create or replace function tollgate.ledger_cut() returns timestamptz
  language sql volatile set search_path = pg_catalog, tollgate, pg_temp
  as $$
    select date_trunc('day', tollgate_now() - interval '1 hour' - greatest(interval '0',
      clock_timestamp() - least((select min(xact_start) from pg_stat_activity where datname = current_database()),
        (select min(prepared) from pg_prepared_xacts where database = current_database()))), 'UTC')
  $$;

-- What calls that ended in [p_from, p_until) used of each limit, with what corrections in that time changed for calls that ended before.
-- p_from '-infinity': all calls. Otherwise they are found by their charges, which are written with the end of a call: an hour is more than
-- the two can be apart.
create or replace function tollgate.ledger_limits_used(p_from timestamptz, p_until timestamptz)
  returns table (kind varchar, id varchar, window_start timestamptz, used numeric)
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      return query execute format($q$
        with correction as (
            select c.call_id, c.cause, c.credits_used as credits, c.created_at
            from public.credit_usage_attribution c where c.entry = 'correction' and c.created_at < $2
            union all
            select j.call_id, j.cause, -j.allocation_allocated, j.created_at
            from ledger_journal j where j.kind = 'correction' and j.created_at < $2),
          corrected as (
            select c.call_id, sum(c.credits) as credits, bool_or(c.cause = 'recovery') as was_recovered,
              sum(c.credits) filter (where c.created_at < $1) as credits_before,
              bool_or(c.cause = 'recovery') filter (where c.created_at < $1) as was_recovered_before,
              bool_or(c.created_at >= $1) as is_since
            from correction c group by 1),
          ended as (%s),
          part as (
            select t.kind, t.id, t.window_start,
              case when t.unit is distinct from 'calls' then e.charged_credits + coalesce(c.credits, 0)
                when e.state = 'released' and c.was_recovered is not true then 0 else 1 end as used
            from ended e left join corrected c using (call_id) cross join unnest(e.limits) t
            union all
            select t.kind, t.id, t.window_start,
              case when t.unit is distinct from 'calls' then c.credits - coalesce(c.credits_before, 0)
                when h.state = 'released' and c.was_recovered and c.was_recovered_before is not true then 1 else 0 end
            from corrected c join ledger_holds h using (call_id) cross join unnest(h.limits) t
            where c.is_since and h.closed_at < $1)
        select p.kind, p.id, p.window_start, sum(p.used) from part p group by 1, 2, 3$q$,
        case when p_from = '-infinity' then 'select h.call_id, h.state, h.charged_credits, h.limits from ledger_holds h where h.closed_at < $2'
          else 'select h.call_id, h.state, h.charged_credits, h.limits
            from (select distinct c.call_id from public.credit_usage_attribution c where c.created_at >= $1 - interval ''1 hour'') s
            join ledger_holds h using (call_id) where h.closed_at >= $1 and h.closed_at < $2' end)
        using p_from, p_until;
    end
  $$;

-- The digest of sums that are carried.
create or replace function tollgate.ledger_carry_digest(p_carry bigint, p_cut timestamptz, p_charges bigint, p_previous bytea)
  returns bytea
  language sql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    with users as (
        select u.org_id::text as place, sha256(convert_to(string_agg(jsonb_build_array(u.user_id, u.credits)::text, ','
          order by u.user_id collate "C"), 'UTF8')) as digest
        from ledger_carried_users u where u.carry_id = p_carry group by 1),
      limits as (
        select jsonb_build_array(l.kind, extract(epoch from l.window_start))::text as place,
          sha256(convert_to(string_agg(jsonb_build_array(l.id, l.used)::text, ',' order by l.id collate "C"), 'UTF8')) as digest
        from ledger_carried_limits l where l.carry_id = p_carry group by l.kind, l.window_start)
    select sha256(convert_to(jsonb_build_array(extract(epoch from p_cut), p_charges, encode(coalesce(p_previous, ''), 'hex'),
      (select string_agg(u.place || encode(u.digest, 'hex'), ',' order by u.place collate "C") from users u),
      (select string_agg(l.place || encode(l.digest, 'hex'), ',' order by l.place collate "C") from limits l))::text, 'UTF8'))
  $$;

-- Writes the sums of the rows before p_cut, from those of p_base where it is given, and forgets all but the last three. Call it in the
-- snapshot of an audit that found nothing. Runs with our rights: the program itself can't write a sum that is not so.
create or replace function tollgate.ledger_carry(p_cut timestamptz, p_base bigint) returns table (cut_at timestamptz, digest bytea)
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    #variable_conflict use_column
    declare
      v_from timestamptz := coalesce((select c.cut_at from ledger_carries c where c.id = p_base), '-infinity');
      v_id bigint := nextval(pg_get_serial_sequence('tollgate.ledger_carries', 'id'));
      v_previous bytea := (select c.digest from ledger_carries c order by c.id desc limit 1);
      v_charges bigint;
    begin
      if p_base is not null and v_from = '-infinity' then
        raise exception 'no sums are carried under %', p_base using errcode = 'P0001';
      end if;
      execute 'insert into tollgate.ledger_carried_users (carry_id, org_id, user_id, credits)
        select $1, org_id, user_id, sum(credits) from (
          select org_id, user_id, credits from tollgate.ledger_carried_users where carry_id = $2
          union all
          select org_id, user_id, sum(credits_used) from public.credit_usage_attribution
          where created_at >= $3 and created_at < $4 group by 1, 2) parts group by 2, 3'
        using v_id, p_base, v_from, p_cut;
      insert into ledger_carried_limits (carry_id, kind, id, window_start, used)
        select v_id, p.kind, p.id, p.window_start, sum(p.used) from (
          select l.kind, l.id, l.window_start, l.used from ledger_carried_limits l where l.carry_id = p_base
          union all
          select u.kind, u.id, u.window_start, u.used from ledger_limits_used(v_from, p_cut) u) p
        group by 2, 3, 4;
      execute 'select count(*) from public.credit_usage_attribution where created_at >= $1 and created_at < $2'
        into v_charges using v_from, p_cut;
      v_charges := v_charges + coalesce((select c.charges from ledger_carries c where c.id = p_base), 0);
      insert into ledger_carries (id, cut_at, charges, digest, previous) overriding system value
        values (v_id, p_cut, v_charges, ledger_carry_digest(v_id, p_cut, v_charges, v_previous), v_previous);
      delete from ledger_carried_users u where u.carry_id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      delete from ledger_carried_limits l where l.carry_id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      delete from ledger_carries d where d.id < (select min(k.id) from (
        select c.id from ledger_carries c order by c.id desc limit 3) k);
      return query select c.cut_at, c.digest from ledger_carries c where c.id = v_id;
    end
  $$;
