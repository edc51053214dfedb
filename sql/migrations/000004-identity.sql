-- Keys of callers, their idempotency keys, and the organization of callers who have none of their own.

create table tollgate.api_keys (
  id uuid primary key default gen_random_uuid(),
  key_hash bytea not null unique check (length(key_hash) = 32),
  preview varchar(40) not null,
  name varchar(200),
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  is_active boolean not null default true,
  expires_at timestamptz,
  created_by varchar(255),
  created_at timestamptz not null default tollgate.tollgate_now()
);
create index idx_api_keys_org_user on tollgate.api_keys (org_id, user_id);
comment on table tollgate.api_keys is 'Keys of callers.';
comment on column tollgate.api_keys.key_hash is 'SHA-256. A key is 256 random bits, so it needs no salt and is found by an index.';
comment on column tollgate.api_keys.preview is 'Enough to recognize, too little to use: uc_1234abcd...';

create table tollgate.idempotency_keys (
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  key varchar(255) not null,
  body_hash bytea not null,
  call_id uuid not null,
  state varchar(20) not null default 'running' check (state in ('running', 'answered', 'streamed')),
  status integer,
  headers jsonb,
  body bytea,
  created_at timestamptz not null default tollgate.tollgate_now(),
  primary key (org_id, user_id, key)
);
create index idx_idempotency_keys_created_at on tollgate.idempotency_keys (created_at);
-- The newest answers of a user are kept.
create index idx_idempotency_keys_answered on tollgate.idempotency_keys (org_id, user_id, created_at) where state = 'answered';
comment on table tollgate.idempotency_keys is 'A caller''s Idempotency-Key, bound to the caller and to what was sent. Kept 24 hours; claimed by calls that are held.';
comment on column tollgate.idempotency_keys.state is 'streamed: paid for, and the answer is not kept: a stream, a large answer, or one that newer ones have displaced.';

-- Callers without an organization of their own (the master key) spend here: unlimited overage, booked like everyone's.
insert into public.organizations (name, display_name) values ('default', 'Callers without an organization');
insert into public.organization_credit_pools (org_id, allow_overage, overage_limit)
  select id, true, null from public.organizations where name = 'default';
