/** The description of every route, for programs. */
import type { OpenApiDocument } from '../openapi.ts'
import { openRoute, type Route } from '../route.ts'
import { type Packed, pack, sendPacked } from './packed.ts'
import { fileSchema } from './page.ts'

export function openApiRoute(document: () => OpenApiDocument): Route {
  let packed: Promise<Packed> | undefined
  return openRoute({
    method: 'get',
    path: '/openapi.json',
    summary: 'This description',
    produces: 'application/json',
    returns: fileSchema.openapi({ type: 'object', description: 'OpenAPI 3.1.' }),
    async handle({ headers }) {
      packed ??= pack(Buffer.from(JSON.stringify(document())))
      return sendPacked(await packed, headers, { 'Content-Type': 'application/json' })
    },
  })
}
