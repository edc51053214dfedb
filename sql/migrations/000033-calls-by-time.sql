-- Lists of calls come in the order of time, of one user or one organization. Two indexes that had the user or the organization alone have
-- the time too: the same number of indexes, and such a list reads the rows it shows.
drop index public.idx_credit_usage_org_id;
create index idx_credit_usage_org_id on public.credit_usage_attribution (org_id, created_at);
drop index public.idx_credit_usage_user_id;
create index idx_credit_usage_user_id on public.credit_usage_attribution (user_id, created_at);
