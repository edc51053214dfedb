/** Real clients in a folder outside the repository: pinned, installed once, found there by the next run. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installPython } from '../../support/python.ts'
import { runProgram } from '../../support/run-program.ts'
import type { Installed } from './scene.ts'

/** By the name that scenes use, what is asked of npm. */
export const NPM: Readonly<Record<string, readonly string[]>> = {
  '@openai/codex': ['@openai/codex@0.171.0'],
  '@anthropic-ai/claude-code': ['@anthropic-ai/claude-code@2.1.332'],
  'opencode-ai': ['opencode-ai@1.18.33'],
}

/** By the name that scenes use, what is asked of PyPI. Each has an environment of its own: they want different versions of one another. */
export const PYTHON: Readonly<Record<string, readonly string[]>> = {
  'openai for Python': ['openai==3.57.0'],
  'Anthropic for Python': ['anthropic==2.14.0'],
  litellm: ['litellm==1.110.2'],
  LangChain: ['langchain-openai==1.7.4'],
  LlamaIndex: ['llama-index-llms-openai-like==0.8.1'],
  'pydantic-ai': ['pydantic-ai-slim[openai,anthropic]==2.68.0'],
  llm: ['llm==0.36'],
  aider: ['aider-chat==0.86.2'],
}

export interface Installation {
  installed: Installed
  /** By name, why it could not be installed. */
  missing: Map<string, string>
}

export async function install(cache: string, clients: ReadonlySet<string>): Promise<Installation> {
  const missing = new Map<string, string>()
  const npm = join(cache, 'npm')
  const pythons = new Map<string, string>()
  await mkdir(npm, { recursive: true })
  for (const client of clients) {
    try {
      if (NPM[client] !== undefined)
        await once(join(npm, `${fileNameOf(client)}.installed`), NPM[client], () => installNpm(npm, NPM[client] ?? []))
      const packages = PYTHON[client]
      if (packages === undefined) continue
      const folder = join(cache, fileNameOf(client))
      await once(`${folder}.installed`, packages, () => installPython(folder, packages))
      pythons.set(client, join(folder, 'bin', 'python'))
    } catch (error) {
      missing.set(client, (error as Error).message.trim().split('\n').at(-1) ?? '')
    }
  }
  const python = (name: string) => pythons.get(name) ?? 'python3'
  return { installed: { npm, python }, missing }
}

function fileNameOf(client: string): string {
  return client
    .replace(/[^\w.]+/g, '-')
    .replace(/^-/, '')
    .toLowerCase()
}

/** What was installed is written beside it: another version is installed again. */
async function once(note: string, packages: readonly string[], work: () => Promise<unknown>): Promise<void> {
  const wanted = packages.join('\n')
  const found = await readFile(note, 'utf8').catch(() => null)
  if (found === wanted) return
  await work()
  await writeFile(note, wanted)
}

/** No install script runs: what these clients need comes as packages of its own. */
function installNpm(folder: string, packages: readonly string[]): Promise<string> {
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', '--prefix', folder]
  return runProgram('npm', ['install', ...flags, ...packages])
}
