/** A program that is run to its end. */
import { spawn } from 'node:child_process'

interface Options {
  /** On top of this process' own. */
  env?: Record<string, string>
  cwd?: string
  timeoutMs?: number
}

/** @returns its standard output. @throws {Error} with all it wrote where it can't be started, fails or takes too long. */
export function runProgram(program: string, args: readonly string[], options: Options = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      cwd: options.cwd ?? process.cwd(),
      timeout: options.timeoutMs ?? 0,
    })
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve(output) : reject(new Error(`${output}${errors}`))))
  })
}
