-- Limits that calls of all organizations share are leased to processes in slices: rows of ledger_limits of their own.

drop function if exists tollgate.ledger_see_limits(tollgate.limit_request[], numeric, timestamptz);

create table tollgate.ledger_shared_limits (
  kind varchar(40) not null,
  id varchar(255) not null,
  window_start timestamptz not null,
  window_end timestamptz,
  amount numeric(20,6) not null check (amount >= 0),
  granted numeric(20,6) not null default 0,
  primary key (kind, id, window_start)
);
comment on table tollgate.ledger_shared_limits is 'One limit of credits in one window that calls of all organizations share. Holds touch its slices, which are rows of ledger_limits: id#process/shard.';
comment on column tollgate.ledger_shared_limits.granted is 'The sum of the amounts of its slices, which is at most the amount, but for what was charged beyond holds.';

alter type tollgate.hold_request add attribute sliced boolean;
comment on column tollgate.hold_request.sliced is 'Its slices were filled, and what they leave counts. Else a slice that does not leave all that the call wants is to be filled first.';
alter type tollgate.limits_seen add attribute short_slice boolean;
comment on column tollgate.limits_seen.short_slice is 'A slice of a shared limit leaves less than the call wants.';
alter type tollgate.call_limits add attribute lacks_slice boolean;
comment on column tollgate.call_limits.lacks_slice is 'It names a slice that there is none of yet.';
