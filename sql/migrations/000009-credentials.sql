-- What a key may do, keys of services, and the organization somebody with several is in first.

alter table tollgate.api_keys
  add column kind varchar(20) not null default 'api_key' check (kind in ('api_key', 'virtual_key', 'service_key')),
  add column scopes text[],
  add column models text[],
  add column routes text[],
  add column act_as varchar(20) not null default 'none' check (act_as in ('none', 'members')),
  add column all_organizations boolean not null default false,
  add column requests_per_minute integer check (requests_per_minute >= 0),
  add column tokens_per_minute bigint check (tokens_per_minute >= 0),
  add column calls_at_once integer check (calls_at_once >= 0),
  add column replaced_at timestamptz;
-- One that replaces another is current; the other one runs out.
create unique index idx_api_keys_service on tollgate.api_keys (name)
  where kind = 'service_key' and is_active and replaced_at is null;
comment on column tollgate.api_keys.scopes is 'Permissions the key is restricted to; null: everything its user may do.';
comment on column tollgate.api_keys.models is 'Names or patterns of models the key may call; null: all.';
comment on column tollgate.api_keys.routes is 'Groups or paths of routes the key may call; null: all.';
comment on column tollgate.api_keys.act_as is 'members: X-User-ID names the member who pays.';
comment on column tollgate.api_keys.all_organizations is 'The key acts in every organization its user is a member of. Only for users whom an identity provider vouches for: two organizations may call different people the same.';
comment on column tollgate.api_keys.replaced_at is 'Rotated then; both keys are good until expires_at.';

alter table public.organization_members add column is_default boolean not null default false;
create unique index idx_organization_members_default on public.organization_members (user_id) where is_default;

alter table public.user_credit_allocations add column follows_pool boolean not null default false;
comment on column public.user_credit_allocations.follows_pool is 'Takes from the pool what nobody has whenever it is short: a service''s.';
