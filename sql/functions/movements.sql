-- Movements of credits that a person or a payment orders. Each writes its row of the journal; none is a charge.

-- Buys credits for a pool, which is made where it is missing. p_paid is dollars.
create or replace function tollgate.ledger_add_credits(
    p_org_id uuid, p_credits numeric, p_paid numeric, p_actor varchar, p_note text default null) returns void
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform ledger_check_amount(p_credits);
      if p_paid is null or p_paid = 'NaN' or p_paid < 0 then
        raise exception 'Invalid amount: the purchase amount must not be negative, got %', p_paid using errcode = 'P0001';
      end if;
      insert into public.organization_credit_pools as p (org_id, total_credits, lifetime_purchased_credits, lifetime_spent_amount)
        values (p_org_id, p_credits, p_credits, p_paid)
        on conflict (org_id) do update
          set total_credits = p.total_credits + excluded.total_credits,
            lifetime_purchased_credits = p.lifetime_purchased_credits + excluded.lifetime_purchased_credits,
            lifetime_spent_amount = p.lifetime_spent_amount + excluded.lifetime_spent_amount;
      insert into ledger_journal (kind, org_id, pool_total, paid, actor, note)
        values ('purchase', p_org_id, p_credits, p_paid, p_actor, p_note);
    end
  $$;

-- Takes bought credits back, as far as they are not handed to users. p_paid is the dollars that went back. Returns what was taken.
create or replace function tollgate.ledger_take_credits(
    p_org_id uuid, p_credits numeric, p_paid numeric, p_actor varchar, p_note text default null) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_pool public.organization_credit_pools; v_taken numeric;
    begin
      perform ledger_check_amount(p_credits);
      v_pool := (ledger_lock_and_refresh(p_org_id, null)).pool;
      v_taken := least(p_credits, coalesce(v_pool.total_credits - v_pool.allocated_credits, 0));
      update public.organization_credit_pools p
        set total_credits = p.total_credits - v_taken,
          lifetime_purchased_credits = greatest(p.lifetime_purchased_credits - v_taken, 0),
          lifetime_spent_amount = greatest(p.lifetime_spent_amount - p_paid, 0)
        where p.org_id = p_org_id;
      insert into ledger_journal (kind, org_id, pool_total, paid, actor, note)
        values ('refund', p_org_id, -v_taken, -p_paid, p_actor, p_note);
      return v_taken;
    end
  $$;

-- Ends an allocation: it can't be spent any more, and what is neither spent nor held returns to the pool. Returns what did.
create or replace function tollgate.ledger_end_allocation(p_org_id uuid, p_user_id varchar, p_actor varchar) returns numeric
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_allocation public.user_credit_allocations; v_free numeric;
    begin
      v_allocation := (ledger_lock_and_refresh(p_org_id, p_user_id)).allocation;
      if v_allocation.id is null then return 0; end if;
      v_free := greatest(v_allocation.allocated_credits - v_allocation.used_credits - v_allocation.held_credits, 0);
      update public.organization_credit_pools p set allocated_credits = p.allocated_credits - v_free where p.org_id = p_org_id;
      -- Without a next reset: one would move credits from the pool to somebody who is gone.
      update public.user_credit_allocations a
        set allocated_credits = a.allocated_credits - v_free, is_active = false, next_reset_date = null where a.id = v_allocation.id;
      if v_free > 0 then
        insert into ledger_journal (kind, org_id, user_id, pool_allocated, allocation_allocated, actor, note)
          values ('allocate', p_org_id, p_user_id, -v_free, -v_free, p_actor, 'returned to the pool');
      end if;
      return v_free;
    end
  $$;

-- Gives back a part of what one call cost, at most the charge over all refunds together. To the user's allocation; to the pool where
-- that allocation has ended. The charge stays on the books, and limits (budgets of keys) go on counting it.
-- outcome: refunded, too_much, disputed (settle the dispute instead), unknown. refundable: what is left to refund.
create or replace function tollgate.ledger_refund_call(p_call_id uuid, p_credits numeric, p_actor varchar, p_note text,
    out outcome varchar, out refunded numeric, out refundable numeric, out org_id uuid, out user_id varchar)
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_allocation public.user_credit_allocations;
      v_booked record;
      v_given numeric;
    begin
      if p_credits is not null then perform ledger_check_amount(p_credits); end if;
      perform 1 from ledger_holds h where h.call_id = p_call_id for update;
      select c.org_id, c.user_id into org_id, user_id from public.credit_usage_attribution c
        where c.call_id = p_call_id order by c.cause limit 1;
      if not found then outcome := 'unknown'; return; end if;
      v_allocation := (ledger_lock_and_refresh(org_id, user_id)).allocation;

      -- A separate statement: one that waited for locks still reads other tables from its old snapshot.
      v_booked := ledger_booked(p_call_id);
      refundable := v_booked.credits - coalesce(
        (select sum(j.pool_total) from ledger_journal j where j.call_id = p_call_id and j.kind = 'refund'), 0);
      if v_booked.disputed and not 'dispute' = any(v_booked.corrected) then outcome := 'disputed'; return; end if;
      refunded := coalesce(p_credits, refundable);
      if refunded > refundable or refunded <= 0 then outcome := 'too_much'; return; end if;

      v_given := case when v_allocation.is_active then refunded else 0 end;
      update public.organization_credit_pools p
        set total_credits = p.total_credits + refunded, allocated_credits = p.allocated_credits + v_given,
          overage_credits = p.overage_credits
            + ledger_overdraft(v_allocation.allocated_credits + v_given, v_allocation.used_credits, v_allocation.held_credits)
            - ledger_overdraft(v_allocation.allocated_credits, v_allocation.used_credits, v_allocation.held_credits)
        where p.org_id = v_allocation.org_id;
      update public.user_credit_allocations a set allocated_credits = a.allocated_credits + v_given where a.id = v_allocation.id;
      insert into ledger_journal (kind, org_id, user_id, call_id, pool_total, pool_allocated, allocation_allocated, actor, note)
        values ('refund', v_allocation.org_id, v_allocation.user_id, p_call_id, refunded, v_given, v_given, p_actor, p_note);
      refundable := refundable - refunded;
      outcome := 'refunded';
    end
  $$;
