-- The ledger's own tables: who may hold, what is held, further limits, and every movement that is not a charge.

create table tollgate.ledger_identity (
  ledger_id uuid primary key default gen_random_uuid(),
  only_row boolean not null unique default true check (only_row),
  created_at timestamptz not null default tollgate.tollgate_now()
);
insert into tollgate.ledger_identity default values;
comment on table tollgate.ledger_identity is 'One row. A settlement that was spooled for another ledger is refused by this id.';

create table tollgate.ledger_processes (
  id uuid primary key,
  host varchar(255) not null,
  pid integer not null,
  version varchar(50) not null,
  started_at timestamptz not null default tollgate.tollgate_now(),
  lease_until timestamptz,
  stopped_at timestamptz,
  dead_at timestamptz
);
comment on table tollgate.ledger_processes is 'Owners of holds.';
comment on column tollgate.ledger_processes.stopped_at is 'When the process went down in order.';
comment on column tollgate.ledger_processes.dead_at is 'When another process declared it dead; from then on its lease can not be renewed.';

create table tollgate.ledger_holds (
  call_id uuid primary key,
  owner uuid not null,
  -- no foreign key of its own: the allocation keeps its organization
  org_id uuid not null,
  user_id varchar(255) not null,
  allocation_id uuid not null references public.user_credit_allocations (id) on delete restrict,
  state varchar(20) not null default 'open' check (state in ('open', 'settled', 'released', 'recovered')),
  held_credits numeric(20, 6) not null check (held_credits >= 0),
  input_credits numeric(20, 6) not null check (input_credits >= 0),
  margin_credits numeric(20, 6) not null default 0 check (margin_credits >= 0),
  checkpoint_credits numeric(20, 6) check (checkpoint_credits >= 0),
  checkpoint_api_cost numeric(20, 9) check (checkpoint_api_cost >= 0),
  charged_credits numeric(20, 6) check (charged_credits >= 0),
  limits jsonb,
  key_id varchar(255),
  context jsonb,
  service_type varchar(100) not null,
  service_name varchar(200),
  request_id varchar(255),
  created_at timestamptz not null default tollgate.tollgate_now(),
  closed_at timestamptz,
  check ((state = 'open') = (closed_at is null))
) with (fillfactor = 80);
-- Only what is open: every call pays for a further index twice.
create index idx_ledger_holds_open on tollgate.ledger_holds (org_id) where state = 'open';
comment on table tollgate.ledger_holds is 'One row a call: the credits set aside for it, then how it was closed. Open once, closed once.';
comment on column tollgate.ledger_holds.call_id is 'Minted by the proxy: the billing key.';
comment on column tollgate.ledger_holds.owner is 'The process that may settle it. The zero id: a SQL session that settles at once.';
comment on column tollgate.ledger_holds.input_credits is 'The part of the hold meant for the input.';
comment on column tollgate.ledger_holds.margin_credits is 'What it may still need: every byte of the input a token, unless it is held like that, and the next step of a stream that grows.';
comment on column tollgate.ledger_holds.checkpoint_credits is 'Charge so far, as of the last checkpoint. Null before the first: nothing went out.';
comment on column tollgate.ledger_holds.checkpoint_api_cost is 'The provider''s part of the checkpoint, in dollars.';
comment on column tollgate.ledger_holds.limits is 'The rows of ledger_limits it touched, as [{kind, id, window_start, unit}]: given back to those, whatever window is current.';
comment on column tollgate.ledger_holds.key_id is 'The caller''s key, where its spending is only counted. A key with a limit is in limits.';
comment on column tollgate.ledger_holds.context is 'Rates, markup and level: fixed when the hold was taken.';
comment on column tollgate.ledger_holds.service_name is 'With service_type and request_id: for the row of a call that nobody else can settle.';

create table tollgate.ledger_limits (
  kind varchar(40) not null,
  id varchar(255) not null,
  window_start timestamptz not null,
  unit varchar(10) not null default 'credits' check (unit in ('credits', 'calls')),
  limit_amount numeric(20, 6) check (limit_amount >= 0),
  held numeric(20, 6) not null default 0 check (held >= 0),
  used numeric(20, 6) not null default 0 check (used >= 0),
  primary key (kind, id, window_start)
) with (fillfactor = 70);
comment on table tollgate.ledger_limits is 'Every limit besides pool and allocation, one row a window: key budgets, teams, end users, call quotas.';
comment on column tollgate.ledger_limits.window_start is 'When the window began; 1970-01-01 (ledger_all_time) where there are no windows.';
comment on column tollgate.ledger_limits.unit is 'What is counted. ''calls'' counts one a call.';
comment on column tollgate.ledger_limits.limit_amount is 'Null: no limit, only counted.';

create table tollgate.ledger_journal (
  id bigint generated always as identity primary key,
  kind varchar(20) not null check (kind in ('purchase', 'allocate', 'reset', 'refresh', 'refund', 'correction')),
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255),
  call_id uuid,
  cause varchar(20) check (cause in ('recovery', 'dispute')),
  pool_total numeric(20, 6) not null default 0,
  pool_allocated numeric(20, 6) not null default 0,
  allocation_allocated numeric(20, 6) not null default 0,
  allocation_used numeric(20, 6) not null default 0,
  paid numeric(12, 2),
  actor varchar(255),
  note text,
  created_at timestamptz not null default tollgate.tollgate_now(),
  check ((kind = 'correction') = (cause is not null))
);
create index idx_ledger_journal_org_id on tollgate.ledger_journal (org_id, created_at);
create unique index idx_ledger_journal_correction on tollgate.ledger_journal (call_id, cause) where kind = 'correction';
comment on table tollgate.ledger_journal is 'Every movement of credits that is not a charge, by what it did to each balance, so that the audit can add them up. Append-only.';
comment on column tollgate.ledger_journal.cause is 'Of a correction: what made it necessary. At most one correction of a call for each.';
comment on column tollgate.ledger_journal.paid is 'Dollars, where money changed hands.';

-- What the batches take: one object a call in a JSON document, its members named as here. A new member is a new attribute, which an
-- older program leaves out; the signature of the function stays.
create type tollgate.hold_request as (
  call_id uuid,
  org_id uuid,
  user_id varchar,
  input numeric,
  input_bytes numeric,
  output numeric,
  min_output numeric,
  step numeric,
  limits jsonb,
  key_id varchar,
  context jsonb,
  service_type varchar,
  service_name varchar,
  request_id varchar
);
comment on type tollgate.hold_request is 'A call that asks for a hold. Amounts are credits.';
comment on column tollgate.hold_request.input is 'Price of the input, by the fast estimate.';
comment on column tollgate.hold_request.input_bytes is 'Price of the input at one token a byte: a call is held like that where less is left beside what runs.';
comment on column tollgate.hold_request.output is 'Price of the output wanted.';
comment on column tollgate.hold_request.min_output is 'Price of the least output worth starting for.';
comment on column tollgate.hold_request.step is 'What the hold of a stream grows by next; 0 for a call that does not grow.';
comment on column tollgate.hold_request.limits is 'Further limits: [{kind, id, window_start, unit, limit_amount}], or null.';
comment on column tollgate.hold_request.key_id is 'The caller''s key: its spending is counted, and bounded where its row in ledger_limits has a limit.';

create type tollgate.progress_request as (
  call_id uuid,
  org_id uuid,
  credits numeric,
  api_cost numeric,
  target numeric,
  min numeric,
  ask boolean,
  shrink boolean
);
comment on type tollgate.progress_request is 'How far a running call has come, and the hold it needs.';
comment on column tollgate.progress_request.credits is 'Charge so far. A checkpoint never goes back.';
comment on column tollgate.progress_request.api_cost is 'The provider''s part of it, dollars.';
comment on column tollgate.progress_request.target is 'The size the hold should have; null where it need not grow.';
comment on column tollgate.progress_request.min is 'The least size worth having.';
comment on column tollgate.progress_request.shrink is 'A larger hold becomes as small as target: of a call whose size was not known when it was held, before it goes out.';
comment on column tollgate.progress_request.ask is 'Whether its payer may still spend; who wants a larger hold asks by that.';

create type tollgate.close_request as (
  call_id uuid,
  state varchar,
  org_id uuid,
  user_id varchar,
  charge numeric,
  service_type varchar,
  service_name varchar,
  api_cost numeric,
  markup numeric,
  request_id varchar,
  metadata jsonb,
  source varchar,
  provenance varchar,
  outcome varchar,
  details jsonb
);
comment on type tollgate.close_request is 'The end of a call, for its attribution row.';
comment on column tollgate.close_request.state is 'settled or recovered with its charge; released with 0.';

create type tollgate.payer as (org_id uuid, user_id varchar);
comment on type tollgate.payer is 'Whose allocation is meant.';
