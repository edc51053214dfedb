/** Clients that people type: aider, which edits files by what a model says, and llm. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Stand } from './lane.ts'
import { type Ask, type Library, scenesOf } from './libraries.ts'
import { runClient } from './run-client.ts'
import type { Installed } from './scene.ts'

const base = {
  isQuick: false,
  once: { plain: {}, stream: {} },
  tasks: {},
  failsAt: { whole: 'plain', stream: 'stream' },
} as const

/** The command beside the interpreter of its environment. */
function commandOf(installed: Installed, client: string): string {
  return join(dirname(installed.python(client)), client)
}

const llm: Library = {
  ...base,
  client: 'llm',
  model: 'gemini',
  async run(what, { model, key, patience = 30 }, { url, folder }, installed) {
    const home = join(folder, 'home')
    const settings = join(home, 'llm')
    await mkdir(settings, { recursive: true })
    const models = [{ model_id: 'scripted', model_name: model, api_base: `${url}/v1`, api_key_name: 'tollgate' }]
    await writeFile(join(settings, 'extra-openai-models.yaml'), JSON.stringify(models))
    await writeFile(join(settings, 'keys.json'), JSON.stringify({ tollgate: key }))
    const args = ['prompt', '-m', 'scripted', 'Hello', ...(what === 'plain' ? ['--no-stream'] : [])]
    return runClient(commandOf(installed, 'llm'), args, { home, patience, env: { LLM_USER_PATH: settings } })
  },
}

const aider: Library = {
  ...base,
  client: 'aider',
  model: 'groq',
  async run(what, { model, key, patience = 60 }: Ask, { url, folder }: Stand, installed) {
    const work = join(folder, 'work')
    await mkdir(work, { recursive: true })
    const args = ['--model', `openai/${model}`, '--message', 'Hello', '--no-git', '--yes-always', '--no-check-update']
    const quiet = ['--no-show-model-warnings', '--analytics-disable', '--no-pretty', '--no-show-release-notes']
    return runClient(
      commandOf(installed, 'aider'),
      [...args, ...quiet, '--map-tokens', '0', what === 'plain' ? '--no-stream' : '--stream'],
      { home: join(folder, 'home'), cwd: work, patience, env: { OPENAI_API_BASE: `${url}/v1`, OPENAI_API_KEY: key } },
    )
  },
}

export const commandLines = [llm, aider].flatMap(scenesOf)
