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
