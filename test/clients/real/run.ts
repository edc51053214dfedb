/**
 * npm run clients: real programs against the product, each scene with its books. Clients are installed outside the repository, once, and pinned (install.ts).
 *   --quick        only the scenes that CI plays
 *   --require      a client that can't be installed fails the run
 *   --cache DIR    where clients are installed (default: $TOLLGATE_CLIENTS or ~/.cache/tollgate-clients)
 *   WORDS          only scenes whose client or title contains one of them
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from '../../../src/db/connect.ts'
import { openEmbeddedStore } from '../../../src/db/embedded.ts'
import { migrate } from '../../../src/db/migrate.ts'
import { audit } from '../../../src/ledger/audit.ts'
import { codingAgents } from './coding-agents.ts'
import { commandLines } from './command-lines.ts'
import { install } from './install.ts'
import { openLane, type Stand } from './lane.ts'
import { nodeClients } from './node-clients.ts'
import { pythonClients } from './python-clients.ts'
import { secondsSince } from './run-client.ts'
import type { Installed, Scene } from './scene.ts'

const LANES = 2
const ALL: readonly Scene[] = [...codingAgents, ...nodeClients, ...pythonClients, ...commandLines]

interface Played {
  scene: Scene
  seconds: number
  asked: number
  reached: number
  error: string | null
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, require: { type: 'boolean' }, cache: { type: 'string' } },
  })
  const scenes = ALL.filter(
    ({ client, title, quick }) =>
      (!values.quick || quick === true) &&
      (positionals.length === 0 || positionals.some((word) => `${client} ${title}`.includes(word))),
  )
  const cache = values.cache ?? process.env.TOLLGATE_CLIENTS ?? join(homedir(), '.cache', 'tollgate-clients')
  const { installed, missing } = await install(cache, new Set(scenes.map(({ client }) => client)))
  for (const [client, why] of missing) process.stdout.write(`skipped: ${client} can't be installed: ${why}\n`)
  const home = await mkdtemp(join(tmpdir(), 'tollgate-clients-'))
  await chmod(home, 0o711)
  const store = await openEmbeddedStore(join(home, 'data'))
  await migrate(store.url)
  const database = connect(store.url)
  const played: Played[] = []
  try {
    const queue = scenes.filter(({ client }) => !missing.has(client))
    await Promise.all(
      Array.from({ length: Math.min(LANES, queue.length) }, async () => {
        const lane = await openLane({ url: store.url, database }, home)
        for (let scene = queue.shift(); scene !== undefined; scene = queue.shift()) {
          const one = await play(scene, await lane.stand(), installed)
          played.push(one)
          report(one)
        }
        await lane.close()
      }),
    )
    const { findings, openHolds } = await audit(database)
    const failed = played.filter(({ error }) => error !== null).length
    process.stdout.write(
      `${played.length - failed} of ${played.length} scenes as they should be; ${findings.length} differences in the books, ${openHolds} calls held\n`,
    )
    return failed + findings.length + openHolds + (values.require ? missing.size : 0) === 0 ? 0 : 1
  } finally {
    await database.close()
    await store.close()
    await rm(home, { recursive: true, force: true })
  }
}

async function play(scene: Scene, stand: Stand, installed: Installed): Promise<Played> {
  const begun = performance.now()
  const error = await scene.play(stand, installed).then(
    () => null,
    (reason: Error) => reason.message,
  )
  return {
    scene,
    seconds: secondsSince(begun),
    asked: stand.exchanges.length,
    reached: stand.upstreamCalls(),
    error:
      error === null
        ? null
        : `${error}\nit asked: ${stand.exchanges
            .slice(0, 40)
            .map(({ method, path, status }) => `${method} ${path} ${status}`)
            .join(', ')}`,
  }
}

function report({ scene: { client, title }, seconds, asked, reached, error }: Played): void {
  process.stdout.write(
    `${error === null ? 'ok    ' : 'FAILED'} ${client} ${title} (${seconds} s, asked ${asked} times, the provider ${reached} times)\n`,
  )
  if (error !== null) process.stdout.write(`${error.replace(/^/gm, '       ')}\n`)
}

process.exitCode = await main()
