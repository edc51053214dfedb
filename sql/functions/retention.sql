-- What is removed from the books after a time. Amounts, payers, times, models and how a call ended are never.

-- Removes the details of charges that are older than p_days (at least 30), the oldest first, at most p_most rows of one transaction.
-- Returns how many rows it went through; fewer than p_most: nothing is left to do. What reports of money add up stays: the provider, the
-- key, what is at risk. A dispute keeps its details until it is settled. One process at a time; others get 0. Runs with our rights.
create or replace function tollgate.forget_details(p_days integer, p_most integer) returns integer
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_done timestamptz;
      v_rows integer;
    begin
      insert into retention (what, done_until) values ('details', '-infinity') on conflict do nothing;
      select r.done_until into v_done from retention r where r.what = 'details' for update skip locked;
      if not found then return 0; end if;
      perform set_config('tollgate.rewriting', 'on', true);
      -- Rows of one instant go together, or the next batch would miss some.
      with oldest as (
          select c.id, c.created_at from public.credit_usage_attribution c
          where c.created_at > v_done and c.created_at < tollgate_now() - make_interval(days => greatest(p_days, 30))
          order by c.created_at limit p_most),
        batch as (
          select c.id, c.created_at, c.provenance, c.cause, c.call_id from public.credit_usage_attribution c
          where c.created_at > v_done and c.created_at <= (select max(o.created_at) from oldest o)),
        changed as (
          update public.credit_usage_attribution c
            set request_metadata = null,
              details = nullif(jsonb_strip_nulls(jsonb_build_object('provider', c.details -> 'provider', 'key_id', c.details -> 'key_id',
                'byok', c.details -> 'byok', 'at_risk', c.details -> 'at_risk', 'deployment', c.details -> 'deployment',
                'upstream_model', c.details -> 'upstream_model', 'served_model', c.details -> 'served_model')), '{}')
            from batch b
            where c.id = b.id and (c.details is not null or c.request_metadata is not null)
              and (b.provenance is distinct from 'disputed' or 'dispute' = any((ledger_booked(b.call_id)).corrected)))
        select count(*), max(b.created_at) into v_rows, v_done from batch b;
      perform set_config('tollgate.rewriting', 'off', true);
      if v_rows > 0 then update retention r set done_until = v_done where r.what = 'details'; end if;
      return v_rows;
    end
  $$;
