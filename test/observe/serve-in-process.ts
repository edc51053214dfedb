/** The product in the test's own process, for its log: everything is real but where the lines go. Ends with the test. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { connect } from '../../src/db/connect.ts'
import { createLog } from '../../src/observe/log.ts'
import { startServer } from '../../src/server.ts'
import { readRootKeys } from '../../src/vault/root-key.ts'
import { configFor, MASTER_KEY, ROOT_KEY } from '../support/tollgate.ts'

export interface InProcess {
  url: string
  /** Everything that was logged, at trace level. */
  lines: string[]
}

export async function serveInProcess(
  databaseUrl: string,
  upstreamUrl: string,
  upstreamKey: string,
  limits: Record<string, unknown> = {},
): Promise<InProcess> {
  const env = { DATABASE_URL: databaseUrl, TOLLGATE_MASTER_KEY: MASTER_KEY, SCRIPTED_API_KEY: upstreamKey }
  const text = configFor(upstreamUrl, { litellm_settings: { num_retries: 0 }, tollgate: { limits } })
  const { config, problems } = loadConfig(text, 'config.yaml', env, { embedded: false, providers: PROVIDERS })
  if (config === null) throw new Error(JSON.stringify(problems))
  const spoolDirectory = await mkdtemp(join(tmpdir(), 'tollgate-in-process-'))
  const lines: string[] = []
  const requestIds = new Map<string, string>()
  const database = connect(databaseUrl)
  const server = await startServer({
    config,
    database,
    databaseUrl,
    root: { roots: readRootKeys(ROOT_KEY, 'the test'), fernetKeys: [] },
    spoolDirectory,
    log: createLog('trace', requestIds, { write: (line) => void lines.push(line) }),
    logDropped: () => 0,
    requestIds,
    metricsToken: null,
    host: '127.0.0.1',
    port: 0,
    worker: null,
    version: 'test',
  })
  onTestFinished(async () => {
    await server.stop()
    await database.close()
    await rm(spoolDirectory, { recursive: true, force: true })
  })
  return { url: `http://127.0.0.1:${server.port}`, lines }
}
