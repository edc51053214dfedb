-- Reports of years of calls read sums by day instead of rows. A charge leaves its part of the sums in the transaction that books it, as
-- rows that nobody waits for (usage_deltas); they are folded into the sums a little later. Reports read both, so they are exact always.

-- Charges that other programs book meanwhile wait until the trigger is there: none is missing in the sums, and none counts twice.
lock table public.credit_usage_attribution in share row exclusive mode;

create table tollgate.usage_deltas (
  day date not null,
  org_id uuid not null,
  user_id varchar(255) not null,
  service_type varchar(100) not null,
  model varchar(200) not null,
  provider varchar(100) not null,
  key_id varchar(255) not null,
  calls bigint not null,
  failed_calls bigint not null,
  credits numeric not null,
  api_cost numeric not null,
  input_tokens numeric not null,
  cached_tokens numeric not null,
  output_tokens numeric not null
);
comment on table tollgate.usage_deltas is 'Parts of the sums by day that are not folded yet: written with the charges they belong to.';

create table tollgate.usage_days (
  like tollgate.usage_deltas,
  primary key (org_id, day, user_id, model, provider, service_type, key_id)
) with (fillfactor = 80);
create index idx_usage_days_user on tollgate.usage_days (org_id, user_id, day);
comment on table tollgate.usage_days is 'Sums of the charges by day (UTC), user, model, provider, service and key.';
comment on column tollgate.usage_days.calls is 'Without corrections, whose credits and dollars count.';
comment on column tollgate.usage_days.model is 'service_name of the charges; empty where there is none, as in every text column.';
comment on column tollgate.usage_days.cached_tokens is 'Part of input_tokens.';

create table tollgate.usage_organization_days (
  like tollgate.usage_deltas,
  primary key (org_id, day, model, provider, service_type)
) with (fillfactor = 80);
alter table tollgate.usage_organization_days drop column user_id, drop column key_id;
create index idx_usage_organization_days_day on tollgate.usage_organization_days (day);
comment on table tollgate.usage_organization_days is 'The same sums without users and keys: for organizations and the whole system.';

create view tollgate.usage_by_user as
  select day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost, input_tokens,
    cached_tokens, output_tokens from tollgate.usage_days
  union all
  select day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost, input_tokens,
    cached_tokens, output_tokens from tollgate.usage_deltas;
comment on view tollgate.usage_by_user is 'The sums by day, those included that are not folded yet.';

create view tollgate.usage_by_organization as
  select day, org_id, service_type, model, provider, calls, failed_calls, credits, api_cost, input_tokens, cached_tokens, output_tokens
  from tollgate.usage_organization_days
  union all
  select day, org_id, service_type, model, provider, calls, failed_calls, credits, api_cost, input_tokens, cached_tokens, output_tokens
  from tollgate.usage_deltas;
comment on view tollgate.usage_by_organization is 'The sums by day without users and keys, those included that are not folded yet.';

insert into tollgate.usage_deltas (day, org_id, user_id, service_type, model, provider, key_id, calls, failed_calls, credits, api_cost,
    input_tokens, cached_tokens, output_tokens)
  select (c.created_at at time zone 'UTC')::date, c.org_id, c.user_id, c.service_type, coalesce(c.service_name, ''),
    left(coalesce(c.details ->> 'provider', ''), 100), left(coalesce(c.details ->> 'key_id', ''), 255),
    count(*) filter (where c.entry = 'charge'), count(*) filter (where c.outcome = 'failed'), sum(c.credits_used), sum(c.api_cost),
    sum(case when jsonb_typeof(c.details -> 'usage' -> 'prompt_tokens') = 'number'
      then (c.details -> 'usage' -> 'prompt_tokens')::numeric else 0 end),
    sum(case when jsonb_typeof(c.details -> 'usage' -> 'prompt_tokens_details' -> 'cached_tokens') = 'number'
      then (c.details -> 'usage' -> 'prompt_tokens_details' -> 'cached_tokens')::numeric else 0 end),
    sum(case when jsonb_typeof(c.details -> 'usage' -> 'completion_tokens') = 'number'
      then (c.details -> 'usage' -> 'completion_tokens')::numeric else 0 end)
  from public.credit_usage_attribution c group by 1, 2, 3, 4, 5, 6, 7;
