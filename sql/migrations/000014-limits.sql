-- A key is a limit like every other: a call names all its limits in one list, and its hold remembers them there. Lists of rows, not
-- documents: what every call carries is read without parsing.

drop function if exists tollgate.ledger_hold_one(uuid, tollgate.hold_request);
drop function if exists tollgate.ledger_hold_batch(uuid, jsonb);
drop function if exists tollgate.ledger_lock_limits(jsonb, boolean);
drop function if exists tollgate.ledger_lock_limits_batch(tollgate.hold_request[]);
drop function if exists tollgate.ledger_move_limits(jsonb, numeric, integer, numeric, integer);
drop function if exists tollgate.ledger_count_key(varchar, numeric);

alter table tollgate.ledger_limits add column window_end timestamptz;
comment on column tollgate.ledger_limits.window_end is 'When the next window begins; null where there is none, or nobody knows.';

create type tollgate.limit_request as (
  kind varchar,
  id varchar,
  "window" varchar,
  window_start timestamptz,
  unit varchar,
  limit_amount numeric
);
comment on type tollgate.limit_request is 'A limit as a call names it.';
comment on column tollgate.limit_request."window" is 'hour, day, week or month, in UTC by the clock of the database; null: of all time.';
comment on column tollgate.limit_request.window_start is 'Stated instead of a window.';
comment on column tollgate.limit_request.limit_amount is 'Counts from now on; without it the amount of the row does.';

create type tollgate.limit_use as (
  kind varchar,
  id varchar,
  window_start timestamptz,
  unit varchar,
  is_counted boolean
);
comment on type tollgate.limit_use is 'A row of ledger_limits that a hold touched.';
comment on column tollgate.limit_use.is_counted is 'It had no amount: nothing is held of it, only the charge counts.';

alter type tollgate.hold_request drop attribute key_id;
alter type tollgate.hold_request drop attribute limits;
alter type tollgate.hold_request add attribute limits tollgate.limit_request[];
comment on column tollgate.hold_request.limits is 'All limits of the call, its key among them, each once; null where there is none.';

alter table tollgate.ledger_holds rename column limits to limits_before;
alter table tollgate.ledger_holds add column limits tollgate.limit_use[];
update tollgate.ledger_holds h
  set limits = array(
    select row(t.kind, t.id, t.window_start, coalesce(t.unit, 'credits'), false)::tollgate.limit_use
    from jsonb_to_recordset(h.limits_before) as t(kind varchar, id varchar, window_start timestamptz, unit varchar)
    union all
    select row('key', h.key_id, timestamptz '1970-01-01 00:00:00+00', 'credits', true)::tollgate.limit_use where h.key_id is not null)
  where h.limits_before is not null or h.key_id is not null;
alter table tollgate.ledger_holds drop column limits_before;
alter table tollgate.ledger_holds drop column key_id;
comment on column tollgate.ledger_holds.limits is 'What it touched: given back to those rows, whatever window is current.';

create type tollgate.limits_seen as (
  touched tollgate.limit_use[],
  bounds boolean,
  available numeric,
  limited_by jsonb,
  has_call boolean,
  key_used numeric
);
comment on type tollgate.limits_seen is 'What a call alone finds out about its limits.';
comment on column tollgate.limits_seen.touched is 'As its hold remembers them.';
comment on column tollgate.limits_seen.bounds is 'At least one of them has an amount.';
comment on column tollgate.limits_seen.available is 'Credits that the tightest leaves; null where none bounds credits.';
comment on column tollgate.limits_seen.limited_by is 'The one that would refuse first: {kind, id, unit, amount, left, window_end}; null where there is none.';
comment on column tollgate.limits_seen.has_call is 'Each limit of calls has one left.';
comment on column tollgate.limits_seen.key_used is 'What the key of the call has used.';

create type tollgate.call_limits as (touched tollgate.limit_use[], key_used numeric);
comment on type tollgate.call_limits is 'The limits of one call of a batch, as its hold remembers them, and what its key has used.';

create type tollgate.batch_limit as (
  call integer,
  kind varchar,
  id varchar,
  window_start timestamptz,
  "window" varchar,
  unit varchar,
  stated numeric,
  wanted numeric
);
comment on type tollgate.batch_limit is 'A limit with an amount, of one of the calls of a batch.';
comment on column tollgate.batch_limit.call is 'Its place.';
comment on column tollgate.batch_limit.wanted is 'The most the call may hold.';

create type tollgate.hold_plan as (
  allocations uuid[],
  payers integer[],
  is_set boolean[],
  free numeric[],
  held numeric[],
  available numeric[],
  limited_by jsonb[]
);
comment on type tollgate.hold_plan is 'How a batch is going to be held, place by place, in the order in which it is served.';
comment on column tollgate.hold_plan.payers is 'Numbers of their allocations.';
comment on column tollgate.hold_plan.is_set is 'Held or refused in the set, not one by one.';
comment on column tollgate.hold_plan.free is 'What the allocation has left before the batch.';
comment on column tollgate.hold_plan.held is 'Null: refused.';
comment on column tollgate.hold_plan.available is 'Of a refusal: credits that the limits left.';

-- A hold is taken under the lock of its allocation, so that it is there; a look for each hold costs a tenth of it.
alter table tollgate.ledger_holds drop constraint ledger_holds_allocation_id_fkey;
