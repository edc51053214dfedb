/** The OpenAPI description of the routes that keep provider keys. */

const bearer = [{ key: [] }]
const json = (schema: Record<string, unknown>) => ({ 'application/json': { schema } })
const text = { type: 'string' }
const textOrNull = { type: ['string', 'null'] }
const flag = { type: 'boolean' }
const number = { type: 'number' }

function object(properties: Record<string, unknown>, required: readonly string[] = []) {
  return { type: 'object', ...(required.length === 0 ? {} : { required }), properties }
}

function answers(properties: Record<string, unknown>, errors: Record<number, string>) {
  const described = Object.entries(errors).map(
    ([status, description]) =>
      [status, { description, content: json({ $ref: '#/components/schemas/Error' }) }] as const,
  )
  return { 200: { description: 'Done.', content: json(object(properties)) }, ...Object.fromEntries(described) }
}

const body = (schema: Record<string, unknown>, required = true) => ({ required, content: json(schema) })
const inPath = (name: string, description: string) => ({ name, in: 'path', required: true, description, schema: text })
const inQuery = (name: string, description: string) => ({
  name,
  in: 'query',
  required: false,
  description,
  schema: text,
})

const key = inPath('key', 'openrouter, openai, anthropic, huggingface, groq, xai, google or provisioning.')
const provider = inPath('provider', 'openrouter, openai, anthropic, huggingface, groq, xai or google.')
const scope = inQuery('scope', '`user` (yours, the default) or `organization` (admins of the organization).')
const ADMIN = { 401: 'No or wrong key.', 403: 'Not a system administrator.' }
const OWN = { 401: 'No or wrong key.', 403: "The organization's keys are for its admins." }
const OWN_CHANGE = { ...OWN, 429: 'More than 20 changes a minute.' }

const platformKeySchema = object({
  key_name: text,
  provider: text,
  description: text,
  has_key: flag,
  key_preview: textOrNull,
  last_updated: textOrNull,
  source: { enum: ['database', 'environment', 'not_set'] },
  updated_by: textOrNull,
  problem: { ...textOrNull, description: 'Why a stored key can not be used.' },
})

const ownKeySchema = object({
  id: text,
  provider: text,
  enabled: flag,
  metadata: { type: 'object' },
  created_at: text,
  updated_at: text,
  key_preview: text,
  masked_key: text,
  last_tested: textOrNull,
  test_status: { enum: ['valid', 'failed', null] },
  problem: textOrNull,
})

const scopedBody = object({ scope: { enum: ['user', 'organization'] } })

const platformKeyPaths = {
  '/api/v1/admin/platform-keys': {
    get: {
      summary: "The platform's keys, masked",
      description: 'A stored key is used before one of the environment, from the next call on and on every instance.',
      security: bearer,
      responses: answers({ keys: { type: 'array', items: platformKeySchema }, total: number }, ADMIN),
    },
  },
  '/api/v1/admin/platform-keys/{key}': {
    put: {
      summary: 'Store a key of the platform',
      security: bearer,
      parameters: [key],
      requestBody: body(object({ api_key: { ...text, minLength: 10 } }, ['api_key'])),
      responses: answers(
        { success: flag, message: text, key_preview: text, next_steps: { type: 'array', items: text } },
        { ...ADMIN, 400: 'Not in the format of this provider.', 404: 'No such key.', 422: 'No key was sent.' },
      ),
    },
    delete: {
      summary: 'Delete a stored key of the platform',
      description: "The environment's key stands in for it, where there is one.",
      security: bearer,
      parameters: [key],
      responses: answers({ success: flag, message: text, source: text }, { ...ADMIN, 404: 'None is stored.' }),
    },
  },
  '/api/v1/admin/platform-keys/{key}/test': {
    post: {
      summary: 'Ask the provider whether it takes the key',
      description:
        'The key in use, or `api_key`; that one also at `api_base`, where that is a public address or listed by the operator.',
      security: bearer,
      parameters: [key],
      requestBody: body(object({ api_key: text, api_base: text }), false),
      responses: answers(
        {
          ok: flag,
          key_type: text,
          source: { enum: ['database', 'environment', 'request'] },
          status_code: { type: ['integer', 'null'] },
          latency_ms: number,
          detail: text,
        },
        { ...ADMIN, 400: 'The address may not be called.', 404: 'No such key.', 429: 'More than 10 tests a minute.' },
      ),
    },
  },
  '/api/v1/admin/platform-keys/{key}/decrypted': {
    get: {
      summary: 'Gone: stored keys are never shown',
      security: bearer,
      parameters: [key],
      responses: { 410: { description: 'Always.', content: json({ $ref: '#/components/schemas/Error' }) } },
    },
  },
  '/api/v1/admin/audit-log': {
    get: {
      summary: 'Every change to keys: who, when, from where, what; never a value',
      security: bearer,
      parameters: [
        inQuery('limit', 'Entries, 1 to 1000; 100 where left out.'),
        inQuery('before', 'The id in `next`, for the next page.'),
        inQuery(
          'subject',
          'Of one key only: `platform/openai_api_key`, `user/<id>/openai`, `organization/<id>/openai`.',
        ),
      ],
      responses: answers(
        {
          entries: {
            type: 'array',
            items: object({
              id: text,
              created_at: text,
              action: text,
              subject: text,
              actor: text,
              ip: textOrNull,
              request_id: textOrNull,
              details: { type: ['object', 'null'] },
            }),
          },
          next: textOrNull,
        },
        { ...ADMIN, 422: 'A malformed query.' },
      ),
    },
  },
}

const byokPaths = {
  '/api/v1/llm/byok/providers': {
    get: {
      summary: 'Providers you can bring a key for',
      responses: answers(
        { providers: { type: 'array', items: object({ id: text, name: text, key_format: text }) } },
        {},
      ),
    },
  },
  '/api/v1/llm/byok/keys': {
    get: {
      summary: 'Your own keys, masked',
      security: bearer,
      parameters: [scope],
      responses: answers({ providers: { type: 'array', items: ownKeySchema } }, OWN),
    },
    post: {
      summary: 'Store a key of your own',
      description:
        "On the plan byok calls are made with your own keys only, on hybrid with yours first: the user's, then the organization's. Such a call is not charged and says X-BYOK: true.",
      security: bearer,
      requestBody: body(
        object(
          {
            provider: text,
            api_key: { ...text, minLength: 10 },
            metadata: { type: 'object' },
            scope: { enum: ['user', 'organization'] },
          },
          ['provider', 'api_key'],
        ),
      ),
      responses: answers(
        {
          success: flag,
          key_id: text,
          provider: text,
          message: text,
          key_preview: text,
          test_result: { type: 'null' },
        },
        { ...OWN_CHANGE, 400: 'Not in the format of this provider.', 422: 'Something is missing.' },
      ),
    },
  },
  '/api/v1/llm/byok/keys/{provider}': {
    delete: {
      summary: 'Delete a key of your own',
      security: bearer,
      parameters: [provider, scope],
      responses: answers({ success: flag, provider: text }, { ...OWN_CHANGE, 404: 'None is stored.' }),
    },
  },
  '/api/v1/llm/byok/keys/{provider}/toggle': {
    post: {
      summary: 'Switch a key of your own on or off',
      security: bearer,
      parameters: [provider],
      requestBody: body(object({ enabled: flag, ...scopedBody.properties }, ['enabled'])),
      responses: answers(
        { success: flag, provider: text, enabled: flag, message: text },
        { ...OWN_CHANGE, 404: 'None is stored.', 422: '`enabled` is missing.' },
      ),
    },
  },
  '/api/v1/llm/byok/keys/{provider}/test': {
    post: {
      summary: 'Ask the provider whether it takes your key',
      security: bearer,
      parameters: [provider],
      requestBody: body(scopedBody, false),
      responses: answers(
        { success: flag, provider: text, message: text, details: { type: 'object' } },
        { ...OWN, 404: 'None is stored, or it is switched off.', 429: 'More than 5 tests a minute.' },
      ),
    },
  },
  '/api/v1/llm/byok/keys/{provider}/usage': {
    get: {
      summary: 'What was called with your key',
      security: bearer,
      parameters: [provider, scope, inQuery('days', '1 to 366; 30 where left out.')],
      responses: answers(
        {
          provider: text,
          period_days: number,
          total_requests: number,
          total_tokens: number,
          total_cost: { ...number, description: 'What the provider took, in dollars, as far as it is known.' },
          last_used: textOrNull,
        },
        { ...OWN, 400: 'No such provider.' },
      ),
    },
  },
}

export const keyPaths = { ...platformKeyPaths, ...byokPaths }
