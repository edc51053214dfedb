-- What was spent of a limit before this ledger counted it: carried from another program, so that a budget goes on where it was.

create table tollgate.ledger_openings (
  id bigint generated always as identity primary key,
  kind varchar(40) not null,
  limit_id varchar(255) not null,
  window_start timestamptz not null,
  credits numeric(20, 6) not null check (credits > 0),
  source varchar(40) not null,
  created_at timestamptz not null default tollgate.tollgate_now()
);
create index idx_ledger_openings_limit on tollgate.ledger_openings (kind, limit_id, window_start);
comment on table tollgate.ledger_openings is 'Part of what a limit has used that no call here explains. Rows are only added: a later one says what was spent there since.';
comment on column tollgate.ledger_openings.limit_id is 'With kind and window_start the row of ledger_limits.';
comment on column tollgate.ledger_openings.source is 'Where it was spent: litellm.';
