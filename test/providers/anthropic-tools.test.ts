import { describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'
import { ADD, HAIKU, type Json, prepare, refused, sent, text, USER } from './anthropic-call.ts'

const ADD_TOOL = { name: 'add', description: 'Adds', input_schema: { type: 'object' } }

describe('tools', () => {
  test.each<[string, Json, Json]>([
    ['auto, as it is anyway', {}, {}],
    ['none', { tool_choice: 'none' }, { type: 'none' }],
    ['none, and not in parallel', { tool_choice: 'none', parallel_tool_calls: false }, { type: 'none' }],
    ['required', { tool_choice: 'required' }, { type: 'any' }],
    ['one by name', { tool_choice: { type: 'function', function: { name: 'add' } } }, { type: 'tool', name: 'add' }],
    ['not in parallel', { parallel_tool_calls: false }, { type: 'auto', disable_parallel_tool_use: true }],
    [
      'required, not in parallel',
      { tool_choice: 'required', parallel_tool_calls: false },
      { type: 'any', disable_parallel_tool_use: true },
    ],
  ])('Tools are chosen as the caller says: %s.', (_, json, choice) => {
    const body = sent({ tools: [ADD], ...json })
    expect(body.tools).toEqual([ADD_TOOL])
    expect(body.tool_choice ?? {}).toEqual(choice)
  })

  test('Only the allowed tools are sent.', () => {
    const other = { type: 'function', function: { name: 'other' } }
    const allowed = { mode: 'required', tools: [{ type: 'function', function: { name: 'add' } }] }
    expect(sent({ tools: [ADD, other], tool_choice: { type: 'allowed_tools', allowed_tools: allowed } })).toMatchObject(
      { tools: [ADD_TOOL], tool_choice: { type: 'any' } },
    )
  })

  test('Tools can not be forced on the newest models.', () => {
    const json = { tools: [ADD], tool_choice: 'required' }
    expect(refused(json, 'claude-opus-5-5')).toEqual([['tool_choice', true]])
    expect(sent(json, { model: 'claude-opus-5-5', drop: ['tool_choice'] })).not.toHaveProperty('tool_choice')
    expect(refused(json, 'claude-opus-5')).toEqual([])
  })

  test('Without any tools, a choice of tools is not sent.', () => {
    expect(sent({ tools: [], tool_choice: 'auto', parallel_tool_calls: false })).not.toHaveProperty('tool_choice')
  })

  const schema = (parameters: unknown, strict = false) =>
    (
      sent({
        tools: [
          { type: 'function', function: { name: 'f', strict, ...(parameters === undefined ? {} : { parameters }) } },
        ],
      }).tools as Json[]
    )[0]

  test.each<[unknown, unknown]>([
    [undefined, { type: 'object', properties: {} }],
    [{}, { type: 'object' }],
    [{ properties: { a: {} } }, { properties: { a: {} }, type: 'object' }],
    [{ type: ['object', 'null'] }, { type: 'object' }],
    [
      { $ref: '#/$defs/A', $defs: { A: { type: 'object', title: 'A' } } },
      { type: 'object', title: 'A', $defs: { A: { type: 'object', title: 'A' } } },
    ],
  ])('Tools have an object for parameters: %j.', (parameters, expected) => {
    expect(schema(parameters)?.input_schema).toEqual(expected)
  })

  test.each([{ anyOf: [] }, { type: 'string' }, true, { oneOf: [{}] }, { $ref: 'https://x' }])(
    'Tools with parameters that are none are refused: %j.',
    (parameters) => {
      const tools = [{ type: 'function', function: { name: 'f', parameters } }]
      expect(refused({ tools })).toEqual([['tools[0].function.parameters', false]])
    },
  )

  test('Tools that are strict close every object; what strictness does not know is told in words.', () => {
    const parameters = {
      type: 'object',
      properties: { n: { type: 'integer', minimum: 1, description: 'Count' }, o: { type: 'object', properties: {} } },
      required: ['n'],
    }
    expect(schema(parameters, true)).toEqual({
      name: 'f',
      strict: true,
      input_schema: {
        type: 'object',
        properties: {
          n: { type: 'integer', description: 'Count (minimum: 1)' },
          o: { type: 'object', properties: {}, additionalProperties: false },
        },
        required: ['n'],
        additionalProperties: false,
      },
    })
  })

  test('Functions of the older kind are translated like tools.', () => {
    expect(sent({ functions: [ADD.function], function_call: { name: 'add' } })).toMatchObject({
      tools: [ADD_TOOL],
      tool_choice: { type: 'tool', name: 'add' },
    })
  })

  test("Tools of Anthropic's own are sent as they are, and held for.", () => {
    const code = { type: 'code_execution_20250825', name: 'code_execution' }
    const json = { tools: [code, { type: 'web_search_20250305', name: 'web_search', max_uses: 3 }] }
    expect(sent(json).tools).toEqual(json.tools)
    expect(prepare(json).headers['anthropic-beta']).toBe('code-execution-2025-08-25')
    expect(anthropic.chat.serverTools(json, HAIKU)).toEqual([
      { kind: 'code_execution', uses: 10, addsInput: true, billedByUse: false },
      { kind: 'web_search', uses: 3, addsInput: true, billedByUse: true },
    ])
    expect(anthropic.chat.serverTools({ tools: [ADD] }, HAIKU)).toEqual([])
    const own = { mcp_servers: [{}], context_management: { edits: [{ type: 'compact_20260112' }] } }
    expect(sent(own)).toMatchObject(own)
    expect(prepare(own).headers['anthropic-beta']).toBe('compact-2026-01-12,mcp-client-2025-11-20')
    expect(anthropic.chat.serverTools(own, HAIKU)).toEqual([
      { kind: 'mcp', uses: 10, addsInput: true, billedByUse: false },
      { kind: 'context_management', uses: 1, addsInput: true, billedByUse: false },
    ])
  })

  test("Tools for a search are Anthropic's, by OpenAI's member.", () => {
    const location = { type: 'approximate', approximate: { country: 'FR', city: 'Paris' } }
    const json = { web_search_options: { search_context_size: 'low', user_location: location } }
    expect(sent(json).tools).toEqual([
      {
        type: 'web_search_20250305',
        name: 'web_search',
        max_uses: 1,
        user_location: { type: 'approximate', country: 'FR', city: 'Paris' },
      },
    ])
    expect(anthropic.chat.serverTools(json, HAIKU)).toEqual([
      { kind: 'web_search', uses: 1, addsInput: true, billedByUse: true },
    ])
  })

  test('Tools name the models an advisor consults, for the hold.', () => {
    const advisor = { type: 'advisor_20260301', name: 'advisor', model: 'claude-opus-4-8' }
    expect(anthropic.chat.mayServe({ tools: [advisor, ADD] })).toEqual(['claude-opus-4-8'])
  })
})

describe('answers in a form', () => {
  const person = { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] }
  const form = (schema: Json) => ({ response_format: { type: 'json_schema', json_schema: { name: 'person', schema } } })

  test('A response by a schema is structured output where the model has it.', () => {
    expect(sent({ ...form(person), reasoning_effort: 'low' }, { model: 'claude-opus-4-8' })).toMatchObject({
      output_config: {
        format: { type: 'json_schema', schema: { ...person, additionalProperties: false } },
        effort: 'low',
      },
    })
  })

  test('A response by a schema is the call of a tool where the model has no structured output.', () => {
    const body = sent(form(person), { model: 'claude-sonnet-4-20250514' })
    expect(body.tools).toEqual([
      { name: 'tollgate_answer', description: 'Gives the answer, in this form.', input_schema: person },
    ])
    expect(body.tool_choice).toEqual({ type: 'tool', name: 'tollgate_answer', disable_parallel_tool_use: true })
  })

  test("A response by a schema leaves the caller's own tools a turn before.", () => {
    const body = sent({ ...form(person), tools: [ADD] }, { model: 'claude-sonnet-4-20250514' })
    expect((body.tools as Json[]).map(({ name }) => name)).toEqual(['add', 'tollgate_answer'])
    expect(body.tool_choice).toEqual({ type: 'any' })
  })

  test('A response by a schema is asked for in words where no schema can hold it.', () => {
    const plain = sent({ response_format: { type: 'json_object' } })
    expect(plain.system).toEqual([
      text(expect.stringMatching(/^Answer with one valid JSON object/) as unknown as string),
    ])
    const open = { type: 'array', items: {} }
    const told = sent(
      { messages: [{ role: 'system', content: 'S' }, USER], ...form(open) },
      { model: 'claude-opus-4-1' },
    )
    expect(told.system).toEqual([text('S'), text(expect.stringContaining(JSON.stringify(open)) as unknown as string)])
  })

  test('A response by a schema with an open object uses the tool, which is not strict.', () => {
    const body = sent(form({ ...person, additionalProperties: { type: 'string' } }))
    expect(body).not.toHaveProperty('output_config')
    expect((body.tools as Json[])[0]?.name).toBe('tollgate_answer')
  })
})
