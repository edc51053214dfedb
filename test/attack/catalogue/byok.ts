/** Keys of the caller's own: their numbers move no credits, and nobody else's key is had for nothing. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { Plan } from '../../../src/config/config.ts'
import { errorAnswer, sse } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import { chunk, honest, INPUT, inTurn, ROLE, says, streams, usageOf, words } from '../provider.ts'
import { exact, free, type Provider, refused, type Trick } from '../trick.ts'

const OWN_KEY = `sk-proj-${'Ab3dEf6hIj'.repeat(5)}`
const BILL = { input: INPUT, output: 2 }

async function bring({ post }: Actor): Promise<void> {
  const { status, body } = await post('/api/v1/llm/byok/keys', { provider: 'openai', api_key: OWN_KEY })
  if (status !== 200) throw new Error(`the key was not stored: ${body}`)
}

const isOwn = ({ headers }: Parameters<Provider>[0]) => headers.authorization === `Bearer ${OWN_KEY}`

/** Of two accounts: the caller's own bills the operator nothing. */
function accounts(own: Provider, operators: Provider): Provider {
  return async (request, call) =>
    isOwn(request) ? { ...(await own(request, call)), bill: null } : operators(request, call)
}

const never: Provider = () => {
  throw new Error("the operator's key was called")
}
const fails = (status: number, code: string): Provider =>
  inTurn({ script: errorAnswer(status, { message: code, code }), bill: null })

function own(name: string, plan: Plan, provider: Provider, more: Partial<Trick> & { body?: object } = {}): Trick {
  const { body = {}, ...rest } = more
  return {
    name,
    by: 'caller',
    plan,
    async act(actor) {
      await bring(actor)
      await actor.call({ body: { model: 'own', ...body } })
    },
    provider,
    promise: free,
    ...rest,
  }
}

export const BYOK: readonly Trick[] = [
  ...[0, 1e12, -1].map((tokens) =>
    own(
      `an own key whose provider states ${tokens} tokens`,
      'byok',
      accounts(says(usageOf(INPUT, tokens), BILL), never),
    ),
  ),
  own('an own key, nothing left to spend', 'byok', accounts(honest(BILL), never), { credits: 0.000001 }),
  own('an own key that is refused, and no other plan', 'byok', accounts(fails(401, 'invalid_api_key'), never)),
  own(
    'an own key that is refused, and the operator’s behind it',
    'hybrid',
    accounts(fails(401, 'invalid_api_key'), honest(BILL)),
    { promise: exact },
  ),
  own(
    'an own key out of money, and the operator’s behind it',
    'hybrid',
    accounts(fails(429, 'insufficient_quota'), honest(BILL)),
    { promise: exact },
  ),
  own(
    'an own key that is refused, and no credits for the operator’s',
    'hybrid',
    accounts(fails(401, 'invalid_api_key'), never),
    { credits: 0.001 },
  ),
  own(
    'an own key that breaks off after a text, and the operator’s behind it',
    'hybrid',
    accounts(
      streams([ROLE, ...words(3).map((content) => chunk({ content })), sse({ error: { message: 'boom' } })], BILL),
      never,
    ),
    { body: { stream: true } },
  ),
  own(
    'an own key that is overloaded is not the operator’s trouble',
    'hybrid',
    accounts(fails(503, 'overloaded'), never),
  ),
  own('an own key on a plan without own keys', 'platform', honest(BILL), { promise: exact }),
  {
    name: 'no own key on a plan of own keys',
    by: 'caller',
    plan: 'byok',
    act: { body: { model: 'own' } },
    provider: honest(BILL),
    promise: refused('byok_key_missing', 403),
  },
  {
    name: 'the operator’s server on a plan of own keys',
    by: 'caller',
    plan: 'byok',
    act: { body: { model: 'wild/gpt-4o-mini' } },
    provider: honest(BILL),
    promise: refused('byok_key_missing', 403),
  },
  {
    name: 'a key in the headers of the call',
    by: 'caller',
    act: { headers: { 'x-byok': 'true', 'x-api-key': OWN_KEY, 'x-openai-api-key': OWN_KEY } },
    provider: honest(BILL),
    promise: exact,
  },
  {
    name: 'a plan of own keys that is past due',
    by: 'caller',
    plan: 'byok',
    async act(actor) {
      await bring(actor)
      await actor.subscribe('past_due')
      // For so long a caller is remembered.
      await sleep(1_100)
      await actor.call({ body: { model: 'own' } })
    },
    provider: accounts(honest(BILL), honest(BILL)),
    promise: exact,
  },
]
