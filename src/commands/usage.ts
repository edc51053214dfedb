export const HELP = `tollgate - an OpenAI-compatible proxy that meters every call against prepaid credits

usage: tollgate <command> [flags]        (in the repository: npm start -- <command>, or npx tollgate <command>)

commands
  start          serve calls (the default). Where DATABASE_URL names the database its schema must be up to date: [--migrate]
                 brings it there first; Tollgate's own PostgreSQL is always brought there
  migrate        bring the database schema up to date, as the role that owns it. Apart from start --migrate no other command
                 does; [--check] only says what is to be done (exit code 1 when there is something)
  audit          recompute every balance from the rows and print differences [--json]
  check-config   print what config.yaml was understood as, and every problem with its line
  org create     make an organization: --name acme [--plan platform|byok|hybrid] [--credits 10000]
  key create     make an API key, shown once: --org acme --user alice [--allocate 5000]
                 [--role member|admin|owner|billing_admin] [--label text]
  keys rotate    seal every provider key anew under another root key, while calls run: [--new-root-key-file next-root-key]
                 (without it: under the key in KMS; with Tollgate's own PostgreSQL under a new one of its own)
  keys import-fernet
                 seal provider keys that Ops-Center stored as Fernet tokens (gAAAA...), opened with ENCRYPTION_KEY
  disputes       list calls whose provider stated what is not possible: charged, and what was stated [--json]
  disputes settle
                 settle one, once: --call ID, and one of --credits N, --as-stated, --as-charged

flags            environment             default
  --config       TOLLGATE_CONFIG         ./config.yaml, else the one that comes with Tollgate
  --data-dir     TOLLGATE_DATA_DIR       ./data    (Tollgate's own PostgreSQL, when there is no DATABASE_URL, and the spool)
  --host         TOLLGATE_HOST           127.0.0.1
  --port         TOLLGATE_PORT           8084      (0 takes any free one)
  --log-level    TOLLGATE_LOG_LEVEL      info      (trace debug info warn error fatal silent)
  --help  --version

environment
  DATABASE_URL         a PostgreSQL (14 or later) to use instead of Tollgate's own
  TOLLGATE_MASTER_KEY  the operator's key, where config.yaml sets none
  TOLLGATE_ROOT_KEY    32 random bytes in base64 that seal provider keys; TOLLGATE_ROOT_KEY_FILE a file with them. Several, apart
                       by spaces, are all used to open. Needed with DATABASE_URL; else made once, in the data directory
  TOLLGATE_KMS_KEY_ARN a key of AWS KMS to seal provider keys under instead; AWS's own variables say how to get there
  ENCRYPTION_KEY       opens provider keys that Ops-Center stored (BYOK_ENCRYPTION_KEY likewise)
  TOLLGATE_METRICS_TOKEN  opens /metrics to a collector, and nothing else
  TOLLGATE_SPOOL_DIR   where settlements wait that the database could not take; else spool in the data directory
  OPENAI_API_KEY       makes OpenAI's models live

exit codes
  0 done   1 not done, audit found differences, or migrate --check something to do   2 wrong command or flag   3 config.yaml has errors
  4 database not to be started, reached or understood   5 port not to be had`
