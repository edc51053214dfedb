import { expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { describeConfig } from '../../src/config/describe.ts'
import { loadConfig } from '../../src/config/load.ts'

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

function load(outbox: unknown, env: Record<string, string> = {}) {
  const text = JSON.stringify({ model_list: [], tollgate: { outbox } })
  return loadConfig(text, 'config.yaml', env, { embedded: true, providers: PROVIDERS })
}
const errorsOf = (outbox: unknown) =>
  load(outbox).problems.flatMap(({ severity, message }) => (severity === 'error' ? [message] : []))

const hook = { name: 'billing', type: 'webhook', url: 'https://example.com/hook', secret: 'os.environ/HOOK' }

test('A consumer is read with its secret from the environment, and told of everything unless it says otherwise.', () => {
  const { config, problems } = load(
    [hook, { name: 'team', type: 'slack', url: 'https://hooks.slack.com/services/T/B/X' }],
    {
      HOOK: SECRET,
    },
  )
  expect(problems.filter(({ path }) => path.startsWith('tollgate'))).toEqual([])
  expect(config?.outbox[0]).toEqual({
    name: 'billing',
    types: ['*'],
    deadAfterHours: 72,
    receiver: { kind: 'webhook', url: hook.url, secrets: [SECRET.slice(6)] },
  })
  // Not every charge becomes a line in a channel.
  expect(config?.outbox[1]?.types).not.toContain('charge.created')
  const described = describeConfig(config!)
  expect(described).toContain('billing: webhook at example.com, events *')
  expect(described).not.toContain('services/T/B/X')
  expect(described).not.toContain(SECRET.slice(6))
})

test('A consumer that can not be understood stops the start, and no secret is shown.', () => {
  expect(errorsOf([{ ...hook, secret: 'whsec_c2hvcnQ=' }])).toEqual([
    'a secret is whsec_ and 24 to 64 random bytes in base64',
  ])
  expect(errorsOf([{ ...hook, type: 'pigeon', secret: SECRET }])[0]).toContain('expected webhook')
  expect(errorsOf([{ ...hook, url: 'ftp://example.com', secret: SECRET }])).toEqual([
    'not a URL of https or http without a user',
  ])
  expect(errorsOf([{ ...hook, secret: SECRET, events: ['charge'] }])[0]).toContain('expected a type of events')
  expect(
    errorsOf([
      { ...hook, secret: SECRET },
      { ...hook, secret: SECRET },
    ]),
  ).toEqual(['two consumers are named billing'])
  expect(errorsOf([{ name: 'team', type: 'slack' }])).toEqual(['missing: where events are sent'])
})

test('Lago and Stripe take url and keys from the variables that their documents name.', () => {
  const plans = { platform: 'a', byok: 'b', hybrid: 'c' }
  const outbox = [
    { name: 'lago', type: 'lago', plans },
    { name: 'stripe', type: 'stripe', meter: 'microcredits', customers: { acme: 'cus_1' } },
  ]
  const env = { LAGO_API_URL: 'https://lago.example.com', LAGO_API_KEY: 'lago-key', STRIPE_SECRET_KEY: 'sk_test_1' }
  expect(load(outbox, env).config?.outbox.map(({ receiver }) => receiver)).toEqual([
    { kind: 'lago', url: 'https://lago.example.com', apiKey: 'lago-key', metric: 'api_call', plans, webhookKey: null },
    {
      kind: 'stripe',
      url: 'https://api.stripe.com',
      secretKey: 'sk_test_1',
      meter: 'microcredits',
      customers: { acme: 'cus_1' },
    },
  ])
  expect(errorsOf([{ name: 'lago', type: 'lago', url: 'https://lago.example.com', api_key: 'k' }])).toEqual([
    'missing: the codes that plans have in Lago',
  ])
  expect(errorsOf([{ ...outbox[1], secret_key: 'sk_test_1', customers: { acme: 'acme' } }])).toEqual([
    'not the id of a customer of Stripe',
  ])
})
