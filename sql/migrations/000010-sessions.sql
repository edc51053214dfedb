-- People who logged in, where no Redis keeps their sessions.

create table tollgate.sessions (
  token_hash bytea primary key check (length(token_hash) = 32),
  data jsonb not null,
  expires_at timestamptz not null
);
create index idx_sessions_expires_at on tollgate.sessions (expires_at);
comment on table tollgate.sessions is 'Sessions of people who logged in, where no Redis keeps them.';
comment on column tollgate.sessions.token_hash is 'SHA-256. A token is 256 random bits; the browser alone has it.';
