-- What an operator may ask of consumers.

alter table tollgate.outbox_letters add column was_sent boolean not null default false;
comment on column tollgate.outbox_letters.was_sent is 'It was delivered before, and counted in outbox_sent: somebody wants it again.';

alter table tollgate.outbox_consumers add column sources integer[] not null default '{1,2,3}';
comment on column tollgate.outbox_consumers.sources is 'Which tables it reads: 1 ledger_journal, 2 credit_usage_attribution, 3 outbox_events.';
alter table tollgate.outbox_consumers add column types text[] not null default '{%}';
comment on column tollgate.outbox_consumers.types is 'Which types of events it is told, as patterns of LIKE.';
