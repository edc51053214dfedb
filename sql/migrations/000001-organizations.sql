-- breaking
-- Who there is: the one clock of money, organizations and their members.

-- Every date that decides about money is read from here, so a test moves time by replacing this function and no session
-- setting (TimeZone, DateStyle) can move it.
create function tollgate_now() returns timestamptz
  language sql volatile parallel safe
  as $$ select pg_catalog.clock_timestamp() $$;

create function update_updated_at_column() returns trigger
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$ begin new.updated_at := tollgate_now(); return new; end $$;

create table organizations (
  id uuid primary key default gen_random_uuid(),
  name varchar(200) not null unique,
  display_name varchar(200),
  logo_url text,
  plan_tier varchar(50) not null default 'founders_friend',
  max_seats integer not null default 1 check (max_seats >= 0),
  lago_customer_id varchar(255),
  stripe_customer_id varchar(255),
  status varchar(20) not null default 'active' check (status in ('active', 'suspended', 'deleted')),
  created_at timestamptz not null default tollgate_now(),
  updated_at timestamptz not null default tollgate_now()
);
create trigger update_organizations_updated_at before update on organizations
  for each row execute function update_updated_at_column();

create table organization_members (
  id uuid primary key default gen_random_uuid(),
  org_id uuid not null references organizations (id) on delete cascade,
  user_id varchar(255) not null,
  role varchar(20) not null default 'member' check (role in ('owner', 'admin', 'member', 'billing_admin')),
  joined_at timestamptz not null default tollgate_now(),
  unique (org_id, user_id)
);
create index idx_org_members_user_id on organization_members (user_id);

create function is_org_admin(p_org_id uuid, p_user_id varchar) returns boolean
  language sql stable set search_path = pg_catalog, public, pg_temp
  as $$
    select exists (
      select 1 from organization_members
      where org_id = p_org_id and user_id = p_user_id and role in ('owner', 'admin'))
  $$;
