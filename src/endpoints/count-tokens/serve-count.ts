/**
 * POST /v1/messages/count_tokens: how many tokens a message request is, by the model's tokenizer or the one that stands in for it.
 * Clients ask many times at once to see how full the context is. Nobody is called, held or charged, and an empty wallet is no reason
 * to refuse.
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

/** Responds on the exchange. @throws {TollgateError} 400, 401, 403, 404, 408, 413, 415, 429, 503. */
export async function serveCount(calls: CallDependencies, endpoint: Endpoint, exchange: Exchange): Promise<void> {
  const caller = await calls.admission.identify(exchange.incoming)
  requirePermission(caller, 'llm:inference')
  await withRequest(exchange, { deps: calls, endpoint, caller, isFree: true }, async (request) => {
    const [first] = findRoute(calls.routing.router, request.model).candidates
    const tokens = await countInput(calls.money.tokenizer, request.termsOn(first!.deployment), caller)
    respondJson(exchange, { input_tokens: tokens })
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
