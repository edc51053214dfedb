-- Responses and what they consisted of, for clients that name one of them by its id on a later turn in the place of sending it.

create table tollgate.kept_responses (
  org_id uuid not null references public.organizations (id) on delete restrict,
  user_id varchar(255) not null,
  id varchar(200) not null,
  kept text not null,
  kept_at timestamptz not null default tollgate.tollgate_now(),
  primary key (org_id, user_id, id)
);
create index idx_kept_responses_kept_at on tollgate.kept_responses (kept_at);
comment on table tollgate.kept_responses is 'Responses and their items, for the user of the organization they were made for and nobody else. Empty unless tollgate.kept_responses_hours is set; removed after so many hours.';
comment on column tollgate.kept_responses.kept is 'JSON: an item as the caller got it; of a response, {"input": what the model read, "response": what the caller got}.';
