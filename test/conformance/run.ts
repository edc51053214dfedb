/**
 * npm run conformance -- <folder of recordings> [...]: replays recorded provider exchanges through the running product, cut in
 * several ways, and compares what callers and books see with what each recording is known to mean. Exit code 1 on a difference,
 * and when a folder is named of a provider that can't be called; in a folder of folders such providers are only listed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { providerNames } from '../../providers/registry.ts'
import { createKey } from '../../src/admin/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import { connect } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { audit } from '../../src/ledger/audit.ts'
import { awkward, every, everyByte, seeded, whole } from '../support/splits.ts'
import { startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import { differences, statusFor } from './check.ts'
import { type Recording, readRecordings } from './recording.ts'
import { type Replayer, replay, type Variant } from './replay.ts'

const SPLITS = {
  whole,
  'every byte': everyByte,
  'every 7 bytes': every(7),
  awkward,
  'random 1': seeded(1),
  'random 2': seeded(2, 100),
}
const CREDITS = 1_000_000_000n * 1_000_000n

interface Result {
  recording: Recording
  variants: number
  /** One line a difference, with its variant. */
  failures: string[]
}

async function main(folders: readonly string[]): Promise<number> {
  if (folders.length === 0) throw new Error('usage: npm run conformance -- <folder of recordings> [...]')
  const recordings = (await Promise.all(folders.map(readRecordings))).flat()
  const supported = recordings.filter(({ provider }) => !isMissing(provider))
  if (supported.length === 0) throw new Error(`no recordings of ${providerNames().join(', ')} in ${folders.join(', ')}`)
  const { results, findings } = await withProduct((replayer) => replayAll(replayer, supported))
  report(results, recordings)
  if (findings > 0) process.stdout.write(`The audit found ${findings} differences in the books.\n`)
  const named = new Set(folders.map((folder) => basename(resolve(folder))))
  const missing = recordings.some(({ name, provider }) => isMissing(provider) && named.has(name.split('/')[0] ?? ''))
  return missing || findings > 0 || results.some(({ failures }) => failures.length > 0) ? 1 : 0
}

function isMissing(provider: string): boolean {
  return !providerNames().includes(provider)
}

async function withProduct(
  run: (replayer: Replayer) => Promise<Result[]>,
): Promise<{ results: Result[]; findings: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-conformance-'))
  // Run by root, the store's unprivileged user must get through.
  await chmod(folder, 0o755)
  const store = await openEmbeddedStore(join(folder, 'data'))
  await migrate(store.url)
  const database = connect(store.url)
  await createOrganization(database, { name: 'conformance', plan: 'platform', credits: CREDITS })
  const { key } = await createKey(database, {
    organization: 'conformance',
    user: 'replay',
    allocate: CREDITS,
    role: null,
    name: null,
  })
  const upstream = await startUpstream()
  const config = {
    model_list: [
      {
        model_name: '*',
        litellm_params: { model: 'openai/*', api_base: upstream.url, api_key: 'os.environ/SCRIPTED_API_KEY' },
      },
    ],
    litellm_settings: { num_retries: 0 },
  }
  const tollgate = await startTollgate({ databaseUrl: store.url, config: JSON.stringify(config) })
  try {
    const results = await run({ url: tollgate.url, key, upstream })
    const { findings, openHolds } = await audit(database)
    return { results, findings: findings.length + openHolds }
  } finally {
    await tollgate.stop()
    await upstream.close()
    await database.close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}

async function replayAll(replayer: Replayer, recordings: readonly Recording[]): Promise<Result[]> {
  const results: Result[] = []
  for (const recording of recordings) {
    progress(`${results.length + 1}/${recordings.length} ${recording.name}`)
    const failures: string[] = []
    const variants = variantsOf(recording)
    for (const variant of variants) {
      const found = differences(recording, variant, await replay(replayer, recording, variant))
      failures.push(...found.map((difference) => `${variant.name}: ${difference}`))
    }
    results.push({ recording, variants: variants.length, failures })
  }
  progress('')
  return results
}

function variantsOf({ stream, oracle }: Recording): Variant[] {
  const usage = stream && oracle !== null ? [false, true] : [false]
  return Object.entries(SPLITS).flatMap(([name, split]) =>
    usage.map((includeUsage) => ({ name: includeUsage ? `${name}, with usage` : name, split, includeUsage })),
  )
}

/** A line that is written over, for people who wait. */
function progress(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[K${text}`)
}

function report(results: readonly Result[], all: readonly Recording[]): void {
  const row = (...cells: (string | number)[]) =>
    process.stdout.write(
      `${cells
        .map((cell) => String(cell).padEnd(22))
        .join('')
        .trimEnd()}\n`,
    )
  row('provider', 'recordings', 'replays', 'passed', 'failed')
  for (const [provider, of] of Map.groupBy(results, ({ recording }) => recording.provider)) {
    const failed = of.filter(({ failures }) => failures.length > 0).length
    row(
      provider,
      of.length,
      of.reduce((sum, { variants }) => sum + variants, 0),
      of.length - failed,
      failed,
    )
  }
  for (const [provider, of] of Map.groupBy(all, (recording) => recording.provider)) {
    if (isMissing(provider)) row(provider, of.length, 'not supported by this version')
  }
  const exceptions = results.flatMap(({ recording }) => {
    const { exception } = statusFor(recording)
    return exception === null ? [] : [`  ${recording.name}: ${exception}`]
  })
  if (exceptions.length > 0)
    process.stdout.write(`status differs from the recording on purpose:\n${exceptions.join('\n')}\n`)
  for (const { recording, failures } of results)
    for (const failure of failures) process.stdout.write(`FAILED ${recording.name}, ${failure}\n`)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`conformance: ${(error as Error).message}\n`)
  process.exitCode = 2
}
