/**
 * Gemini signs what it thought and wants the signature back with the call it belongs to; from generation 3 on, a call without one is
 * refused. Clients echo a tool call's id for sure and unknown members sometimes, so the signature goes both ways: in
 * `extra_content.google.thought_signature` of the tool call, as Google's own OpenAI-compatible endpoint has it, and at the end of
 * its id, as `call_x__gsig_<signature>`. What comes back in either place is put where it was. Ids keep to [A-Za-z0-9_-], which every
 * provider takes, should a conversation move on; the signature itself is a few hundred to a few thousand characters.
 */
import { bareId } from '../carried-id.ts'
import { asObject } from '../json.ts'

const MARK = '__gsig_'
/** A signature that is not the base64 it always was: its own text in base64url. */
const ODD_MARK = '__gsigt_'

export interface ToolCallId {
  /** Without the signature. */
  id: string
  signature: string | null
}

export function withSignature(id: string, signature: string | null): string {
  if (signature === null || signature === '') return id
  const short = signature
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/(?<!=)=+$/, '')
  if (/^[A-Za-z0-9_-]+$/.test(short) && restore(short) === signature) return `${id}${MARK}${short}`
  return `${id}${ODD_MARK}${Buffer.from(signature).toString('base64url')}`
}

export function splitToolCallId(id: string): ToolCallId {
  const odd = id.indexOf(ODD_MARK)
  if (odd >= 0) {
    return {
      id: id.slice(0, odd),
      signature: Buffer.from(id.slice(odd + ODD_MARK.length), 'base64url').toString('utf8'),
    }
  }
  const at = id.indexOf(MARK)
  return at < 0 ? { id, signature: null } : { id: id.slice(0, at), signature: restore(id.slice(at + MARK.length)) }
}

/** As for an estimate: what is sent as the id, and the signature. */
export function unpackGoogleId(id: string): { id: string; carried: string } {
  const { id: own, signature } = splitToolCallId(id)
  return { id: bareId(own), carried: signature ?? '' }
}

function restore(short: string): string {
  const standard = short.replaceAll('-', '+').replaceAll('_', '/')
  return standard.padEnd(Math.ceil(standard.length / 4) * 4, '=')
}

/** The signature in the extra content of a message or a tool call. */
export function extraSignature(holder: unknown): string | null {
  const { thought_signature: signature } = googleExtra(holder)
  return typeof signature === 'string' && signature !== '' ? signature : null
}

/** `extra_content.google` of a message or a tool call. */
export function googleExtra(holder: unknown): Record<string, unknown> {
  return asObject(asObject(asObject(holder)?.extra_content)?.google) ?? {}
}
