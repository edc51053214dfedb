-- What quotes are signed with: every replica of this database takes the quotes of every other. Each gen_random_uuid() has 122 random
-- bits. Whoever has it can promise himself an old price, never one below the provider's cost.

create table tollgate.quote_secret (
  secret bytea not null check (length(secret) = 64),
  is_only boolean primary key default true check (is_only)
);
insert into tollgate.quote_secret (secret)
  select uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
comment on table tollgate.quote_secret is 'One row: what quotes are signed with. Made here, read by the program, shown to nobody.';
