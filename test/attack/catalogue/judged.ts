/** Moderations cost nothing and rankings are not served: nobody calls another model by them. */
import { jsonAnswer } from '../../support/upstream-answers.ts'
import { greedy } from '../provider.ts'
import { free, type Promised, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const judges = (name: string, body: Json, promise: Promised, path = '/v1/moderations'): Trick => ({
  name,
  by: 'caller',
  act: { path, text: JSON.stringify({ model: 'omni-moderation-latest', input: 'Hello', ...body }) },
  provider: () => ({ script: jsonAnswer({ id: 'm', model: 'omni-moderation-latest', results: [] }), bill: null }),
  promise,
})
const CHAT = [{ role: 'user', content: 'Say hello' }]

export const JUDGED: readonly Trick[] = [
  judges('a moderation', {}, free),
  judges('a chat model as one that judges', { model: 'gpt-4o-mini' }, refused('unsupported_endpoint')),
  judges('a model in a list', { model: ['gpt-4o-mini'] }, refused('invalid_request')),
  judges('a chat inside a moderation', { messages: CHAT, stream: true }, refused('unsupported_parameter')),
  {
    ...judges(
      'a chat with a model that judges',
      { messages: CHAT },
      refused('unsupported_endpoint'),
      '/v1/chat/completions',
    ),
    provider: greedy(),
  },
  judges('a ranking', { model: 'ranker', query: 'x', documents: ['y'] }, refused('not_served', 501), '/v1/rerank'),
  {
    ...judges(
      'a chat with a model that ranks',
      { model: 'ranker', messages: CHAT },
      refused('unsupported_endpoint'),
      '/v1/chat/completions',
    ),
    provider: greedy(),
  },
  judges('embeddings of a model that ranks', { model: 'ranker' }, refused('unsupported_endpoint'), '/v1/embeddings'),
]
