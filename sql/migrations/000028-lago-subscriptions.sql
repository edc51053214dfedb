-- What Lago said of subscriptions. Its webhooks come twice, late and in any order, without a time of their own.

create table tollgate.lago_subscriptions (
  lago_id uuid primary key,
  org_id uuid not null references public.organizations (id) on delete restrict,
  plan_code varchar(255) not null,
  created_at timestamptz not null,
  period_start timestamptz,
  period_end timestamptz,
  -- Another one follows it: it was upgraded or downgraded.
  is_followed boolean not null default false,
  ended_at timestamptz
);
create index idx_lago_subscriptions_org_id on tollgate.lago_subscriptions (org_id, created_at);
comment on table tollgate.lago_subscriptions is 'Subscriptions of Lago: the newest of an organization is its plan. What has ended stays ended, whatever comes later.';
