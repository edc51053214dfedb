-- Provider keys, each sealed by the program before it gets here, and the log of every change to them. What a column of sealed
-- keys holds is tollgate:<name of the root key>:<AWS Encryption SDK message in base64>, or a Fernet token (gAAAA...) that waits
-- for `tollgate keys import-fernet`. Both tables of callers are made only where they are missing, with the columns they know.

-- The platform's keys are the rows of category 'api_keys': openai_api_key, anthropic_api_key, google_ai_api_key, groq_api_key,
-- xai_api_key, huggingface_api_key, openrouter_api_key, provisioning_key.
create table if not exists platform_settings (
  key varchar(255) primary key,
  value text,
  category varchar(100),
  is_secret boolean not null default false,
  updated_at timestamptz not null default tollgate_now()
);
-- Ops-Center has two definitions of it, one of them with less and unique by category and key.
alter table platform_settings
  add column if not exists is_secret boolean not null default false,
  add column if not exists updated_at timestamptz not null default tollgate_now(),
  add column if not exists enabled boolean not null default true;
create unique index platform_settings_api_keys on platform_settings (key) where category = 'api_keys';

-- What users bring. Google's keys stand here under 'google'.
create table if not exists user_provider_keys (
  id uuid primary key default gen_random_uuid(),
  user_id varchar(255) not null,
  provider varchar(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}',
  enabled boolean not null default true,
  last_used timestamptz,
  created_at timestamptz not null default tollgate_now(),
  updated_at timestamptz not null default tollgate_now(),
  unique (user_id, provider)
);
alter table user_provider_keys
  add column if not exists metadata jsonb default '{}',
  add column if not exists enabled boolean not null default true,
  add column if not exists created_at timestamptz not null default tollgate_now(),
  add column if not exists updated_at timestamptz not null default tollgate_now();

-- What organizations bring.
create table organization_provider_keys (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references organizations (id) on delete restrict,
  provider varchar(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}',
  enabled boolean not null default true,
  created_at timestamptz not null default tollgate_now(),
  updated_at timestamptz not null default tollgate_now(),
  unique (org_id, provider)
);

-- Which root key seals, by name. One row, made by the first process that has a root key; whoever seals reads it in the same
-- transaction, so that nothing is sealed under a root key that was replaced. While `tollgate keys rotate` is under way the row
-- also holds each of the two root keys sealed under the other; at the end both are gone.
create table vault_root (
  single boolean primary key default true check (single),
  name varchar(300) not null,
  since timestamptz not null default tollgate_now(),
  previous varchar(300),
  -- the new root key sealed under the previous one: running processes take it from here
  handover text,
  -- the previous one sealed under the new: for a process started with the new one already
  way_back text
);

-- Who changed what, when, from where; never a value.
create table audit_log (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default tollgate_now(),
  action varchar(100) not null,
  -- platform/openai_api_key, organization/<id>/openai, user/<id>/openai, root
  subject varchar(500) not null,
  actor varchar(255) not null,
  ip varchar(100),
  request_id varchar(255),
  details jsonb
);
create index idx_audit_log_subject on audit_log (subject, id desc);
create trigger audit_log_append_only before update or delete or truncate on audit_log
  for each statement execute function ledger_append_only();

-- Writes one entry and tells every process to forget what it knows of the key. Who and from where are what the program said
-- about its transaction; without that, the database user and the address it came from.
create function vault_record(p_action varchar, p_subject varchar, p_details jsonb) returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    declare v_actor varchar := nullif(current_setting('tollgate.actor', true), '');
    begin
      insert into audit_log (action, subject, actor, ip, request_id, details) values (p_action, p_subject,
        left(coalesce(v_actor, 'sql:' || session_user), 255),
        case when v_actor is null then coalesce(host(inet_client_addr()), 'local')
          else left(nullif(current_setting('tollgate.ip', true), ''), 100) end,
        left(nullif(current_setting('tollgate.request_id', true), ''), 255), p_details);
      perform pg_notify('tollgate_vault', p_subject);
    end
  $$;

-- Arguments: the kind of owner, and the columns of owner ('' where there is one only), provider and sealed key. Runs with our
-- rights, so that whoever may write a key can't but leave an entry.
create function vault_key_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
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
create trigger platform_settings_changed after insert or update or delete on platform_settings
  for each row execute function vault_key_changed('platform', '', 'key', 'value');
create trigger user_provider_keys_changed after insert or update or delete on user_provider_keys
  for each row execute function vault_key_changed('user', 'user_id', 'provider', 'api_key_encrypted');
create trigger organization_provider_keys_changed after insert or update or delete on organization_provider_keys
  for each row execute function vault_key_changed('organization', 'org_id', 'provider', 'api_key_encrypted');

-- TRUNCATE names no rows: everything is forgotten.
create function vault_keys_truncated() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$ begin perform vault_record('key.removed', 'all of ' || tg_table_name, null); return null; end $$;
create trigger platform_settings_truncated after truncate on platform_settings
  for each statement execute function vault_keys_truncated();
create trigger user_provider_keys_truncated after truncate on user_provider_keys
  for each statement execute function vault_keys_truncated();
create trigger organization_provider_keys_truncated after truncate on organization_provider_keys
  for each statement execute function vault_keys_truncated();

create function vault_root_changed() returns trigger
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
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
create trigger vault_root_changed after insert or update or delete on vault_root
  for each row execute function vault_root_changed();

revoke execute on function vault_record, vault_key_changed, vault_keys_truncated, vault_root_changed from public;
