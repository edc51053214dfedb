-- Calls whose end nobody knows are summed up by day and provider; they are few.

create index idx_credit_usage_at_risk on public.credit_usage_attribution (created_at) where details ? 'at_risk';
create index idx_credit_usage_disputed on public.credit_usage_attribution (created_at) where provenance = 'disputed';
