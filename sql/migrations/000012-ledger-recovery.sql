-- breaking
-- What processes that are gone have left.

-- Says which processes are dead (their lease ran out p_dead_after ago), and the organizations in which a process that is gone
-- holds something: one that stopped, one that is dead, or, after p_dead_after, one nobody knows.
create function ledger_find_dead(p_dead_after interval) returns setof uuid
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare v_now timestamptz := tollgate_now();
    begin
      update ledger_processes p set dead_at = v_now
        where p.id in (
          select d.id from ledger_processes d
          where d.stopped_at is null and d.dead_at is null and d.lease_until < v_now - p_dead_after
          order by d.id for update skip locked);
      return query
        select distinct h.org_id from ledger_holds h left join ledger_processes p on p.id = h.owner
        where h.state = 'open' and case when p.id is null then h.created_at < v_now - p_dead_after
          else p.stopped_at is not null or p.dead_at is not null end;
    end
  $$;

-- Closes what processes that are gone hold in one organization, at most p_most holds at once. A hold is charged at its last
-- checkpoint; without one nothing went out, and it is released. Any number of processes may recover side by side.
create function ledger_recover(p_dead_after interval, p_org_id uuid, p_most integer,
    out recovered integer, out released integer, out credits numeric)
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v record;
    begin
      select array_agg(h.call_id) as call_ids, array_agg(h.org_id) as org_ids, array_agg(h.user_id) as user_ids,
          array_agg(case when h.checkpoint_credits is null then 'released' else 'recovered' end::varchar) as states,
          array_agg(coalesce(h.checkpoint_credits, 0)) as charges,
          array_agg('llm_inference'::varchar) as service_types,
          array_agg(h.service_name) as service_names,
          array_agg(coalesce(h.checkpoint_api_cost, 0)) as api_costs,
          array_agg(coalesce(h.checkpoint_credits / 1000 - h.checkpoint_api_cost, 0)) as markups,
          array_agg(h.request_id) as request_ids,
          array_agg(null::jsonb) as metadata,
          array_agg(case when h.checkpoint_credits is null then null else 'recovered' end::varchar) as provenances,
          array_agg('recovered'::varchar) as outcomes,
          array_agg(jsonb_build_object('model', h.service_name, 'deployment', h.context -> 'deployment',
            'key_id', h.context -> 'key_id', 'recovered_from', h.owner)) as details,
          count(*) filter (where h.checkpoint_credits is not null) as recovered,
          count(*) filter (where h.checkpoint_credits is null) as released,
          coalesce(sum(h.checkpoint_credits), 0) as credits
        into v
        from (
          select h.* from ledger_holds h
          where h.org_id = p_org_id and h.state = 'open' and not exists (
              select 1 from ledger_processes p where p.id = h.owner and p.stopped_at is null and p.dead_at is null)
            and (h.created_at < v_now - p_dead_after or exists (select 1 from ledger_processes p where p.id = h.owner))
          order by h.call_id limit p_most for update skip locked) h;
      recovered := v.recovered;
      released := v.released;
      credits := v.credits;
      if v.call_ids is not null then
        perform ledger_close_batch(v.call_ids, v.states, v.org_ids, v.user_ids, v.charges, v.service_types, v.service_names,
          v.api_costs, v.markups, v.request_ids, v.metadata, 'proxy', v.provenances, v.outcomes, v.details);
      end if;
    end
  $$;

revoke execute on function ledger_find_dead, ledger_recover from public;
