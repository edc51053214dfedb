/** A real Redis for a test file, on a port of its own. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Whether redis-server is there. Where CI is set it must be: a test left out there would look like one that passed. */
export function redisInstalled(): boolean {
  return process.env.CI !== undefined || spawnSync('redis-server', ['--version']).status === 0
}

export interface TestRedis {
  url: string
  /** SIGSTOP and SIGCONT: it is there and does not respond. */
  send(signal: NodeJS.Signals): void
  stop(): Promise<void>
}

/** It keeps nothing on a disk. Resolves when it accepts connections. @param port of one that was there before; a free one when left out. */
export async function startRedis(port?: number): Promise<TestRedis> {
  const listening = port ?? (await freePort())
  const args = ['--port', `${listening}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      if (text.includes('Ready to accept connections')) resolve()
    })
    child.once('error', reject)
    child.once('close', () => reject(new Error(`redis-server ended:\n${text}`)))
  })
  const ended = once(child, 'close')
  // It must not outlive a run that is interrupted.
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  return {
    url: `redis://127.0.0.1:${listening}`,
    send: (signal) => void child.kill(signal),
    async stop() {
      process.off('exit', kill)
      kill()
      await ended
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
