/** Requests whose cost to a careless reader grows faster than they do, or that weigh far more than they are: by name, of any size. */
import { deflateRawSync, deflateSync } from 'node:zlib'

export interface HostileBody {
  name: string
  /** About so many bytes. */
  make(bytes: number, model: string): Buffer
}

type Members = Record<string, unknown>

const CALL = { type: 'function', function: { name: 'f', arguments: '{}' } }
const USER = { role: 'user', content: 'x' }

/** As often as it fits. */
function often<T>(bytes: number, one: T, make: (index: number) => T): T[] {
  return Array.from({ length: Math.max(1, Math.floor(bytes / (JSON.stringify(one).length + 8))) }, (_, index) =>
    make(index),
  )
}

function body(name: string, members: (bytes: number) => Members): HostileBody {
  return {
    name,
    make: (bytes, model) => Buffer.from(JSON.stringify({ model, messages: [USER], ...members(bytes) })),
  }
}

const list = (name: string, make: (index: number) => unknown) =>
  body(name, (bytes) => ({ messages: [USER, ...often(bytes, make(1), make)] }))
const content = (name: string, unit: string) =>
  body(name, (bytes) => ({
    messages: [{ role: 'user', content: unit.repeat(Math.floor(bytes / (JSON.stringify(unit).length - 2))) }],
  }))
const parts = (name: string, make: (index: number) => unknown) =>
  body(name, (bytes) => ({ messages: [{ role: 'user', content: often(bytes, make(1), make) }] }))
const tool = (index: number) => ({ type: 'function', function: { name: `f${index}`, parameters: { type: 'object' } } })

/** A block that a signature carries, deflated as far as it goes. */
function carriedId(index: number, characters: number): string {
  const blocks = [[0, { type: 'thinking', thinking: 'x'.repeat(characters), signature: 's' }]]
  return `call_${index}__sig_${deflateRawSync(JSON.stringify(blocks)).toString('base64url')}`
}

const carrying = (role: string) => (bytes: number) => {
  const calls = [{ ...CALL, id: carriedId(0, 900_000) }]
  return { messages: [USER, ...often(bytes, { role, tool_calls: calls }, () => ({ role, tool_calls: calls }))] }
}

/** A document whose objects deflate to a thousandth of themselves: eight megabytes of one piece. */
function packedPdf(piece: string): HostileBody {
  const objects = deflateSync(`1 0 <</A 1>>${piece.repeat(8_000_000 / piece.length)}`, { level: 9 })
  const pdf = Buffer.concat([
    Buffer.from('%PDF-1.5\n1 0 obj\n<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >>\nstream\n'),
    objects,
    Buffer.from('\nendstream\nendobj\n2 0 obj\n<< /Pages 3 0 R >>\nendobj\n3 0 obj\n<< /Kids [4 0 R] >>\nendobj\n'),
  ])
  const base64 = (index: number) =>
    Buffer.concat([pdf, Buffer.from(`% ${String(index).padStart(10, '0')}`)]).toString('base64')
  return parts(`documents that inflate to ${piece.trim() === '' ? 'blanks' : piece}`, (index) => ({
    type: 'file',
    file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${base64(index)}` },
  }))
}

export const HOSTILE_BODIES: readonly HostileBody[] = [
  ...[' ', '/Pages ', '/A#20 ', '/P', '1 0 ', '<</A 1>>', '(('].map(packedPdf),
  body('results that answer no call', (bytes) => {
    const half = bytes / 2
    const calls = often(half, { ...CALL, id: 'a00000000' }, (index) => ({ ...CALL, id: `a${index}` }))
    const result = { role: 'tool', tool_call_id: 'z00000000', content: '' }
    return {
      messages: [
        USER,
        { role: 'assistant', content: null, tool_calls: calls },
        ...often(half, result, (index) => ({ ...result, tool_call_id: `z${index}` })),
      ],
    }
  }),
  body('results without an id', (bytes) => {
    const calls = often(bytes / 2, { ...CALL, id: '' }, () => ({ ...CALL, id: '' }))
    const result = { role: 'tool', tool_call_id: '', content: '' }
    return { messages: [USER, { role: 'assistant', tool_calls: calls }, ...often(bytes / 2, result, () => result)] }
  }),
  body('results between what the user says', (bytes) => {
    const result = { role: 'tool', tool_call_id: 'a', content: 'r' }
    return { messages: often(bytes, [USER, result], () => [USER, result]).flat() }
  }),
  body('tools and as many allowed names', (bytes) => {
    const tools = often(bytes / 2, tool(10_000), tool)
    const named = { type: 'function', function: { name: 'g10000' } }
    const allowed = often(bytes / 2, named, (index) => ({ type: 'function', function: { name: `g${index}` } }))
    return { tools, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: allowed } } }
  }),
  body('many texts before a call, then system messages', (bytes) => {
    const text = { type: 'text', text: 'a' }
    const call = { ...CALL, id: 'a' }
    const system = { role: 'system', content: 's' }
    return {
      messages: [
        USER,
        { role: 'assistant', content: often(bytes / 2, text, () => text), tool_calls: [call] },
        ...often(bytes / 2, system, () => system),
        { role: 'tool', tool_call_id: 'a', content: 'r' },
      ],
    }
  }),
  body('ids that inflate', carrying('assistant')),
  body('ids that inflate, where no call is', carrying('user')),
  list('ids that carry nothing', (index) => ({
    role: 'assistant',
    content: 'a',
    tool_calls: [{ ...CALL, id: `call_${index}${'__sig_'.repeat(40)}` }],
  })),
  list('one-letter messages', () => USER),
  list('system messages and users in turn', (index) => ({ role: index % 2 === 0 ? 'system' : 'user', content: 'x' })),
  parts('one-letter parts', () => ({ type: 'text', text: 'a' })),
  parts('plain strings as parts', () => 'a'),
  parts('images by address', (index) => ({
    type: 'image_url',
    image_url: { url: `https://example.com/${index}.png` },
  })),
  parts('tiny images', () => ({ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } })),
  parts('parts of all kinds at once', () => ({
    type: 'text',
    text: 'a',
    image_url: { url: 'data:;base64,AA' },
    input_audio: { data: 'AA', format: 'wav' },
    file: { file_data: 'AA' },
  })),
  body('tools', (bytes) => ({ tools: often(bytes, tool(1_000), tool) })),
  body('a deep schema', (bytes) => {
    const schema = (depth: number): Members =>
      depth === 0 ? { type: 'string' } : { type: 'object', properties: { a: schema(depth - 1) } }
    return {
      tools: often<unknown>(bytes, { ...tool(1), parameters: schema(40) }, (index) => ({
        type: 'function',
        function: { name: `f${index}`, strict: true, parameters: schema(40) },
      })),
    }
  }),
  body('a schema of a thousand definitions that point in a circle', (bytes) => {
    const names = often(bytes, ['d100000', { $ref: '#/$defs/d100000' }], (index) => [
      `d${index}`,
      { $ref: `#/$defs/d${index + 1}` },
    ])
    const parameters = { $ref: '#/$defs/d0', $defs: Object.fromEntries(names) as Members }
    return { tools: [{ type: 'function', function: { name: 'f', strict: true, parameters } }] }
  }),
  body(
    'members nobody knows',
    (bytes) => Object.fromEntries(often(bytes, ['x10000000', 1], (index) => [`x${index}`, 1])) as Members,
  ),
  body('members nobody knows, in every message', (bytes) => ({
    messages: often(bytes, { ...USER, odd: 1 }, () => ({ ...USER, odd: 1 })),
  })),
  body(
    'names of zero-width characters',
    (bytes) =>
      Object.fromEntries(
        often(bytes, ['\u200b'.repeat(100), 1], (index) => [`${'\u200b\ufdfa'.repeat(48)}${index}`, 1]),
      ) as Members,
  ),
  body('metadata', (bytes) => ({
    metadata: Object.fromEntries(often(bytes, ['k10000000', 'v'], (index) => [`k${index}`, 'v'])),
  })),
  body('a deep value', (bytes) => {
    let deep: unknown = 0
    for (let depth = 0; depth < 200; depth += 1) deep = [deep]
    return { metadata: { a: often(bytes, deep, () => deep) } }
  }),
  body('stops', (bytes) => ({ stop: often(bytes, 's10000', (index) => `s${index}`) })),
  body('numbers', (bytes) => ({
    logit_bias: Object.fromEntries(often(bytes, ['100000', 1], (index) => [`${index}`, 1])),
  })),
  body('arguments that are JSON', (bytes) => ({
    messages: [
      USER,
      {
        role: 'assistant',
        tool_calls: [
          { ...CALL, id: 'a', function: { name: 'f', arguments: JSON.stringify(often(bytes / 2, 1.5, () => 1.5)) } },
        ],
      },
      { role: 'tool', tool_call_id: 'a', content: 'r' },
    ],
  })),
  content('backslashes', '\\'),
  content('quotes', '"'),
  content('one letter', 'a'),
  content('zero-width characters', '\u200b'),
  content('joined zero-width characters', '\u200d\u0301'),
  content('directions', '\u202e'),
  content('blanks', ' '),
  content('line ends', '\n'),
  content('Hangul', '각'),
  content('echoes', 'onlyonly'),
  content('humps', 'aB1'),
  content('surrogates as escapes', '\u{1f600}'),
  {
    name: 'half a pair, last',
    make: (bytes, model) =>
      Buffer.from(
        `{"model":"${model}","messages":[${`{"role":"user","content":"\\ud83d\\ude00"},`.repeat(Math.floor(bytes / 40))}{"role":"user","content":"\\ud83d"}]}`,
      ),
  },
  {
    name: 'the same member twice, last',
    make: (bytes, model) =>
      Buffer.from(
        `{"model":"${model}","messages":[${'{"role":"user","content":"x"},'.repeat(Math.floor(bytes / 30))}{"role":"user","role":"user"}]}`,
      ),
  },
  { name: 'brackets', make: (bytes) => Buffer.from('['.repeat(bytes)) },
  { name: 'objects without an end', make: (bytes) => Buffer.from('{"a":'.repeat(Math.floor(bytes / 5))) },
  { name: 'white space', make: (bytes) => Buffer.from(`{${' '.repeat(bytes)}`) },
]
