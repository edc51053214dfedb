/** `tollgate outbox ...`: who is told of events, how far each is, and what could not be delivered. */
import { findOrganization } from '../billing/find-organization.ts'
import type { Database } from '../db/connect.ts'
import { readConsumers } from '../outbox/consumer-states.ts'
import { listDeadLetters, replayDays, replayDead, retryNow, verifyConsumer } from '../outbox/operate.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'
import { withStore } from './with-store.ts'

export async function outboxList(options: Options): Promise<number> {
  const { consumers, letters } = await withStore(options, async (database) => ({
    consumers: await readConsumers(database),
    letters: await listDeadLetters(database),
  }))
  if (options.json) print(JSON.stringify({ consumers, dead_letters: letters }, null, 2))
  else {
    process.stdout.write(printRows(consumers, 'Nobody is told of events: name consumers in tollgate.outbox.'))
    if (letters.length > 0) process.stdout.write(`\n${printRows(letters, '')}`)
  }
  return EXIT.ok
}

export async function outboxRetry(options: Options): Promise<number> {
  const tried = await withConsumer(options, (database) => retryNow(database, options.consumer))
  print(`${tried} are tried at once.`)
  return EXIT.ok
}

export async function outboxReplay(options: Options): Promise<number> {
  const { consumer, event, days, org } = options
  if (org !== '' && days === null)
    throw new CommandError(EXIT.usage, '--org goes with --from and --to: say of which days everything is sent again.')
  const count = await withConsumer(options, async (database) => {
    if (days === null) return replayDead(database, consumer, event === '' ? null : event)
    return replayDays(database, consumer, days, org === '' ? null : (await findOrganization(database.query, org)).id)
  })
  print(`${count} events are sent again.`)
  return EXIT.ok
}

/** Exit code 1 where something is missing or too much that does not wait. */
export async function outboxVerify(options: Options): Promise<number> {
  const differences = await withStore(options, async (database) => {
    const names = (await readConsumers(database)).map(({ name }) => name)
    return (await Promise.all(names.map((name) => verifyConsumer(database, name)))).flat()
  })
  if (options.json) print(JSON.stringify(differences, null, 2))
  else process.stdout.write(printRows(differences, 'Every consumer has taken what the books say.'))
  return differences.every(({ explained }) => explained) ? EXIT.ok : EXIT.failed
}

function withConsumer<Result>(options: Options, work: (database: Database) => Promise<Result>): Promise<Result> {
  return withStore(options, async (database) => {
    const names = (await readConsumers(database)).map(({ name }) => name)
    if (names.includes(options.consumer)) return work(database)
    const known = names.length === 0 ? 'none was ever started' : `there are: ${names.join(', ')}`
    throw new CommandError(EXIT.failed, `There is no consumer '${options.consumer}'; ${known}.`)
  })
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
