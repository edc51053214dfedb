-- Every change of a provider key or of the root key leaves an entry in audit_log, and tells every process to forget what it knows of it.
-- Triggers in triggers.sql.

-- Writes one entry and tells every process to forget what it knows of the key. Who and from where are what the program said
-- about its transaction; without that, the database user and the address it came from.
create or replace function tollgate.vault_record(p_action varchar, p_subject varchar, p_details jsonb) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_actor varchar := nullif(current_setting('tollgate.actor', true), '');
    begin
      insert into audit_log (action, subject, actor, ip, request_id, details) values (p_action, p_subject,
        left(coalesce(v_actor, 'sql:' || session_user), 255),
        case when v_actor is null then coalesce(host(inet_client_addr()), 'local')
          else left(nullif(current_setting('tollgate.ip', true), ''), 100) end,
        left(nullif(current_setting('tollgate.request_id', true), ''), 255), p_details);
      perform pg_notify('tollgate_vault', p_subject);
      perform outbox_note_key(p_action, p_subject, left(coalesce(v_actor, 'sql:' || session_user), 255));
    end
  $$;

-- Arguments: the kind of owner, and the columns of owner ('' where there is one only), provider and sealed key. Runs with our
-- rights, so that whoever may write a key can't but leave an entry.
create or replace function tollgate.vault_key_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_was jsonb := case when tg_op <> 'INSERT' then to_jsonb(old) end;
      v_is jsonb := case when tg_op <> 'DELETE' then to_jsonb(new) end;
      v_subject_was varchar;
      v_subject_is varchar;
      v_saved varchar := coalesce(nullif(current_setting('tollgate.action', true), ''), 'key.saved');
    begin
      if tg_table_name = 'platform_settings' then
        if v_was ->> 'category' is distinct from 'api_keys' then v_was := null; end if;
        if v_is ->> 'category' is distinct from 'api_keys' then v_is := null; end if;
      end if;
      v_subject_was := concat_ws('/', tg_argv[0], v_was ->> tg_argv[1], v_was ->> tg_argv[2]);
      v_subject_is := concat_ws('/', tg_argv[0], v_is ->> tg_argv[1], v_is ->> tg_argv[2]);
      if v_was is not null and (v_is is null or v_subject_is <> v_subject_was) then
        perform vault_record('key.removed', v_subject_was, null);
      end if;
      if v_is is null then return null; end if;
      if v_was is null or v_subject_is <> v_subject_was or v_is -> tg_argv[3] is distinct from v_was -> tg_argv[3] then
        perform vault_record(v_saved, v_subject_is, jsonb_build_object('replaced', v_was is not null, 'enabled', v_is -> 'enabled'));
      elsif v_is -> 'enabled' is distinct from v_was -> 'enabled' then
        perform vault_record(case when (v_is ->> 'enabled')::boolean then 'key.enabled' else 'key.disabled' end, v_subject_is, null);
      end if;
      return null;
    end
  $$;

-- TRUNCATE names no rows: everything is forgotten.
create or replace function tollgate.vault_keys_truncated() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$ begin perform vault_record('key.removed', 'all of ' || tg_table_name, null); return null; end $$;

-- Keys of services, and keys of users where the program said who makes or changes them. What a command line or a test puts in
-- without a word leaves no entry for a user's key.
create or replace function tollgate.api_key_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_subject varchar := case new.kind when 'service_key' then 'service_key/' || new.name else 'api_key/' || new.id end;
    begin
      if new.kind <> 'service_key' and coalesce(current_setting('tollgate.actor', true), '') = '' then return null; end if;
      if tg_op = 'INSERT' then
        perform vault_record('api_key.created', v_subject, jsonb_build_object('preview', new.preview, 'user', new.user_id));
      elsif old.is_active and not new.is_active then
        perform vault_record('api_key.revoked', v_subject, jsonb_build_object('preview', new.preview));
      elsif old.replaced_at is null and new.replaced_at is not null then
        perform vault_record('api_key.replaced', v_subject, jsonb_build_object('preview', new.preview, 'until', new.expires_at));
      else
        perform vault_record('api_key.changed', v_subject, jsonb_build_object('preview', new.preview));
      end if;
      return null;
    end
  $$;

-- What happens to the root key.
create or replace function tollgate.vault_root_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform vault_record(
        case when tg_op = 'DELETE' then 'root.removed' when tg_op = 'INSERT' then 'root.registered'
          when new.previous is not null then 'root.rotation_started' else 'root.rotation_finished' end,
        'root', jsonb_build_object('name', case when tg_op = 'DELETE' then old.name else new.name end,
          'previous', case when tg_op = 'UPDATE' then coalesce(new.previous, old.previous) end));
      return null;
    end
  $$;

-- Removes entries older than so many days, never younger than 90, and returns how many it removed. At most a thousand at a time, the
-- oldest first, so that it is short however long nobody did it; two at once take different ones. Runs with our rights: the program
-- itself may remove nothing.
create or replace function tollgate.audit_log_prune(p_days integer) returns bigint
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_removed bigint;
    begin
      with oldest as (select id, created_at from audit_log order by id limit 1000 for update skip locked)
        delete from audit_log a using oldest o
          where a.id = o.id and o.created_at < tollgate_now() - make_interval(days => greatest(p_days, 90));
      get diagnostics v_removed = row_count;
      return v_removed;
    end
  $$;
