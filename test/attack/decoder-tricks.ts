/**
 * Crafted images and documents, as Pillow and MuPDF see them: what the decoder sees is what a provider bills. Null where they are not
 * installed for `python3`, or for the interpreter that ATTACK_PYTHON names.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { IMAGES, PDFS } from '../providers/media/crafted.ts'
import { greedy, INPUT, openAiReader } from './provider.ts'
import { covered, type Trick } from './trick.ts'

type Seen = number | readonly [width: number, height: number] | null

const SCRIPT = fileURLToPath(new URL('../decoders/decoders.py', import.meta.url))
const run = promisify(execFile)

export async function decoderTricks(): Promise<readonly Trick[] | null> {
  const python = process.env.ATTACK_PYTHON ?? 'python3'
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-decoders-'))
  try {
    await run(python, ['-c', 'import PIL, pymupdf, mutagen'])
    const files = [
      ...IMAGES.map(({ name, bytes }, index) => ({ file: `${index}.image`, name, bytes })),
      ...PDFS.map(({ name, bytes }, index) => ({ file: `${index}.pdf`, name, bytes })),
    ]
    for (const { file, bytes } of files) await writeFile(join(folder, file), bytes)
    const { stdout } = await run(python, [SCRIPT, folder], { maxBuffer: 1 << 26 })
    const seen = new Map<string, Seen>()
    for (const line of stdout.trim().split('\n')) {
      const { name, seen: size } = JSON.parse(line) as { name: string; seen: Seen }
      seen.set(name, size)
    }
    return files.flatMap(({ file, name, bytes }) => trickOf(name, file, bytes, seen.get(file) ?? null))
  } catch {
    return null
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** None where the decoder reads nothing: then nothing is billed. */
function trickOf(name: string, file: string, bytes: Buffer, seen: Seen): readonly Trick[] {
  if (seen === null || seen === 0) return []
  const tokens = typeof seen === 'number' ? seen * (1_000 + tokensOf(1_275, 1_650)) : tokensOf(seen[0], seen[1])
  const data = bytes.toString('base64')
  const part = file.endsWith('.pdf')
    ? { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${data}` } }
    : { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }
  const content = [{ type: 'text', text: 'Say hello' }, part]
  return [
    {
      name: `${name}, as ${typeof seen === 'number' ? 'MuPDF' : 'Pillow'} sees it: ${JSON.stringify(seen)}`,
      by: 'caller',
      act: { body: { max_tokens: 5, messages: [{ role: 'user', content }] } },
      // No model reads more than its window.
      provider: greedy(openAiReader, { inputOf: () => Math.min(INPUT + tokens, 128_000) }),
      promise: covered,
    },
  ]
}

/** gpt-4o-mini: into 2,048 x 2,048, then to 768 at the shorter side, in tiles of 512. */
function tokensOf(width: number, height: number): number {
  const scale = Math.min(1, 2_048 / Math.max(width, height), 768 / Math.min(width, height))
  const across = (side: number) => Math.max(1, Math.ceil((side * scale) / 512))
  return 2_833 + 5_667 * across(width) * across(height)
}
