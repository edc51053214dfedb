/** Where a Messages request goes, and the headers that say what it is. */
import { ownHeaders } from '../own-headers.ts'
import type { UpstreamRequest } from '../provider.ts'

export const CLAUDE_BASE_URL = 'https://api.anthropic.com/v1'
const VERSION = '2023-06-01'

interface Target {
  apiKey: string | null
  apiBase: string | null
  extraHeaders: Readonly<Record<string, string>>
}

interface Said {
  stream: boolean
  betas: readonly string[]
  /** Ours where the caller names none. */
  version?: string | undefined
}

export function claudeTarget(
  { apiKey, apiBase, extraHeaders }: Target,
  { stream, betas, version = VERSION }: Said,
): Omit<UpstreamRequest, 'body'> {
  const base = new URL(apiBase ?? CLAUDE_BASE_URL)
  const path = base.pathname.replace(/\/$/, '')
  const headers = ownHeaders(stream ? 'text/event-stream' : 'application/json', extraHeaders, {
    'anthropic-version': version,
  })
  if (apiKey !== null) headers['x-api-key'] = apiKey
  const features = new Set([...namesIn(headers['anthropic-beta']), ...betas])
  if (features.size > 0) headers['anthropic-beta'] = [...features].join(',')
  // LiteLLM's configurations name the host alone.
  return { origin: base.origin, path: `${path === '' ? '/v1' : path}/messages${base.search}`, headers }
}

/** Of a header that lists features. */
export function namesIn(header: string | undefined): string[] {
  return (header ?? '').split(',').flatMap((name) => name.trim() || [])
}
