-- Sums of the books up to a day, written by an audit that found nothing, so that the next one reads only what came after.

create table tollgate.ledger_carries (
  id bigint generated always as identity primary key,
  cut_at timestamptz not null,
  charges bigint not null,
  digest bytea not null,
  previous bytea,
  made_at timestamptz not null default tollgate.tollgate_now()
);
comment on table tollgate.ledger_carries is 'What the rows before an instant add up to, as an audit without findings read them. Written by ledger_carry alone.';
comment on column tollgate.ledger_carries.cut_at is 'The beginning of a day in UTC: rows of before are in the sums.';
comment on column tollgate.ledger_carries.charges is 'How many rows of credit_usage_attribution are in the sums.';
comment on column tollgate.ledger_carries.digest is 'SHA-256 of the sums, of cut_at, charges and previous: sums that were changed later don''t fit it.';
comment on column tollgate.ledger_carries.previous is 'The digest of the one before.';

create table tollgate.ledger_carried_users (
  carry_id bigint not null,
  org_id uuid not null,
  user_id varchar(255) not null,
  credits numeric(20, 6) not null,
  primary key (carry_id, org_id, user_id)
);
comment on table tollgate.ledger_carried_users is 'Charges and corrections of a user before the cut.';

create table tollgate.ledger_carried_limits (
  carry_id bigint not null,
  kind varchar(40) not null,
  id varchar(255) not null,
  window_start timestamptz not null,
  used numeric(20, 6) not null,
  primary key (carry_id, kind, id, window_start)
);
comment on table tollgate.ledger_carried_limits is 'What calls that ended before the cut used of a limit; without ledger_openings.';
