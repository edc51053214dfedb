/** POST /v1/whispers, which nobody has: the endpoint of a copy of the program, as somebody would write one who read CONTRIBUTING.md. */
import { estimateText } from '../../../providers/estimate-text.ts'
import { providerOf } from '../../../providers/registry.ts'
import type { Endpoint, EndpointRequest, Terms } from '../../../src/call/endpoint.ts'
import type { Deployment } from '../../../src/config/config.ts'
import { TollgateError } from '../../../src/http/errors.ts'
import type { Whispering } from './openai-whispers.ts'

const NOTHING = { media: 0, audioInput: 0 }

export const whispers: Endpoint = {
  name: 'whispers',
  serviceType: 'whispers',
  read({ text, json: { model, whisper, volume } }) {
    if (typeof model !== 'string' || typeof whisper !== 'string')
      throw new TollgateError(400, 'missing_whisper', 'Send "model" and "whisper".', { param: 'whisper' })
    return requestOf(text, model, whisper, typeof volume === 'number' ? volume : null)
  },
  errorBody: ({ code, message }) => ({ hush: { code, message } }),
  usageShape: ({ input, output }) => ({ heard: input, said: output }),
  stream: {
    contentType: 'text/event-stream',
    keepAlive: Buffer.from(':\n\n'),
    pending: Buffer.from(': pending\n\n'),
    end: Buffer.from('data: end\n\n'),
    error: ({ message }) => Buffer.from(`data: ${JSON.stringify({ hush: message })}\n\n`),
  },
}

export const whispersOperation = {
  tags: ['Whispers'],
  summary: 'A whisper',
  responses: { 200: { description: 'Heard.' } },
}

function requestOf(text: Buffer, model: string, whisper: string, volume: number | null): EndpointRequest {
  return {
    ...{ text, model, stream: false, includeUsage: false, powerLevel: undefined },
    mentionsUsageQuestion: () => false,
    remoteMedia: () => null,
    termsOn: (deployment) => termsOn(deployment, text, whisper, volume),
  }
}

function termsOn(deployment: Deployment, text: Buffer, whisper: string, volume: number | null): Terms {
  const provider = providerOf(deployment.provider) as Whispering
  const { whispers: capability } = provider
  const [tokens, bytes] = [estimateText(whisper), Buffer.byteLength(whisper)]
  const rest = {
    media: 0,
    audioInput: 0,
    expected: NOTHING,
    least: { ...NOTHING, window: false },
    predicted: { tokens: 0, bytes: 0 },
  }
  return {
    provider,
    facts: provider.model(deployment.upstreamModel),
    estimate: { tokens, bytes, ...rest, toolFees: {}, unbounded: [], unboundedSound: false },
    requestBytes: text.length,
    choices: 1,
    outputCap: volume,
    leastOutput: 1,
    isCapBelieved: true,
    ...{ tools: [], mayServe: [], serviceTier: null, asksForAudio: false, asksForLongCache: false, mock: null },
    inputTexts: () => ({ texts: [whisper], framing: 0 }),
    prepare({ apiKey, outputCap }) {
      const { upstreamModel: model, apiBase } = deployment
      const prepared = capability.prepare({ whisper, model, apiBase, apiKey, outputCap })
      return { ...prepared, body: [prepared.body] }
    },
    readWhole: (body) => capability.readWhole(body),
    readStream() {
      throw new Error('whispers are not streamed')
    },
  }
}
