-- PostgreSQL parses the conditions of a table anew in each statement that writes to it. Those of five tables took a sixth of a call alone: 33 us
-- for the eight of a hold, against 9 us for one that calls a function, whose body is parsed once in a session (measured). What a row must
-- be, whoever writes it, is here; it changes by a migration, like a table.

create function tollgate.ledger_hold_is_sound(p_state varchar, p_closed_at timestamptz, p_held numeric, p_input numeric, p_margin numeric,
    p_checkpoint numeric, p_checkpoint_api_cost numeric, p_charged numeric) returns boolean
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
    begin
      return p_state in ('open', 'settled', 'released', 'recovered') and (p_state = 'open') = (p_closed_at is null)
        and least(p_held, p_input, p_margin, p_checkpoint, p_checkpoint_api_cost, p_charged) >= 0;
    end
  $$;

create function tollgate.ledger_limit_is_sound(p_unit varchar, p_amount numeric, p_held numeric, p_used numeric) returns boolean
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
    begin
      return p_unit in ('credits', 'calls') and least(p_amount, p_held, p_used) >= 0;
    end
  $$;

create function tollgate.pool_is_sound(p_total numeric, p_allocated numeric, p_used numeric, p_held numeric, p_overage numeric,
    p_monthly_refresh numeric, p_overage_limit numeric, p_purchased numeric, p_spent numeric) returns boolean
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
    begin
      return p_allocated <= p_total
        and least(p_allocated, p_used, p_held, p_overage, p_monthly_refresh, p_overage_limit, p_purchased, p_spent) >= 0;
    end
  $$;

create function tollgate.allocation_is_sound(p_reset_period varchar, p_allocated numeric, p_used numeric, p_held numeric, p_margin numeric)
  returns boolean
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
    begin
      return p_reset_period in ('daily', 'weekly', 'monthly', 'never') and least(p_allocated, p_used, p_held, p_margin) >= 0;
    end
  $$;

create function tollgate.charge_is_sound(p_credits numeric, p_entry varchar, p_cause varchar, p_source varchar, p_provenance varchar)
  returns boolean
  language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
  as $$
    begin
      return p_credits >= 0 and p_source in ('sql', 'proxy')
        and (p_entry = 'charge' and p_cause = 'call' or p_entry = 'correction' and p_cause in ('recovery', 'dispute'))
        and p_provenance in ('provider_cost', 'provider_usage', 'estimated', 'recovered', 'disputed');
    end
  $$;

-- The rows that are there passed the same conditions, and there may be millions of them: they are not read again.
do $$
  declare v record;
  begin
    for v in
      select c.conrelid::regclass as of_table, c.conname from pg_constraint c
      where c.contype = 'c' and c.conrelid in ('tollgate.ledger_holds'::regclass, 'tollgate.ledger_limits'::regclass,
        'public.organization_credit_pools'::regclass, 'public.user_credit_allocations'::regclass,
        'public.credit_usage_attribution'::regclass)
      order by 1, 2
    loop
      execute format('alter table %s drop constraint %I', v.of_table, v.conname);
    end loop;
  end
$$;
alter table tollgate.ledger_holds add constraint ledger_holds_are_sound check (tollgate.ledger_hold_is_sound(state, closed_at, held_credits,
  input_credits, margin_credits, checkpoint_credits, checkpoint_api_cost, charged_credits)) not valid;
alter table tollgate.ledger_limits add constraint ledger_limits_are_sound
  check (tollgate.ledger_limit_is_sound(unit, limit_amount, held, used)) not valid;
alter table public.organization_credit_pools add constraint organization_credit_pools_are_sound check (tollgate.pool_is_sound(total_credits,
  allocated_credits, used_credits, held_credits, overage_credits, monthly_refresh_amount, overage_limit, lifetime_purchased_credits,
  lifetime_spent_amount)) not valid;
alter table public.user_credit_allocations add constraint user_credit_allocations_are_sound check (tollgate.allocation_is_sound(reset_period,
  allocated_credits, used_credits, held_credits, margin_credits)) not valid;
alter table public.credit_usage_attribution add constraint credit_usage_attribution_is_sound check (tollgate.charge_is_sound(credits_used,
  entry, cause, source, provenance)) not valid;

-- What a call alone finds out about its limits, it finds out in one statement.
alter type tollgate.limits_seen add attribute quota jsonb;
comment on column tollgate.limits_seen.quota is 'The call quota that has least left with this call, as its caller is told; null where there is none.';
