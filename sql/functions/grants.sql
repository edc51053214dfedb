-- Who may do what. Two group roles, made by a migration:
--   tollgate_caller   SQL callers: the public functions, and reading the public tables and views
--   tollgate_app      the program itself, where it runs with a role that owns nothing: rows, not tables

-- Grants both roles what they need, and nobody else anything that lies beneath. `tollgate migrate` runs it after every change. A role
-- that does not exist is left out: make it, and run this as the owner.
create or replace function tollgate.grant_roles() returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      revoke execute on all functions in schema tollgate from public;
      -- Only our own functions, by their arguments: other products may live in this schema, and have functions of the same name.
      revoke execute on function public.update_updated_at_column(), public.is_org_admin(uuid, varchar),
        public.has_sufficient_credits(uuid, varchar, numeric),
        public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
        public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar)
        from public;

      if exists (select 1 from pg_roles where rolname = 'tollgate_caller') then
        grant usage on schema public to tollgate_caller;
        grant execute on function public.has_sufficient_credits(uuid, varchar, numeric),
          public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
          public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar),
          public.is_org_admin(uuid, varchar), tollgate.tollgate_now() to tollgate_caller;
        grant select on public.organizations, public.organization_members, public.organization_subscriptions,
          public.organization_credit_pools, public.user_credit_allocations, public.credit_usage_attribution,
          public.org_billing_history, public.org_billing_summary, public.user_multi_org_credits, public.top_credit_users_by_org,
          public.org_billing_metrics to tollgate_caller;
        grant usage on schema tollgate_whole to tollgate_caller;
        grant select on all tables in schema tollgate_whole to tollgate_caller;
      end if;

      if exists (select 1 from pg_roles where rolname = 'tollgate_app') then
        -- Exactly what follows, whatever was granted before.
        revoke all on all tables in schema tollgate from tollgate_app;
        grant usage on schema public, tollgate to tollgate_app;
        grant execute on all functions in schema tollgate to tollgate_app;
        -- Migrations, roles and the erasing of people are the owner's.
        revoke execute on function tollgate.grant_roles(), tollgate.erase_user(text, uuid, text) from tollgate_app;
        grant execute on function public.has_sufficient_credits(uuid, varchar, numeric),
          public.deduct_credits(uuid, varchar, numeric, varchar, varchar, varchar, jsonb),
          public.add_credits_to_pool(uuid, numeric, numeric), public.allocate_credits_to_user(uuid, varchar, numeric, varchar),
          public.is_org_admin(uuid, varchar), public.update_updated_at_column() to tollgate_app;
        grant select, insert, update on public.organizations, public.organization_members, public.organization_subscriptions,
          public.organization_credit_pools, public.user_credit_allocations, public.org_billing_history, public.platform_settings,
          public.user_provider_keys, tollgate.organization_provider_keys, tollgate.vault_root, tollgate.api_keys,
          tollgate.idempotency_keys, tollgate.change_keys, tollgate.payments, tollgate.payment_disputes, tollgate.lago_subscriptions, tollgate.invitations, tollgate.ledger_holds, tollgate.ledger_limits, tollgate.ledger_processes,
          tollgate.sessions, tollgate.runs, tollgate.kept_responses, tollgate.spenders, tollgate.ledger_waiters, tollgate.ledger_shared_limits to tollgate_app;
        grant select, insert on public.credit_usage_attribution, tollgate.ledger_journal, tollgate.ledger_openings to tollgate_app;
        -- Written and pruned by functions that run with our rights: whoever takes the program over can neither forge nor remove an entry.
        grant select on tollgate.audit_log to tollgate_app;
        -- Written by ledger_carry, which runs with our rights: what is carried is what the rows add up to.
        grant select on tollgate.ledger_carries, tollgate.ledger_carried_users, tollgate.ledger_carried_limits,
          tollgate.retention to tollgate_app;
        -- Written by usage_add and usage_fold, which run with our rights: sums can't be set to anything but what the charges add up to.
        grant select on tollgate.usage_deltas, tollgate.usage_days, tollgate.usage_organization_days, tollgate.usage_by_user,
          tollgate.usage_by_organization to tollgate_app;
        grant delete on public.organization_members, tollgate.change_keys, public.platform_settings, public.user_provider_keys, tollgate.organization_provider_keys,
          tollgate.idempotency_keys, tollgate.sessions, tollgate.kept_responses, tollgate.spenders, tollgate.ledger_waiters to tollgate_app;
        grant select, insert, delete on tollgate.outbox_events to tollgate_app;
        grant select, insert, update, delete on tollgate.outbox_consumers, tollgate.outbox_blocked, tollgate.outbox_letters,
          tollgate.outbox_sent to tollgate_app;
        grant update (time_zone) on tollgate.ledger_identity to tollgate_app;
        grant select on public.org_billing_summary, public.user_multi_org_credits, public.top_credit_users_by_org,
          public.org_billing_metrics, tollgate.ledger_identity, tollgate.quote_secret, tollgate.migrations, tollgate.function_set, tollgate.spender_terms to tollgate_app;
      end if;
    end
  $$;
