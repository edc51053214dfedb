/** The caller, bound by the customer a call is made for as well. */
import type { Caller } from '../identity/caller.ts'
import { requireModel, requireNotBlocked } from '../identity/restrictions.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { EndpointRequest } from './endpoint.ts'
import { namedFallbacks } from './named-fallbacks.ts'

/** @throws {TollgateError} 403, 429, 503. */
export async function forCustomer(
  { customers, rates }: Pick<CallDependencies['admission'], 'customers' | 'rates'>,
  caller: Caller,
  request: EndpointRequest,
): Promise<Caller> {
  const name = request.asks?.endUser
  const customer = name === undefined ? null : await customers(caller, name)
  if (customer === null) return caller
  const bound = { ...caller, spenders: [...caller.spenders, customer] }
  requireNotBlocked(bound)
  for (const model of [request.model, ...namedFallbacks(request.asks)]) requireModel(bound, model)
  await rates.spender(customer)
  return bound
}
