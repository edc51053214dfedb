/**
 * Why Tollgate and LiteLLM's proxy answer differently, as docs/migrating-from-litellm.md says it. What no rule names is a mistake, ours until
 * shown otherwise.
 */
import type { AnswerDifference } from './litellm-differences.ts'
import type { Asked } from './litellm-requests.ts'

interface Rule {
  reason: string
  /** Of `what: ours | theirs`. */
  line: RegExp
  /** Of the request. @default any */
  kind?: RegExp
}

const RULES: readonly Rule[] = [
  {
    reason: 'Headers of our own: credits, provenance, quota, provider, caps, ids, and what browsers are told.',
    line: /^header (?:x-(?:byok|cost-.*|credits-.*|org-credits|provider-used|max-tokens-applied|ratelimit-(?:limit|remaining|reset|tier)|request-id|content-type-options)|request-id|referrer-policy|content-security-policy|www-authenticate): there \| missing$/,
  },
  {
    reason: 'Clients are told whether and when to repeat a call, in words that SDKs obey.',
    line: /^header (?:x-should-retry|retry-after): there \| missing$/,
  },
  {
    reason: "The provider's own headers are not passed on: they name its account, its region and its connection.",
    line: /^header llm_provider-.*: missing \| there$/,
  },
  {
    reason: 'Of LiteLLM itself: its version, its callbacks, its name of the model, its pages.',
    line: /^header x-(?:litellm-(?:version|callback-duration-ms|model-name|timeout)|frame-options): missing \| there$/,
  },
  {
    reason: 'The master key has no spending of its own; an answer has the header where a virtual key called.',
    line: /^header x-litellm-key-spend: missing \| there$/,
  },
  {
    reason: 'The address of a deployment is told to callers only where the operator shows it.',
    line: /^header x-litellm-model-api-base: missing \| there$/,
  },
  {
    reason:
      'Parts of a cost that are always 0 here (discount, margin) are left out, and in streams what is not known yet.',
    line: /^header x-litellm-response-cost-.*: missing \| there$/,
  },
  {
    reason: 'An error that cost nothing has no headers of cost, deployment and duration.',
    line: /^header x-litellm-(?:response-cost|model-id|model-group|attempted-.*|response-duration-ms|overhead-duration-ms): missing \| there$/,
    kind: /provider says|unknown model|empty|no |that (?:is|are)|below|key|path|half|list|method/,
  },
  {
    reason: 'Every answer has the id of the call, and calls have all headers on every dialect.',
    line: /^header x-litellm-.*: there \| missing$/,
  },
  { reason: 'The cost of the call is in its usage, whole or streamed.', line: /^body \.usage\.cost: [\d.]+ \| / },
  {
    reason:
      "A provider's failure that the caller can't mend is a 503, which clients repeat: a rejected key of the operator's is not the caller's 401.",
    line: /^status: 503 \| (?:401|403|408|500|502)$/,
    kind: /provider says/,
  },
  { reason: 'What a provider refuses as malformed is a 400.', line: /^status: 400 \| 422$/ },
  { reason: 'An unknown model is a 404, as with OpenAI.', line: /^status: 404 \| 400$/, kind: /unknown model/ },
  {
    reason: 'Requests that a provider would refuse, or that cannot be metered, are refused before they are sent.',
    line: /^status: 400 \| 200$/,
  },
  {
    reason:
      'A malformed request is a 400 and a key that nobody has a 401, whatever state the server is in: LiteLLM answers 500, or 400 where it has no database.',
    line: /^(?:status: (?:400|401) \| (?:500|400)|header content-type: application\/json \| text\/plain|body : missing \| string)$/,
  },
  {
    reason:
      "An error's code says what it is (`model_not_found`); LiteLLM's is the status once more. Exhausted budgets and rates have LiteLLM's.",
    line: /^body \.error\.code: /,
  },
  {
    reason: "Types of errors are OpenAI's words, on /v1/messages Anthropic's, also where LiteLLM leaves them out.",
    line: /^body \.(?:error\.type|type): /,
  },
  {
    reason: 'An error names the member that is wrong where one is, and not what the provider said of others.',
    line: /^body \.error\.(?:param|provider_specific_fields\..*): /,
  },
  {
    reason:
      'Errors have `detail` besides `error`, for clients of both forms; a route that is not there has a whole error.',
    line: /^body \.(?:detail|error\.message)(?:\.error)?: (?:string \| missing|missing \| string)$/,
  },
  {
    reason: 'Counts of 0 that nothing states are not made up.',
    line: /^body \.(?:message\.)?usage\..*: (?:missing \| (?:0|5|number)|0 \| missing)$/,
  },
  {
    reason:
      'Lists of models say what is known of prices and limits, and not how LiteLLM would call a deployment, nor where.',
    line: /^body \.(?:data\[\]\.)?(?:mode|model_info|litellm_params|is_public_model_group|support.*)(?:\..*|\[\])?: /,
    kind: /^read /,
  },
  { reason: 'A probe is not told what the database is.', line: /^body \.db: missing \| string$/ },
  {
    reason: 'A count of tokens has no members that say nothing.',
    line: /^body \.(?:count_source|original_response|error_message|status_code): missing/,
    kind: /^token_counter$/,
  },
  {
    reason: 'What is asked for by an id and is not there is a 404.',
    line: /^status: 404 \| 400$/,
    kind: /by id/,
  },
  {
    reason:
      "The same stands under another name: org_id is organization_id, token_id is token, admins and members are members_with_roles, duration is expires, key_type is allowed_routes, what a named budget says is asked of /budget/info, and what a new user's key has of /key/info.",
    line: /^member (?:org_id|token_id|admins|members|users|duration|key_type|litellm_(?:budget|model)_table|teams|team_id|organization_memberships|aliases|allowed_routes|key_alias|key_name|model_id): missing/,
  },
  {
    reason: 'Logs of spending keep no texts, no addresses and nothing of caches and agents.',
    line: /^member (?:messages|response|proxy_server_request|requester_ip_address|api_base|cache_key|completionStartTime|litellm_call_id|session_id|mcp_namespaced_tool_name|(?:billing_)?agent_id): missing/,
    kind: /spend/,
  },
  {
    reason: 'A member of what is not enforced, or not kept, here is left out, so that nobody believes in it.',
    line: /^member (?:.*_(?:permissions?|permission_id|fallbacks|rpm_limit|tpm_limit|limit_type|tokens|tokens_per_model|routes|controls|indexes|group_ids|guardrails|models|config|region|interval|count|at|cooldown|subject|required|settings|expiry|increase|exceeded|caching|params)|agent_id|allowed_models|config|default_model|end_user_budget_id|guardrails|last_active|model_spend|password|permissions|policies|project_id|prompts|router_settings|auto_rotate|sso_user_id|total_spend|tpd_limit|updated_by): missing/,
  },
]

export const LITELLM_REASONS: readonly string[] = RULES.map(({ reason }) => reason)

export function litellmReason({ what, ours, theirs }: AnswerDifference, { kind }: Asked): string | null {
  const line = `${what}: ${ours} | ${theirs}`
  const rule = RULES.find((one) => one.line.test(line) && (one.kind?.test(kind) ?? true))
  return rule?.reason ?? null
}
