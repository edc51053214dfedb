/** One command of the product, as a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { ROOT_KEY } from './tollgate.ts'

const PROGRAM = fileURLToPath(new URL('../../', import.meta.url))

export interface Ran {
  /** Null where a signal ended it. */
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  pid: number
  done: Promise<Ran>
  /** Resolves once standard error matches. Rejects when the process ends first. */
  errorMatches(pattern: RegExp): Promise<void>
  /** SIGKILL. */
  kill(): void
}

export interface RunOptions {
  args: string[]
  databaseUrl: string
  /** The folder of another program than this one. */
  program?: string
  env?: Record<string, string>
}

export function startCommand({ args, databaseUrl, program = PROGRAM, env = {} }: RunOptions): Running {
  const child = spawn(process.execPath, [`${program}/src/main.ts`, ...args], {
    cwd: program,
    env: {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: databaseUrl,
      TOLLGATE_ROOT_KEY: ROOT_KEY,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ran: Ran = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ran.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ran.stderr += text
    child.emit('said')
  })
  const done = once(child, 'close').then(([code]) => ({ ...ran, code: code as number | null }))
  return {
    pid: child.pid ?? 0,
    done,
    errorMatches: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => pattern.test(ran.stderr) && resolve()
        child.on('said', look)
        done.then(() => reject(new Error(`the command ended before ${pattern} was in:\n${ran.stderr}`)), reject)
        look()
      }),
    kill: () => void child.kill('SIGKILL'),
  }
}

export function runCommand(options: RunOptions): Promise<Ran> {
  return startCommand(options).done
}
