/** The lists of members that are forwarded: as the installed SDK declares them, and what is kept by hand beside them. */
import { describe, expect, test } from 'vitest'
import { additionsOf, KNOWN, KNOWN_ANYWHERE } from '../../providers/known-members/additions.ts'
import { CHAT_MEMBERS } from '../../providers/known-members/chat-members.ts'
import { COMPLETION_MEMBERS } from '../../providers/known-members/completion-members.ts'
import { EMBEDDING_MEMBERS } from '../../providers/known-members/embedding-members.ts'
import { MESSAGE_MEMBERS } from '../../providers/known-members/message-members.ts'
import { RESPONSE_MEMBERS } from '../../providers/known-members/response-members.ts'
import { aliasOf, type Path, type Shape, shapeAt, strangersIn } from '../../providers/known-members/shape.ts'
import { PROVIDERS } from '../../providers/registry.ts'
import { CHAT_COMPLETION, COMPLETION, EMBEDDING, MESSAGE, RESPONSE, readSdkMembers } from '../members/read-sdk.ts'

test.each([
  ['OpenAI', CHAT_MEMBERS, CHAT_COMPLETION],
  ["OpenAI's responses", RESPONSE_MEMBERS, RESPONSE],
  ["OpenAI's embeddings", EMBEDDING_MEMBERS, EMBEDDING],
  ["OpenAI's completions", COMPLETION_MEMBERS, COMPLETION],
  ['Anthropic', MESSAGE_MEMBERS, MESSAGE],
])("%s's members are those of the installed SDK: `npm run members` after an update.", (_, listed, declared) => {
  expect(listed).toEqual(readSdkMembers(declared))
})

test('No member is listed as an addition that the SDK knows by now.', () => {
  const both = (own: Shape, path: Path): string[] =>
    [...own.members].flatMap(([name, below]) => {
      const known = shapeAt(KNOWN, [...path, name])
      const isLeaf = below.members.size === 0
      return known !== undefined && isLeaf ? [[...path, name].join('.')] : both(below, [...path, name])
    })
  for (const name of Object.keys(PROVIDERS)) expect(both(additionsOf(name).foreign, [])).toEqual([])
})

test('No two known names differ in case only.', () => {
  const folded = (shape: Shape): void => {
    expect(shape.folded.size).toBe(shape.members.size)
    for (const below of shape.members.values()) folded(below)
  }
  folded(KNOWN_ANYWHERE)
})

describe('a name that a server may take for another', () => {
  test.each([
    [['Max_Tokens'], 'max_tokens'],
    [['MAX_TOKENS'], 'max_tokens'],
    [['max_to\u212aens'], 'max_tokens'],
    [['max_token\u017f'], 'max_tokens'],
    [['maxTokens'], 'max_tokens'],
    [['max-tokens'], 'max_tokens'],
    [['\uff4d\uff41\uff58_tokens'], 'max_tokens'],
    [['\u017ftream'], 'stream'],
    [['N'], 'n'],
    [['\uff2e'], 'n'],
    [['\u017fervice_tier'], 'service_tier'],
    [['stream_options', 'Include_Usage'], 'include_usage'],
    [['messages', 0, 'Content'], 'content'],
    [['messages', 3, 'tool_calls', 1, 'function', 'Arguments'], 'arguments'],
    [['messages', 0, 'content', 2, 'image_url', 'URL'], 'url'],
    [['tools', 0, 'function', 'Parameters'], 'parameters'],
    [['provider', 'Max_Price'], 'max_price'],
    [['max_tokens'], null],
    [['maximum_tokens'], null],
    [['m\u0430x_tokens'], null],
    [['metadata', 'User'], null],
    [['x'.repeat(1_000_000)], null],
  ] as [Path, string | null][])('A server may take one name for another: %j is %s.', (path, known) => {
    expect(aliasOf(path, KNOWN_ANYWHERE)).toBe(known)
  })
})

describe('what stands beyond a shape', () => {
  const found = (value: unknown) => strangersIn(value, KNOWN).map(({ path }) => path)

  test('What stands beyond a shape is found at every depth, once, with its place.', () => {
    expect(
      found({
        model: 'm',
        temperature: { x: 1 },
        stop: ['a', { y: 1 }],
        messages: [{ role: 'user', content: [{ type: 'text', text: 't', z: { content: 1 } }] }],
        foo: { bar: 1 },
      }),
    ).toEqual([['temperature', 'x'], ['stop', 1, 'y'], ['messages', 0, 'content', 0, 'z'], ['foo']])
  })

  test("What stands beyond a shape is nothing where names are the caller's own.", () => {
    const schema = { type: 'object', properties: { Max_Tokens: { type: 'string' } }, $defs: {} }
    expect(
      found({
        metadata: { Model: 'x', any: 'y' },
        logit_bias: { 50256: -100 },
        tools: [{ type: 'function', function: { name: 'f', parameters: schema } }],
        response_format: { type: 'json_schema', json_schema: { name: 'n', schema, strict: true } },
      }),
    ).toEqual([])
  })
})
