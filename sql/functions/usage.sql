-- Sums of the charges by day, for reports. Each charge adds its part in the transaction that books it, whoever inserts it: a settlement,
-- deduct_credits, a correction, a migration. The part is a row of its own (usage_deltas), so that no sum is a lock that every call of an
-- organization waits for. usage_fold moves the parts into the sums: a report reads both in one snapshot and is exact before, while and
-- after they are moved.

-- A count of a call's details; 0 where it is missing or no number: what a report counts must never keep a charge from being booked.
create or replace function tollgate.usage_count(p_value jsonb) returns numeric
  language sql immutable parallel safe
  return case when jsonb_typeof(p_value) = 'number' then p_value::numeric else 0 end;

-- Runs once for each statement that inserts charges, with the rights of the owner: whoever books adds to the sums, and changes no sum.
create or replace function tollgate.usage_add() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      insert into usage_deltas (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost,
          input_tokens, cached_tokens, output_tokens)
        select (c.created_at at time zone 'UTC')::date, c.org_id, c.user_id, c.service_type, coalesce(c.service_name, ''),
          left(coalesce(c.details ->> 'provider', ''), 100), left(coalesce(c.details ->> 'key_id', ''), 255),
          count(*) filter (where c.entry = 'charge'), count(*) filter (where c.outcome = 'failed'),
          sum(c.credits_used), sum(c.api_cost),
          sum(usage_count(c.details -> 'usage' -> 'prompt_tokens')),
          sum(usage_count(c.details #> '{usage,prompt_tokens_details,cached_tokens}')),
          sum(usage_count(c.details -> 'usage' -> 'completion_tokens'))
        from added c group by 1, 2, 3, 4, 5, 6, 7;
      return null;
    end
  $$;

-- Moves at most p_most parts into the sums and returns how many it moved. One process at a time: another returns 0 at once.
create or replace function tollgate.usage_fold(p_most integer) returns bigint
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_moved bigint;
    begin
      if not pg_try_advisory_xact_lock(hashtext('tollgate.usage_fold')) then return 0; end if;
      with part as materialized (
          delete from usage_deltas where ctid = any(array(select d.ctid from usage_deltas d limit p_most)) returning *),
        by_user as (
          insert into usage_days as u (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost,
              input_tokens, cached_tokens, output_tokens)
            select day, org_id, user_id, service_type, model, provider, key_id, sum(calls), sum(failed_calls), sum(credits), sum(api_cost),
              sum(input_tokens), sum(cached_tokens), sum(output_tokens)
            from part group by 1, 2, 3, 4, 5, 6, 7
            on conflict (org_id, day, user_id, model, provider, service_type, key_id) do update
              set calls = u.calls + excluded.calls, failed_calls = u.failed_calls + excluded.failed_calls,
                credits = u.credits + excluded.credits, api_cost = u.api_cost + excluded.api_cost,
                input_tokens = u.input_tokens + excluded.input_tokens, cached_tokens = u.cached_tokens + excluded.cached_tokens,
                output_tokens = u.output_tokens + excluded.output_tokens),
        by_organization as (
          insert into usage_organization_days as u (day, org_id, service_type, model, provider, calls, failed_calls, credits, api_cost,
              input_tokens, cached_tokens, output_tokens)
            select day, org_id, service_type, model, provider, sum(calls), sum(failed_calls), sum(credits), sum(api_cost),
              sum(input_tokens), sum(cached_tokens), sum(output_tokens)
            from part group by 1, 2, 3, 4, 5
            on conflict (org_id, day, model, provider, service_type) do update
              set calls = u.calls + excluded.calls, failed_calls = u.failed_calls + excluded.failed_calls,
                credits = u.credits + excluded.credits, api_cost = u.api_cost + excluded.api_cost,
                input_tokens = u.input_tokens + excluded.input_tokens, cached_tokens = u.cached_tokens + excluded.cached_tokens,
                output_tokens = u.output_tokens + excluded.output_tokens)
        select count(*) into v_moved from part;
      return v_moved;
    end
  $$;
