-- Every trigger, and the functions that only triggers use.

create or replace function public.update_updated_at_column() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$ begin new.updated_at := tollgate_now(); return new; end $$;

create or replace function tollgate.refuse_change() returns trigger
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      raise exception '% is append-only: write a new row that corrects the old one', tg_table_name
        using errcode = 'P0001';
    end
  $$;

create or replace trigger update_organizations_updated_at before update on public.organizations
  for each row execute function public.update_updated_at_column();
create or replace trigger update_org_subs_updated_at before update on public.organization_subscriptions
  for each row execute function public.update_updated_at_column();
-- The ledger says itself when a balance changed; a trigger for each row is a call for each row.
create or replace trigger update_org_credit_pools_updated_at before update on public.organization_credit_pools
  for each row when (new.updated_at = old.updated_at) execute function public.update_updated_at_column();
create or replace trigger update_user_credits_updated_at before update on public.user_credit_allocations
  for each row when (new.updated_at = old.updated_at) execute function public.update_updated_at_column();

create or replace trigger credit_usage_attribution_append_only before update or delete or truncate on public.credit_usage_attribution
  for each statement execute function tollgate.refuse_change();
create or replace trigger ledger_journal_append_only before update or delete or truncate on tollgate.ledger_journal
  for each statement execute function tollgate.refuse_change();
create or replace trigger audit_log_append_only before update or truncate on tollgate.audit_log
  for each statement execute function tollgate.refuse_change();
-- For 90 days an entry can't be removed by anybody; after that audit_log_prune does.
create or replace trigger audit_log_kept before delete on tollgate.audit_log
  for each row when (old.created_at > tollgate.tollgate_now() - interval '90 days') execute function tollgate.refuse_change();
create or replace trigger ledger_journal_durable before insert on tollgate.ledger_journal
  for each row execute function tollgate.ledger_journal_durable();

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
