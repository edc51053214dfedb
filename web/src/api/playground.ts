/** One call made from these pages: its price before, the call itself, its charge after. */
import { type Answer, api, exchange } from './client.ts'

export interface Prompt {
  model: string
  text: string
  maxTokens: number | null
}

export type Quote = Answer<'/v1/quotes', 'post'>

export interface Said {
  text: string
  callId: string | null
  /** Decimals, as the headers state them; null where they do not. */
  credits: string | null
  provenance: string | null
  provider: string | null
  usage: { prompt_tokens?: number; completion_tokens?: number } | null
}

/** The very same body for quote and call: a quote is for one body. */
function bodyOf({ model, text, maxTokens }: Prompt) {
  return {
    model,
    messages: [{ role: 'user', content: text }],
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
  }
}

export function quote(prompt: Prompt, signal?: AbortSignal): Promise<Quote> {
  return api('post', '/v1/quotes', { body: bodyOf(prompt) as never, ...(signal && { signal }) })
}

export async function say(prompt: Prompt, quoteId: string | null): Promise<Said> {
  const { body, headers } = await exchange('post', '/v1/chat/completions', {
    body: bodyOf(prompt) as never,
    headers: quoteId === null ? {} : { 'X-Tollgate-Quote': quoteId },
  })
  const answer = body as { choices?: { message?: { content?: string | null } }[]; usage?: Said['usage'] }
  return {
    text: answer.choices?.[0]?.message?.content ?? '',
    callId: headers.get('x-litellm-call-id'),
    credits: headers.get('x-cost-incurred'),
    provenance: headers.get('x-cost-provenance'),
    provider: headers.get('x-provider-used'),
    usage: answer.usage ?? null,
  }
}
