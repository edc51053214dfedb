import { describe, expect, test } from 'vitest'
import { HAIKU, type Json, prepare, refused, sent, text, USER } from './anthropic-call.ts'

const messages = (list: unknown[], model = HAIKU) => sent({ messages: list }, { model })

describe('messages', () => {
  test('System and developer messages at the start become the system prompt.', () => {
    expect(
      messages([{ role: 'system', content: 'A' }, { role: 'developer', content: [text('B'), text('')] }, USER]),
    ).toMatchObject({ system: [text('A'), text('B')], messages: [{ role: 'user', content: [text('Hi')] }] })
  })

  test('A conversation of system messages alone is sent as a message of the user.', () => {
    const body = messages([{ role: 'system', content: 'Greet' }])
    expect(body).toMatchObject({ messages: [{ role: 'user', content: [text('Greet')] }] })
    expect(body).not.toHaveProperty('system')
  })

  const middle = [USER, { role: 'assistant', content: 'Yes?' }, { role: 'system', content: 'Be brief' }, USER]
  const behind = [USER, { role: 'system', content: 'Be brief' }]
  test.each<[string, string, unknown[], string[]]>([
    ['as text of the user', HAIKU, middle, ['user', 'assistant', 'user']],
    [
      'as text of the user, where it may not follow an answer',
      'claude-opus-4-8',
      middle,
      ['user', 'assistant', 'user'],
    ],
    ['as what it is', 'claude-opus-4-8', behind, ['user', 'system']],
    ['as text of the user, where the user goes on', 'claude-opus-4-8', [...behind, USER], ['user']],
    ['as text of the user', 'claude-sonnet-5', behind, ['user']],
  ])('System messages in the middle stay in their place, %s.', (_, model, list, roles) => {
    const body = messages(list, model)
    expect((body.messages as Json[]).map(({ role }) => role)).toEqual(roles)
    expect(body).not.toHaveProperty('system')
    const own = roles.includes('system') ? 'Be brief' : '<system>\nBe brief\n</system>'
    expect(JSON.stringify(body)).toContain(JSON.stringify(own))
  })

  test('Messages of the same role in a row become one, without blank text.', () => {
    expect(messages([USER, { role: 'user', content: ' ' }, { role: 'user', content: 'you' }]).messages).toEqual([
      { role: 'user', content: [text('Hi'), text('you')] },
    ])
  })

  test('Messages with a name are refused, or lose it.', () => {
    expect(refused({ messages: [{ ...USER, name: 'Bob' }] })).toEqual([['messages[].name', true]])
    expect(messages([{ ...USER, name: 'Bob' }]).messages).toEqual([{ role: 'user', content: [text('Hi')] }])
  })

  test('Messages that are begun for the assistant end without white space, and only older models continue them.', () => {
    const list = [USER, { role: 'assistant', content: 'I say: \n' }]
    expect(messages(list).messages).toEqual([
      { role: 'user', content: [text('Hi')] },
      { role: 'assistant', content: [text('I say:')] },
    ])
    expect(refused({ messages: list })).toEqual([])
    expect(refused({ messages: list }, 'claude-sonnet-4-6')).toEqual([['messages', false]])
  })

  const call = (id: string, args: string, name = 'add') => ({
    id,
    type: 'function',
    function: { name, arguments: args },
  })
  const use = (id: string, input: unknown, name = 'add') => ({ type: 'tool_use', id, name, input })
  const result = (id: string, value: string) => ({ type: 'tool_result', tool_use_id: id, content: [text(value)] })

  test('Messages with tool calls have their results together and first, whatever stands between them.', () => {
    const list = [
      USER,
      { role: 'assistant', content: null, tool_calls: [call('a', '{"x":1}'), call('b', '')] },
      { role: 'tool', tool_call_id: 'b', content: 'two' },
      { role: 'user', content: 'Well?' },
      { role: 'tool', tool_call_id: 'a', content: [text('one')] },
      { role: 'assistant', content: 'Three', tool_calls: [call('c', '{}')] },
      { role: 'tool', tool_call_id: 'c', content: '' },
    ]
    expect(messages(list).messages).toEqual([
      { role: 'user', content: [text('Hi')] },
      { role: 'assistant', content: [use('a', { x: 1 }), use('b', {})] },
      { role: 'user', content: [result('b', 'two'), result('a', 'one'), text('Well?')] },
      { role: 'assistant', content: [text('Three'), use('c', {})] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c' }] },
    ])
  })

  test('Messages keep arguments to the digit.', () => {
    const args = '{"id":9007199254740993,"price":1.0,"tiny":1e-400,"n":[1,2.50]}'
    const list = [
      USER,
      { role: 'assistant', tool_calls: [call('a', args)] },
      { role: 'tool', tool_call_id: 'a', content: 'x' },
    ]
    expect(prepare({ messages: list }).body.toString()).toContain(`"input":${args}`)
  })

  test.each([
    ['{"x":', { arguments: '{"x":' }],
    ['[1]', { arguments: '[1]' }],
    ['"x"', { arguments: '"x"' }],
    ['null', { arguments: 'null' }],
    [' ', {}],
  ])('Messages keep arguments that are no object: %s.', (args, input) => {
    const [, said] = messages([USER, { role: 'assistant', tool_calls: [call('a', args)] }]).messages as Json[]
    expect(said).toEqual({ role: 'assistant', content: [use('a', input)] })
  })

  test('Messages have ids that Claude takes, the same for call and result.', () => {
    const list = [
      USER,
      { role: 'assistant', tool_calls: [call('call:1/2', '{}'), call('', '{}'), call('', '{}')] },
      { role: 'tool', tool_call_id: '', content: '2' },
      { role: 'tool', tool_call_id: '', content: '3' },
      { role: 'tool', tool_call_id: 'call:1/2', content: '1' },
      { role: 'assistant', tool_calls: [call('call:1/2', '{}')] },
      { role: 'tool', tool_call_id: 'call:1/2', content: '4' },
    ]
    const blocks = (messages(list).messages as { content: Json[] }[]).flatMap(({ content }) => content)
    const ids = blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => String(id))
    expect(new Set(ids).size).toBe(4)
    for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9_-]+$/)
    const answered = blocks.filter(({ type }) => type === 'tool_result').map((block) => block.tool_use_id)
    expect(answered).toEqual([ids[1], ids[2], ids[0], ids[3]])
  })

  test('Function calls of the older kind are translated like tool calls.', () => {
    const list = [
      USER,
      { role: 'assistant', content: null, function_call: { name: 'add', arguments: '{"a":1}' } },
      { role: 'function', name: 'add', content: '3' },
    ]
    const [, said, answered] = messages(list).messages as { content: Json[] }[]
    expect(said?.content).toEqual([use('call_1_0', { a: 1 })])
    expect(answered?.content).toEqual([result('call_1_0', '3')])
  })

  const thought = { type: 'thinking', thinking: 'hm', signature: 's1' }
  const called = { role: 'assistant', content: null, tool_calls: [call('a', '{}')] }
  const answered = { role: 'tool', tool_call_id: 'a', content: '1' }
  const again = { role: 'assistant', content: null, tool_calls: [call('b', '{}')] }
  const onceMore = { role: 'tool', tool_call_id: 'b', content: '2' }
  test.each<[string, unknown[], boolean]>([
    ['begins', [USER], true],
    ['goes on with its thoughts', [USER, { ...called, thinking_blocks: [thought] }, answered], true],
    ['goes on without its thoughts', [USER, called, answered], false],
    ['thought once', [USER, { ...called, thinking_blocks: [thought] }, answered, again, onceMore], true],
    ['thought too late', [USER, called, answered, { ...again, thinking_blocks: [thought] }, onceMore], false],
    ['is new', [USER, called, answered, { role: 'assistant', content: 'A' }, USER], true],
  ])('Messages of a turn that %s are continued thinking by budget: %s.', (_, list, thinks) => {
    const body = sent({ messages: list, reasoning_effort: 'low' })
    expect(body.thinking).toEqual(thinks ? { type: 'enabled', budget_tokens: 1_024 } : undefined)
    // Adaptive thinking does not ask for them.
    const adaptive = sent({ messages: list, reasoning_effort: 'low' }, { model: 'claude-opus-4-6' })
    expect(adaptive.thinking).toEqual({ type: 'adaptive' })
  })

  test('Messages take reasoning back only where Claude signed it.', () => {
    const said = { role: 'assistant', content: 'A', reasoning_content: 'hm' }
    expect(messages([USER, said, USER]).messages).toContainEqual({ role: 'assistant', content: [text('A')] })
    expect(messages([USER, { ...said, thinking_blocks: [thought] }, USER]).messages).toContainEqual({
      role: 'assistant',
      content: [thought, text('A')],
    })
    const forged = [{ type: 'image', source: {} }, { type: 'thinking', thinking: 'x' }, 5]
    expect(messages([USER, { ...said, thinking_blocks: forged }, USER]).messages).toContainEqual({
      role: 'assistant',
      content: [text('A')],
    })
  })
})

describe('content parts', () => {
  const PNG = 'iVBORw0KGgoAAAANSUhEUgAAADIAAAAyCAIAAACRXR'
  const part = (value: unknown) =>
    ((messages([{ role: 'user', content: [text('See'), value] }]).messages as { content: Json[] }[])[0]?.content ??
      [])[1]
  const image = (url: string) => ({ type: 'image_url', image_url: { url, detail: 'high' } })
  const file = (members: Json) => ({ type: 'file', file: members })

  test.each<[string, unknown, unknown]>([
    [
      'an image by its bytes',
      image(`data:image/jpeg;base64,${PNG}`),
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PNG } },
    ],
    [
      'an image by its address',
      image('https://x.example/a.png'),
      { type: 'image', source: { type: 'url', url: 'https://x.example/a.png' } },
    ],
    [
      'a PDF',
      file({ filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0xLjM=' }),
      {
        type: 'document',
        source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0xLjM=' },
        title: 'a.pdf',
      },
    ],
    [
      'plain text',
      file({ file_data: 'data:text/plain;base64,SGk=' }),
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'Hi' } },
    ],
    ['a stored file', file({ file_id: 'f1' }), { type: 'document', source: { type: 'file', file_id: 'f1' } }],
    ['a refusal', { type: 'refusal', refusal: 'No' }, text('No')],
    [
      'a cache hint',
      { ...text('B'), cache_control: { type: 'ephemeral', ttl: '1h' } },
      { ...text('B'), cache_control: { type: 'ephemeral', ttl: '1h' } },
    ],
  ])('Content parts are translated: %s.', (_, value, block) => {
    expect(part(value)).toEqual(block)
  })

  test.each<[unknown, string]>([
    [{ type: 'input_audio', input_audio: { data: 'x', format: 'wav' } }, 'messages[0].content[0]'],
    [{ type: 'video', video: {} }, 'messages[0].content[0]'],
    [image('data:image/svg+xml;base64,PHN2Zz4='), 'messages[0].content[0].image_url.url'],
    [image('ftp://x'), 'messages[0].content[0].image_url.url'],
    [file({ file_data: 'data:application/zip;base64,UEsDBA==' }), 'messages[0].content[0].file'],
  ])('Content parts that Claude does not take are refused by their place: %j.', (value, place) => {
    expect(refused({ messages: [{ role: 'user', content: [value] }] })).toEqual([[place, false]])
    const thought = { type: 'thinking', thinking: 'hm', signature: 's' }
    const said = { role: 'assistant', content: [value], thinking_blocks: [thought] }
    expect(refused({ messages: [said, USER] })).toEqual([[place, false]])
  })

  test('Content parts keep four cache hints, the last ones.', () => {
    const hinted = (value: string) => ({ ...text(value), cache_control: { type: 'ephemeral' } })
    const body = messages([{ role: 'user', content: ['1', '2', '3', '4', '5', '6'].map(hinted) }])
    const [said] = body.messages as { content: Json[] }[]
    expect(said?.content.filter((block) => 'cache_control' in block).map((block) => block.text)).toEqual([
      '3',
      '4',
      '5',
      '6',
    ])
  })
})
