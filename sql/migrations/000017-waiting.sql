-- Calls that wait for running ones stand in a line that all processes see.

drop function if exists tollgate.ledger_show_limit(tollgate.ledger_limits, numeric);
drop function if exists tollgate.ledger_see_limits(tollgate.limit_request[], timestamptz);

-- Not logged: a database that crashed has forgotten who waits, and they ask again.
create unlogged table tollgate.ledger_waiters (
  call_id uuid primary key,
  place bigint generated always as identity,
  line text not null,
  since timestamptz not null,
  until timestamptz not null
);
create index idx_ledger_waiters_line on tollgate.ledger_waiters (line, place);
comment on table tollgate.ledger_waiters is 'Calls that only running calls stand in the way of, each in the line of what it waits for. Who came later does not overtake.';
comment on column tollgate.ledger_waiters.line is 'The allocation or the limit that leaves too little (ledger_line).';
comment on column tollgate.ledger_waiters.until is 'From then on the row counts for nothing: the call was refused, or its process is gone.';

alter type tollgate.hold_request add attribute wait_ms integer;
alter type tollgate.hold_request add attribute in_line boolean;
alter type tollgate.hold_request add attribute leaves boolean;
comment on column tollgate.hold_request.wait_ms is 'How long it may wait for running calls; null or 0: it does not, and takes what is free.';
comment on column tollgate.hold_request.in_line is 'It waits: ledger_waiters has a row of it.';
comment on column tollgate.hold_request.leaves is 'It waits no longer, and wants nothing.';

alter type tollgate.limits_seen add attribute available_if_idle numeric;
alter type tollgate.limits_seen add attribute has_call_if_idle boolean;
alter type tollgate.limits_seen add attribute line text;
comment on column tollgate.limits_seen.available_if_idle is 'As available, if no call ran.';
comment on column tollgate.limits_seen.has_call_if_idle is 'As has_call, if no call ran.';
comment on column tollgate.limits_seen.line is 'Of the limit that would refuse first: where a call waits for it.';
