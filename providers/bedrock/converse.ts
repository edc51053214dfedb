/** Models on Bedrock other than Claude, as chat completions by Converse. */
import { unknownMedia } from '../media/media-size.ts'
import { openAiDialect, PLAIN_MODEL } from '../openai-dialect.ts'
import type { ChatCapability, ModelFacts } from '../provider.ts'
import { translateConverse } from './converse-request.ts'
import { asCompletion, createConverseFrames } from './converse-response.ts'
import { LABEL } from './errors.ts'
import { readEventStream } from './event-frames.ts'

/** Makers whose models converse; what makes vectors, images or films, or speaks, does not. */
const MAKERS =
  /(?:^|[./])(?:amazon\.(?:nova-(?!sonic|canvas|reel|2-sonic)|titan-text-(?!image))|meta\.llama|mistral\.|deepseek\.|qwen\.|openai\.gpt-oss|google\.gemma|nvidia\.nemotron|writer\.palmyra|ai21\.jamba|cohere\.command-r)/

export function converses(model: string): boolean {
  return MAKERS.test(model) && !/embed|image|voxtral/.test(model)
}

/** What is not known of a model is taken as what makes a call dearest. */
export function conversingFacts(): ModelFacts {
  return { ...PLAIN_MODEL, tokensPercent: 110, hiddenInput: { always: 40, withTools: 200 } }
}

/** Reads what was said again in OpenAI's dialect. */
const { chat: reader } = openAiDialect({
  name: 'bedrock',
  label: LABEL,
  baseUrl: '',
  keyVariables: [],
  domain: '',
  model: conversingFacts,
  mediaTokens: () => unknownMedia,
  capMember: () => 'max_tokens',
})

export const conversing: Omit<ChatCapability, 'mustInline' | 'prepare'> = {
  mediaTokens: reader.mediaTokens,
  unpackId: reader.unpackId,
  serverTools: () => [],
  takes: () => null,
  mayServe: () => [],
  refuses: (json) => translateConverse(json, null).refusals,
  readResponse(body, context) {
    const completion = asCompletion(body, context)
    return completion === null ? null : reader.readResponse(completion, context)
  },
  readStream: (context) => readEventStream(reader.readStream(context), createConverseFrames(context)),
}
