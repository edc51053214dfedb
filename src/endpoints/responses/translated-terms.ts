/** Serves a response on a provider that doesn't speak Responses: as a chat completion, whose response is translated back. */

import { shownResponseUsage } from '../../../providers/openai-responses/shown-usage.ts'
import { SEARCHES_HELD } from '../../../providers/openai-responses/tools.ts'
import { chatProviderOf } from '../../../providers/registry.ts'
import type { ResponsesRequest } from '../../../providers/responses.ts'
import type { ReadContext, Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { type AskedByChat, once, refuses, takesEffort, translationBy } from '../by-chat.ts'
import { translateChunks } from '../chunk-translation.ts'
import { createResponseEvents } from './translated/response-events.ts'
import type { Head } from './translated/response-shape.ts'
import { toChat } from './translated/to-chat.ts'
import { translateResponse } from './translated/translate-response.ts'

type Json = Readonly<Record<string, unknown>>

/** The request is translated once, and once more for deployments that do not take all of it. */
export function responseByChat({ json, cuts }: ResponsesRequest, text: Buffer): AskedByChat {
  const translated = once(() => toChat(json))
  const variants = new Map<string, Json>()
  const head = ({ callId, created }: ReadContext): Head => {
    return { id: `resp_${callId.replaceAll('-', '')}`, created, asked: json }
  }
  return {
    text,
    cuts,
    translate: translationBy((deployment) => {
      const { chat, tools } = translated()
      const without = SOFT.filter((name) => chat[name] !== undefined && !takes[name](chat, deployment))
      const kept = Object.fromEntries(Object.entries(chat).filter(([name]) => !without.includes(name as Soft)))
      const isSearching = tools.searches && searchesItself(kept, deployment)
      const variant = JSON.stringify([without, isSearching])
      const known = variants.get(variant) ?? (isSearching ? { ...kept, ...SEARCH } : without.length === 0 ? chat : kept)
      variants.set(variant, known)
      return known
    }, cuts),
    words: {
      whole: (response, context) => translateResponse(response, head(context), translated().tools),
      stream(reader, context) {
        const events = createResponseEvents(head(context), translated().tools)
        return translateChunks(reader, {
          read: (chunk) => events.read(chunk),
          end: (cost, usage) => events.end(shownResponseUsage(null, cost, usage).toString('utf8')),
        })
      },
    },
  }
}

/** Clients send these members to every model. A model that can't honour them answers as well without. */
const SOFT = ['reasoning_effort', 'parallel_tool_calls'] as const
type Soft = (typeof SOFT)[number]

const takes: Readonly<Record<Soft, (chat: Json, deployment: Deployment) => boolean>> = {
  reasoning_effort: takesEffort,
  parallel_tool_calls: (chat, deployment) => !refuses(chat, deployment, 'parallel_tool_calls'),
}

/** A search of medium size: the hold covers as many searches. */
const SEARCH = { web_search_options: { search_context_size: 'medium' } }

/** Providers whose search has a listed fee and is bounded by what is sent. For others the search tool is left out. */
const SEARCHERS: ReadonlySet<string> = new Set(['anthropic'])

/** True if the provider has its own search and takes it beside other tools. */
function searchesItself(chat: Json, { provider: name, upstreamModel, mockResponse }: Deployment): boolean {
  if (mockResponse !== null || !SEARCHERS.has(name)) return false
  const { refuses: refusedOf } = chatProviderOf(name).chat
  return refusedOf({ ...chat, ...SEARCH }, upstreamModel).length === refusedOf(chat, upstreamModel).length
}

/** Clients list a search with every call, so the hold covers it at the usual sum where the operator names none. */
export function withUsualHold(terms: Terms): Terms {
  const tools = terms.tools.map((tool) => (tool.kind === 'web_search' ? { usualHold: SEARCHES_HELD, ...tool } : tool))
  return { ...terms, tools }
}
