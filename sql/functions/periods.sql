-- Refreshes of pools and resets of allocations: when they are due, and what they come to. They are done late, under the locks of
-- whatever touches the allocation next (locks.sql), so that they are right even if nothing ran for a month.

-- In which days, weeks and months begin: that of the program which started last, `tollgate.time_zone`.
create or replace function tollgate.ledger_time_zone() returns varchar
  language plpgsql stable parallel safe set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      return (select time_zone from ledger_identity);
    end
  $$;

-- Returns whether it was another one before.
create or replace function tollgate.ledger_set_time_zone(p_zone varchar) returns boolean
  language plpgsql set search_path = pg_catalog, tollgate, pg_temp
  as $$
    begin
      perform tollgate_now() at time zone p_zone;
      update ledger_identity set time_zone = p_zone where time_zone <> p_zone;
      return found;
    end
  $$;

-- The first instant of the series from + k periods that lies after now; null for 'never'. By the clock on the wall in the time zone of
-- the ledger, whatever the session says.
-- p_created is when the series began: where that was the 29th to the 31st, a short month must not move it to the 28th for good.
create or replace function tollgate.ledger_next_date(
    p_period varchar, p_from timestamptz, p_now timestamptz, p_created timestamptz default null) returns timestamptz
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare
      v_zone varchar := ledger_time_zone();
      v_from timestamp := p_from at time zone v_zone;
      v_now timestamp := p_now at time zone v_zone;
      v_months integer;
      v_day integer := extract(day from p_created at time zone v_zone);
    begin
      if p_period = 'daily' or p_period = 'weekly' then
        return (v_from + make_interval(days => (case p_period when 'daily' then 1 else 7 end) *
          (floor(extract(epoch from v_now - v_from) / (case p_period when 'daily' then 86400 else 604800 end))::integer + 1)))
          at time zone v_zone;
      elsif p_period = 'monthly' then
        if v_day > extract(day from v_from) and extract(day from v_from + interval '1 day') = 1 then
          v_from := date_trunc('year', v_from) + make_interval(days => v_day - 1) + v_from::time;
        end if;
        v_months := greatest(0, (extract(year from age(v_now, v_from)) * 12 + extract(month from age(v_now, v_from)))::integer);
        while v_from + make_interval(months => v_months) <= v_now loop
          v_months := v_months + 1;
        end loop;
        return (v_from + make_interval(months => v_months)) at time zone v_zone;
      end if;
      return null;
    end
  $$;

-- Pool and allocation as they should be at an instant. Changes no row.
--   refreshed   credits that are due to the pool: its monthly amount once for each elapsed period, while the plan is active or trialing
--   given_back  credits that are due to the allocation: what it has used, as far as the pool can cover it
create or replace function tollgate.ledger_brought_up_to_date(
    inout pool public.organization_credit_pools, inout allocation public.user_credit_allocations, p_now timestamptz,
    out refreshed numeric, out given_back numeric)
  language plpgsql stable set search_path = pg_catalog, tollgate, pg_temp
  as $$
    declare v_next timestamptz := pool.next_refresh_date;
    begin
      refreshed := 0;
      given_back := 0;
      if v_next <= p_now then
        while v_next <= p_now loop
          refreshed := refreshed + pool.monthly_refresh_amount;
          v_next := ledger_next_date('monthly', pool.next_refresh_date, v_next, pool.created_at);
        end loop;
        if not exists (select 1 from public.organization_subscriptions
            where org_id = pool.org_id and status in ('active', 'trialing')) then
          refreshed := 0;
        end if;
        pool.total_credits := pool.total_credits + refreshed;
        pool.last_refresh_date := p_now;
        pool.next_refresh_date := v_next;
      end if;
      if allocation.next_reset_date <= p_now then
        given_back := least(allocation.used_credits, pool.total_credits - pool.allocated_credits);
        pool.allocated_credits := pool.allocated_credits + given_back;
        pool.overage_credits := pool.overage_credits
          + ledger_overdraft(allocation.allocated_credits, allocation.used_credits - given_back, allocation.held_credits)
          - ledger_overdraft(allocation.allocated_credits, allocation.used_credits, allocation.held_credits);
        allocation.next_reset_date := ledger_next_date(
          allocation.reset_period, allocation.next_reset_date, p_now, allocation.created_at);
        allocation.used_credits := allocation.used_credits - given_back;
        allocation.last_reset_date := p_now;
      end if;
    end
  $$;
