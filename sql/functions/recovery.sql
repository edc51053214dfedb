-- What processes that are gone have left: their holds are charged at the last checkpoint. One without a checkpoint is released, since
-- nothing went out. Any number of processes may recover side by side.

-- Declares processes dead whose lease ran out p_dead_after ago, and returns the organizations in which a process that is gone holds
-- something: one that stopped, one that is dead, or, after p_dead_after, one nobody knows.
create or replace function tollgate.ledger_find_dead(p_dead_after interval) returns setof uuid
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
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

-- Closes what processes that are gone hold in one organization, at most p_max holds at once.
create or replace function tollgate.ledger_recover(p_dead_after interval, p_org_id uuid, p_max integer,
    out recovered integer, out released integer, out credits numeric)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_now timestamptz := tollgate_now();
      v_calls jsonb;
    begin
      select jsonb_agg(jsonb_build_object(
            'call_id', h.call_id, 'org_id', h.org_id, 'user_id', h.user_id,
            'state', case when h.checkpoint_credits is null then 'released' else 'recovered' end,
            'charge', coalesce(h.checkpoint_credits, 0),
            'api_cost', coalesce(h.checkpoint_api_cost, 0),
            'markup', coalesce(h.checkpoint_credits / 1000 - h.checkpoint_api_cost, 0),
            'service_type', h.service_type, 'service_name', h.service_name, 'request_id', h.request_id,
            'source', 'proxy', 'outcome', 'recovered',
            'provenance', case when h.checkpoint_credits is not null then 'recovered' end,
            'details', jsonb_build_object('model', h.service_name, 'deployment', h.context -> 'deployment',
              'key_id', h.context -> 'key_id', 'recovered_from', h.owner)
              || jsonb_strip_nulls(jsonb_build_object('session_id', h.context -> 'session_id', 'agent_id', h.context -> 'agent_id',
                'parent_agent_id', h.context -> 'parent_agent_id')))),
          count(*) filter (where h.checkpoint_credits is not null),
          count(*) filter (where h.checkpoint_credits is null),
          coalesce(sum(h.checkpoint_credits), 0)
        into v_calls, recovered, released, credits
        from (
          select h.* from ledger_holds h
          where h.org_id = p_org_id and h.state = 'open' and not exists (
              select 1 from ledger_processes p where p.id = h.owner and p.stopped_at is null and p.dead_at is null)
            and (h.created_at < v_now - p_dead_after or exists (select 1 from ledger_processes p where p.id = h.owner))
          order by h.call_id limit p_max for update skip locked) h;
      if v_calls is not null then perform ledger_close_batch(v_calls); end if;
    end
  $$;
