/** Errors in Google's envelope, for OpenAPI. */
import { z } from '@hono/zod-openapi'

export const googleErrorSchema = z
  .object({
    error: z.looseObject({
      code: z.int().openapi({ description: 'The HTTP status.' }),
      message: z.string(),
      status: z.string(),
      details: z.array(z.looseObject({})),
    }),
    detail: z.string(),
  })
  .openapi('GoogleError')
