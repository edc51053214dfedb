/** Virtual keys as LiteLLM's clients send and read them. */
import { z } from '@hono/zod-openapi'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import { isRouteRule } from '../../http/route-group.ts'
import { durationIn } from './amounts.ts'
import { LISTS, REFUSED, shownTerms, TERMS, termsView } from './terms.ts'

export const named = z.string().min(1).max(255)

const KEY_TYPES = ['default', 'llm_api', 'management', 'read_only'] as const

/** What a type of key may call; null: whatever a virtual key may. */
const ROUTES_OF: Readonly<Record<(typeof KEY_TYPES)[number], readonly string[] | null>> = {
  default: null,
  llm_api: ['llm_api_routes'],
  management: ['management_routes'],
  read_only: ['info_routes'],
}

const KEY_TERMS = {
  ...TERMS,
  ...LISTS,
  ...REFUSED,
  key_alias: z.string().min(1).max(200).nullish(),
  duration: durationIn('duration').nullish(),
  user_id: named.nullish(),
  team_id: named.nullish(),
  budget_id: named.nullish(),
  blocked: z.boolean().nullish(),
  allowed_routes: z
    .array(
      z
        .string()
        .refine(
          isRouteRule,
          '"allowed_routes" must name groups such as llm_api_routes, or paths such as /v1/chat/completions.',
        ),
    )
    .max(100)
    .nullish(),
  key_type: z.enum(KEY_TYPES).nullish(),
}

export const newKeyBody = z
  .object({ ...KEY_TERMS, key: z.string().nullish(), organization_id: named.nullish() })
  .openapi('NewVirtualKey')
export const keyChangeBody = z.object({ ...KEY_TERMS, key: z.string().min(1) }).openapi('VirtualKeyChange')
export const remadeKeyBody = z.object({ ...KEY_TERMS, key: z.string().nullish(), new_key: z.string().nullish() })

/** Undefined: nothing is said of routes. */
export function routesIn({
  allowed_routes: routes,
  key_type: type,
}: Pick<z.output<typeof newKeyBody>, 'allowed_routes' | 'key_type'>) {
  if (routes != null && routes.length > 0) return routes
  if (type != null) return ROUTES_OF[type]
  return routes === undefined ? undefined : null
}

export const keyView = shownTerms
  .extend({
    token: z.string().openapi({ description: 'The SHA-256 of the key: names it wherever a key is asked for.' }),
    key_name: z.string(),
    key_alias: z.string().nullable(),
    expires: z.iso.datetime().nullable(),
    aliases: z.record(z.string(), z.string()),
    user_id: z.string().nullable(),
    team_id: z.string().nullable(),
    organization_id: z.string(),
    allowed_routes: z.array(z.string()),
  })
  .openapi('VirtualKey')

export const madeKeyView = keyView
  .extend({ key: z.string().openapi({ description: 'Shown only once.' }), token_id: z.string() })
  .openapi('MadeVirtualKey')

const NO_KEY = { hash: '', preview: '', alias: null, expires_at: null, routes: null }

export function viewOfKey(row: SpenderRow): z.output<typeof keyView> {
  const { settings, user_id, team, org_id } = row
  const { hash, preview, alias, expires_at, routes } = row.key ?? NO_KEY
  return {
    token: hash,
    key_name: preview,
    key_alias: alias,
    expires: expires_at === null ? null : new Date(expires_at).toISOString(),
    aliases: settings.aliases ?? {},
    user_id,
    team_id: team,
    organization_id: org_id,
    allowed_routes: routes ?? [],
    ...termsView(row),
  }
}

export function viewOfMade({ key, row }: { key: string; row: SpenderRow }): z.output<typeof madeKeyView> {
  const view = viewOfKey(row)
  return { key, token_id: view.token, ...view }
}
