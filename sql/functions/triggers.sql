-- Every trigger, and the functions that only triggers use.

create or replace function public.update_updated_at_column() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$ begin new.updated_at := tollgate_now(); return new; end $$;

create or replace function tollgate.refuse_change() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      -- Functions that remove what is personal set this; what else they may not touch is refused row by row.
      if tg_op = 'UPDATE' and tg_level = 'STATEMENT' and current_setting('tollgate.rewriting', true) = 'on' then return null; end if;
      raise exception '% is append-only: write a new row that corrects the old one', tg_table_name
        using errcode = 'P0001';
    end
  $$;

-- Whatever sets tollgate.rewriting: of a row of the books only what names a person or describes a call can change. It runs after the
-- change, for before it the generated columns are empty.
create or replace function tollgate.keep_amounts() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_may constant text[] := '{user_id,actor,note,request_id,request_metadata,details}';
    begin
      if to_jsonb(old) - v_may is distinct from to_jsonb(new) - v_may then
        raise exception '% is append-only: write a new row that corrects the old one', tg_table_name using errcode = 'P0001';
      end if;
      return new;
    end
  $$;

-- A pool is refreshed for months with a plan. What is due is given, or left out, before a plan begins or ends, whoever writes that: later
-- nobody could tell which of the months had one.
create or replace function tollgate.plan_begins_or_ends() returns trigger
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      if tg_op = 'INSERT' or (old.status in ('active', 'trialing')) <> (new.status in ('active', 'trialing')) then
        perform ledger_lock_and_refresh(new.org_id, null);
      end if;
      return new;
    end
  $$;

create or replace trigger update_organizations_updated_at before update on public.organizations
  for each row execute function public.update_updated_at_column();
create or replace trigger update_org_subs_updated_at before update on public.organization_subscriptions
  for each row execute function public.update_updated_at_column();
create or replace trigger org_subs_plan_begins_or_ends before insert or update of status on public.organization_subscriptions
  for each row execute function tollgate.plan_begins_or_ends();
-- The ledger says itself when a balance changed; a trigger for each row is a call for each row.
create or replace trigger update_org_credit_pools_updated_at before update on public.organization_credit_pools
  for each row when (new.updated_at = old.updated_at) execute function public.update_updated_at_column();
create or replace trigger update_user_credits_updated_at before update on public.user_credit_allocations
  for each row when (new.updated_at = old.updated_at) execute function public.update_updated_at_column();

create or replace trigger credit_usage_attribution_append_only before update or delete or truncate on public.credit_usage_attribution
  for each statement execute function tollgate.refuse_change();
create or replace trigger credit_usage_attribution_counted after insert on public.credit_usage_attribution
  referencing new table as added for each statement execute function tollgate.usage_add();
create or replace trigger credit_usage_attribution_keep_amounts after update on public.credit_usage_attribution
  for each row execute function tollgate.keep_amounts();
create or replace trigger ledger_journal_keep_amounts after update on tollgate.ledger_journal
  for each row execute function tollgate.keep_amounts();
create or replace trigger ledger_journal_append_only before update or delete or truncate on tollgate.ledger_journal
  for each statement execute function tollgate.refuse_change();
create or replace trigger ledger_openings_append_only before update or delete or truncate on tollgate.ledger_openings
  for each statement execute function tollgate.refuse_change();
create or replace trigger ledger_carries_append_only before update or truncate on tollgate.ledger_carries
  for each statement execute function tollgate.refuse_change();
create or replace trigger ledger_carried_users_append_only before update or truncate on tollgate.ledger_carried_users
  for each statement execute function tollgate.refuse_change();
create or replace trigger ledger_carried_limits_append_only before update or truncate on tollgate.ledger_carried_limits
  for each statement execute function tollgate.refuse_change();
create or replace trigger audit_log_append_only before update or truncate on tollgate.audit_log
  for each statement execute function tollgate.refuse_change();
-- For 90 days an entry can't be removed by anybody; after that audit_log_prune does.
create or replace trigger audit_log_kept before delete on tollgate.audit_log
  for each row when (old.created_at > tollgate.tollgate_now() - interval '90 days') execute function tollgate.refuse_change();
create or replace trigger ledger_journal_durable before insert on tollgate.ledger_journal
  for each row execute function tollgate.ledger_journal_durable();

-- What consumers of events are told, decided on the row that changes. A hold sets none of these columns.
create or replace trigger organization_credit_pools_mark before insert or update of total_credits on public.organization_credit_pools
  for each row execute function tollgate.outbox_set_low_balance();
create or replace trigger organization_credit_pools_low after update of used_credits, total_credits on public.organization_credit_pools
  for each row when (new.total_credits - new.used_credits <= new.low_balance_at and (
    old.total_credits - old.used_credits > old.low_balance_at
    or old.total_credits - old.used_credits > 0 and new.total_credits - new.used_credits <= 0))
  execute function tollgate.outbox_balance_fell();
create or replace trigger user_credit_allocations_used after update of used_credits on public.user_credit_allocations
  for each row when (new.used_credits > old.used_credits and new.used_credits >= new.allocated_credits * 0.8
    and new.allocated_credits > 0 and not new.follows_pool and (
      old.used_credits < old.allocated_credits * 0.8
      or old.used_credits < old.allocated_credits and new.used_credits >= new.allocated_credits))
  execute function tollgate.outbox_allocation_used();
create or replace trigger ledger_limits_used after update of used, limit_amount on tollgate.ledger_limits
  for each row when (new.limit_amount > 0 and new.used >= new.limit_amount * 0.8 and new.kind <> 'proxy' and (
    old.limit_amount is null or old.used < old.limit_amount * 0.8
    or old.used < old.limit_amount and new.used >= new.limit_amount))
  execute function tollgate.outbox_limit_used();

create or replace trigger api_keys_changed after insert or update on tollgate.api_keys
  for each row execute function tollgate.api_key_changed();
create or replace trigger platform_settings_changed after insert or update or delete on public.platform_settings
  for each row execute function tollgate.vault_key_changed('platform', '', 'key', 'value');
create or replace trigger user_provider_keys_changed after insert or update or delete on public.user_provider_keys
  for each row execute function tollgate.vault_key_changed('user', 'user_id', 'provider', 'api_key_encrypted');
create or replace trigger organization_provider_keys_changed after insert or update or delete on tollgate.organization_provider_keys
  for each row execute function tollgate.vault_key_changed('organization', 'org_id', 'provider', 'api_key_encrypted');
create or replace trigger platform_settings_truncated after truncate on public.platform_settings
  for each statement execute function tollgate.vault_keys_truncated();
create or replace trigger user_provider_keys_truncated after truncate on public.user_provider_keys
  for each statement execute function tollgate.vault_keys_truncated();
create or replace trigger organization_provider_keys_truncated after truncate on tollgate.organization_provider_keys
  for each statement execute function tollgate.vault_keys_truncated();
create or replace trigger vault_root_changed after insert or update or delete on tollgate.vault_root
  for each row execute function tollgate.vault_root_changed();
