-- Whose calls are bounded by budgets, rates and lists of models of their own: virtual keys, users, teams, their members, organizations and
-- customers, as LiteLLM's routes make them. What they may spend is rows of ledger_limits, like every other limit.

create table tollgate.spenders (
  id uuid not null default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete restrict,
  kind varchar(20) not null check (kind in ('key', 'user', 'team', 'team_member', 'organization', 'customer', 'budget')),
  name varchar(255) not null,
  user_id varchar(255),
  team varchar(255),
  budget varchar(255),
  budgets jsonb not null default '[]',
  requests_per_minute integer check (requests_per_minute >= 0),
  tokens_per_minute bigint check (tokens_per_minute >= 0),
  calls_at_once integer check (calls_at_once >= 0),
  models text[],
  is_blocked boolean not null default false,
  settings jsonb not null default '{}',
  created_by varchar(255),
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now(),
  primary key (id),
  unique (org_id, kind, name)
);
create index idx_spenders_user on tollgate.spenders (org_id, user_id) where user_id is not null;
create index idx_spenders_team on tollgate.spenders (org_id, team) where team is not null;
create index idx_spenders_budget on tollgate.spenders (org_id, budget) where budget is not null;
comment on table tollgate.spenders is 'Whose calls have budgets, rates and models of their own. A row of kind budget is what others name as theirs.';
comment on column tollgate.spenders.id is 'Of its rows in ledger_limits. Of a key, that of its row in api_keys.';
comment on column tollgate.spenders.name is 'As its maker named it; of a key and of an organization, its id; of a member of a team, team and user.';
comment on column tollgate.spenders.budget is 'The row of kind budget whose budgets and rates count where this one has none.';
comment on column tollgate.spenders.budgets is '[{amount, window, model}]: credits as text; window as ledger_window_start reads it, null of all time; model null for all.';
comment on column tollgate.spenders.models is 'Names or patterns it may call; null: all.';
comment on column tollgate.spenders.settings is 'As it was asked for, and as it is shown.';

alter table public.organizations add column is_budgeted boolean not null default false;
comment on column public.organizations.is_budgeted is 'Bounded by budgets, like the organization default: nothing is bought in advance, and no markup is added.';

-- What counts of each: its own budgets and rates, else those of the budget it names.
create view tollgate.spender_terms as
  select s.id, s.org_id, s.kind, s.name, s.user_id, s.team,
    case when s.budgets = '[]' then coalesce(b.budgets, '[]') else s.budgets end as budgets,
    coalesce(s.requests_per_minute, b.requests_per_minute) as requests_per_minute,
    coalesce(s.tokens_per_minute, b.tokens_per_minute) as tokens_per_minute,
    coalesce(s.calls_at_once, b.calls_at_once) as calls_at_once,
    s.models, s.is_blocked, s.settings
  from tollgate.spenders s
  left join tollgate.spenders b on b.org_id = s.org_id and b.kind = 'budget' and b.name = s.budget;
comment on view tollgate.spender_terms is 'What bounds each spender.';
