/** Serves the port with several processes: this one starts them, counts for them, and serves no request itself. */
import { randomUUID } from 'node:crypto'
import { createRateWindows } from '../admission/rate-windows.ts'
import { connectRedis } from '../db/redis.ts'
import { createSparedNews, type Spared } from '../routing/spared-news.ts'
import { type RunningWorkers, runWorkers, type WorkersOptions } from '../workers/run-workers.ts'
import { WorkerError } from '../workers/worker-process.ts'
import { CommandError } from './exit.ts'
import type { Serving, ServingParts } from './serving.ts'

/** After the drain: callers of stopped calls are told (5 s), what is left is settled (20 s), connections are closed. */
const AFTER_DRAIN_MS = 35_000

export async function serveWithWorkers(parts: ServingParts, workers: number): Promise<Serving> {
  const { config } = parts.read
  const { redisUrl } = config
  const connect =
    redisUrl === null
      ? null
      : () => connectRedis(redisUrl, (err) => parts.log.warn({ err }, 'a connection to Redis broke'))
  const redis = connect?.() ?? null
  const windows = createRateWindows(redis, () => performance.now())
  let hearSpared: (news: Spared) => void = () => {}
  const ids = new Set(config.deployments.map(({ id }) => id))
  const hear = (news: Spared) => hearSpared(news)
  const news = connect === null ? null : createSparedNews({ connect, self: randomUUID(), ids, hear })
  const close = () => {
    windows.close()
    news?.close()
    redis?.disconnect()
  }
  try {
    const running = await run(parts, workers, { windows, tellSpared: (spared) => news?.tell(spared) })
    hearSpared = running.hearSpared
    return {
      port: running.port,
      pids: running.pids(),
      broken: running.failed.then((why) => `The workers can't be kept running: ${why}.`),
      stop: () => running.stop().finally(close),
      kill: running.kill,
    }
  } catch (error) {
    close()
    throw error
  }
}

async function run(
  { options, read, store, log, metricsToken }: ServingParts,
  workers: number,
  shared: Pick<WorkersOptions, 'windows' | 'tellSpared'>,
): Promise<RunningWorkers> {
  const { file, text, includes, config } = read
  const { dataDir, spoolDir, host, logLevel, port } = options
  const own = { dataDir, spoolDir, host, logLevel, metricsToken }
  try {
    return await runWorkers({
      task: { ...own, workers, config: { file, text, includes }, databaseUrl: store.url },
      port,
      ...shared,
      drainMs: config.limits.drainSeconds * 1000 + AFTER_DRAIN_MS,
      log,
    })
  } catch (error) {
    if (error instanceof WorkerError) throw new CommandError(error.exitCode, error.message, { cause: error })
    throw error
  }
}
