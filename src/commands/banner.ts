/** What `tollgate start` says when it is ready: plain lines that end with the next command to paste, and an empty one. */
import { relative } from 'node:path'
import type { Config } from '../config/config.ts'
import type { Store } from './open-store.ts'
import { reachable } from './server-note.ts'

export interface BannerFacts {
  version: string
  host: string
  port: number
  /** Ids of the worker processes that serve; empty where this process serves. */
  workers: readonly number[]
  config: Config
  store: Pick<Store, 'directory'>
  /** The demo key; null where none was made, so the caller brings a key. */
  demoKey: string | null
  /** Signs its user in to the app, once; null where no demo key was made, so people sign in as configured. */
  signInToken: string | null
  /** Whether the app was built. */
  hasApp: boolean
}

export function banner(facts: BannerFacts): string {
  const url = urlOf(facts.host, facts.port)
  return [
    `Tollgate ${facts.version} on ${url}`,
    ...(facts.workers.length === 0 ? [] : [`workers: ${facts.workers.length} (processes ${facts.workers.join(', ')})`]),
    `store: ${storeLine(facts)}`,
    `providers: ${providersLine(facts.config)}`,
    `app: ${appLine(url, facts)}`,
    `docs: ${url}/docs and README.md`,
    'next, paste this:',
    curl(url, facts),
    '',
    '',
  ].join('\n')
}

/** The URL of a server, as a person types it into a browser. */
export function urlOf(host: string, port: number): string {
  const name = reachable(host)
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function storeLine({ store: { directory } }: BannerFacts): string {
  if (directory === null) return 'PostgreSQL at DATABASE_URL'
  const path = relative('.', directory)
  return `its own PostgreSQL in ${path === '' || path.startsWith('..') ? directory : `./${path}`}, for this one machine (set DATABASE_URL for your own)`
}

function appLine(url: string, { hasApp, signInToken }: BannerFacts): string {
  if (!hasApp) return 'it was not built here; npm run build:web builds it, then start again'
  if (signInToken === null) return `${url}/`
  return `${url}/auth/link?token=${signInToken} (opens it signed in, once)`
}

function providersLine(config: Config): string {
  const found = new Map(
    config.deployments
      .filter((d) => d.apiKey !== null && d.mockResponse === null)
      .map((d) => [d.provider, d.apiKeySource]),
  )
  if (found.size === 0)
    return 'no key found in the environment (set OPENAI_API_KEY and start again); the model demo needs none'
  return [...found].map(([provider, source]) => `${provider} (${source})`).join(', ')
}

function curl(url: string, { demoKey, config }: BannerFacts): string {
  const model =
    config.deployments.find((d) => d.modelName === 'demo')?.modelName ?? config.deployments[0]?.modelName ?? 'demo'
  const body = JSON.stringify({
    model: model.includes('*') ? 'gpt-4o-mini' : model,
    messages: [{ role: 'user', content: 'Hello' }],
  })
  return `curl -i ${url}/v1/chat/completions -H "Authorization: Bearer ${demoKey ?? '$TOLLGATE_KEY'}" -H "Content-Type: application/json" -d '${body.replaceAll("'", "'\\''")}'`
}
