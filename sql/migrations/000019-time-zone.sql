-- Days, weeks and months begin by the clock of a place. What is due is found without reading every pool and allocation.

alter table tollgate.ledger_identity add column time_zone varchar(64) not null default 'UTC';
comment on column tollgate.ledger_identity.time_zone is 'In which days, weeks and months begin: tollgate.time_zone of the program that started last.';

create index idx_user_credits_next_reset on public.user_credit_allocations (next_reset_date);
create index idx_org_pools_next_refresh on public.organization_credit_pools (next_refresh_date);
create index idx_org_subs_period_end on public.organization_subscriptions (current_period_end) where status = 'active';
