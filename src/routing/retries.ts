/** How often a call is tried again within its group, after which failure. */
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { RoutingSettings } from '../config/routing-settings.ts'
import { failureClass } from './failure-class.ts'

/** About the request: who is next would say the same. A policy that names their class has its way all the same. */
const SAME_ELSEWHERE: ReadonlySet<ProviderErrorKind> = new Set([
  'bad_request',
  'too_large',
  'context_length',
  'content_filter',
])

/** @param usual where no policy names the failure: what the request asks for, else the deployment, else all. */
export function retriesAfter(
  kind: ProviderErrorKind,
  group: string,
  { retryPolicy, groupRetryPolicy }: Pick<RoutingSettings, 'retryPolicy' | 'groupRetryPolicy'>,
  usual: number,
): number {
  const name = failureClass(kind)
  const ofGroup = Object.hasOwn(groupRetryPolicy, group) ? groupRetryPolicy[group] : undefined
  return ofGroup?.[name] ?? retryPolicy?.[name] ?? (SAME_ELSEWHERE.has(kind) ? 0 : usual)
}
