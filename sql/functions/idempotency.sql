-- Idempotency keys of callers. A call looks its key up before anything else and claims it once it is held, before it goes out: a call
-- that is refused leaves no key, and of two at once one goes out.

-- What a key says: running, answered, streamed (paid for, and the response is not kept); null where it is free. It is free after a day.
-- One that is still running a minute after its call was closed belonged to a process that died, since a live one closes it at once: what
-- was settled or charged keeps it, as a stream does. A key is claimed after its hold, so one without a hold is of a program older than that.
create or replace function tollgate.idempotency_key_state(p_key tollgate.idempotency_keys, p_now timestamptz) returns varchar
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_hold record;
    begin
      if p_key.state <> 'running' then
        return case when p_key.created_at >= p_now - interval '24 hours' then p_key.state end;
      end if;
      select h.state, h.closed_at into v_hold from ledger_holds h where h.call_id = p_key.call_id;
      if not found then return case when p_key.created_at >= p_now - interval '1 hour' then 'running' end; end if;
      if v_hold.closed_at is null or v_hold.closed_at >= p_now - interval '1 minute' then return 'running'; end if;
      if p_key.created_at < p_now - interval '24 hours' then return null; end if;
      return case when v_hold.state = 'settled' or exists (
          select 1 from public.credit_usage_attribution c where c.call_id = p_key.call_id and c.credits_used > 0) then 'streamed' end;
    end
  $$;

-- What an earlier call left under a key; no row where it is free.
create or replace function tollgate.find_idempotency_key(p_org_id uuid, p_user_id varchar, p_key varchar)
  returns table (outcome varchar, call_id uuid, body_hash bytea, status integer, headers jsonb, body bytea)
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_row idempotency_keys; v_now timestamptz := tollgate_now();
    begin
      select k.* into v_row from idempotency_keys k where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key;
      if not found then return; end if;
      outcome := idempotency_key_state(v_row, v_now);
      if outcome is null then return; end if;
      call_id := v_row.call_id;
      body_hash := v_row.body_hash;
      if outcome = 'answered' then status := v_row.status; headers := v_row.headers; body := v_row.body; end if;
      return next;
    end
  $$;

-- Claims an idempotency key for a call that is held. outcome: claimed, or what the call that has it says (idempotency_key_state),
-- other_body where that was another request.
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
          where idempotency_key_state(k, v_now) is null
        returning * into v_row;
      if v_row.call_id is null then
        select * into v_row from idempotency_keys k where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key;
      end if;
      call_id := v_row.call_id;
      outcome := case
        when v_row.call_id = p_call_id then 'claimed'
        when v_row.body_hash <> p_body_hash then 'other_body'
        else coalesce(idempotency_key_state(v_row, v_now), 'running') end;
      if outcome = 'answered' then status := v_row.status; headers := v_row.headers; body := v_row.body; end if;
    end
  $$;

-- Keeps the response of a call under its key, and of its user the newest p_keep responses: an older one names its call from then on, as a
-- stream does, so that whoever repeats it is not charged again.
create or replace function tollgate.store_idempotent_answer(p_org_id uuid, p_user_id varchar, p_key varchar, p_call_id uuid,
    p_status integer, p_headers jsonb, p_body bytea, p_keep integer) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      update idempotency_keys k set state = 'answered', status = p_status, headers = p_headers, body = p_body
        where k.org_id = p_org_id and k.user_id = p_user_id and k.key = p_key and k.call_id = p_call_id;
      update idempotency_keys k set state = 'streamed', status = null, headers = null, body = null
        where k.org_id = p_org_id and k.user_id = p_user_id and k.key in (
          select a.key from idempotency_keys a
          where a.org_id = p_org_id and a.user_id = p_user_id and a.state = 'answered' and a.created_at <= (
            select n.created_at from idempotency_keys n
            where n.org_id = p_org_id and n.user_id = p_user_id and n.state = 'answered'
            order by n.created_at desc offset p_keep limit 1)
          for update skip locked);
    end
  $$;

-- Forgets keys older than a day whose calls are over, at most p_most. Returns how many.
create or replace function tollgate.prune_idempotency_keys(p_most integer) returns integer
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_gone integer;
    begin
      delete from idempotency_keys k using (
          select o.org_id, o.user_id, o.key from idempotency_keys o
          where o.created_at < tollgate_now() - interval '24 hours' and not exists (
            select 1 from ledger_holds h where h.call_id = o.call_id and h.state = 'open')
          order by o.created_at limit p_most for update skip locked) old
        where k.org_id = old.org_id and k.user_id = old.user_id and k.key = old.key;
      get diagnostics v_gone = row_count;
      return v_gone;
    end
  $$;
