/**
 * npm run decoders: real decoders beside ours. Writes crafted, real and damaged files into a temporary folder, lets Pillow, MuPDF and
 * mutagen look at them (from a virtual environment made there, or the one of the interpreter given as an argument), and compares:
 * nothing may look larger to them than it does to us. Exit status 1 where something does, or where there is no Python to run.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { imageSize } from '../../providers/media/image-size.ts'
import { pdfPages } from '../../providers/media/pdf-pages.ts'
import { soundSeconds } from '../../providers/media/sound-length.ts'
import { mp3, mp4, wav } from '../providers/media/build.ts'
import { IMAGES, PDFS } from '../providers/media/crafted.ts'

const PACKAGES = ['pillow', 'pymupdf', 'mutagen']
const SCRIPT = fileURLToPath(new URL('./decoders.py', import.meta.url))
const run = promisify(execFile)

type Seen = number | readonly [number, number] | null
type Kind = 'images' | 'documents' | 'sounds'

interface Count {
  files: number
  /** Files the decoder reads, and of those the ones whose size is proved here. */
  read: number
  proved: number
  larger: string[]
}

async function main(given: string | undefined): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-decoders-'))
  try {
    const python = given ?? (await install(join(folder, 'venv')))
    const files = await mkdtemp(join(folder, 'files-'))
    await writeCrafted(files)
    const { stdout } = await run(python, [SCRIPT, files], { maxBuffer: 1 << 28 })
    const counts: Record<Kind, Count> = { images: empty(), documents: empty(), sounds: empty() }
    for (const line of stdout.trim().split('\n')) {
      const { name, seen } = JSON.parse(line) as { name: string; seen: Seen }
      compare(counts, name, seen, await readFile(join(files, name)))
    }
    return report(counts)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function install(directory: string): Promise<string> {
  await run('python3', ['-m', 'venv', directory])
  const python = join(directory, 'bin', 'python')
  await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...PACKAGES])
  return python
}

async function writeCrafted(folder: string): Promise<void> {
  const files: [string, Buffer][] = [
    ...IMAGES.map(({ bytes }, index): [string, Buffer] => [`crafted-${index}.image`, bytes]),
    ...PDFS.map(({ bytes }, index): [string, Buffer] => [`crafted-${index}.pdf`, bytes]),
    ['crafted.wav', wav(2)],
    ['crafted.mp3', mp3(200)],
    ['crafted.m4a', mp4(30)],
  ]
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes)
}

function empty(): Count {
  return { files: 0, read: 0, proved: 0, larger: [] }
}

function compare(counts: Record<Kind, Count>, name: string, seen: Seen, bytes: Buffer): void {
  const kind = kindOf(name)
  const count = counts[kind]
  count.files++
  if (seen === null || seen === 0) return
  count.read++
  const ours =
    kind === 'images' ? imageSize(bytes) : kind === 'documents' ? (pdfPages(bytes)?.count ?? null) : soundSeconds(bytes)
  if (ours === null) return
  count.proved++
  const isLarger =
    typeof seen === 'number'
      ? typeof ours === 'number' && seen > ours + 0.001
      : typeof ours === 'object' && (seen[0] > ours.width || seen[1] > ours.height)
  if (isLarger) count.larger.push(`${name}: the decoder sees ${JSON.stringify(seen)}, we ${JSON.stringify(ours)}`)
}

function kindOf(name: string): Kind {
  const ending = extname(name)
  if (ending === '.pdf') return 'documents'
  return ['.wav', '.mp3', '.m4a'].includes(ending) ? 'sounds' : 'images'
}

function report(counts: Record<Kind, Count>): number {
  let failures = 0
  for (const [kind, { files, read, proved, larger }] of Object.entries(counts)) {
    console.log(
      `${kind}: ${files} files, ${read} read by the decoder, ${proved} of them proved here, ${larger.length} larger than that`,
    )
    for (const line of larger.slice(0, 20)) console.log(`  ${line}`)
    failures += larger.length
  }
  return failures === 0 ? 0 : 1
}

process.exitCode = await main(process.argv[2])
