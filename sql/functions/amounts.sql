-- Small words of the ledger: pure functions over amounts, and two constants by name.

-- The window of what has no windows.
create or replace function tollgate.ledger_all_time() returns timestamptz
  language sql immutable parallel safe
  return timestamptz '1970-01-01 00:00:00+00';

-- The owner of holds that a SQL session takes and settles at once.
create or replace function tollgate.ledger_sql_session() returns uuid
  language sql immutable parallel safe
  return uuid '00000000-0000-0000-0000-000000000000';

-- What an allocation may still hold: its own rest and the organization's prepaid rest, whichever is less; where overage is allowed, its
-- own rest and what is left of the overage. Null: unlimited.
create or replace function tollgate.ledger_available(
    p_free numeric, p_pool_free numeric, p_allow_overage boolean, p_overage_limit numeric, p_overage numeric) returns numeric
  language sql immutable parallel safe
  return case
    when p_allow_overage is not true then least(p_free, p_pool_free)
    when p_overage_limit is null then null
    else greatest(p_free, 0) + p_overage_limit - p_overage
  end;

-- How far an allocation is below zero, holds counted.
create or replace function tollgate.ledger_overdraft(p_allocated numeric, p_used numeric, p_held numeric) returns numeric
  language sql immutable parallel safe
  return greatest(p_used + p_held - p_allocated, 0);

-- An amount that callers may send, or an error that says why not.
create or replace function tollgate.ledger_check_amount(p_amount numeric) returns void
  language plpgsql immutable set search_path = pg_catalog, tollgate, pg_temp
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
