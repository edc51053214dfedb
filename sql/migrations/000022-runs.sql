-- A run is a budget that a caller opens for several calls: two rows of ledger_limits, and this one.

create table tollgate.runs (
  id uuid primary key,
  -- Those it was opened within, the outermost first, and itself.
  chain uuid[] not null,
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  name varchar(200),
  calls integer,
  expires_at timestamptz not null,
  created_at timestamptz not null default tollgate.tollgate_now(),
  closed_at timestamptz
);
comment on table tollgate.runs is 'Budgets of several calls. What they allow and have used stands in ledger_limits, kinds run (credits) and run_calls.';
create index idx_runs_owner on tollgate.runs (org_id, user_id, created_at);
