/** What is wrong, or merely worth knowing, about a place in the configuration, and how to put it right. */
export interface Problem {
  file: string
  /** 1-based; null when no line is to blame. */
  line: number | null
  /** `model_list[0].litellm_params.timeout`; empty for the file as a whole. */
  path: string
  message: string
  fix: string
  severity: 'error' | 'warning'
  /** Printed by check-config but not at start: nothing is wrong, something is just not in use. */
  quiet?: boolean
}

/** The message of every setting LiteLLM knows and Tollgate reads past. One wording, so that it can be listed as a group. */
export const NO_EFFECT = 'accepted, has no effect here'

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
  /^(?:environment_variables|extra_headers|token)$|(?:^|_)(?:key|password|passwd|secret|credentials?|authorization|cookie|url|base)$|(?:auth|access)_token$/i

/** Whether the setting at this path may hold a secret, so that what was found there must not be repeated. */
export function mayHoldSecret(path: string): boolean {
  return path.split(/[.[\]]+/).some((segment) => SECRET_NAME.test(segment))
}

/** A value as a message may show it: quoted, short, and never one that looks like a key put in the wrong place. */
export function showText(text: string): string {
  if (LOOKS_SECRET.test(text.trim())) return 'a text that looks like a key (not shown)'
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

/** A name written by the operator (a map key), as a path may show it. */
export function showName(name: string): string {
  if (LOOKS_SECRET.test(name.trim()) && !/^[a-z][a-z0-9_]*$/.test(name)) return '(name not shown)'
  return name.length > 80 ? `${name.slice(0, 80)}…` : name
}
