/** Members that some server reads and the proxy might not: other spellings, duplicates, wishes of other servers, bodies in disguise. */
import { gzipSync } from 'node:zlib'
import { greedy, honest, INPUT } from '../provider.ts'
import { covered, exact, refused, type Trick } from '../trick.ts'

const MESSAGES = '"messages":[{"role":"user","content":"Say hello"}]'
/** A request's text, for JSON.stringify would not write half of it. */
const written = (rest: string, model = 'gpt-4o-mini') => `{"model":"${model}",${MESSAGES}${rest}}`

function isRefused(name: string, rest: string, code = 'invalid_request', model?: string): Trick {
  const act = { text: written(rest, model) }
  return { name, by: 'caller', act, provider: greedy(), promise: refused(code) }
}

function isRefusedWhole(name: string, text: string | Buffer, code = 'invalid_request'): Trick {
  return { name, by: 'caller', act: { text }, provider: greedy(), promise: refused(code) }
}

const SPELLINGS: readonly Trick[] = [
  isRefused('a cap in another case beside the one that is priced', ',"max_tokens":1,"Max_Tokens":9000'),
  isRefused('a cap in capitals', ',"MAX_COMPLETION_TOKENS":9000'),
  isRefused('a cap with the sign for kelvin', ',"max_tokens":1,"max_to\u212aens":9000'),
  isRefused('a cap with an escaped sign for kelvin', ',"max_tokens":1,"max_to\\u212aens":9000'),
  isRefused('a cap with a long s', ',"max_token\u017f":9000'),
  isRefused('choices in full width', ',"\uff4e":8'),
  isRefused('a cap in camel case, as protobuf reads it', ',"maxTokens":9000'),
  isRefused('a cap with a NUL behind it, as C reads it', ',"max_tokens\\u0000":9000'),
  isRefused('a second model in another case', ',"Model":"gpt-5-pro"'),
  isRefused('a stream in another case', ',"Stream":true'),
  isRefused('a tier in another case', ',"Service_Tier":"priority"'),
  isRefused('no usage, in another case', ',"stream":true,"stream_options":{"Include_Usage":false}'),
  isRefused(
    'a longer description of a tool',
    ',"tools":[{"type":"function","function":{"name":"f","Description":"x"}}]',
  ),
  isRefused(
    'a schema folded where a server looks for one',
    ',"response_format":{"type":"json_schema","Json_Schema":{"name":"n"}}',
  ),
  isRefused('how much a search reads, folded', ',"web_search_options":{"Search_Context_Size":"high"}'),
  isRefused('a cap with a hyphen', ',"max-tokens":9000'),
  isRefused('a cap with a space behind it', ',"max_tokens ":9000'),
]

const TWICE: readonly Trick[] = [
  isRefused('a cap twice', ',"max_tokens":9,"max_tokens":900'),
  isRefused('a cap twice, once escaped', ',"max_tokens":9,"\\u006dax_tokens":900'),
  isRefused('choices twice', ',"n":1,"n":100'),
  isRefused('a model twice', ',"model":"gpt-4o"'),
  isRefused('messages twice', ',"messages":[{"role":"user","content":"a much longer one"}]'),
  isRefused('metadata twice over', ',"metadata":{"a":"1","\\u0061":"2"}'),
  isRefused(
    'a schema with a hidden half',
    ',"tools":[{"type":"function","function":{"name":"f","parameters":{"a":1,"a":2}}}]',
  ),
  isRefusedWhole('content twice', '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a","content":"b"}]}'),
  isRefusedWhole('content folded', '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a","Content":"b"}]}'),
  isRefusedWhole(
    'the text of a part folded',
    '{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"text","text":"a","TEXT":"b"}]}]}',
  ),
]

/** Each means more output, other prices or another payer to some server. */
const WISHES = [
  ...['num_predict', 'max_new_tokens', 'max_output_tokens', 'min_tokens', 'max_length', 'best_of', 'use_beam_search'],
  ...['ignore_eos', 'generation_config', 'guided_json', 'prompt', 'input', 'documents', 'thinking', 'extra_body'],
  ...['options', 'api_base', 'base_url', 'api_key', 'custom_llm_provider', 'mock_response', 'user_config'],
  ...['input_cost_per_token', 'output_cost_per_token', 'allowed_openai_params', 'background', 'deferred'],
  ...[
    '__proto__',
    'constructor',
    'org_id',
    'user_id',
    'chat_template',
    'chat_template_kwargs',
    'add_generation_prompt',
  ],
]

const OF_OTHERS: readonly Trick[] = [
  ...WISHES.map((name) => isRefused(`a wish of another server: ${name}`, `,"${name}":0`, 'unsupported_parameter')),
  // LiteLLM's, which are honoured in their own form.
  ...['fallbacks', 'drop_params'].map((name) =>
    isRefused(`what LiteLLM takes, in another form: ${name}`, `,"${name}":0`, 'invalid_request'),
  ),
  isRefused(
    'a call in the background where all is let through',
    ',"background":true',
    'unsupported_parameter',
    'everything',
  ),
  isRefused('another spelling where all is let through', ',"Max_Tokens":9000', 'invalid_request', 'everything'),
  isRefused('another spelling where all is dropped', ',"Max_Tokens":9000', 'invalid_request', 'dropping'),
]

const BODIES: readonly Trick[] = [
  isRefusedWhole('two bodies in one', `${written('')}${written(',"n":100')}`, 'invalid_json'),
  isRefusedWhole('a byte order mark', `\ufeff${written('')}`, 'invalid_json'),
  isRefusedWhole('comments', written(' /* ,"n":100 */'), 'invalid_json'),
  isRefusedWhole('no number', written(',"max_tokens":NaN'), 'invalid_json'),
  isRefusedWhole('a number with a zero in front', written(',"max_tokens":010'), 'invalid_json'),
  isRefusedWhole(
    'bytes that are no UTF-8',
    Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xff]), Buffer.from('"}')]),
    'invalid_json',
  ),
  isRefusedWhole('a list of calls', `[${written('')}]`),
  isRefusedWhole('three hundred levels', written(`,"metadata":${'{"a":'.repeat(300)}1${'}'.repeat(300)}`)),
  isRefusedWhole('a model that is a list', `{"model":["gpt-4o-mini","o1-pro"],${MESSAGES}}`),
  isRefusedWhole('messages that are a text', '{"model":"gpt-4o-mini","messages":"hello"}'),
  isRefusedWhole('a message that is a text', '{"model":"gpt-4o-mini","messages":["hello"]}'),
  {
    name: 'a body that is packed',
    by: 'caller',
    act: { text: gzipSync(written('')), headers: { 'content-encoding': 'gzip' } },
    provider: greedy(),
    promise: refused('unsupported_encoding', 415),
  },
  {
    name: 'a form',
    by: 'caller',
    act: { text: 'model=gpt-4o-mini', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    provider: greedy(),
    promise: refused('unsupported_media_type', 415),
  },
]

const LET_THROUGH: readonly Trick[] = [
  {
    name: 'a member that lifts the cap, let through by the operator',
    by: 'caller',
    act: { body: { model: 'everything', max_tokens: 5, max_new_tokens: 16_000 } },
    provider: greedy({ cap: () => null, choices: () => 1 }),
    promise: covered,
  },
  {
    name: 'the same in a stream',
    by: 'caller',
    act: { body: { model: 'everything', max_tokens: 5, max_new_tokens: 16_000, stream: true } },
    provider: greedy({ cap: () => null, choices: () => 1 }),
    // A stream starts with a part of its hold, and its usage comes at the end.
    promise: { kind: 'charged', least: 'true', most: 'true' },
  },
  {
    name: 'a long text in a member that is let through becomes input',
    by: 'caller',
    act: { body: { model: 'everything', max_tokens: 5, suffix_prompt: 'x'.repeat(20_000) } },
    provider: greedy(undefined, { inputOf: ({ body }) => body.length }),
    promise: covered,
  },
  {
    name: 'what is dropped reaches nobody',
    by: 'caller',
    act: { body: { model: 'dropping', max_tokens: 5, max_new_tokens: 16_000 } },
    provider: (request, call) =>
      greedy({ cap: (json) => Number(json.max_new_tokens ?? json.max_tokens), choices: () => 1 })(request, call),
    promise: covered,
  },
  {
    name: 'a cap whose name is escaped, once',
    by: 'caller',
    act: { text: written(',"\\u006dax_tokens":7') },
    provider: greedy(),
    promise: exact,
  },
  {
    name: 'caps in metadata, which are nobody’s',
    by: 'caller',
    act: { body: { max_tokens: 7, metadata: { Max_Tokens: '9000', n: '100', user_id: 'bob' } } },
    provider: greedy(),
    promise: exact,
  },
  {
    name: 'says it is somebody else',
    by: 'caller',
    act: {
      body: { user: 'bob' },
      headers: {
        'x-user-id': 'bob',
        'x-organization-id': 'other',
        'openai-organization': 'org-other',
        'x-byok': 'true',
      },
    },
    provider: honest({ input: INPUT, output: 2 }),
    promise: exact,
  },
]

export const MEMBERS: readonly Trick[] = [...SPELLINGS, ...TWICE, ...OF_OTHERS, ...BODIES, ...LET_THROUGH]
