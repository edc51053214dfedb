/** What lists of LiteLLM's routes have in common. */
import { z } from '@hono/zod-openapi'
import type { SpenderRow } from '../../billing/spenders/rows.ts'
import { numberInQuery } from '../number-in-query.ts'
import { keyView, viewOfKey } from './key-schemas.ts'

export const PAGE = {
  page: numberInQuery('page', { min: 1, max: 1_000_000, default: 1 }),
  page_size: numberInQuery('page_size', { min: 1, max: 500, default: 100 }),
}

export const keysView = z.array(keyView)

export function viewsOfKeys(rows: readonly SpenderRow[]): z.output<typeof keysView> {
  return rows.map(viewOfKey)
}

/** A member of `more`, as its kind has it. */
export function textIn({ settings }: SpenderRow, name: string): string | null {
  const value = settings.more?.[name]
  return typeof value === 'string' ? value : null
}
