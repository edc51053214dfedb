/** Deployments in a cloud: the region, the account and the credential that LiteLLM's words and variables say. */
import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { formatProblem, loadConfig } from '../../src/config/load.ts'
import { problemLines } from '../../src/config/problem-lines.ts'
import type { Env } from '../../src/config/source.ts'

function read(params: string, env: Env = {}, files: Readonly<Record<string, string>> = {}) {
  const text = `model_list: [{model_name: m, litellm_params: {${params}}}]`
  const { config, problems } = loadConfig(text, 'config.yaml', env, {
    embedded: true,
    providers: PROVIDERS,
    readFile: (path) => files[path] ?? null,
  })
  if (config === null) throw new Error(problems.map(formatProblem).join('\n'))
  return { deployment: config.deployments[0], left: config.leftOut[0]?.why, lines: problemLines(problems), problems }
}

const packed = (key: Record<string, string>) => Buffer.from(JSON.stringify(key)).toString('base64')

describe('bedrock', () => {
  const MODEL = 'model: bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0'
  const ENV = { AWS_ACCESS_KEY_ID: 'AKIDENVIRONMENT', AWS_SECRET_ACCESS_KEY: 'env-secret' }
  const BASE = 'https://bedrock-runtime'

  test.each([
    [MODEL, {}, `${BASE}.us-west-2.amazonaws.com?region=us-west-2`],
    [MODEL, { AWS_REGION: 'eu-west-1' }, `${BASE}.eu-west-1.amazonaws.com?region=eu-west-1`],
    [
      `${MODEL}, aws_region_name: us-east-1`,
      { AWS_REGION: 'eu-west-1' },
      `${BASE}.us-east-1.amazonaws.com?region=us-east-1`,
    ],
    [
      'model: bedrock/us-gov-west-1/anthropic.claude-3-haiku-20240307-v1:0',
      {},
      `${BASE}.us-gov-west-1.amazonaws.com?region=us-gov-west-1`,
    ],
    [`${MODEL}, aws_bedrock_runtime_endpoint: "https://vpce.example/"`, {}, 'https://vpce.example?region=us-west-2'],
    [`${MODEL}, api_base: "https://gate.example/aws"`, {}, 'https://gate.example/aws?region=us-west-2'],
  ])('A deployment {%s} with %j stands at %s.', (params, env, expected) => {
    expect(read(params, env).deployment?.apiBase).toBe(expected)
  })

  test('A region before the name is not a part of it.', () => {
    const { deployment } = read('model: bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0')
    expect(deployment?.upstreamModel).toBe('anthropic.claude-3-haiku-20240307-v1:0')
  })

  test('A key of the entry comes before that of the environment, and its parts are kept together.', () => {
    const own = `${MODEL}, aws_access_key_id: AKIDOWN, aws_secret_access_key: os.environ/OWN, aws_session_token: os.environ/SESSION`
    const { deployment, problems } = read(own, { ...ENV, OWN: 'own-secret', SESSION: 'own-session' })
    expect(deployment).toMatchObject({
      apiKey: packed({
        aws_access_key_id: 'AKIDOWN',
        aws_secret_access_key: 'own-secret',
        aws_session_token: 'own-session',
      }),
      keyWritten: true,
      trustedHost: true,
      shownApiBase: 'https://bedrock-runtime.us-west-2.amazonaws.com',
    })
    expect(problems.map(formatProblem).join('\n')).not.toContain('own-se')
  })

  test('The environment’s key goes to AWS alone; a key of Bedrock’s own comes before it.', () => {
    const key = packed({ aws_access_key_id: 'AKIDENVIRONMENT', aws_secret_access_key: 'env-secret' })
    expect(read(MODEL, ENV).deployment).toMatchObject({
      apiKey: key,
      apiKeySource: 'AWS_ACCESS_KEY_ID',
      keyWritten: false,
    })
    expect(read(MODEL, { ...ENV, AWS_BEARER_TOKEN_BEDROCK: 'ABSKx' }).deployment?.apiKey).toBe('ABSKx')
    const elsewhere = `${MODEL}, api_base: "https://x.execute-api.us-east-1.amazonaws.com"`
    for (const env of [ENV, { AWS_BEARER_TOKEN_BEDROCK: 'ABSKx' }])
      expect(read(elsewhere, env).deployment).toMatchObject({ apiKey: null, trustedHost: false, shownApiBase: null })
  })

  test.each([
    [`${MODEL}, aws_access_key_id: AKIDOWN`, 'an access key needs its aws_secret_access_key'],
    [`${MODEL}, aws_secret_access_key: os.environ/OWN`, 'an access key needs its aws_access_key_id'],
    [
      `${MODEL}, aws_role_name: r, aws_session_name: s`,
      'credentials are not taken from aws_role_name, aws_session_name',
    ],
    [`${MODEL}, aws_region_name: "x.evil.example/"`, '"x.evil.example/" is no region'],
    [
      'model: bedrock/amazon.titan-embed-text-v2:0',
      'of the models on Bedrock only those that converse are served here',
    ],
  ])('A deployment {%s} is left out: %s.', (params, why) => {
    expect(read(params, { ...ENV, OWN: 'own-secret' }).left).toBe(why)
  })

  test('A deployment without a credential is told what to write, and none of what it can write is unknown.', () => {
    expect(read(MODEL).lines.join('\n')).toContain('no credential, so nobody can use it')
    const all = `${MODEL}, aws_region_name: us-east-1, aws_access_key_id: AKIDOWN, aws_secret_access_key: os.environ/OWN`
    expect(read(all, { OWN: 's' }).problems).toEqual([])
  })
})

describe('vertex_ai', () => {
  const MODEL = 'model: vertex_ai/gemini-2.5-pro'
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ACCOUNT = {
    type: 'service_account',
    project_id: 'of-the-file',
    private_key_id: 'k1',
    private_key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    client_email: 'gate@acme.iam.gserviceaccount.com',
  }
  const FILE = JSON.stringify({ ...ACCOUNT, client_id: '1', universe_domain: 'googleapis.com' }, null, 2)
  const files = { '/keys/a.json': FILE, '/keys/broken.json': '{', '/keys/other.json': '{"type":"external_account"}' }
  const ENV = { GOOGLE_APPLICATION_CREDENTIALS: '/keys/a.json' }

  test.each([
    [MODEL, {}, 'https://us-central1-aiplatform.googleapis.com?location=us-central1'],
    [
      MODEL,
      { VERTEXAI_LOCATION: 'europe-west4' },
      'https://europe-west4-aiplatform.googleapis.com?location=europe-west4',
    ],
    [`${MODEL}, vertex_location: global`, {}, 'https://aiplatform.googleapis.com?location=global'],
    [
      'model: vertex_ai/claude-opus-4-5, vertex_location: eu',
      {},
      'https://aiplatform.eu.rep.googleapis.com?location=eu',
    ],
  ])('A deployment {%s} with %j stands at %s.', (params, env, expected) => {
    expect(read(params, { ...ENV, ...env }, files).deployment?.apiBase).toBe(expected)
  })

  test('A credential is read from the file that is named, or from JSON, and names the project where nothing else does.', () => {
    const expected = {
      organization: 'of-the-file',
      keyWritten: true,
      trustedHost: true,
      shownApiBase: 'https://us-central1-aiplatform.googleapis.com',
    }
    for (const [params, env] of [
      [`${MODEL}, vertex_credentials: /keys/a.json`, {}],
      [`${MODEL}, vertex_credentials: os.environ/MINE`, { MINE: FILE }],
    ] as const) {
      const { deployment, problems } = read(params, env, files)
      expect(deployment).toMatchObject(expected)
      expect(JSON.parse(Buffer.from(deployment?.apiKey ?? '', 'base64').toString())).toEqual(ACCOUNT)
      expect(problems).toEqual([])
    }
    expect(read(`${MODEL}, vertex_project: mine`, ENV, files).deployment).toMatchObject({
      organization: 'mine',
      apiKeySource: 'GOOGLE_APPLICATION_CREDENTIALS',
      keyWritten: false,
    })
  })

  test.each([
    [`${MODEL}, vertex_credentials: /keys/none.json`, 'the file of the credential can not be read'],
    [`${MODEL}, vertex_credentials: /keys/broken.json`, 'the credential is no JSON object'],
    [
      `${MODEL}, vertex_credentials: /keys/other.json`,
      'the credential is neither a service account’s nor an authorized user’s',
    ],
    [`${MODEL}, api_key: ya29.x`, 'nothing names the project that pays'],
    [
      'model: vertex_ai/meta/llama-4',
      'of the models on Vertex AI only Gemini and Claude are served here, in conversations',
    ],
  ])('A deployment {%s} is left out: %s.', (params, why) => {
    expect(read(params, {}, files).left).toBe(why)
  })

  test('A key that can’t be read is reported without being shown.', () => {
    const account = JSON.stringify({ ...ACCOUNT, private_key: 'not-a-key-at-all' })
    const { left, problems } = read(`${MODEL}, vertex_credentials: os.environ/MINE`, { MINE: account })
    expect(left).toBe('the private_key of the credential can not be read')
    expect(problems.map(formatProblem).join()).not.toContain('not-a-key')
  })
})
