/**
 * The session a call belongs to, by what clients say of it: a conversation, an agent's task. Recorded on the row and nothing else: no
 * word of it decides anything, so what is odd is left out or cut.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { asObject, parseJson } from '../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

/** As the row's details name it. */
export interface Session {
  session_id: string
  /** Which of an agent's helpers called, and whose helper that is. */
  agent_id?: string
  parent_agent_id?: string
}

/** The first that is there counts. Claude Code, Codex (older versions with an underscore), Open WebUI and LiteLLM's callers send one each. */
const HEADERS = [
  ...['x-session-id', 'x-litellm-session-id', 'x-claude-code-session-id'],
  ...['session-id', 'session_id', 'x-openwebui-chat-id'],
] as const
const TURN_HEADER = 'x-codex-turn-metadata'

const ID_MAX = 200
/** Of what is looked into for one: a few ids. */
const TEXT_MAX = 8_192
/** As older versions of Claude Code write it: `user_…_account_…_session_…`. */
const WRITTEN_SESSION = /_session_([\w-]+)$/

/** @param own headers the operator names, which come first. */
export function sessionOf(headers: IncomingHttpHeaders, json: Json, own: readonly string[]): Session | null {
  const session_id = inHeaders(headers, [...own, ...HEADERS]) ?? inText(headers[TURN_HEADER]) ?? inBody(json)
  if (session_id === null) return null
  const agent_id = inHeaders(headers, ['x-claude-code-agent-id'])
  const parent_agent_id = inHeaders(headers, ['x-claude-code-parent-agent-id'])
  return {
    session_id,
    ...(agent_id === null ? {} : { agent_id }),
    ...(parent_agent_id === null ? {} : { parent_agent_id }),
  }
}

function inHeaders(headers: IncomingHttpHeaders, names: readonly string[]): string | null {
  for (const name of names) {
    const value = headers[name]
    // Node gives a byte beyond ASCII as one character.
    const id = typeof value === 'string' ? idOf(Buffer.from(value.slice(0, 4 * ID_MAX), 'latin1').toString()) : null
    if (id !== null) return id
  }
  return null
}

function inBody(json: Json): string | null {
  const metadata = asObject(json.metadata)
  const user = metadata?.user_id
  return (
    idOf(metadata?.session_id) ??
    idOf(json.litellm_session_id) ??
    idOf(json.session_id) ??
    inText(user) ??
    idOf(typeof user === 'string' && user.length <= TEXT_MAX ? WRITTEN_SESSION.exec(user)?.[1] : null) ??
    idOf(asObject(json.client_metadata)?.session_id)
  )
}

/** Of JSON in a text. */
function inText(text: unknown): string | null {
  if (typeof text !== 'string' || text.length > TEXT_MAX || !text.startsWith('{')) return null
  return idOf(asObject(parseJson(text))?.session_id)
}

function idOf(value: unknown): string | null {
  if (typeof value !== 'string') return null
  const id = [...value.slice(0, 2 * ID_MAX).toWellFormed()]
    .filter((letter) => letter >= ' ' && letter !== '\x7f')
    .slice(0, ID_MAX)
    .join('')
    .trim()
  return id === '' ? null : id
}
