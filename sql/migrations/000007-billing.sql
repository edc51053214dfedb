-- What organization billing needs beside the public tables: answers of changes that are repeated, payments, invitations, refunds.

create table tollgate.change_keys (
  actor varchar(600) not null,
  key varchar(255) not null,
  request_hash bytea not null,
  body text,
  created_at timestamptz not null default tollgate.tollgate_now(),
  primary key (actor, key)
);
create index idx_change_keys_created_at on tollgate.change_keys (created_at);
comment on table tollgate.change_keys is 'Idempotency keys of management requests. A row commits with the change it names, so it is there exactly when the change is.';
comment on column tollgate.change_keys.body is 'What the change answered. Null only inside the transaction that makes it.';

create table tollgate.payments (
  id varchar(255) primary key,
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255),
  payment_intent varchar(255),
  amount numeric(12, 2) not null check (amount >= 0),
  credits numeric(20, 6) not null check (credits >= 0),
  refunded_amount numeric(12, 2) not null default 0 check (refunded_amount >= 0),
  disputed_amount numeric(12, 2) not null default 0 check (disputed_amount >= 0),
  taken_credits numeric(20, 6) not null default 0 check (taken_credits >= 0),
  owed_credits numeric(20, 6) not null default 0 check (owed_credits >= 0),
  created_at timestamptz not null default tollgate.tollgate_now(),
  check (taken_credits + owed_credits <= credits)
);
create unique index idx_payments_payment_intent on tollgate.payments (payment_intent) where payment_intent is not null;
create index idx_payments_org_id on tollgate.payments (org_id);
comment on table tollgate.payments is 'Payments that became credits, each once: by the id the payment provider gave it.';
comment on column tollgate.payments.taken_credits is 'Taken back from the pool after the money went back.';
comment on column tollgate.payments.owed_credits is 'What should have been taken back and was not there any more. Above 0 the organization was suspended.';

create table tollgate.invitations (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  token_hash bytea not null unique check (length(token_hash) = 32),
  email varchar(320),
  role varchar(20) not null default 'member' check (role in ('admin', 'member', 'billing_admin')),
  invited_by varchar(255) not null,
  accepted_by varchar(255),
  created_at timestamptz not null default tollgate.tollgate_now(),
  expires_at timestamptz not null,
  accepted_at timestamptz,
  revoked_at timestamptz
);
create index idx_invitations_org_id on tollgate.invitations (org_id, created_at);
comment on table tollgate.invitations is 'Who was asked to join an organization. The token is shown once; its SHA-256 is kept.';

create index idx_ledger_journal_refund on tollgate.ledger_journal (call_id) where kind = 'refund' and call_id is not null;
create index idx_ledger_journal_user on tollgate.ledger_journal (user_id, created_at) where user_id is not null;
