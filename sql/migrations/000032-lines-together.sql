-- Calls of one line are judged together, and those that a refusal concerns are told together.

alter table tollgate.ledger_waiters add column needs numeric(20,6);
comment on column tollgate.ledger_waiters.needs is 'Credits it needs at least, by the fast estimate: who needs no less than one that is refused for good asks at once.';

alter type tollgate.hold_plan add attribute in_turn boolean[];
comment on column tollgate.hold_plan.in_turn is 'It waits, or somebody who came before does: held one by one, and refused or kept waiting in the set.';
alter type tollgate.hold_plan add attribute is_stuck boolean[];
comment on column tollgate.hold_plan.is_stuck is 'Its allocation leaves too little to all of its calls in the batch: it takes nothing of its limits.';
alter type tollgate.hold_plan add attribute lines text[];
comment on column tollgate.hold_plan.lines is 'Where it waits; null where it does not.';
alter type tollgate.hold_plan add attribute refused_in text[];
comment on column tollgate.hold_plan.refused_in is 'The line of what refuses it for good.';
