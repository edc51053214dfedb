-- Pools that are there already become low as if their credits had come now.

alter table public.organization_credit_pools disable trigger user;
update public.organization_credit_pools set low_balance_at = greatest(total_credits - used_credits, 0) * 0.2;
alter table public.organization_credit_pools enable trigger user;
