-- breaking
-- The four public functions. Names, parameter names, boolean results and error texts are a contract with callers that use SQL
-- directly; there is one of each, never overloaded. SECURITY DEFINER with a fixed search path: a caller needs no more than the
-- role tollgate_caller, which may execute these and read.

create function ledger_check_amount(p_amount numeric) returns void
  language plpgsql immutable set search_path = pg_catalog, pg_temp
  as $$
    begin
      if p_amount is null or p_amount = 'NaN' then
        raise exception 'Invalid amount: credits must be a number' using errcode = 'P0001';
      elsif p_amount < 0 then
        raise exception 'Invalid amount: credits must not be negative, got %', p_amount using errcode = 'P0001';
      elsif p_amount > 10000000000000 then
        raise exception 'Invalid amount: % credits are more than the ledger can hold', p_amount using errcode = 'P0001';
      elsif p_amount <> round(p_amount, 6) then
        raise exception 'Invalid amount: credits have at most six decimals, got %', p_amount using errcode = 'P0001';
      end if;
    end
  $$;

create function has_sufficient_credits(p_org_id uuid, p_user_id varchar, p_credits_needed numeric) returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
    begin
      perform ledger_check_amount(p_credits_needed);
      select * into v_pool from organization_credit_pools where org_id = p_org_id;
      select * into v_allocation from user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      -- A refresh or reset that is due is done first; otherwise this only reads.
      if (v_pool.next_refresh_date <= tollgate_now() or v_allocation.next_reset_date <= tollgate_now())
          and current_setting('transaction_read_only') = 'off' then
        v_locked := ledger_lock(p_org_id, p_user_id);
        v_pool := v_locked.pool;
        v_allocation := v_locked.allocation;
      end if;
      if v_allocation.id is null or not v_allocation.is_active
          or not exists (select 1 from organizations where id = p_org_id and status = 'active') then
        return false;
      end if;
      return coalesce(ledger_room(v_pool, v_allocation) >= p_credits_needed, true);
    end
  $$;

-- A repeated request id is the same charge only if everything else is equal too and no ten minutes have passed: callers reuse
-- ids for different operations on purpose. It answers true and charges nothing.
create function deduct_credits(
    p_org_id uuid, p_user_id varchar, p_credits_used numeric, p_service_type varchar, p_service_name varchar default null,
    p_request_id varchar default null, p_request_metadata jsonb default null) returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_call_id uuid := gen_random_uuid();
      v_hold record;
    begin
      perform ledger_check_amount(p_credits_used);
      perform ledger_lock(p_org_id, p_user_id);
      if p_request_id is not null and exists (
          select 1 from credit_usage_attribution
          where org_id = p_org_id and request_id = p_request_id and source = 'sql' and user_id = p_user_id
            and credits_used = p_credits_used and service_type is not distinct from p_service_type
            and service_name is not distinct from p_service_name
            and request_metadata is not distinct from p_request_metadata
            and created_at > tollgate_now() - interval '10 minutes') then
        return true;
      end if;
      select * into v_hold from ledger_hold(
        v_call_id, '00000000-0000-0000-0000-000000000000', p_org_id, p_user_id, 0, 0, p_credits_used, p_credits_used, null, null);
      if v_hold.outcome = 'no_allocation' then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      elsif v_hold.outcome = 'suspended' then
        raise exception 'Organization % is not active', p_org_id using errcode = 'P0001';
      elsif v_hold.outcome <> 'held' then
        raise exception 'Insufficient credits: % available, % needed',
          trim_scale(v_hold.available), trim_scale(p_credits_used) using errcode = 'P0001';
      end if;
      perform ledger_close(v_call_id, 'settled', p_org_id, p_user_id, p_credits_used, p_service_type, p_service_name, 0, 0,
        p_request_id, p_request_metadata, 'sql', null, 'answered', null);
      return true;
    end
  $$;

create function add_credits_to_pool(p_org_id uuid, p_credits_amount numeric, p_purchase_amount numeric default 0.00)
  returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      perform ledger_check_amount(p_credits_amount);
      if p_purchase_amount is null or p_purchase_amount = 'NaN' or p_purchase_amount < 0 then
        raise exception 'Invalid amount: the purchase amount must not be negative, got %', p_purchase_amount using errcode = 'P0001';
      end if;
      insert into organization_credit_pools as p (org_id, total_credits, lifetime_purchased_credits, lifetime_spent_amount)
        values (p_org_id, p_credits_amount, p_credits_amount, p_purchase_amount)
        on conflict (org_id) do update
          set total_credits = p.total_credits + excluded.total_credits,
            lifetime_purchased_credits = p.lifetime_purchased_credits + excluded.lifetime_purchased_credits,
            lifetime_spent_amount = p.lifetime_spent_amount + excluded.lifetime_spent_amount;
      insert into ledger_journal (kind, org_id, pool_total, paid, actor)
        values ('purchase', p_org_id, p_credits_amount, p_purchase_amount, session_user);
      return true;
    end
  $$;

create function allocate_credits_to_user(
    p_org_id uuid, p_user_id varchar, p_credits_amount numeric, p_allocated_by varchar default null) returns boolean
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp
  as $$
    declare
      v_locked record;
      v_pool organization_credit_pools;
      v_allocation user_credit_allocations;
      v_left numeric;
    begin
      perform ledger_check_amount(p_credits_amount);
      if p_user_id is null or p_user_id = '' then
        raise exception 'Invalid user: the user id must not be empty' using errcode = 'P0001';
      end if;
      v_locked := ledger_lock(p_org_id, p_user_id);
      v_pool := v_locked.pool;
      v_allocation := v_locked.allocation;
      if v_pool.id is null then
        raise exception 'No credit pool found for org %', p_org_id using errcode = 'P0001';
      end if;
      v_left := v_pool.total_credits - v_pool.allocated_credits;
      if v_left < p_credits_amount then
        raise exception 'Insufficient credits in pool: % available, % needed',
          trim_scale(v_left), trim_scale(p_credits_amount) using errcode = 'P0001';
      end if;
      update organization_credit_pools p
        set allocated_credits = p.allocated_credits + p_credits_amount,
          overage_credits = p.overage_credits + case when v_allocation.id is null then 0 else
            ledger_below_zero(v_allocation.allocated_credits + p_credits_amount, v_allocation.used_credits, v_allocation.held_credits)
            - ledger_below_zero(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits) end
        where p.org_id = p_org_id;
      -- The pool row is locked, so nobody else can be inserting this allocation.
      insert into user_credit_allocations as a (org_id, user_id, allocated_credits, allocated_by, next_reset_date)
        values (p_org_id, p_user_id, p_credits_amount, p_allocated_by, ledger_next_date('monthly', tollgate_now(), tollgate_now()))
        on conflict (org_id, user_id) do update
          set allocated_credits = a.allocated_credits + excluded.allocated_credits,
            allocated_by = coalesce(excluded.allocated_by, a.allocated_by);
      insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor)
        values ('allocate', p_org_id, p_user_id, p_credits_amount, p_credits_amount, coalesce(p_allocated_by, session_user));
      return true;
    end
  $$;

-- Nobody may call what lies beneath the four. Only our own functions: other products may live in this schema.
do $$
declare v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = 'public'::regnamespace and (p.proname like 'ledger\_%' or p.proname like 'tollgate\_%' or p.proname in (
      'update_updated_at_column', 'is_org_admin', 'has_sufficient_credits', 'deduct_credits', 'add_credits_to_pool',
      'allocate_credits_to_user'))
  loop
    execute format('revoke execute on function %s from public', v_function);
  end loop;
end $$;

-- A role is of the whole server: another database of it may have made the role, at this very moment perhaps. A user who may not
-- make roles can go on; the operator then makes the role and runs the grants below.
do $$
begin
  if not exists (select 1 from pg_roles where rolname = 'tollgate_caller') then
    create role tollgate_caller nologin;
  end if;
exception
  when duplicate_object or unique_violation then null;
  when insufficient_privilege then
    raise warning 'no right to create the role tollgate_caller: create it and run tollgate_grant_caller()';
end $$;

create function tollgate_grant_caller() returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if not exists (select 1 from pg_roles where rolname = 'tollgate_caller') then return; end if;
      grant usage on schema public to tollgate_caller;
      grant execute on function has_sufficient_credits, deduct_credits, add_credits_to_pool, allocate_credits_to_user,
        is_org_admin, tollgate_now to tollgate_caller;
      grant select on organizations, organization_members, organization_subscriptions, organization_credit_pools,
        user_credit_allocations, credit_usage_attribution, org_billing_history, org_billing_summary, user_multi_org_credits,
        top_credit_users_by_org, org_billing_metrics to tollgate_caller;
    end
  $$;
revoke execute on function tollgate_grant_caller from public;
select tollgate_grant_caller();
