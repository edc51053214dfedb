-- Events: the books in an order that is safe to follow, and who follows them.

-- A number that comes from a sequence, or a time, can be committed after a larger one: whoever reads behind the largest one misses it.
-- The number of the transaction can not: no row of a transaction below the oldest running one can still appear. Rows that are older than
-- this column have no place; nobody follows those.
alter table public.credit_usage_attribution add column sequence bigint;
alter table public.credit_usage_attribution alter column sequence set default (0 + pg_current_xact_id()::text::bigint);
comment on column public.credit_usage_attribution.sequence is 'Where followers of the books find it: the number of the transaction that booked it.';
create index idx_credit_usage_sequence on public.credit_usage_attribution (sequence) where sequence is not null;

alter table tollgate.ledger_journal add column sequence bigint;
alter table tollgate.ledger_journal alter column sequence set default (0 + pg_current_xact_id()::text::bigint);
comment on column tollgate.ledger_journal.sequence is 'As that of credit_usage_attribution.';
create index idx_ledger_journal_sequence on tollgate.ledger_journal (sequence) where sequence is not null;

create table tollgate.outbox_events (
  id uuid primary key default gen_random_uuid(),
  sequence bigint not null default (0 + pg_current_xact_id()::text::bigint),
  type varchar(60) not null,
  org_id uuid,
  user_id varchar(255),
  data jsonb not null,
  once_key varchar(300),
  created_at timestamptz not null default tollgate.tollgate_now()
);
create index idx_outbox_events_sequence on tollgate.outbox_events (sequence);
create index idx_outbox_events_created_at on tollgate.outbox_events (created_at);
create unique index idx_outbox_events_once on tollgate.outbox_events (once_key) where once_key is not null;
comment on table tollgate.outbox_events is 'What happened that has no row of the books: a balance that became low, a key that was changed. Kept for 30 days.';
comment on column tollgate.outbox_events.org_id is 'Null: it is about no organization.';
comment on column tollgate.outbox_events.once_key is 'An event that must not be told twice has one.';

-- A copy on another server counts its transactions anew: the numbers of its rows then begin where those of the copy end.
alter table tollgate.ledger_identity add column server bigint, add column sequence_base bigint not null default 0;
update tollgate.ledger_identity set server = (select system_identifier from pg_control_system());
comment on column tollgate.ledger_identity.server is 'The PostgreSQL server the books are on; on another one their sequence goes on from sequence_base.';

create table tollgate.outbox_consumers (
  name varchar(100) primary key,
  started_at timestamptz not null default tollgate.tollgate_now(),
  started_sequence bigint not null,
  sequence bigint not null,
  source smallint not null default 0,
  row_id varchar(40) not null default '',
  lease_owner uuid,
  lease_until timestamptz,
  sent bigint not null default 0,
  sent_at timestamptz
);
comment on table tollgate.outbox_consumers is 'Who follows the books, and how far each has come. One process at a time works for one of them.';
comment on column tollgate.outbox_consumers.row_id is 'With sequence and source: the last event that is sent, or waits in outbox_blocked or outbox_letters.';

create table tollgate.outbox_blocked (
  consumer varchar(100) not null references tollgate.outbox_consumers (name) on delete cascade,
  -- The zero id stands for events of no organization.
  org_id uuid not null,
  sequence bigint not null,
  source smallint not null,
  row_id varchar(40) not null,
  event_id varchar(100) not null,
  attempts integer not null default 1,
  failing_since timestamptz not null default tollgate.tollgate_now(),
  next_attempt_at timestamptz not null,
  last_error varchar(500),
  primary key (consumer, org_id)
);
comment on table tollgate.outbox_blocked is 'Organizations whose next event could not be delivered: their events wait behind it, those of others do not.';
comment on column tollgate.outbox_blocked.sequence is 'With source and row_id: the last event of the organization that was delivered, or given up.';
comment on column tollgate.outbox_blocked.event_id is 'The event that waits first.';

create table tollgate.outbox_letters (
  consumer varchar(100) not null references tollgate.outbox_consumers (name) on delete cascade,
  event_id varchar(100) not null,
  org_id uuid not null,
  source smallint not null,
  row_id varchar(40) not null,
  type varchar(60) not null,
  state varchar(10) not null check (state in ('dead', 'again')),
  attempts integer not null default 0,
  since timestamptz not null default tollgate.tollgate_now(),
  next_attempt_at timestamptz not null default tollgate.tollgate_now(),
  last_error varchar(500),
  primary key (consumer, event_id)
);
create index idx_outbox_letters_again on tollgate.outbox_letters (consumer, next_attempt_at) where state = 'again';
comment on table tollgate.outbox_letters is 'Events that were given up (dead), and those that are sent again because somebody said so (again).';

create table tollgate.outbox_sent (
  consumer varchar(100) not null references tollgate.outbox_consumers (name) on delete cascade,
  org_id uuid not null,
  day date not null,
  events bigint not null,
  charges bigint not null,
  credits numeric not null,
  primary key (consumer, org_id, day)
);
comment on table tollgate.outbox_sent is 'What each consumer has taken, by organization and day (UTC) of the events: compared with the books.';
comment on column tollgate.outbox_sent.credits is 'Of the charges and their corrections.';

-- How much must be left before a balance is low: a fifth of what was there after credits were added last.
alter table public.organization_credit_pools add column low_balance_at numeric(20, 6);
comment on column public.organization_credit_pools.low_balance_at is 'What is left becomes low here: a fifth of what was there when credits came last.';

create type tollgate.outbox_event as (
  sequence bigint,
  source smallint,
  row_id varchar,
  event_id varchar,
  type varchar,
  org_id uuid,
  user_id varchar,
  created_at timestamptz,
  credits numeric,
  data jsonb
);
comment on type tollgate.outbox_event is 'An event as followers read it, ordered by sequence, source (1 ledger_journal, 2 credit_usage_attribution, 3 outbox_events) and row.';
