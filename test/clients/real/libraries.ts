/**
 * Clients that programs are written with: each is asked for a plain answer, a stream and a task with a tool, then every failure. What it
 * gives back, or throws, is what its user sees.
 */
import { deepEqual, ok } from 'node:assert/strict'
import { CHARGE, MODELS, type Stand } from './lane.ts'
import type { Outcome } from './run-client.ts'
import {
  expectBooked,
  expectFinal,
  expectNothingCharged,
  expectOnceEach,
  type Installed,
  type Scene,
  showing,
} from './scene.ts'
import { brokenOff, DONE, failing, HELLO, scriptedModel } from './scripted-model.ts'

export interface Ask {
  model: string
  key: string
  /** Seconds. */
  patience?: number
}

export interface Library {
  /** As `install.ts` names it. */
  client: string
  /** Whether CI plays all but what waits. */
  isQuick: boolean
  /** What it asks for where nothing else is said. */
  model: keyof typeof MODELS
  /** What it does that reaches the provider once: the text it gives, and what that costs. */
  once: Readonly<Record<string, { model?: keyof typeof MODELS; gives?: RegExp; charge?: string }>>
  /** What it does over several turns. */
  tasks: Readonly<Record<string, keyof typeof MODELS>>
  /** Of `once`, what is tried with every failure, and with a stream that breaks off. */
  failsAt: { whole: string; stream: string }
  run(what: string, ask: Ask, stand: Stand, installed: Installed): Promise<Outcome>
}

const TURNS = 3

export function scenesOf(library: Library): Scene[] {
  const { client, run, failsAt } = library
  const model = MODELS[library.model]
  const single = Object.entries(library.once).map(
    ([what, { model: own = library.model, gives, charge = CHARGE }]): Scene => ({
      client,
      title: `asks once: ${what}`,
      quick: library.isQuick,
      async play(stand, installed) {
        const outcome = await run(what, { model: MODELS[own], key: stand.keys.rich }, stand, installed)
        await showing(outcome, async () => {
          ok(gives === undefined ? outcome.output.includes(HELLO) : gives.test(outcome.output), 'it gives the answer')
          await expectBooked(stand, { answered: 1, charge })
        })
      },
    }),
  )
  const tasks = Object.entries(library.tasks).map(
    ([what, own]): Scene => ({
      client,
      title: `does a task of ${TURNS} turns: ${what} on ${own}`,
      quick: library.isQuick,
      async play(stand, installed) {
        stand.script(scriptedModel(TURNS))
        const outcome = await run(what, { model: MODELS[own], key: stand.keys.rich }, stand, installed)
        await showing(outcome, async () => {
          ok(outcome.output.includes(DONE), 'it gives the last answer')
          await expectBooked(stand, { answered: TURNS + 1 })
        })
      },
    }),
  )
  const final = (title: string, shows: RegExp, prepare: (stand: Stand) => Partial<Ask>): Scene => ({
    client,
    title,
    quick: library.isQuick,
    async play(stand, installed) {
      const ask = { model, key: stand.keys.rich, patience: 40, ...prepare(stand) }
      await expectFinal(stand, await run(failsAt.whole, ask, stand, installed), shows)
    },
  })
  const passing = (title: string, script: Parameters<Stand['script']>[0]): Scene => ({
    client,
    title,
    async play(stand, installed) {
      stand.script(script)
      const isCut = script === brokenOff
      const what = isCut ? failsAt.stream : failsAt.whole
      const outcome = await run(what, { model, key: stand.keys.rich, patience: 12 }, stand, installed)
      await showing(outcome, async () => {
        ok(stand.upstreamCalls() > 0, 'the provider was asked')
        ok(!outcome.output.includes(HELLO), 'its user hears that the call failed')
        if (isCut) deepEqual((await stand.books()).length, stand.upstreamCalls(), 'a row for each call')
        else await expectNothingCharged(stand)
        expectOnceEach(stand)
      })
    },
  })
  return [
    ...single,
    ...tasks,
    final('shows that its key is unknown (401)', /key/i, ({ keys }) => ({ key: keys.unknown })),
    final('shows that credits are used up (402)', /credits/i, ({ keys }) => ({ key: keys.poor })),
    final('shows that the key may not call the model (403)', /may not call the model/, ({ keys }) => ({
      key: keys.bound,
      model: library.model === 'local' ? MODELS.groq : model,
    })),
    final('shows that the model is unknown (404)', /no-such-model/, () => ({ model: 'no-such-model' })),
    final('shows that the operator’s key is refused', /did not accept/i, (stand) => {
      stand.script(failing(401, 'Incorrect API key'))
      return {}
    }),
    passing(
      'asks the provider once for each of its own tries at 429',
      failing(429, 'Slow down.', { 'retry-after': '1' }),
    ),
    passing('asks the provider once for each of its own tries at 503', failing(503, 'Overloaded.')),
    passing('pays for each stream that broke off at most once', brokenOff),
  ]
}
