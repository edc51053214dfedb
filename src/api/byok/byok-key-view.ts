/** A caller's own key as its owner sees it. */
import { z } from '@hono/zod-openapi'
import { nameOf } from '../../vault/key-formats.ts'
import type { StoredKey } from '../../vault/vault.ts'

export const byokKey = z
  .object({
    id: z.string(),
    provider: z.string(),
    enabled: z.boolean(),
    metadata: z.record(z.string(), z.unknown()),
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
    key_preview: z.string(),
    masked_key: z.string(),
    last_tested: z.iso.datetime().nullable(),
    test_status: z.enum(['valid', 'failed']).nullable(),
    problem: z.string().nullable(),
  })
  .openapi('ByokKey')

/** The members that noteKeyTest keeps beside the caller's own metadata. */
interface Noted {
  last_tested?: string
  test_status?: 'valid' | 'failed'
}

export function byokKeyView(key: StoredKey): z.output<typeof byokKey> {
  const { last_tested = null, test_status = null, ...metadata } = (key.metadata ?? {}) as Noted
  return {
    id: key.id,
    provider: nameOf(key.provider),
    enabled: key.enabled,
    metadata,
    created_at: key.createdAt.toISOString(),
    updated_at: key.updatedAt.toISOString(),
    key_preview: key.mask,
    masked_key: key.mask,
    last_tested,
    test_status,
    // The reason names root keys and other owners. It is for the operator, so only the log has it.
    problem: key.problem === null ? null : "This key can't be used. Store it again, or tell the operator.",
  }
}

/** @returns the metadata without our own members. */
export function withoutNoted(metadata: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { last_tested: _, test_status: __, ...own } = metadata
  return own
}
