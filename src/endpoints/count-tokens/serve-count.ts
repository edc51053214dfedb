/**
 * POST /v1/messages/count_tokens, Gemini's :countTokens, /v1/responses/input_tokens and LiteLLM's /utils/token_counter: counts the tokens of a request with the model's tokenizer or the one that
 * stands in for it. Clients ask often to see how full the context is. No provider is called, nothing is held or charged, and a caller
 * without credits is not refused.
 */
import { findRoute } from '../../call/admit.ts'
import type { CallDependencies } from '../../call/call-dependencies.ts'
import type { Endpoint, Terms } from '../../call/endpoint.ts'
import { withRequest } from '../../call/with-request.ts'
import type { Exchange } from '../../http/exchange.ts'
import { respondJson } from '../../http/respond-json.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { countText } from '../../metering/count-text.ts'
import type { Tokenizer } from '../../metering/tokenizer.ts'

/** What was counted, and how. */
export interface Counted {
  model: string
  upstreamModel: string
  encoding: string
}

/** Responds on the exchange. @throws {TollgateError} 400, 401, 403, 404, 408, 413, 415, 429, 503. */
export async function serveCount(
  calls: CallDependencies,
  endpoint: Pick<Endpoint, 'read'>,
  exchange: Exchange,
  show: (tokens: number, counted: Counted) => unknown = (tokens) => ({ input_tokens: tokens }),
): Promise<void> {
  const caller = await calls.admission.identify(exchange.incoming)
  requirePermission(caller, 'llm:inference')
  await withRequest(exchange, { deps: calls, endpoint, caller, isFree: true }, async (request) => {
    const [first] = findRoute(calls.routing.router, request.model).candidates
    const { deployment } = first!
    const terms = request.termsOn(deployment)
    const tokens = await countInput(calls.money.tokenizer, terms, caller)
    respondJson(
      exchange,
      show(tokens, { model: request.model, upstreamModel: deployment.upstreamModel, encoding: terms.facts.encoding }),
    )
  })
}

async function countInput(tokenizer: Tokenizer, terms: Terms, { organizationId }: Caller): Promise<number> {
  const { facts, estimate } = terms
  const { texts, framing } = terms.inputTexts()
  const counted = await countText(tokenizer, texts, facts, organizationId)
  return (
    counted + framing + Math.max(0, facts.hiddenInput.always) + estimate.expected.media + estimate.expected.audioInput
  )
}
