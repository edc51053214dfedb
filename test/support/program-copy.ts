/** Another version of the program, in a folder of its own: the same but for what a test changes in sql/. */
import { chmod, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface ProgramCopy {
  folder: string
  /** Its function set's number. */
  number: number
  /** Raises the number of the function set and puts a comment into every body of it, so that each is another text. */
  renewFunctions(comment: string): Promise<void>
  remove(): Promise<void>
}

export async function copyProgram(): Promise<ProgramCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-program-'))
  await chmod(folder, 0o755)
  for (const part of ['src', 'sql', 'providers', 'bin', 'package.json', 'config.yaml']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const setFile = join(folder, 'sql/functions/set.json')
  const set: { number: number; files: string[] } = JSON.parse(await readFile(setFile, 'utf8'))
  const copy: ProgramCopy = {
    folder,
    number: set.number,
    async renewFunctions(comment) {
      for (const name of set.files) {
        const file = join(folder, 'sql/functions', name)
        const text = await readFile(file, 'utf8')
        await writeFile(
          file,
          text.replaceAll(/\bas \$(\w*)\$/g, (start) => `${start} /* ${comment} */`),
        )
      }
      copy.number += 1
      await writeFile(setFile, JSON.stringify({ ...set, number: copy.number }))
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
  return copy
}
