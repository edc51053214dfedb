/** A client as a process: run to its end, or to the end of the time it is given. */
import { spawn } from 'node:child_process'

export interface Outcome {
  /** Null where its time was over. */
  code: number | null
  /** Standard output and standard error, as they came. */
  output: string
  seconds: number
  /** When its output first matched, by performance.now(); null where it never did. */
  shownAt(pattern: RegExp): number | null
}

/** What was written until when: a client may show what is wrong long before it gives up. */
export function shownIn(written: readonly { at: number; output: string }[]): Outcome['shownAt'] {
  return (pattern) => written.find(({ output }) => pattern.test(output))?.at ?? null
}

export interface RunOptions {
  env?: Record<string, string>
  cwd?: string
  /** After so long it is stopped. @default 60 */
  patience?: number
  input?: string
}

/** It inherits nothing but PATH: no key, no configuration of whoever runs this. */
export function runClient(
  program: string,
  args: readonly string[],
  { env = {}, cwd, patience = 60, input, home }: RunOptions & { home: string },
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const begun = performance.now()
    const child = spawn(program, args, {
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH ?? '',
        HOME: home,
        NO_PROXY: '127.0.0.1,localhost',
        TERM: 'dumb',
        NO_COLOR: '1',
        ...env,
      },
      cwd: cwd ?? home,
      // A group of its own: what it started ends with it.
      detached: true,
    })
    let output = ''
    const written: { at: number; output: string }[] = []
    const collect = (bytes: Buffer) => {
      output += bytes.toString('utf8')
      written.push({ at: performance.now(), output })
    }
    child.stdout?.on('data', collect)
    child.stderr?.on('data', collect)
    child.stdin?.end(input)
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      process.kill(-(child.pid ?? 0), 'SIGKILL')
    }, patience * 1_000)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      const seconds = secondsSince(begun)
      resolve({ code: isLate ? null : code, output, seconds, shownAt: shownIn(written) })
    })
  })
}

/** In tenths. */
export function secondsSince(begun: number): number {
  return Math.round((performance.now() - begun) / 100) / 10
}
