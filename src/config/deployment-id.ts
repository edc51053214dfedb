import { createHash } from 'node:crypto'
import type { JsonValue } from './config.ts'
import { mayHoldSecret } from './problem.ts'

/**
 * A deployment's id where the operator gave none: the same parameters give the same id after a restart and on every replica.
 * @param params litellm_params as written: `os.environ/NAME` stands for the value, so rotating a key keeps the id. A literal
 * secret takes part as its own hash only.
 * @returns `mdl_` and 16 hex digits.
 */
export function deploymentId(params: JsonValue): string {
  return `mdl_${sha256(canonicalJson(params, '')).slice(0, 16)}`
}

function canonicalJson(value: JsonValue, path: string): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, path)).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${members.map(([name, item]) => `${JSON.stringify(name)}:${canonicalJson(item, `${path}.${name}`)}`).join(',')}}`
  }
  const literal = typeof value === 'string' && !value.startsWith('os.environ/')
  return JSON.stringify(literal && mayHoldSecret(path) ? `sha256:${sha256(value)}` : value)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
