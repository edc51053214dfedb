-- breaking
-- The public functions, by way of the gate of 000009.

-- As it was, by way of the gate above.
create or replace function has_sufficient_credits(p_org_id uuid, p_user_id varchar, p_credits_needed numeric) returns boolean
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
      if v_pool.id is null or v_allocation.id is null or not v_allocation.is_active
          or not exists (select 1 from organizations where id = p_org_id and status = 'active') then
        return false;
      end if;
      return coalesce(ledger_room(
        v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits,
        v_pool.total_credits - v_pool.used_credits - v_pool.held_credits,
        v_pool.allow_overage, v_pool.overage_limit, v_pool.overage_credits) >= p_credits_needed, true);
    end
  $$;

create or replace function deduct_credits(
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
      select * into v_hold from ledger_hold_batch(
        '00000000-0000-0000-0000-000000000000', array[v_call_id], array[p_org_id], array[p_user_id], array[0::numeric],
        array[0::numeric], array[p_credits_used], array[p_credits_used], array[null::jsonb], array[null::jsonb],
        array[null::varchar], array[null::varchar]);
      if v_hold.outcome = 'no_allocation' then
        raise exception 'No credit allocation found for user % in org %', p_user_id, p_org_id using errcode = 'P0001';
      elsif v_hold.outcome = 'suspended' then
        raise exception 'Organization % is not active', p_org_id using errcode = 'P0001';
      elsif v_hold.outcome <> 'held' then
        raise exception 'Insufficient credits: % available, % needed',
          trim_scale(v_hold.available), trim_scale(p_credits_used) using errcode = 'P0001';
      end if;
      perform ledger_close_batch(array[v_call_id], array['settled'::varchar], array[p_org_id], array[p_user_id],
        array[p_credits_used], array[p_service_type], array[p_service_name], array[0::numeric], array[0::numeric],
        array[p_request_id], array[p_request_metadata], 'sql', array[null::varchar], array['answered'::varchar],
        array[null::jsonb]);
      return true;
    end
  $$;

-- The journal of a movement that is answered is on disk.
create function ledger_journal_durable() returns trigger
  language plpgsql set search_path = pg_catalog, public, pg_temp
  as $$
    begin
      if new.kind in ('purchase', 'allocate', 'refund', 'correction') then perform ledger_durable(); end if;
      return new;
    end
  $$;
create trigger ledger_journal_durable before insert on ledger_journal
  for each row execute function ledger_journal_durable();

revoke execute on function ledger_journal_durable from public;
