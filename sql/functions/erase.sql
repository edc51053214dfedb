-- A person's data is erased: the id becomes a pseudonym wherever it stands, what else describes the person goes, amounts stay.

-- An id with the parts of a path (`organization/user/day`): the user's part becomes the pseudonym.
create or replace function tollgate.erased_id(p_text text, p_user text, p_pseudonym text) returns text
  language sql immutable parallel safe set search_path = pg_catalog, tollgate, pg_temp
  as $$
    select substr(t.swapped, 2, length(t.swapped) - 2)
    from (select replace('/' || p_text || '/', '/' || p_user || '/', '/' || p_pseudonym || '/') as swapped) t
  $$;

-- A document: values, and parts of paths in values, that are the user's id. Names of members stay.
create or replace function tollgate.erased_document(p_document jsonb, p_user text, p_pseudonym text) returns jsonb
  language sql immutable parallel safe set search_path = pg_catalog, tollgate, pg_temp
  as $$
    select regexp_replace(p_document::text,
      '(?<=["/])' || regexp_replace(substr(to_jsonb(p_user)::text, 2, length(to_jsonb(p_user)::text) - 2), '([^[:alnum:]_-])', '\\\1', 'g') || '(?=/|"(?!:))',
      p_pseudonym, 'g')::jsonb
  $$;

-- Erases one user of p_org_id, or of every organization where it is null. Refused while a call of the user runs. Everything in one
-- transaction: a reader sees either the person or the pseudonym. Returns how many rows of each table were changed or removed.
create or replace function tollgate.erase_user(p_user text, p_org_id uuid, p_pseudonym text) returns jsonb
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    #variable_conflict use_column
    declare
      v_orgs uuid[];
      v_of_vault text[];
      v_hashed text := 'sha256:' || encode(sha256(convert_to(p_user, 'UTF8')), 'hex');
      v_done jsonb := '{}';
      v_rows integer;
      v_step record;
    begin
      select array_agg(distinct o.id) into v_orgs from public.organizations o
        where (p_org_id is null or o.id = p_org_id) and (
          exists (select 1 from public.user_credit_allocations a where a.org_id = o.id and a.user_id = p_user)
          or exists (select 1 from public.organization_members m where m.org_id = o.id and m.user_id = p_user)
          or exists (select 1 from api_keys k where k.org_id = o.id and k.user_id = p_user)
          or exists (select 1 from spenders s where s.org_id = o.id and s.user_id = p_user));
      if v_orgs is null then return null; end if;
      -- Whoever holds, settles or resets for the user waits here for the end of this.
      perform 1 from public.organization_credit_pools p where p.org_id = any(v_orgs) order by p.org_id for update;
      perform 1 from public.user_credit_allocations a where a.org_id = any(v_orgs) and a.user_id = p_user order by a.org_id for update;
      if exists (select 1 from ledger_holds h where h.state = 'open' and h.org_id = any(v_orgs) and h.user_id = p_user) then
        raise exception 'Calls of this user are running: revoke the keys, and erase the user when the calls have ended' using errcode = 'P0001';
      end if;
      v_of_vault := array(select o.id || '/' || p_user from unnest(v_orgs) as o(id)) || case when p_org_id is null then array[p_user] else '{}' end;
      perform set_config('tollgate.rewriting', 'on', true);
      for v_step in select * from (values
          -- What lets the person in, and what only the person would ask for.
          ('organization_members', 'delete from public.organization_members where org_id = any($1) and user_id = $2'),
          ('user_provider_keys', 'delete from public.user_provider_keys where user_id = any($4)'),
          ('api_keys', 'update tollgate.api_keys set user_id = case when user_id = $2 then $3 else user_id end,
              created_by = case when created_by = $2 then $3 else created_by end,
              name = case when user_id = $2 then null else name end, is_active = is_active and user_id <> $2
            where org_id = any($1) and (user_id = $2 or created_by = $2)'),
          ('spenders', 'update tollgate.spenders set user_id = case when user_id = $2 then $3 else user_id end,
              name = case when user_id = $2 or kind = ''user'' then tollgate.erased_id(name, $2, $3) else name end,
              settings = case when user_id = $2 or kind = ''user'' and name = $2 then ''{}'' else settings end,
              is_blocked = is_blocked or coalesce(user_id = $2, false) or kind = ''user'' and name = $2,
              created_by = case when created_by = $2 then $3 else created_by end
            where org_id = any($1) and (user_id = $2 or created_by = $2 or kind = ''user'' and name = $2)'),
          ('sessions', 'delete from tollgate.sessions where tollgate.erased_document(data, $2, $3) <> data'),
          ('idempotency_keys', 'delete from tollgate.idempotency_keys where org_id = any($1) and user_id = $2'),
          ('change_keys', 'delete from tollgate.change_keys where tollgate.erased_id(actor, $2, $3) <> actor or position(to_jsonb($2)::text in body) > 0'),
          ('kept_responses', 'delete from tollgate.kept_responses where org_id = any($1) and user_id = $2'),
          ('invitations', 'update tollgate.invitations set email = case when accepted_by = $2 then null else email end,
              accepted_by = case when accepted_by = $2 then $3 else accepted_by end,
              invited_by = case when invited_by = $2 then $3 else invited_by end
            where org_id = any($1) and (accepted_by = $2 or invited_by = $2)'),
          -- The books. keep_amounts refuses whatever else would change.
          ('user_credit_allocations', 'update public.user_credit_allocations set user_id = case when user_id = $2 then $3 else user_id end,
              allocated_by = case when allocated_by = $2 then $3 else allocated_by end, notes = case when user_id = $2 then null else notes end,
              is_active = is_active and user_id <> $2
            where org_id = any($1) and (user_id = $2 or allocated_by = $2)'),
          ('ledger_holds', 'update tollgate.ledger_holds h set user_id = $3, request_id = null,
              context = h.context - array[''session_id'', ''agent_id'', ''parent_agent_id''],
              limits = array(select row(t.kind, tollgate.erased_id(tollgate.erased_id(t.id, $2, $3), $5, $3), t.window_start, t.unit,
                t.is_counted)::tollgate.limit_use from unnest(h.limits) with ordinality as t(kind, id, window_start, unit, is_counted, place)
                order by t.place)
            from (select distinct c.call_id from public.credit_usage_attribution c where c.org_id = any($1) and c.user_id = $2) c
            where h.call_id = c.call_id'),
          ('credit_usage_attribution', 'update public.credit_usage_attribution set user_id = $3, request_id = null, request_metadata = null,
              details = tollgate.erased_document(details - array[''session_id'', ''agent_id'', ''parent_agent_id''], $2, $3)
            where org_id = any($1) and user_id = $2'),
          ('ledger_journal', 'update tollgate.ledger_journal set user_id = case when user_id = $2 then $3 else user_id end,
              actor = tollgate.erased_id(actor, $2, $3), note = case when user_id = $2 or actor = $2 then replace(note, $2, $3) else note end
            where org_id = any($1) and (user_id = $2 or tollgate.erased_id(actor, $2, $3) <> actor)'),
          ('ledger_limits', 'update tollgate.ledger_limits set id = tollgate.erased_id(tollgate.erased_id(id, $2, $3), $5, $3)
            where split_part(id, ''/'', 1) = any($1::text[]) and tollgate.erased_id(tollgate.erased_id(id, $2, $3), $5, $3) <> id'),
          ('ledger_openings', 'update tollgate.ledger_openings set limit_id = tollgate.erased_id(tollgate.erased_id(limit_id, $2, $3), $5, $3)
            where split_part(limit_id, ''/'', 1) = any($1::text[])
              and tollgate.erased_id(tollgate.erased_id(limit_id, $2, $3), $5, $3) <> limit_id'),
          ('usage_days', 'update tollgate.usage_days set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('usage_deltas', 'update tollgate.usage_deltas set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('runs', 'update tollgate.runs set user_id = $3, name = null where org_id = any($1) and user_id = $2'),
          ('payments', 'update tollgate.payments set user_id = $3 where org_id = any($1) and user_id = $2'),
          ('org_billing_history', 'update public.org_billing_history set event_metadata = tollgate.erased_document(event_metadata, $2, $3)
            where org_id = any($1) and tollgate.erased_document(event_metadata, $2, $3) <> event_metadata'),
          ('outbox_events', 'update tollgate.outbox_events set user_id = case when user_id = $2 then $3 else user_id end,
              data = tollgate.erased_document(data, $2, $3), once_key = tollgate.erased_id(once_key, $2, $3)
            where (org_id = any($1) or org_id is null) and (user_id = $2 or tollgate.erased_document(data, $2, $3) <> data
              or tollgate.erased_id(once_key, $2, $3) <> once_key)'),
          -- Last: what was removed above has left its entries there.
          ('audit_log', 'update tollgate.audit_log set actor = tollgate.erased_id(actor, $2, $3), subject = tollgate.erased_id(subject, $2, $3),
              ip = case when tollgate.erased_id(actor, $2, $3) <> actor then null else ip end, details = tollgate.erased_document(details, $2, $3)
            where tollgate.erased_id(actor, $2, $3) <> actor or tollgate.erased_id(subject, $2, $3) <> subject
              or tollgate.erased_document(details, $2, $3) <> details'),
          -- Sums that an audit carried name the user under a digest: the next audit reads all rows and writes them anew.
          ('ledger_carried_users', 'delete from tollgate.ledger_carried_users'),
          ('ledger_carried_limits', 'delete from tollgate.ledger_carried_limits'),
          ('ledger_carries', 'delete from tollgate.ledger_carries')) as steps(what, statement)
      loop
        execute v_step.statement using v_orgs, p_user, p_pseudonym, v_of_vault, v_hashed;
        get diagnostics v_rows = row_count;
        if v_rows > 0 then v_done := v_done || jsonb_build_object(v_step.what, v_rows); end if;
      end loop;
      perform set_config('tollgate.rewriting', 'off', true);
      return v_done;
    end
  $$;
