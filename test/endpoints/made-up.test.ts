/**
 * What CONTRIBUTING.md says of a new endpoint and a new provider, done to a copy of the program: an endpoint is a folder, a capability and
 * a line, a provider is a file and a line. Whatever goes wrong with a call is said in the endpoint's own dialect.
 */
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { copyProgram, type ProgramCopy } from '../support/program-copy.ts'
import { configFor, get, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, jsonAnswer } from '../support/upstream-answers.ts'

const PATH = '/v1/whispers'
const LINE = `{ endpoint: whispers, paths: ['${PATH}'], operation: whispersOperation }`
const BODY = { model: 'gpt-4o-mini', whisper: 'psst', volume: 100 }
const ACME = `import { unknownMedia } from './media/media-size.ts'
import { openAiDialect, PLAIN_MODEL } from './openai-dialect.ts'

export const acme = openAiDialect({
  name: 'acme',
  label: 'Acme',
  baseUrl: 'https://api.acme.test/v1',
  keyVariables: ['ACME_API_KEY'],
  domain: 'acme.test',
  model: () => PLAIN_MODEL,
  mediaTokens: () => unknownMedia,
  capMember: () => 'max_tokens',
})
`

const db = useDatabase()
let copy: ProgramCopy
let upstream: ScriptedUpstream
let tollgate: Tollgate
let key: string

beforeAll(async () => {
  copy = await copyProgram()
  const { folder } = copy
  const from = join(import.meta.dirname, 'whispers')
  // The capability, and where it is.
  await cp(join(from, 'openai-whispers.ts'), join(folder, 'providers/openai-whispers.ts'))
  await edit('providers/openai-whispers.ts', [['../../../providers/', './']])
  await writeFile(join(folder, 'providers/acme.ts'), ACME)
  await edit('providers/registry.ts', [
    ['  openai,\n', '  openai: { ...openai, whispers } as Provider,\n  acme,\n'],
    [
      'import { xai }',
      "import { acme } from './acme.ts'\nimport { whispers } from './openai-whispers.ts'\nimport { xai }",
    ],
  ])
  // The folder, and its line.
  await cp(join(from, 'whispers.ts'), join(folder, 'src/endpoints/whispers/whispers.ts'))
  await edit('src/endpoints/whispers/whispers.ts', [
    ['../../../src/', '../../'],
    ['./openai-whispers.ts', '../../../providers/openai-whispers.ts'],
  ])
  await edit('src/endpoints/endpoints.ts', [
    ['readonly MountedEndpoint[] = [\n', `readonly MountedEndpoint[] = [\n  ${LINE},\n`],
    [
      'import type { Mounted',
      "import { whispers, whispersOperation } from './whispers/whispers.ts'\nimport type { Mounted",
    ],
  ])
  upstream = await startUpstream()
  const rocket = modelOn(upstream.url, 'rocket', {
    ...{ model: 'acme/rocket-1', api_key: 'os.environ/ACME_API_KEY' },
    ...{ input_cost_per_token: 0, output_cost_per_token: 0.00002 },
  })
  tollgate = await startTollgate({
    databaseUrl: db.url,
    program: folder,
    config: configFor(upstream.url, { models: [rocket], tollgate: { limits: { body_megabytes: 1 } } }),
    env: { ACME_API_KEY: 'acme-key-1' },
  })
  key = (await db.seedOrganization({ credits: 100, users: { alice: 100 } })).keys.alice
})
afterEach(() => expectNothingHeld(db.pool))
afterAll(async () => {
  await tollgate.stop()
  await upstream.close()
  await copy.remove()
})

async function edit(name: string, changes: readonly (readonly [string, string])[]): Promise<void> {
  const file = join(copy.folder, name)
  let text = await readFile(file, 'utf8')
  for (const [before, after] of changes) {
    expect(text, `${name} has ${before}`).toContain(before)
    text = text.replaceAll(before, after)
  }
  await writeFile(file, text)
}

test('A made-up endpoint holds, charges and books its calls, and nothing of call/ was touched for it.', async () => {
  upstream.respond(jsonAnswer({ echo: 'tssp', heard: 1000, said: 100 }))
  const { status, body, headers } = await postChat(tollgate, key, BODY, { path: PATH })
  // $0.15 and $0.60 a million, and half of that on top.
  expect([status, body]).toEqual([200, '{"echo":"tssp","dollars":0.000315}'])
  expect([headers.get('x-credits-used'), headers.get('x-credits-remaining')]).toEqual(['0.315000', '99.685'])
  expect(upstream.requests.at(-1)).toMatchObject({ path: PATH, json: { model: 'gpt-4o-mini', whisper: 'psst' } })
  const { rows } = await db.pool.query(
    'select service_type, credits_used::float8 as credits from credit_usage_attribution where call_id = $1',
    [headers.get('x-litellm-call-id')],
  )
  expect(rows).toEqual([{ service_type: 'whispers', credits: 0.315 }])
  expect((await get(tollgate, null, '/openapi.json')).json()).toMatchObject({ paths: { [PATH]: { post: {} } } })
})

test.each([
  [
    'no credential, and a body that is none',
    401,
    'missing_api_key',
    () => postChat(tollgate, null, '{', { path: PATH }),
  ],
  ['an unknown key', 401, 'invalid_api_key', () => postChat(tollgate, `uc_${'0'.repeat(64)}`, BODY, { path: PATH })],
  ['a body that is no JSON', 400, 'invalid_json', () => postChat(tollgate, key, '{', { path: PATH })],
  ['what its endpoint refuses', 400, 'missing_whisper', () => postChat(tollgate, key, {}, { path: PATH })],
  ['an unknown model', 404, 'model_not_found', () => postChat(tollgate, key, { ...BODY, model: 'x' }, { path: PATH })],
  ['a method it does not have', 405, 'method_not_allowed', () => get(tollgate, key, PATH)],
  [
    'a body that is too large',
    413,
    'request_too_large',
    () => postChat(tollgate, key, { ...BODY, whisper: 'x'.repeat(1_100_000) }, { path: PATH }),
  ],
  [
    'another content type',
    415,
    'unsupported_media_type',
    () => postChat(tollgate, key, BODY, { path: PATH, headers: { 'content-type': 'text/plain' } }),
  ],
  [
    'too few credits',
    402,
    'insufficient_credits',
    async () => {
      const { keys } = await db.seedOrganization({ credits: 1, users: { bob: 0 } })
      return postChat(tollgate, keys.bob, BODY, { path: PATH })
    },
  ],
] as const)('%s is reported in the dialect of the endpoint.', async (_, status, code, ask) => {
  const answer = await ask()
  expect([answer.status, answer.json()]).toEqual([status, { hush: { code, message: expect.any(String) } }])
})

test('Other routes keep their own dialect.', async () => {
  for (const path of ['/v1/chat/completions', '/v1/whispers/none'])
    expect((await postChat(tollgate, null, BODY, { path })).json()).toMatchObject({
      error: { code: 'missing_api_key' },
    })
})

test('A made-up provider is a file and a line: its key comes from its variable, its calls are charged.', async () => {
  upstream.respond(chatAnswer({ model: 'rocket-1' }))
  const asked = { model: 'rocket', max_tokens: 100, messages: [{ role: 'user', content: 'Up!' }] }
  const { status, headers } = await postChat(tollgate, key, asked)
  expect([status, headers.get('x-provider-used')]).toEqual([200, 'acme'])
  expect(upstream.requests.at(-1)).toMatchObject({ json: { model: 'rocket-1' } })
  expect(upstream.requests.at(-1)?.headers.authorization).toBe('Bearer acme-key-1')
  expect(Number(headers.get('x-credits-used'))).toBeGreaterThan(0)
})
