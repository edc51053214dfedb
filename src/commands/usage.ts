/** What `--help` prints, for all commands or for one. */

interface CommandHelp {
  /** What it does. */
  does: string
  /** Its own flags, as an operator types them. */
  flags: string
}

const RECONCILE_FLAGS =
  '[--file costs.csv] [--keys key_abc=DEPLOYMENT,key_abc=OTHER] [--tolerance 0.01] [--api-base https://api.openai.com/v1] [--json]'

export const COMMAND_HELP: Readonly<Record<string, CommandHelp>> = {
  start: {
    does: "serve calls (the default). Where DATABASE_URL names the database its schema must be up to date: --migrate brings it there first; Tollgate's own PostgreSQL is always brought there. --workers serves the port by several processes, auto by one a processor",
    flags:
      '[--host 127.0.0.1] [--port 8084] [--workers 1|N|auto] [--migrate] [--accept-unenforced max_budget,guardrails]',
  },
  migrate: {
    does: 'bring the database schema up to date, as the role that owns it. Only start --migrate does so too. --check only prints what would be done (exit code 1 when the schema is not up to date)',
    flags: '[--check]',
  },
  audit: {
    does: 'recompute every balance from the rows and print differences (exit code 1). Where there is none, what the rows add up to until today is written down with a digest; --since-last starts from there, in seconds. --expect takes the digest that the last audit printed, and fails where another one stands there',
    flags: '[--since-last] [--expect DIGEST] [--json]',
  },
  backup: {
    does: 'write every row of the books, keys and settings into a new folder, as of one instant, while calls run. Provider keys stay sealed: the root key is not in it',
    flags: '--to backup-2026-11-30',
  },
  restore: {
    does: 'put a backup into an empty database (or a new data directory), all or nothing, and audit it; exit code 1 where the audit finds differences',
    flags: '--from backup-2026-11-30',
  },
  'check-config': {
    does: 'print how config.yaml was understood, every problem with its line, and a verdict: what serves, what is refused at the call, which protections are not enforced, what has no effect',
    flags: '[--accept-unenforced max_budget,guardrails]',
  },
  'org create': { does: 'make an organization', flags: '--name acme [--plan platform|byok|hybrid] [--credits 10000]' },
  'org list': { does: 'list organizations with their plans and pools', flags: '[--json]' },
  'org show': { does: 'print one', flags: '--org acme' },
  'org suspend': {
    does: 'refuse calls of an organization within a second; running calls are ended and settled',
    flags: '--org acme',
  },
  'org resume': { does: 'accept calls of a suspended organization again', flags: '--org acme' },
  'org add-credits': { does: 'add credits to the pool of an organization', flags: '--org acme --credits 10000' },
  'member list': { does: 'list members with their roles and allocations', flags: '--org acme [--json]' },
  'member add': {
    does: 'add a member, or change the role of one',
    flags: '--org acme --user alice [--role member|admin|owner|billing_admin] [--allocate 5000]',
  },
  'member allocate': {
    does: 'move credits from the pool to a member',
    flags: '--org acme --user alice --credits 5000',
  },
  'member default': {
    does: 'choose the organization of a user who is a member of several, for requests that name none',
    flags: '--org acme --user alice',
  },
  'erase-user': {
    does: "erase a person's data: the id becomes a pseudonym in books, limits, logs and events, keys and sessions end, amounts stay. Without --org everywhere, for an id that is a UUID. docs/operating.md says what is not reached",
    flags: '--user alice [--org acme]',
  },
  'key create': {
    does: 'make an API key, shown once; its user becomes a member',
    flags: '--org acme --user alice [--allocate 5000] [--role member|admin|owner|billing_admin] [--label text]',
  },
  'key list': { does: 'list API keys, never the keys themselves', flags: '[--org acme] [--json]' },
  'key revoke': { does: 'refuse a key everywhere within a second', flags: '--key ID' },
  'service-key create': {
    does: 'make the key of an application, shown once; its calls are paid from the part of the pool that is not allocated to users',
    flags:
      '--name loopnet --org loopnet [--user loopnet-service] [--act-as none|members] [--models gpt-4o-mini,claude-*] [--routes llm,billing] [--requests-per-minute 600] [--tokens-per-minute 100000] [--calls-at-once 50]',
  },
  'service-key rotate': {
    does: 'make the next key of a service, shown once; the old one stays valid for some hours',
    flags: '--name loopnet [--overlap-hours 24]',
  },
  'service-key revoke': { does: 'refuse every key of a service within a second', flags: '--name loopnet' },
  'service-key list': { does: 'list keys of services, never the keys themselves', flags: '[--json]' },
  'keys rotate': {
    does: "seal every provider key anew under another root key, while calls run (without a file: under the key in KMS; with Tollgate's own PostgreSQL under a new one of its own)",
    flags: '[--new-root-key-file next-root-key]',
  },
  'keys import-fernet': {
    does: 'seal provider keys that Ops-Center stored as Fernet tokens (gAAAA...), opened with ENCRYPTION_KEY',
    flags: '',
  },
  'migrate-from ops-center': {
    does: "carry organizations, members, plans, pools, allocations, use, history and provider keys of an Ops-Center (ENCRYPTION_KEY opens the keys) into this Tollgate, all or nothing; --dry-run only says what would be carried, what does not add up there and what is left. Theirs is only read; what is here already is passed over, so a second run changes nothing. --cover-shortage: where allocations hand out more than their pool has, the pool gets as much more (else the organization is left). Exit code 0: carried, and all adds up; 1: carried, but something there does not add up or is left; 4: a database can't be used. docs/migrating-from-ops-center.md",
    flags: '--database postgresql://user@host/unicorn_db [--dry-run] [--cover-shortage] [--json]',
  },
  'migrate-from litellm': {
    does: "carry virtual keys (by their hashes: clients keep theirs), users, teams, organizations, customers and budgets of a LiteLLM, with what was spent of them, into this Tollgate; --dry-run only says what would be carried and what is left. Theirs is only read; what is here already stays, so a second run changes nothing but adds what was spent there meanwhile. LITELLM_DATABASE_URL names the database without showing its password. --models-to writes deployments of its database into a file to include in config.yaml, opened with LITELLM_SALT_KEY. --accept-unenforced carries keys without restrictions that are not enforced here. Exit code 0: all is carried; 1: something is left; 4: a database can't be used. docs/migrating-from-litellm.md",
    flags:
      '[--database postgresql://user@host/litellm] [--dry-run] [--models-to models.yaml] [--accept-unenforced guardrails,policies] [--json]',
  },
  'shadow litellm': {
    does: 'price what LiteLLM logged (SpendLogs) with the prices of this config.yaml, calling nobody: by key and model what it booked, what was due, and why they differ. LITELLM_DATABASE_URL as for migrate-from litellm. Exit code 1 where they differ',
    flags: '[--database postgresql://user@host/litellm] [--from 2026-11-01] [--to 2026-12-01] [--json | --csv]',
  },
  disputes: {
    does: 'list calls whose provider stated an impossible usage, with what was charged and what was stated',
    flags: '[--json]',
  },
  'disputes settle': {
    does: 'settle one, once',
    flags: '--call ID, and one of --credits N, --as-stated, --as-charged',
  },
  'outbox list': {
    does: 'list who is told of events, how far each is, and events that were given up',
    flags: '[--json]',
  },
  'outbox retry': { does: 'try at once what waits for its next attempt', flags: '--consumer billing' },
  'outbox replay': {
    does: 'send again what was given up; or with --from and --to (days in UTC, both in) everything of these days, with the same ids',
    flags: '--consumer billing [--event ID] [--from 2026-01-01 --to 2026-01-31 [--org acme]]',
  },
  'reconcile openai': {
    does: 'compare what OpenAI billed (its cost report, asked with OPENAI_ADMIN_KEY, or a downloaded CSV) with what is booked, by day, model and, with --keys, key, and name the calls that may explain a difference; days in UTC, both in. Exit code 1 where no call explains one. docs/operating.md',
    flags: `--from 2026-11-01 --to 2026-11-30 ${RECONCILE_FLAGS}`,
  },
  'reconcile anthropic': {
    does: "the same with Anthropic's cost report and ANTHROPIC_ADMIN_KEY",
    flags: `--from 2026-11-01 --to 2026-11-30 ${RECONCILE_FLAGS}`,
  },
  'reconcile openrouter': {
    does: "the same with OpenRouter's activity of the last 30 days and OPENROUTER_MANAGEMENT_KEY, or the stored provisioning key",
    flags: `--from 2026-11-01 --to 2026-11-30 ${RECONCILE_FLAGS}`,
  },
  'outbox verify': {
    does: 'compare the charges that each consumer took with the books, by organization and day, and print differences; exit code 1 for one that is not explained by what waits',
    flags: '[--json]',
  },
}

const SHARED = `flags of every command    environment             default
  --config                TOLLGATE_CONFIG         ./config.yaml, else the one that comes with Tollgate
  --data-dir              TOLLGATE_DATA_DIR       ./data    (Tollgate's own PostgreSQL, when there is no DATABASE_URL, and the spool)
  --log-level             TOLLGATE_LOG_LEVEL      info      (trace debug info warn error fatal silent)
  --help  --version`

const REST = `environment
  DATABASE_URL         a PostgreSQL (14 or later) to use instead of Tollgate's own
  TOLLGATE_HOST        as --host of start: the address to listen on
  TOLLGATE_PORT        as --port of start (0 takes any free one)
  TOLLGATE_WORKERS     as --workers of start: how many processes serve the port
  TOLLGATE_ACCEPT_UNENFORCED  as --accept-unenforced of start: protections that config.yaml asks for, that are not enforced
                       here, and that you do without
  TOLLGATE_MASTER_KEY  the operator's key, where config.yaml sets none
  TOLLGATE_ROOT_KEY    32 random bytes in base64 that seal provider keys; TOLLGATE_ROOT_KEY_FILE a file with them. Several, apart
                       by spaces, are all used to open. Needed with DATABASE_URL; else made once, in the data directory
  TOLLGATE_KMS_KEY_ARN a key of AWS KMS to seal provider keys under instead; AWS's own variables say how to get there
  LITELLM_DATABASE_URL as --database of migrate-from litellm and shadow litellm; LITELLM_SALT_KEY opens deployments there
  ENCRYPTION_KEY       opens provider keys that Ops-Center stored (BYOK_ENCRYPTION_KEY likewise)
  OPENAI_ADMIN_KEY     reads OpenAI's cost report for reconcile; ANTHROPIC_ADMIN_KEY and OPENROUTER_MANAGEMENT_KEY likewise
  REDIS_URL            a Redis where replicas share rate limits and sessions; without it each has its own
  TOLLGATE_METRICS_TOKEN  opens /metrics to a collector, and nothing else
  TOLLGATE_SPOOL_DIR   where settlements wait that the database could not take; else spool in the data directory
  OPENAI_API_KEY       makes OpenAI's models live

exit codes
  0 done   1 not done, audit found differences, or migrate --check something to do   2 wrong command or flag   3 config.yaml has errors
  4 database could not be started, reached or understood   5 port is taken
  6 a server of this data directory is running on that port: the message has its process and address`

const NAME_WIDTH = 2 + Math.max(...Object.keys(COMMAND_HELP).map(({ length }) => length))
const LINE_WIDTH = 120

export const HELP = `tollgate - an OpenAI-compatible proxy that meters every call against prepaid credits

usage: tollgate <command> [flags]        (in the repository: npm start -- <command>, or npx tollgate <command>)
       tollgate <command> --help

commands
${Object.entries(COMMAND_HELP).map(entry).join('\n')}

${SHARED}

${REST}`

/** The help of one command, or of all that begin with a word (`org`); null where no command has that name. */
export function helpFor(name: string): string | null {
  const help = Object.hasOwn(COMMAND_HELP, name) ? COMMAND_HELP[name] : undefined
  if (help === undefined) return helpForGroup(name)
  return `tollgate ${name}: ${help.does}\n\nusage: ${`tollgate ${name} ${help.flags}`.trim()}\n\n${SHARED}`
}

function helpForGroup(word: string): string | null {
  const entries = Object.entries(COMMAND_HELP).filter(([name]) => commandsOf(word).includes(name))
  return entries.length === 0 ? null : `tollgate ${word}\n\ncommands\n${entries.map(entry).join('\n')}\n\n${SHARED}`
}

/** The names of the commands that begin with this word. */
export function commandsOf(word: string): string[] {
  return Object.keys(COMMAND_HELP).filter((name) => name.split(' ')[0] === word)
}

function entry([name, { does, flags }]: [string, CommandHelp]): string {
  const indent = ' '.repeat(NAME_WIDTH + 2)
  const [first = '', ...others] = lines(flags === '' ? does : `${does}: ${flags}`, LINE_WIDTH - indent.length)
  return [`  ${name.padEnd(NAME_WIDTH)}${first}`, ...others.map((line) => indent + line)].join('\n')
}

/** Breaks a text into lines, between words. */
function lines(text: string, width: number): string[] {
  const result = ['']
  for (const word of text.split(' ')) {
    const line = result.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > width) result.push(word)
    else result[result.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return result
}
