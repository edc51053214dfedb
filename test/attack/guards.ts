/**
 * Which tricks guard what was right before the catalogue began. Each of the others broke its promise on commit 5dec4d5, where the catalogue
 * was run once as a whole: it guards a mend.
 */
import { readFile } from 'node:fs/promises'

const FILE = new URL('./guards.txt', import.meta.url)

/** `theme: name` of each. */
export async function readGuards(): Promise<ReadonlySet<string>> {
  const lines = (await readFile(FILE, 'utf8')).split('\n')
  return new Set(lines.filter((line) => line !== '' && !line.startsWith('#')))
}
