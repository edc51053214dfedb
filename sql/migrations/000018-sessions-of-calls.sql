-- Reports find the calls of a session, as clients name it.

create index idx_credit_usage_session on public.credit_usage_attribution (org_id, (details ->> 'session_id'), created_at)
  where details ->> 'session_id' is not null;
