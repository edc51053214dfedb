/** Several processes on one port: this one starts them, counts for them, and serves nobody itself. */
import { createRateWindows } from '../admission/rate-windows.ts'
import { connectRedis } from '../db/redis.ts'
import { type RunningWorkers, runWorkers } from '../workers/run-workers.ts'
import { WorkerError } from '../workers/worker-process.ts'
import { CommandError } from './exit.ts'
import type { Serving, ServingParts } from './serving.ts'

/** What comes after the drain of calls: their callers are told (5 s), what is left is settled (20 s), the rest is closed. */
const AFTER_DRAIN_MS = 35_000

export async function serveWithWorkers(parts: ServingParts, workers: number): Promise<Serving> {
  const { config } = parts.read
  const redis =
    config.redisUrl === null
      ? null
      : connectRedis(config.redisUrl, (err) => parts.log.warn({ err }, 'a connection to Redis broke'))
  const windows = createRateWindows(redis, () => performance.now())
  const close = () => {
    windows.close()
    redis?.disconnect()
  }
  try {
    const running = await run(parts, workers, windows)
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
  windows: ReturnType<typeof createRateWindows>,
): Promise<RunningWorkers> {
  const { file, text, config } = read
  const { dataDir, spoolDir, host, logLevel, port } = options
  const own = { dataDir, spoolDir, host, logLevel, metricsToken }
  try {
    return await runWorkers({
      task: { ...own, workers, config: { file, text }, databaseUrl: store.url },
      port,
      windows,
      drainMs: config.limits.drainSeconds * 1000 + AFTER_DRAIN_MS,
      log,
    })
  } catch (error) {
    if (error instanceof WorkerError) throw new CommandError(error.exitCode, error.message, { cause: error })
    throw error
  }
}
