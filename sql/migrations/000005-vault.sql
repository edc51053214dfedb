-- Provider keys, each sealed by the program before it gets here, and the log of every change to them. What a column of sealed
-- keys holds is tollgate:<name of the root key>:<AWS Encryption SDK message in base64>, or a Fernet token (gAAAA...) that waits
-- for `tollgate keys import-fernet`. Both tables of callers are made only where they are missing, with the columns they know.

-- The platform's keys are the rows of category 'api_keys': openai_api_key, anthropic_api_key, google_ai_api_key, groq_api_key,
-- xai_api_key, huggingface_api_key, openrouter_api_key, provisioning_key.
create table if not exists public.platform_settings (
  key varchar(255) primary key,
  value text,
  category varchar(100),
  is_secret boolean not null default false,
  updated_at timestamptz not null default tollgate.tollgate_now()
);
-- Ops-Center has two definitions of it, one of them with less and unique by category and key.
alter table public.platform_settings
  add column if not exists is_secret boolean not null default false,
  add column if not exists updated_at timestamptz not null default tollgate.tollgate_now(),
  add column if not exists enabled boolean not null default true;
create unique index platform_settings_api_keys on public.platform_settings (key) where category = 'api_keys';

create table if not exists public.user_provider_keys (
  id uuid primary key default gen_random_uuid(),
  user_id varchar(255) not null,
  provider varchar(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}',
  enabled boolean not null default true,
  last_used timestamptz,
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now(),
  unique (user_id, provider)
);
comment on table public.user_provider_keys is 'Provider keys that users bring, sealed. Google''s are under ''google''.';
alter table public.user_provider_keys
  add column if not exists metadata jsonb default '{}',
  add column if not exists enabled boolean not null default true,
  add column if not exists created_at timestamptz not null default tollgate.tollgate_now(),
  add column if not exists updated_at timestamptz not null default tollgate.tollgate_now();

create table tollgate.organization_provider_keys (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  provider varchar(100) not null,
  api_key_encrypted text not null,
  metadata jsonb default '{}',
  enabled boolean not null default true,
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now(),
  unique (org_id, provider)
);
comment on table tollgate.organization_provider_keys is 'Provider keys that organizations bring, sealed.';

-- One row, made by the first process that has a root key; whoever seals reads it in the same transaction, so that nothing is sealed
-- under a root key that was replaced. While `tollgate keys rotate` is under way the row also holds each of the two root keys sealed
-- under the other; at the end both are gone.
create table tollgate.vault_root (
  single boolean primary key default true check (single),
  name varchar(300) not null,
  since timestamptz not null default tollgate.tollgate_now(),
  previous varchar(300),
  handover text,
  way_back text
);
comment on table tollgate.vault_root is 'Which root key seals provider keys, by name. One row.';
comment on column tollgate.vault_root.handover is 'The new root key sealed under the previous one: running processes take it from here.';
comment on column tollgate.vault_root.way_back is 'The previous root key sealed under the new one: for a process that was started with the new one.';

create table tollgate.audit_log (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default tollgate.tollgate_now(),
  action varchar(100) not null,
  subject varchar(500) not null,
  actor varchar(255) not null,
  ip varchar(100),
  request_id varchar(255),
  details jsonb
);
comment on table tollgate.audit_log is 'Who changed which key, when, from where; never a value. Append-only.';
comment on column tollgate.audit_log.subject is 'platform/openai_api_key, organization/<id>/openai, user/<id>/openai, root.';
create index idx_audit_log_subject on tollgate.audit_log (subject, id desc);
