/** Agents that write programs: each does a task of ten turns with a tool, and says what stopped it where a call fails. */
import { deepEqual, ok } from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MODELS, type Stand } from './lane.ts'
import { type Outcome, runClient } from './run-client.ts'
import {
  expectBooked,
  expectFinal,
  expectNothingCharged,
  expectOnceEach,
  type Installed,
  runNpm,
  type Scene,
  showing,
} from './scene.ts'
import { brokenOff, DONE, failing, scriptedModel, TASK_FILE } from './scripted-model.ts'

interface Agent {
  client: string
  /** Calls it makes beside those of its task. */
  besides: number
  /** What its user reads where a budget is used up; null for one that repeats each 429 and 503 silently, whatever it is told. */
  budget: RegExp | null
  /** Seconds it is given where it repeats silently: on a busy machine it needs most of them to start. @default 12 */
  slowStart?: number
  /** On whose models CI plays its task. */
  quickOn: ReadonlySet<string>
  run(stand: Stand, installed: Installed, how: { model: string; key: string; patience?: number }): Promise<Outcome>
}

const TASK = 'Write ten lines with your shell, one command at a time.'
const TURNS = 10
/** Its larger call is held for about 110: 4 096 tokens out, and an input of about 50 credits. */
const CREDITS_FOR_ONE_AND_A_HALF = '165'

async function workFolder({ folder }: Stand): Promise<string> {
  const work = join(folder, 'work')
  await mkdir(work, { recursive: true })
  return work
}

const codex: Agent = {
  client: '@openai/codex',
  besides: 0,
  // In its own words.
  budget: /usage limit/i,
  quickOn: new Set(['gpt', 'claude']),
  async run(stand, installed, { model, key, patience }) {
    const home = join(stand.folder, 'home', '.codex')
    await mkdir(home, { recursive: true })
    const config = [
      `model = ${JSON.stringify(model)}`,
      'model_provider = "tollgate"',
      '[model_providers.tollgate]',
      'name = "Tollgate"',
      `base_url = "${stand.url}/v1"`,
      'env_key = "TOLLGATE_KEY"',
      'wire_api = "responses"',
    ]
    await writeFile(join(home, 'config.toml'), config.join('\n'))
    const args = ['exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', TASK]
    const env = { TOLLGATE_KEY: key, CODEX_HOME: home }
    return runNpm(installed, stand, 'codex', args, {
      env,
      cwd: await workFolder(stand),
      ...(patience === undefined ? {} : { patience }),
    })
  },
}

const claudeCode: Agent = {
  client: '@anthropic-ai/claude-code',
  besides: 0,
  budget: /budget/i,
  quickOn: new Set(['claude', 'gemini']),
  async run(stand, installed, { model, key, patience }) {
    const args = ['-p', TASK, '--allowedTools', 'Bash', '--model', model, '--output-format', 'text']
    const env = {
      ANTHROPIC_BASE_URL: stand.url,
      ANTHROPIC_AUTH_TOKEN: key,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
    }
    // Its command is put in place by an install script; this finds the same program without one.
    const wrapper = join(installed.npm, 'node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs')
    return runClient(process.execPath, [wrapper, ...args], {
      env,
      home: join(stand.folder, 'home'),
      cwd: await workFolder(stand),
      ...(patience === undefined ? {} : { patience }),
    })
  },
}

const opencode: Agent = {
  client: 'opencode-ai',
  // It asks for a title at once.
  besides: 1,
  slowStart: 40,
  budget: null,
  quickOn: new Set(),
  async run(stand, installed, { model, key, patience }) {
    const npm =
      { [MODELS.claude]: '@ai-sdk/anthropic', [MODELS.gpt]: '@ai-sdk/openai' }[model] ?? '@ai-sdk/openai-compatible'
    const config = {
      provider: {
        tollgate: {
          npm,
          name: 'Tollgate',
          options: { baseURL: `${stand.url}/v1`, apiKey: key },
          models: { [model]: { name: model, limit: { context: 200_000, output: 32_000 } } },
        },
      },
      model: `tollgate/${model}`,
      small_model: `tollgate/${model}`,
      share: 'disabled',
      autoupdate: false,
    }
    const work = await workFolder(stand)
    await writeFile(join(work, 'opencode.json'), JSON.stringify(config))
    const env = { OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_PERMISSION: JSON.stringify({ bash: 'allow' }) }
    // As with Claude Code: the program without its install script.
    const { platform, arch } = process
    const program = join(installed.npm, 'node_modules', `opencode-${platform}-${arch}`, 'bin', 'opencode')
    return runClient(program, ['run', TASK], {
      env,
      home: join(stand.folder, 'home'),
      cwd: work,
      ...(patience === undefined ? {} : { patience }),
    })
  },
}

function scenesOf(agent: Agent): Scene[] {
  const { client } = agent
  const task = (who: 'claude' | 'gpt' | 'gemini' | 'groq' | 'local'): Scene => ({
    client,
    title: `does a task of ten turns on ${who}`,
    quick: agent.quickOn.has(who),
    async play(stand, installed) {
      stand.script(scriptedModel(TURNS))
      const outcome = await agent.run(stand, installed, { model: MODELS[who], key: stand.keys.rich })
      await showing(outcome, async () => {
        deepEqual(outcome.code, 0)
        ok(outcome.output.includes(DONE), 'it says that the task is done')
        const written = await readFile(join(stand.folder, 'work', TASK_FILE), 'utf8')
        deepEqual(
          written.trim().split('\n'),
          Array.from({ length: TURNS }, (_, i) => `step ${i + 1}`),
        )
        await expectBooked(stand, { answered: TURNS + 1 + agent.besides })
      })
    },
  })
  const final = (title: string, shows: RegExp, prepare: (stand: Stand) => { model?: string; key?: string }): Scene => ({
    client,
    title,
    async play(stand, installed) {
      const how = { model: MODELS.claude, key: stand.keys.rich, patience: 40, ...prepare(stand) }
      await expectFinal(stand, await agent.run(stand, installed, how), shows)
    },
  })
  const passing = (title: string, script: Parameters<Stand['script']>[0]): Scene => ({
    client,
    title,
    async play(stand, installed) {
      stand.script(script)
      const { slowStart: patience = 12 } = agent
      const outcome = await agent.run(stand, installed, { model: MODELS.claude, key: stand.keys.rich, patience })
      await showing(outcome, async () => {
        ok(stand.upstreamCalls() > 0, 'the provider was asked')
        await (script === brokenOff ? stand.books() : expectNothingCharged(stand))
        expectOnceEach(stand)
      })
    },
  })
  const tight: Scene = {
    client,
    title: 'ends well on credits for one and a half of its calls',
    async play(stand, installed) {
      stand.script(scriptedModel(2))
      const key = await stand.keyWith(CREDITS_FOR_ONE_AND_A_HALF)
      const outcome = await agent.run(stand, installed, { model: MODELS.claude, key })
      await showing(outcome, async () => {
        ok(outcome.output.includes(DONE), 'it says that the task is done')
        await expectBooked(stand, { answered: 3 + agent.besides })
      })
    },
  }
  const refused = failing(401, 'invalid x-api-key')
  const lastWords: Scene[] =
    agent.budget === null
      ? [passing('asks the provider once for each of its own tries where the operator’s key is refused', refused)]
      : [
          final('shows that the budget of its key is used up (429)', agent.budget, ({ keys }) => ({ key: keys.spent })),
          final('shows that the operator’s key is refused', /did not accept/i, (stand) => {
            stand.script(refused)
            return {}
          }),
        ]
  return [
    ...(agent.besides > 0 ? [tight] : []),
    ...(['claude', 'gpt', 'gemini', 'groq', 'local'] as const).map(task),
    final('shows that its key is unknown (401)', /key/i, ({ keys }) => ({ key: keys.unknown })),
    final('shows that credits are used up (402)', /credits/i, ({ keys }) => ({ key: keys.poor })),
    final('shows that the key may not call the model (403)', /may not call the model/, ({ keys }) => ({
      key: keys.bound,
    })),
    final('shows that the model is unknown (404)', /no-such-model/, () => ({ model: 'no-such-model' })),
    ...lastWords,
    passing(
      'asks the provider once for each of its own tries at 429',
      failing(429, 'Slow down.', { 'retry-after': '1' }),
    ),
    passing('asks the provider once for each of its own tries at 503', failing(503, 'Overloaded.')),
    passing('pays for each stream that broke off at most once', brokenOff),
  ]
}

export const codingAgents: Scene[] = [codex, claudeCode, opencode].flatMap(scenesOf)
