#!/bin/sh
# Makes the secrets of compose.yaml in $1 (/run/tollgate), each once: random, in a file only its reader can read. Run again it
# changes nothing; a file that is missing is made, one that was cut short can't be there.
set -eu
umask 077
cd "${1:-/run/tollgate}"

random() {
  head -c "$1" /dev/urandom | od -An -v -tx1 | tr -d ' \n'
}

# keep FILE OWNER: what comes in becomes the file, in whole or not at all.
keep() {
  cat > "$1.new"
  [ -s "$1.new" ]
  chmod 0400 "$1.new"
  chown "$2" "$1.new"
  sync
  mv "$1.new" "$1"
}

# Who reads what: PostgreSQL is 999 in its image, Tollgate 10001, Prometheus 65534, Grafana 472.
[ -e postgres_password ] || random 24 | keep postgres_password 999:999
[ -e metrics_token ] || random 24 | keep metrics_token 65534:65534
[ -e proxy.env ] || keep proxy.env 10001:10001 << END
DATABASE_URL=postgresql://unicorn:$(cat postgres_password)@unicorn-postgresql:5432/unicorn_db
TOLLGATE_MASTER_KEY=sk-$(random 24)
TOLLGATE_METRICS_TOKEN=$(cat metrics_token)
END
[ -e root_key ] || head -c 32 /dev/urandom | base64 | keep root_key 10001:10001
[ -e grafana_password ] || random 12 | keep grafana_password 472:472
# To be passed through, not to be listed.
chmod 0711 .
