-- The public billing tables with the integer types that Ops-Center documents, for readers who put `tollgate_whole, public` in their
-- search_path: drivers give Decimal for numeric, which json.dumps refuses. What is left is rounded down, what is used up, so nobody
-- plans with credits that are not there.
create schema tollgate_whole;
comment on schema tollgate_whole is 'The public billing tables with whole credits, as Ops-Center documents them.';

create view tollgate_whole.organization_credit_pools as
  select id, org_id, floor(total_credits)::bigint as total_credits, ceil(allocated_credits)::bigint as allocated_credits,
    ceil(used_credits)::bigint as used_credits, floor(available_credits)::bigint as available_credits,
    floor(monthly_refresh_amount)::bigint as monthly_refresh_amount, last_refresh_date, next_refresh_date, allow_overage,
    floor(overage_limit)::bigint as overage_limit, overage_rate, floor(lifetime_purchased_credits)::bigint as lifetime_purchased_credits,
    lifetime_spent_amount, created_at, updated_at
  from public.organization_credit_pools;

create view tollgate_whole.user_credit_allocations as
  select id, org_id, user_id, floor(allocated_credits)::bigint as allocated_credits, ceil(used_credits)::bigint as used_credits,
    floor(remaining_credits)::bigint as remaining_credits, reset_period, last_reset_date, next_reset_date, is_active, allocated_by,
    notes, created_at, updated_at
  from public.user_credit_allocations;

create view tollgate_whole.credit_usage_attribution as
  select id, org_id, user_id, allocation_id, ceil(credits_used)::bigint as credits_used, service_type, service_name, api_cost,
    markup_applied, total_cost, request_id, request_metadata, created_at
  from public.credit_usage_attribution;

create view tollgate_whole.org_billing_summary as
  select org_id, org_name, subscription_plan, monthly_price, subscription_status, floor(total_credits)::bigint as total_credits,
    ceil(allocated_credits)::bigint as allocated_credits, ceil(used_credits)::bigint as used_credits,
    floor(available_credits)::bigint as available_credits, lifetime_spent_amount, member_count, allocated_users_count
  from public.org_billing_summary;

create view tollgate_whole.user_multi_org_credits as
  select user_id, org_id, org_name, floor(allocated_credits)::bigint as allocated_credits, ceil(used_credits)::bigint as used_credits,
    floor(remaining_credits)::bigint as remaining_credits, reset_period, next_reset_date, is_active
  from public.user_multi_org_credits;

create view tollgate_whole.top_credit_users_by_org as
  select org_id, user_id, ceil(total_credits_used)::bigint as total_credits_used, request_count, services_used, last_usage
  from public.top_credit_users_by_org;
