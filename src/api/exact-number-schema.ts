/** The schema of an `ExactNumber` in a response: a number for whoever reads it. */
import { z } from '@hono/zod-openapi'
import type { ExactNumber } from '../http/exact-number.ts'

/** A schema that takes undefined would be described as a member that may be missing. */
const isThere = (value: unknown) => value !== undefined

export const exactNumberSchema = z.custom<ExactNumber>(isThere).openapi({ type: 'number' })

/** Stated apart: the type above would hide what `nullable` says. */
export const exactNumberOrNull = z.custom<ExactNumber | null>(isThere).openapi({ type: ['number', 'null'] })
