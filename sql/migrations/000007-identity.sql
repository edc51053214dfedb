-- breaking
-- Keys of callers, their idempotency keys, and the organization of callers who have none of their own.

-- A key is 256 random bits, so its SHA-256 needs no salt and is found by an index.
create table api_keys (
  id uuid primary key default gen_random_uuid(),
  key_hash bytea not null unique check (length(key_hash) = 32),
  -- enough to recognize, too little to use: uc_1234abcd...
  preview varchar(40) not null,
  name varchar(200),
  org_id uuid not null references organizations (id) on delete restrict,
  user_id varchar(255) not null,
  is_active boolean not null default true,
  expires_at timestamptz,
  created_by varchar(255),
  created_at timestamptz not null default tollgate_now()
);
create index idx_api_keys_org_user on api_keys (org_id, user_id);

-- A caller's Idempotency-Key, bound to the caller and to what was sent. Kept 24 hours.
create table idempotency_keys (
  org_id uuid not null references organizations (id) on delete restrict,
  user_id varchar(255) not null,
  key varchar(255) not null,
  body_hash bytea not null,
  call_id uuid not null,
  state varchar(20) not null default 'running' check (state in ('running', 'answered', 'streamed')),
  status integer,
  headers jsonb,
  body bytea,
  created_at timestamptz not null default tollgate_now(),
  primary key (org_id, user_id, key)
);
create index idx_idempotency_keys_created_at on idempotency_keys (created_at);

-- Callers without an organization of their own (the master key) spend here: unlimited overage, booked like everyone's.
insert into organizations (name, display_name) values ('default', 'Callers without an organization');
insert into organization_credit_pools (org_id, allow_overage, overage_limit)
  select id, true, null from organizations where name = 'default';

-- Claims an idempotency key for a call. A key older than a day, or left running by a process that died an hour ago, is free.
create function claim_idempotency_key(p_org_id uuid, p_user_id varchar, p_key varchar, p_body_hash bytea, p_call_id uuid,
    out outcome varchar, out call_id uuid, out status integer, out headers jsonb, out body bytea)
  language plpgsql set search_path = pg_catalog, public, pg_temp
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
revoke execute on function claim_idempotency_key from public;
