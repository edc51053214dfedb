/** `tollgate migrate-from litellm`: exit code 1 when something was left. */
import { writeFile } from 'node:fs/promises'
import { stringify } from 'yaml'
import { connect } from '../db/connect.ts'
import type { Deployment } from '../moving/litellm/deployments.ts'
import { type MoveReport, move } from '../moving/litellm/move.ts'
import type { Note } from '../moving/litellm/notes.ts'
import { openLitellm, type Source } from '../moving/litellm/source.ts'
import { SourceError } from '../moving/snapshot.ts'
import { databaseConfig } from './database-config.ts'
import { CommandError, EXIT } from './exit.ts'
import { asCommandError, openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'

/** Log tables of millions of rows take minutes to sum. */
const PATIENCE_MS = 3_600_000
/** The most rows that a terminal shows of those of which the same is to be said. */
const NAMED = 5
const WIDTH = 100

export async function migrateFromLitellm(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const config = await databaseConfig(options, say)
  const source = await openTheirs(options.database)
  try {
    const store = await openStore(options, config, say)
    try {
      const report = await run(options, source, store.url)
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : readable(report, options))
      return report.kinds.some(({ left }) => left > 0) ? EXIT.failed : EXIT.ok
    } finally {
      await store.close()
    }
  } finally {
    await source.close()
  }
}

/** @throws {CommandError} with exit code 4, without the password. */
export async function openTheirs(url: string): Promise<Source> {
  try {
    return await openLitellm(url)
  } catch (error) {
    if (error instanceof SourceError)
      throw new CommandError(EXIT.database, `--database: ${error.message}.`, { cause: error })
    throw asCommandError(error, { named: '--database' })
  }
}

async function run(
  { env, dryRun, acceptUnenforced: accepted, modelsTo }: Options,
  source: Source,
  url: string,
): Promise<MoveReport> {
  const database = connect(url, { maxConnections: 2, patienceMs: PATIENCE_MS })
  const saltKey = env.LITELLM_SALT_KEY || env.LITELLM_MASTER_KEY || null
  const writeDeployments = modelsTo === null ? null : (rows: readonly Deployment[]) => writeModels(modelsTo, rows)
  try {
    return await move({ source, database, dryRun, accepted, saltKey, writeDeployments })
  } finally {
    await database.close()
  }
}

/** For its owner's eyes: it has keys in it. @throws {CommandError} where there is such a file already. */
async function writeModels(file: string, deployments: readonly Deployment[]): Promise<void> {
  try {
    await writeFile(file, stringify({ model_list: deployments }), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    throw new CommandError(EXIT.failed, `--models-to: ${(error as Error).message}. Nothing was carried.`, {
      cause: error,
    })
  }
}

function readable(report: MoveReport, { modelsTo }: Options): string {
  const { source, dry_run: dryRun, kinds, spent_by_keys: spent, keys_without_budget: unbounded, notes } = report
  const rows = kinds.map(({ what, there, carried, already_here: already, left }) => ({
    ...{ what, 'in LiteLLM': there, [dryRun ? 'to carry' : 'carried']: carried, 'already here': already, left },
  }))
  return [
    `${dryRun ? 'Nothing was written. ' : ''}LiteLLM: ${source}\n\n`,
    printRows(rows, ''),
    `\nSpent by carried keys${dryRun ? '' : ', added now'}: $${spent}\n`,
    ...section('Left', notes, 'left'),
    ...section('Otherwise than there', notes, 'changed'),
    `\nNext\n${next(unbounded, modelsTo)
      .map((line) => wrapped(`  - ${line}`))
      .join('')}`,
  ].join('')
}

function next(unbounded: number, modelsTo: string | null): string[] {
  return [
    'Credits: nothing has to be bought. Organizations carried from LiteLLM, and default, are bounded by their budgets alone.',
    ...(unbounded === 0
      ? []
      : [
          `${unbounded} keys have no budget, nor has anybody they belong to: nothing bounds what they spend. /key/update gives them one.`,
        ]),
    ...(modelsTo === null
      ? []
      : [`Name ${modelsTo} under include in config.yaml. It has the keys of providers in it.`]),
    'When LiteLLM has stopped, and a minute after that, run this command again: it adds what was spent there meanwhile.',
  ]
}

/** What is to be said of many rows is said once. */
function section(title: string, notes: readonly Note[], is: Note['is']): string[] {
  const groups = new Map<string, string[]>()
  for (const note of notes.filter((one) => one.is === is)) {
    const name = `${note.what}: ${note.says}`
    groups.set(name, [...(groups.get(name) ?? []), note.row])
  }
  if (groups.size === 0) return []
  const lines = [...groups].map(([says, rows]) => {
    const named = rows
      .slice(0, NAMED)
      .join(', ')
      .replace(/\p{Cc}/gu, '?')
    const more = rows.length > NAMED ? ` and ${rows.length - NAMED} more; --json has all` : ''
    return wrapped(`  - ${says} (${named}${more})`)
  })
  return [`\n${title}\n${lines.join('')}`]
}

function wrapped(text: string): string {
  const lines = ['']
  for (const word of text.split(/(?<=\S) /)) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > WIDTH) lines.push(`    ${word}`)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return `${lines.join('\n')}\n`
}
