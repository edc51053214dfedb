/** The schema of an `ExactNumber` in a response: a number for whoever reads it. */
import { z } from '@hono/zod-openapi'
import type { ExactNumber } from '../http/exact-number.ts'

export const exactNumberSchema = z.custom<ExactNumber>().openapi({ type: 'number' })

/** Stated apart: the type above would hide what `nullable` says. */
export const exactNumberOrNull = z.custom<ExactNumber | null>().openapi({ type: ['number', 'null'] })
