#!/usr/bin/env node
/** The command line. Results go to standard output, everything else to standard error; exit codes are in usage.ts. */
import './small-heap.ts'
import './compile-cache.ts'
import { CommandError, EXIT } from './commands/exit.ts'
import { type Options, readOptions } from './commands/options.ts'
import { commandsOf, HELP, helpFor } from './commands/usage.ts'
import { version } from './commands/version.ts'
import { withoutSecrets } from './observe/without-secrets.ts'

type Command = (options: Options) => number | Promise<number>

/** Each is loaded when it is named: a command that only prints does not wait for what a server is made of. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./commands/start.ts')).start,
  // Not for people: start --workers starts it.
  worker: async () => (await import('./commands/worker.ts')).serveAsWorker,
  migrate: async () => (await import('./commands/migrate.ts')).migrateSchema,
  backup: async () => (await import('./commands/backup.ts')).backup,
  restore: async () => (await import('./commands/backup.ts')).restore,
  audit: async () => (await import('./commands/audit.ts')).auditBooks,
  'check-config': async () => (await import('./commands/check-config.ts')).checkConfig,
  'org create': async () => (await organizations()).orgCreate,
  'org list': async () => (await organizations()).orgList,
  'org show': async () => (await organizations()).orgShow,
  'org suspend': async () => (await organizations()).orgSuspend,
  'org resume': async () => (await organizations()).orgResume,
  'org add-credits': async () => (await organizations()).orgAddCredits,
  'member list': async () => (await organizations()).memberList,
  'member add': async () => (await organizations()).memberAdd,
  'member allocate': async () => (await organizations()).memberAllocate,
  'member default': async () => (await organizations()).memberDefault,
  'erase-user': async () => (await import('./commands/erase-user.ts')).eraseUserData,
  'key create': async () => (await organizations()).keyCreate,
  'key list': async () => (await organizations()).keyList,
  'key revoke': async () => (await organizations()).keyRevoke,
  'service-key create': async () => (await serviceKeys()).serviceKeyCreate,
  'service-key rotate': async () => (await serviceKeys()).serviceKeyRotate,
  'service-key revoke': async () => (await serviceKeys()).serviceKeyRevoke,
  'service-key list': async () => (await serviceKeys()).serviceKeyList,
  'keys rotate': async () => (await import('./commands/keys.ts')).keysRotate,
  'keys import-fernet': async () => (await import('./commands/keys.ts')).keysImportFernet,
  'migrate-from ops-center': async () => (await import('./commands/migrate-from.ts')).migrateFromOpsCenter,
  'migrate-from litellm': async () => (await import('./commands/migrate-from-litellm.ts')).migrateFromLitellm,
  'shadow litellm': async () => (await import('./commands/shadow-litellm.ts')).shadowLitellm,
  disputes: async () => (await import('./commands/disputes.ts')).disputesList,
  'disputes settle': async () => (await import('./commands/disputes.ts')).disputesSettle,
  'reconcile openai': async () => (await reconcile()).reconcileOpenai,
  'reconcile anthropic': async () => (await reconcile()).reconcileAnthropic,
  'reconcile openrouter': async () => (await reconcile()).reconcileOpenrouter,
  'outbox list': async () => (await outbox()).outboxList,
  'outbox retry': async () => (await outbox()).outboxRetry,
  'outbox replay': async () => (await outbox()).outboxReplay,
  'outbox verify': async () => (await outbox()).outboxVerify,
}

const organizations = () => import('./commands/organizations.ts')
const outbox = () => import('./commands/outbox.ts')
const reconcile = () => import('./commands/reconcile.ts')
const serviceKeys = () => import('./commands/service-keys.ts')

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--version') || args[0] === 'version') return print(version())
  const words = args.findIndex((arg) => arg.startsWith('-'))
  const named = args.slice(0, words < 0 ? args.length : words).join(' ')
  if (args.includes('--help') || args.includes('-h') || args[0] === 'help')
    return print(helpFor(named.replace(/^help ?/, '')) ?? HELP)
  const name = named || 'start'
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (load === undefined) throw new CommandError(EXIT.usage, noCommand(name))
  const options = readOptions(name, args.slice(words < 0 ? args.length : words), process.env)
  return (await load())(options)
}

/** With those that begin with the same word. */
function noCommand(name: string): string {
  const near = commandsOf(name.split(' ')[0] ?? '')
  const advice = near.length === 0 ? 'tollgate --help lists them.' : `There are: ${near.join(', ')}.`
  return `There is no command '${name}'. ${advice}`
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return EXIT.ok
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`tollgate: ${withoutSecrets((error as Error).message)}\n`)
  process.exitCode = error instanceof CommandError ? error.exitCode : EXIT.failed
}
