#!/bin/sh
# Makes the secrets of compose.yaml in the folders of $1 (/run/tollgate), one folder a service: each once, random. A container mounts
# its own folder and no other, so that the files may be read by whoever runs in it. Run again it changes nothing; a file that is
# missing is made, one that was cut short can't be there.
set -eu
cd "${1:-/run/tollgate}"

random() {
  head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

# keep FILE: what comes in becomes the file, in whole or not at all.
keep() {
  cat > "$1.new"
  [ -s "$1.new" ]
  chmod 0444 "$1.new"
  sync
  mv "$1.new" "$1"
}

# url ROLE: how that role reaches the database.
url() {
  echo "postgresql://$1:$(cat "database/$1")@unicorn-postgresql:5432/unicorn_db"
}

# Passwords of the database's roles: the server's own, the owner of the schema, the program, SQL callers.
for role in postgres tollgate_owner tollgate_proxy unicorn; do
  [ -e "database/$role" ] || random 24 | keep "database/$role"
done
[ -e prometheus/metrics_token ] || random 24 | keep prometheus/metrics_token
[ -e migrate/migrate.env ] || echo "DATABASE_URL=$(url tollgate_owner)" | keep migrate/migrate.env
[ -e redis/redis_password ] || random 24 | keep redis/redis_password
redis_url="redis://:$(cat redis/redis_password)@unicorn-redis:6379/0"
[ -e proxy/proxy.env ] || keep proxy/proxy.env << END
DATABASE_URL=$(url tollgate_proxy)
TOLLGATE_MASTER_KEY=sk-$(random 24)
TOLLGATE_METRICS_TOKEN=$(cat prometheus/metrics_token)
REDIS_URL=$redis_url
END
# Made before Redis was used.
grep -q '^REDIS_URL=' proxy/proxy.env || echo "REDIS_URL=$redis_url" >> proxy/proxy.env
[ -e proxy/root_key ] || head -c 32 /dev/urandom | base64 | keep proxy/root_key
[ -e callers/callers.env ] || echo "DATABASE_URL=$(url unicorn)" | keep callers/callers.env
[ -e redis/redis.conf ] || echo "requirepass $(cat redis/redis_password)" | keep redis/redis.conf
[ -e grafana/grafana_password ] || random 12 | keep grafana/grafana_password
