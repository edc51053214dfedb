#!/bin/sh
# Run once, by PostgreSQL's image, in a database that is new: the roles of compose.yaml. The owner migrates, the program owns nothing,
# SQL callers (user unicorn) may execute the public functions and read the public tables. What roles may do is granted by `migrate`.
set -eu
secrets=${TOLLGATE_SECRETS:-/run/tollgate}

psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
  --set=database="$POSTGRES_DB" \
  --set=owner="$(cat "$secrets/tollgate_owner")" \
  --set=proxy="$(cat "$secrets/tollgate_proxy")" \
  --set=caller="$(cat "$secrets/unicorn")" << 'END'
create role tollgate_app nologin;
create role tollgate_caller nologin;
create role tollgate_owner login password :'owner';
create role tollgate_proxy login password :'proxy' in role tollgate_app;
create role unicorn login password :'caller' in role tollgate_caller;
alter database :"database" owner to tollgate_owner;
revoke all on database :"database" from public;
grant connect on database :"database" to tollgate_app, tollgate_caller;
END
