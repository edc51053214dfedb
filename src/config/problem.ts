/** A problem, or a fact worth knowing, about a place in the configuration, and how to correct it. */
export interface Problem {
  file: string
  /** 1-based; null when no line is to blame. */
  line: number | null
  /** `model_list[0].litellm_params.timeout`; empty for the file as a whole. */
  path: string
  message: string
  fix: string
  severity: 'error' | 'warning'
  /** Printed by check-config but not at start: nothing is wrong, a setting is just unused. */
  quiet?: boolean
  /** A protection that is not enforced: the name by which the operator accepts that. A start stops at one that is not accepted. */
  unenforced?: string
  /** A provider for which no key was found, and the variables that could have held one. All such problems are printed as one sentence. */
  keyless?: { provider: string; variables: readonly string[] }
}

/** The message of every LiteLLM setting that Tollgate ignores. One wording, so that they can be listed as a group. */
export const NO_EFFECT = 'accepted, has no effect here'

/** The message of every setting that neither of them knows. */
export const UNKNOWN_SETTING = 'unknown setting, ignored'

/**
 * One line for a terminal:
 * `config.yaml:12: model_list[0].litellm_params.timeout: expected a number of seconds, found "abc". Fix: write timeout: 60`
 */
export function formatProblem(problem: Problem): string {
  const place = problem.line === null ? problem.file : `${problem.file}:${problem.line}`
  const path = problem.path === '' ? '' : ` ${problem.path}:`
  const fix = problem.fix === '' ? '' : ` Fix: ${problem.fix}`
  return `${place}:${path} ${problem.message}.${fix}`
}

// A prefix some provider gives its keys, or any long unbroken run of key characters.
const LOOKS_SECRET = /^(?:sk-|gsk_|xai-|hf_|AIza|Bearer\s)|^[\w+/=.-]{32,}$/i
const SECRET_NAME =
  /^(?:environment_variables|extra_headers|token)$|(?:^|_)(?:key|password|passwd|secret|credentials?|authorization|cookie|url|base)$|(?:auth|access|session)_token$/i

/** Whether the setting at this path may hold a secret, so that what was found there must not be repeated. */
export function mayHoldSecret(path: string): boolean {
  return path.split(/[.[\]]+/).some((segment) => SECRET_NAME.test(segment))
}

/** A value, safe to show in a message: quoted, short, and hidden where it looks like a key in the wrong place. */
export function showText(text: string): string {
  if (LOOKS_SECRET.test(text.trim())) return 'a text that looks like a key (not shown)'
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

/** A name written by the operator (a map key), safe to show in a path. */
export function showName(name: string): string {
  if (LOOKS_SECRET.test(name.trim()) && !/^[a-z][a-z0-9_]*$/.test(name)) return '(name not shown)'
  return name.length > 80 ? `${name.slice(0, 80)}…` : name
}
