#!/usr/bin/env node
/** The command line. Results go to standard output, everything else to standard error; exit codes are in usage.ts. */
import './small-heap.ts'
import { auditBooks } from './commands/audit.ts'
import { checkConfig } from './commands/check-config.ts'
import { disputesList, disputesSettle } from './commands/disputes.ts'
import { CommandError, EXIT } from './commands/exit.ts'
import { keysImportFernet, keysRotate } from './commands/keys.ts'
import { migrateSchema } from './commands/migrate.ts'
import { migrateFromOpsCenter } from './commands/migrate-from.ts'
import { readOptions } from './commands/options.ts'
import {
  keyCreate,
  keyList,
  keyRevoke,
  memberAdd,
  memberAllocate,
  memberList,
  orgAddCredits,
  orgCreate,
  orgList,
  orgResume,
  orgShow,
  orgSuspend,
} from './commands/organizations.ts'
import { serviceKeyCreate, serviceKeyList, serviceKeyRevoke, serviceKeyRotate } from './commands/service-keys.ts'
import { start } from './commands/start.ts'
import { commandsOf, HELP, helpFor } from './commands/usage.ts'
import { version } from './commands/version.ts'
import { withoutSecrets } from './observe/log.ts'

const COMMANDS = {
  start,
  migrate: migrateSchema,
  audit: auditBooks,
  'check-config': checkConfig,
  'org create': orgCreate,
  'org list': orgList,
  'org show': orgShow,
  'org suspend': orgSuspend,
  'org resume': orgResume,
  'org add-credits': orgAddCredits,
  'member list': memberList,
  'member add': memberAdd,
  'member allocate': memberAllocate,
  'key create': keyCreate,
  'key list': keyList,
  'key revoke': keyRevoke,
  'service-key create': serviceKeyCreate,
  'service-key rotate': serviceKeyRotate,
  'service-key revoke': serviceKeyRevoke,
  'service-key list': serviceKeyList,
  'keys rotate': keysRotate,
  'keys import-fernet': keysImportFernet,
  'migrate-from ops-center': migrateFromOpsCenter,
  disputes: disputesList,
  'disputes settle': disputesSettle,
} as const

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--version') || args[0] === 'version') return print(version())
  const words = args.findIndex((arg) => arg.startsWith('-'))
  const named = args.slice(0, words < 0 ? args.length : words).join(' ')
  if (args.includes('--help') || args.includes('-h') || args[0] === 'help')
    return print(helpFor(named.replace(/^help ?/, '')) ?? HELP)
  const name = named || 'start'
  if (!Object.hasOwn(COMMANDS, name)) throw new CommandError(EXIT.usage, noCommand(name))
  return COMMANDS[name as keyof typeof COMMANDS](
    readOptions(name, args.slice(words < 0 ? args.length : words), process.env),
  )
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
