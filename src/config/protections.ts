/**
 * Settings of LiteLLM that protect something (money, content, who may call) and are not enforced here. Fails closed: a start stops at
 * one unless the operator says by `--accept-unenforced` that he does without it.
 */
import type { Field, Section } from './field.ts'

const names = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

/** Where a protection may stand. */
export type Place = 'top' | 'litellm' | 'general' | 'router' | 'params' | 'info'

const BY_NAME: Readonly<Record<Place, ReadonlySet<string>>> = {
  top: names('guardrails policies policy_attachments'),
  litellm: names(`max_internal_user_budget default_max_internal_user_budget max_end_user_budget_id
    max_ui_session_budget upperbound_key_generate_params key_generation_settings guardrails max_parallel_requests
    default_end_user_params reject_clientside_metadata_tags cost_margin_config`),
  general:
    names(`max_parallel_requests global_max_parallel_requests allowed_ips allowed_routes admin_only_routes custom_auth
    custom_key_generate custom_team_metadata_validate enforce_user_param enforced_params reject_clientside_metadata_tags
    max_request_size_mb max_response_size_mb blocked_user_list banned_keywords_list`),
  router: names('provider_budget_config'),
  params: names('max_budget guardrails'),
  info: names('team_id'),
}

/** What new keys, users and teams get: a protection where it bounds them. */
const DEFAULTS = names(`default_internal_user_params default_team_params default_team_settings`)
const BOUND = /budget|limit|max_parallel|^models$|allowed/

/** Callbacks that look at a request before it is made. */
const GUARDS =
  names(`presidio lakera_prompt_injection llamaguard_moderations llmguard_moderations google_text_moderation
  hide_secrets openai_moderations detect_prompt_injection banned_keywords blocked_user_check batch_redis_requests
  azure_content_safety dynamic_rate_limiter dynamic_rate_limiter_v3 max_budget_limiter`)
/** `my_module.handler`: code of the operator's own, which may refuse a call. */
const OWN_CODE = /^[\w-]+(?:\.[\w-]+)+$/

/** The names that `--accept-unenforced` takes. */
export const PROTECTIONS: ReadonlySet<string> = new Set([
  ...Object.values(BY_NAME).flatMap((set) => [...set]),
  ...DEFAULTS,
  'optional_pre_call_checks',
  'callbacks',
  'master_key',
])

const UNENFORCED = 'this protects something, and is not enforced here'

/** Reports those that are in use in a section, and takes them: what is switched off or empty protects nothing. */
export function reportProtections(section: Section | null, place: Place): void {
  for (const field of section?.fields ?? []) {
    if (isProtection(field, place) && !isOff(field)) {
      section?.take(field.name)
      field.unenforced(UNENFORCED, `leave it out, or start with --accept-unenforced ${field.name}`)
    }
  }
}

function isProtection(field: Field, place: Place): boolean {
  if (BY_NAME[place].has(field.name)) return true
  if (place === 'litellm' && DEFAULTS.has(field.name)) return bounds(field)
  if (place === 'router' && field.name === 'optional_pre_call_checks')
    return texts(field).some((text) => BOUND.test(text))
  return place === 'litellm' && field.name === 'callbacks' && texts(field).some(isGuard)
}

/** Whether a callback of this name may refuse a call. */
export function isGuard(name: string): boolean {
  return GUARDS.has(name) || OWN_CODE.test(name)
}

/** A text or a list of them, as written. */
function texts(field: Field): string[] {
  const value = field.writtenJson()
  return [value].flat().filter((one) => typeof one === 'string')
}

/** Whether a bound stands anywhere in it. */
function bounds(field: Field): boolean {
  const inside = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(inside)
    if (value === null || typeof value !== 'object') return false
    return Object.entries(value).some(([name, member]) => (BOUND.test(name) && member !== null) || inside(member))
  }
  return inside(field.writtenJson())
}

function isOff(field: Field): boolean {
  const value = field.writtenJson()
  if (value === null || value === false || value === 0 || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}
