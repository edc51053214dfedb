/** An environment of Python with packages of PyPI, outside the repository. */
import { join } from 'node:path'
import { runProgram } from './run-program.ts'

export class NoPython extends Error {}

/** @param packages pinned. @returns the interpreter that has them. @throws {NoPython} */
export async function installPython(directory: string, packages: readonly string[]): Promise<string> {
  const python = join(directory, 'bin', 'python')
  await orNoPython('needs Python 3.10 or later with venv as python3', runProgram('python3', ['-m', 'venv', directory]))
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]
  await orNoPython(`pip can't install ${packages.join(', ')}`, runProgram(python, install))
  return python
}

async function orNoPython(what: string, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw new NoPython(`${what}: ${(error as Error).message.trim().split('\n').at(-1) ?? ''}`, { cause: error })
  }
}
