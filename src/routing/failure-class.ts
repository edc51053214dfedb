/** How LiteLLM names a failure, by which its policies are written. */
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { FailureClass } from '../config/routing-settings.ts'

const CLASSES: Readonly<Record<ProviderErrorKind, FailureClass>> = {
  bad_request: 'BadRequestError',
  model_not_found: 'BadRequestError',
  too_large: 'BadRequestError',
  context_length: 'BadRequestError',
  content_filter: 'ContentPolicyViolationError',
  rate_limit: 'RateLimitError',
  quota: 'RateLimitError',
  auth: 'AuthenticationError',
  timeout: 'TimeoutError',
  overloaded: 'InternalServerError',
  failed: 'InternalServerError',
  unreachable: 'InternalServerError',
}

export function failureClass(kind: ProviderErrorKind): FailureClass {
  return CLASSES[kind]
}
