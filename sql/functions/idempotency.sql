-- Idempotency keys of callers.

-- Claims an idempotency key for a call. A key older than a day, or left running by a process that died an hour ago, is free.
create or replace function tollgate.claim_idempotency_key(p_org_id uuid, p_user_id varchar, p_key varchar, p_body_hash bytea, p_call_id uuid,
    out outcome varchar, out call_id uuid, out status integer, out headers jsonb, out body bytea)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_row idempotency_keys; v_now timestamptz := tollgate_now();
    begin
      insert into idempotency_keys as k (org_id, user_id, key, body_hash, call_id, created_at)
        values (p_org_id, p_user_id, p_key, p_body_hash, p_call_id, v_now)
        on conflict (org_id, user_id, key) do update
          set body_hash = excluded.body_hash, call_id = excluded.call_id, created_at = excluded.created_at,
            state = 'running', status = null, headers = null, body = null
          where k.created_at < v_now - interval '24 hours'
            or (k.state = 'running' and k.created_at < v_now - interval '1 hour')
        returning * into v_row;
      if v_row.call_id is null then
        select * into v_row from idempotency_keys k where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key;
      end if;
      call_id := v_row.call_id;
      outcome := case
        when v_row.call_id = p_call_id then 'claimed'
        when v_row.body_hash <> p_body_hash then 'other_body'
        else v_row.state end;
      if outcome = 'answered' then status := v_row.status; headers := v_row.headers; body := v_row.body; end if;
    end
  $$;
