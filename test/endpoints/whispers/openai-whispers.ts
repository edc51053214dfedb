/** What a provider needs to be asked for whispers: the capability of a copy of the program. */
import type { Provider, ProviderResponse, UpstreamRequest } from '../../../providers/provider.ts'
import { emptyReading } from '../../../providers/reading.ts'
import { NO_USAGE } from '../../../providers/usage.ts'

export interface WhisperCapability {
  prepare(call: WhisperCall): UpstreamRequest
  readWhole(body: Buffer): ProviderResponse | null
}

export type Whispering = Provider & { whispers: WhisperCapability }

interface WhisperCall {
  whisper: string
  model: string
  apiBase: string | null
  apiKey: string | null
  outputCap: number | null
}

export const whispers: WhisperCapability = {
  prepare({ whisper, model, apiBase, apiKey, outputCap }) {
    const { origin, pathname } = new URL(apiBase ?? 'https://api.openai.com/v1')
    return {
      origin,
      path: `${pathname}/whispers`,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ model, whisper, ...(outputCap === null ? {} : { volume: outputCap }) })),
    }
  },
  readWhole(body) {
    const { echo, heard, said } = JSON.parse(body.toString())
    if (typeof echo !== 'string') return null
    return {
      reading: { ...emptyReading(), usage: { ...NO_USAGE, input: heard, output: said } },
      finishReasons: ['heard'],
      hasContent: echo !== '',
      outputText: () => '',
      shownText: () => echo,
      body: (cost) => Buffer.from(`{"echo":${JSON.stringify(echo)},"dollars":${cost}}`),
    }
  },
}
