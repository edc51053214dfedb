/** Whose money it is: other users and organizations, keys of services, credits that come back, one key on two routes, names of prices. */
import { chatAnswer, chatStream } from '../../support/upstream-answers.ts'
import { chunk, greedy, honest, INPUT, ROLE, streamsThenWaits, usageOf, words } from '../provider.ts'
import { between, exact, type Provider, refused, type Trick } from '../trick.ts'

const BILL = { input: INPUT, output: 2 }
const OTHER_ROUTES = ['/chat/completions', '/api/v1/llm/chat/completions']
const KEY = { 'idempotency-key': 'attack-payers' }

const caller = (trick: Omit<Trick, 'by' | 'provider'> & { provider?: Provider }): Trick => ({
  by: 'caller',
  provider: honest(BILL),
  ...trick,
})

const MEMBERS: readonly Trick[] = [
  caller({
    name: 'a service pays as a member of another organization',
    act: async ({ call, service, other }) => {
      const { organization } = await other()
      await call({ key: await service(), headers: { 'x-org-id': organization, 'x-user-id': 'bob' } })
    },
    promise: refused('not_a_member', 403),
  }),
  caller({
    name: 'a service pays as somebody who is no member',
    act: async ({ call, service }) => {
      await call({ key: await service(), headers: { 'x-user-id': 'nobody' } })
    },
    promise: refused('not_a_member', 403),
  }),
  caller({
    name: 'a service pays as a member whose name has a NUL behind it',
    act: async ({ call, service }) => {
      await call({ key: await service(), headers: { 'x-user-id': 'bob%00' } })
    },
    promise: refused('not_a_member', 403),
  }),
  caller({
    name: 'a service pays as a member, once',
    act: async ({ call, service }) => {
      await call({ key: await service(), headers: { 'x-user-id': 'bob' } })
    },
    promise: between(3_825n, 'true'),
  }),
  caller({
    name: 'a member pays as another member',
    act: async ({ call, keys }) => {
      await call({ key: keys[1]!, headers: { 'x-user-id': 'bob' } })
    },
    users: 2,
    promise: exact,
  }),
  caller({
    name: 'a member names another organization',
    act: async ({ call, other }) => {
      const { organization } = await other()
      await call({ headers: { 'x-org-id': organization } })
    },
    promise: refused('not_a_member', 403),
  }),
  caller({
    name: 'a member names two organizations',
    act: async ({ call, organization, other }) => {
      const { organization: second } = await other()
      await call({ headers: { 'x-org-id': `${organization}, ${second}` } })
    },
    promise: refused('organization_not_found', 404),
  }),
  caller({
    name: 'a service and a member in one request',
    act: async ({ call, service }) => {
      await call({ headers: { 'x-service-key': await service() } })
    },
    promise: refused('ambiguous_api_key', 401),
  }),
]

const BACK: readonly Trick[] = [
  caller({
    name: 'gives itself back what a call cost',
    act: async ({ call, post }) => {
      const { headers } = await call({})
      const { status } = await post(`/api/v1/admin/calls/${headers['x-litellm-call-id']}/refunds`, { reason: 'mine' })
      if (status !== 403) throw new Error(`a refund by its payer is answered ${status}`)
    },
    promise: exact,
  }),
  caller({
    name: 'what one call cost comes back while the next one runs, on money for one',
    act: async ({ call, refund }) => {
      const body = { max_tokens: 1_000 }
      const first = await call({ body })
      await Promise.all([call({ body }), refund(String(first.headers['x-litellm-call-id'])), call({ body })])
    },
    provider: greedy(),
    credits: 0.95,
    promise: exact,
  }),
  caller({
    name: 'a refund twice, at once',
    act: async ({ call, refund }) => {
      const { headers } = await call({})
      const id = String(headers['x-litellm-call-id'])
      const done = await Promise.allSettled([refund(id), refund(id), refund(id)])
      const given = done.filter(({ status }) => status === 'fulfilled').length
      if (given !== 1) throw new Error(`one call was refunded ${given} times`)
    },
    promise: exact,
  }),
]

const onTwoRoutes = (path: string): readonly Trick[] => [
  caller({
    name: `one key on two routes is one call: ${path}`,
    act: async ({ call }) => {
      const first = await call({ headers: KEY })
      const again = await call({ headers: KEY, path })
      if (again.headers['idempotent-replayed'] !== 'true' || again.body !== first.body)
        throw new Error(`the second route answered anew: ${again.body.slice(0, 200)}`)
    },
    promise: exact,
  }),
  caller({
    name: `one key on two routes at once is one call: ${path}`,
    act: async ({ call }) => {
      await Promise.all([call({ headers: KEY }), call({ headers: KEY, path })])
    },
    provider: (request, number) => {
      if (number > 1) throw new Error('the provider was called twice')
      return honest(BILL)(request, number)
    },
    promise: exact,
  }),
  caller({
    name: `cheaper by its body than by its header: ${path}`,
    act: { path, headers: { 'x-power-level': 'precision' }, body: { power_level: 'eco' } },
    factor: 3_000n,
    promise: exact,
  }),
  caller({
    name: `another spelling of the level in the body: ${path}`,
    act: { path, body: { Power_Level: 'eco' } },
    promise: refused('invalid_request'),
  }),
  caller({
    name: `what responses say of their cost, in a request: ${path}`,
    act: { path, body: { _metadata: { credits_charged: 0, power_level: 'eco' } } },
    promise: refused('invalid_request'),
  }),
  caller({
    name: `leaves a stream after its second word: ${path}`,
    act: { path, body: { stream: true }, leaveAfter: 3 },
    provider: streamsThenWaits([ROLE, ...words(2).map((content) => chunk({ content }))], { input: INPUT, output: 2 }),
    promise: exact,
  }),
]

const ROUTES: readonly Trick[] = [
  ...OTHER_ROUTES.flatMap(onTwoRoutes),
  caller({
    name: 'one key of two users is two calls',
    act: async ({ call, keys }) => {
      await call({ headers: KEY })
      await call({ headers: KEY, key: keys[1]! })
    },
    users: 2,
    promise: exact,
  }),
]

const dear = { model: 'gpt-4o', input: INPUT, output: 2 } as const

const NAMES: readonly Trick[] = [
  ...[false, true].map((isStream) =>
    caller({
      name: `a dear model under the name of a cheap one (stream: ${isStream})`,
      act: { body: { model: 'gpt-4o-nano', stream: isStream } },
      provider: () => {
        const options = { model: 'gpt-4o', usage: usageOf(INPUT, 2) }
        return { script: isStream ? chatStream(options) : chatAnswer(options), bill: dear }
      },
      promise: exact,
    }),
  ),
  ...['gpt-4o-mini ', ' gpt-4o-mini'].map((model) =>
    caller({
      name: `a name with blanks around it is that model's: ${JSON.stringify(model)}`,
      act: { body: { model: `wild/${model}` } },
      promise: exact,
    }),
  ),
  ...['gpt-4o-mini:free', 'gpt-4o-mini/../gpt-4o', 'gpt-4o-mini?model=gpt-4o', 'gpt-4o\u2010mini'].map((model) =>
    caller({
      name: `a name that looks like another one's price: ${JSON.stringify(model)}`,
      act: { body: { model: `wild/${model}` } },
      promise: refused('unknown_price'),
    }),
  ),
]

export const PAYERS: readonly Trick[] = [...MEMBERS, ...BACK, ...ROUTES, ...NAMES]
