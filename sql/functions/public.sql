-- The contract with callers who use SQL: names, parameter names, boolean results and error texts. There is one of each, never overloaded.
-- SECURITY DEFINER with a fixed search path: a caller needs no more than the role tollgate_caller (grants.sql).

create or replace function public.is_org_admin(p_org_id uuid, p_user_id varchar) returns boolean
  language sql stable set search_path = pg_catalog, pg_temp
  as $$
    select exists (
      select 1 from public.organization_members
      where org_id = p_org_id and user_id = p_user_id and role in ('owner', 'admin'))
  $$;

-- True if a call of that many credits would be held. A refresh or reset that is due is counted, and left for whoever spends.
create or replace function public.has_sufficient_credits(p_org_id uuid, p_user_id varchar, p_credits_needed numeric) returns boolean
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_pool public.organization_credit_pools;
      v_allocation public.user_credit_allocations;
      v_current record;
    begin
      perform ledger_check_amount(p_credits_needed);
      select * into v_pool from public.organization_credit_pools where org_id = p_org_id;
      select * into v_allocation from public.user_credit_allocations where org_id = p_org_id and user_id = p_user_id;
      if v_pool.id is null or v_allocation.id is null or not v_allocation.is_active
          or not exists (select 1 from public.organizations where id = p_org_id and status = 'active') then
        return false;
      end if;
      v_current := ledger_brought_up_to_date(v_pool, v_allocation, tollgate_now());
      v_pool := v_current.pool;
      v_allocation := v_current.allocation;
      return coalesce(ledger_available(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits
          + case when v_allocation.follows_pool then v_pool.total_credits - v_pool.allocated_credits else 0 end,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits)
        - v_allocation.margin_credits >= p_credits_needed, true);
    end
  $$;

-- A hold and its settlement in one. A repeated request id is the same charge only if everything else is equal too and no ten minutes
-- have passed: callers reuse ids for different operations on purpose. It returns true and charges nothing.
create or replace function public.deduct_credits(
    p_org_id uuid, p_user_id varchar, p_credits_used numeric, p_service_type varchar, p_service_name varchar default null,
    p_request_id varchar default null, p_request_metadata jsonb default null) returns boolean
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_call_id uuid := gen_random_uuid();
      v_hold record;
    begin
      perform ledger_check_amount(p_credits_used);
      perform ledger_lock_and_refresh(p_org_id, p_user_id);
      p_request_metadata := nullif(p_request_metadata, 'null');
      if p_request_id is not null and exists (
          select 1 from public.credit_usage_attribution
          where org_id = p_org_id and request_id = p_request_id and source = 'sql' and user_id = p_user_id
            and credits_used = p_credits_used and service_type is not distinct from p_service_type
            and service_name is not distinct from p_service_name
            and request_metadata is not distinct from p_request_metadata
            and created_at > tollgate_now() - interval '10 minutes') then
        return true;
      end if;
      select * into v_hold from ledger_hold_batch(ledger_sql_session(), jsonb_build_array(jsonb_build_object(
        'call_id', v_call_id, 'org_id', p_org_id, 'user_id', p_user_id, 'input', 0, 'input_bytes', 0,
        'output', p_credits_used, 'min_output', p_credits_used, 'service_type', coalesce(p_service_type, ''))));
      if v_hold.outcome = 'no_allocation' then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      elsif v_hold.outcome = 'suspended' then
        raise exception 'Organization % is not active', p_org_id using errcode = 'P0001';
      elsif v_hold.outcome <> 'held' then
        raise exception 'Insufficient credits: % available, % needed',
          trim_scale(v_hold.available), trim_scale(p_credits_used) using errcode = 'P0001';
      end if;
      perform ledger_close_batch(jsonb_build_array(jsonb_build_object(
        'call_id', v_call_id, 'state', 'settled', 'org_id', p_org_id, 'user_id', p_user_id, 'charge', p_credits_used,
        'service_type', p_service_type, 'service_name', p_service_name, 'api_cost', 0, 'markup', 0,
        'request_id', p_request_id, 'metadata', p_request_metadata, 'source', 'sql', 'outcome', 'answered')));
      return true;
    end
  $$;

create or replace function public.add_credits_to_pool(p_org_id uuid, p_credits_amount numeric, p_purchase_amount numeric default 0.00)
  returns boolean
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform ledger_add_credits(p_org_id, p_credits_amount, p_purchase_amount, session_user::varchar);
      return true;
    end
  $$;

create or replace function public.allocate_credits_to_user(
    p_org_id uuid, p_user_id varchar, p_credits_amount numeric, p_allocated_by varchar default null) returns boolean
  language plpgsql security definer set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_locked record;
      v_pool public.organization_credit_pools;
      v_allocation public.user_credit_allocations;
      v_left numeric;
    begin
      perform ledger_check_amount(p_credits_amount);
      if p_user_id is null or p_user_id = '' then
        raise exception 'Invalid user: the user id must not be empty' using errcode = 'P0001';
      end if;
      v_locked := ledger_lock_and_refresh(p_org_id, p_user_id);
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
      update public.organization_credit_pools p
        set allocated_credits = p.allocated_credits + p_credits_amount,
          overage_credits = p.overage_credits + case when v_allocation.id is null then 0 else
            ledger_overdraft(v_allocation.allocated_credits + p_credits_amount, v_allocation.used_credits, v_allocation.held_credits)
            - ledger_overdraft(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits) end
        where p.org_id = p_org_id;
      -- The pool row is locked, so nobody else can be inserting this allocation.
      insert into public.user_credit_allocations as a (org_id, user_id, allocated_credits, allocated_by, next_reset_date)
        values (p_org_id, p_user_id, p_credits_amount, p_allocated_by, ledger_next_date('monthly', tollgate_now(), tollgate_now()))
        on conflict (org_id, user_id) do update
          set allocated_credits = a.allocated_credits + excluded.allocated_credits,
            allocated_by = coalesce(excluded.allocated_by, a.allocated_by);
      insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor)
        values ('allocate', p_org_id, p_user_id, p_credits_amount, p_credits_amount, coalesce(p_allocated_by, session_user));
      return true;
    end
  $$;
