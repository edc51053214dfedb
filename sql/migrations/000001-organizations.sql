-- Who there is: the clock of money, organizations and their members.
-- `public` is the contract with callers who use SQL; everything else is in the schema `tollgate`, which migrate makes.

-- The one clock of money. Every date that decides about credits is read from here, so a test moves time by replacing this function,
-- and no session setting (TimeZone, DateStyle) can move it.
create function tollgate.tollgate_now() returns timestamptz
  language sql volatile parallel safe
  as $$ select pg_catalog.clock_timestamp() $$;
comment on function tollgate.tollgate_now is 'The one clock of money: leases, resets, refreshes, expiry.';

create table public.organizations (
  id uuid primary key default gen_random_uuid(),
  name varchar(200) not null unique,
  display_name varchar(200),
  logo_url text,
  plan_tier varchar(50) not null default 'founders_friend',
  max_seats integer not null default 1 check (max_seats >= 0),
  lago_customer_id varchar(255),
  stripe_customer_id varchar(255),
  status varchar(20) not null default 'active' check (status in ('active', 'suspended', 'deleted')),
  created_at timestamptz not null default tollgate.tollgate_now(),
  updated_at timestamptz not null default tollgate.tollgate_now()
);
comment on table public.organizations is 'Who pays. An organization that has books is deactivated, never deleted.';

create table public.organization_members (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references public.organizations (id) on delete cascade,
  user_id varchar(255) not null,
  role varchar(20) not null default 'member' check (role in ('owner', 'admin', 'member', 'billing_admin')),
  joined_at timestamptz not null default tollgate.tollgate_now(),
  unique (org_id, user_id)
);
create index idx_org_members_user_id on public.organization_members (user_id);
comment on table public.organization_members is 'Which users belong to an organization, and in which role.';
