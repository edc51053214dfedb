-- What is disputed of a payment: events about a dispute come in any order, so each is kept with whether it is over.

create table tollgate.payment_disputes (
  id varchar(255) primary key,
  payment_id varchar(255) not null references tollgate.payments (id) on delete restrict,
  amount numeric(12, 2) not null check (amount >= 0),
  is_over boolean not null default false
);
create index idx_payment_disputes_payment_id on tollgate.payment_disputes (payment_id);
comment on table tollgate.payment_disputes is 'Disputes of payments that became credits, by the id the payment provider gave them.';
comment on column tollgate.payment_disputes.is_over is 'The money came back, and stays. An event from before that, which comes later, changes nothing.';
