/** Service tiers: a word of the caller's, a word of the server's, and what is billed. */

import { chatAnswer, chatStream, jsonAnswer } from '../../support/upstream-answers.ts'
import { INPUT, says, usageOf } from '../provider.ts'
import type { Provider } from '../trick.ts'
import { exact, refused, type Trick } from '../trick.ts'

const USAGE = usageOf(INPUT, 2)

/** States `stated` in the answer, or in every frame, and bills `tier` hundredths of the list price. */
function tiered(stated: string | null, tier: number): Provider {
  return ({ json }) => {
    const bill = { input: INPUT, output: 2, tier }
    if (stated === null)
      return { script: json?.stream === true ? chatStream({ usage: USAGE }) : chatAnswer({ usage: USAGE }), bill }
    if (json?.stream !== true) {
      const answer = JSON.parse(String(chatAnswer({ usage: USAGE }).frames[0])) as object
      return { script: jsonAnswer({ ...answer, service_tier: stated }), bill }
    }
    const stream = chatStream({ usage: USAGE })
    const frames = stream.frames.map((frame) =>
      String(frame).replace('"choices"', `"service_tier":"${stated}","choices"`),
    )
    return { script: { ...stream, frames }, bill }
  }
}

const both = (name: string, asked: string | null, provider: Provider, more: Partial<Trick> = {}): Trick[] =>
  [false, true].map((stream) => ({
    name: `${name} (stream: ${stream})`,
    by: 'caller',
    act: { body: { stream, ...(asked === null ? {} : { service_tier: asked }) } },
    provider,
    promise: exact,
    ...more,
  }))

const TIER_OF_OTHERS = 'a tier is believed of a server that is not the provider itself'

export const TIERS: readonly Trick[] = [
  ...both('priority is asked for and served', 'priority', tiered('priority', 200)),
  ...both('priority is asked for, default is served', 'priority', tiered('default', 100)),
  ...both('flex is asked for of a server that says nothing of it', 'flex', tiered(null, 100)),
  ...both('flex is asked for, default is served', 'flex', tiered('default', 100)),
  ...both('flex is asked for, and echoed by a server that bills the list price', 'flex', tiered('flex', 100), {
    known: TIER_OF_OTHERS,
  }),
  ...both('flex is said without being asked for', null, tiered('flex', 100), { by: 'provider', known: TIER_OF_OTHERS }),
  ...both('priority is said without being asked for', null, tiered('priority', 100), {
    by: 'provider',
    known: TIER_OF_OTHERS,
  }),
  ...both('a tier nobody sells is said', null, tiered('gratis', 100), { by: 'provider' }),
  ...both('a name every object has is said to be the tier', null, tiered('constructor', 100), { by: 'provider' }),
  ...['FLEX', 'Priority', 'batch', 'free', ''].map(
    (tier): Trick => ({
      name: `a tier that is none: '${tier}'`,
      by: 'caller',
      act: { body: { service_tier: tier } },
      provider: says(USAGE, { input: INPUT, output: 2 }),
      promise: refused('unsupported_parameter'),
    }),
  ),
  ...[['flex'], { tier: 'flex' }, 1, true].map(
    (tier): Trick => ({
      name: `a tier that is no word: ${JSON.stringify(tier)}`,
      by: 'caller',
      act: { body: { service_tier: tier } },
      provider: says(USAGE, { input: INPUT, output: 2 }),
      promise: refused('unsupported_parameter'),
    }),
  ),
]
