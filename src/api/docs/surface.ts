/** Describes this server, for people and for programs. It needs no credential. */
import type { OpenApiDocument } from '../openapi.ts'
import type { Surface } from '../surface.ts'
import { assetRoute, docsRoute } from './docs-page.ts'
import { faviconRoute } from './favicon.ts'
import { openApiRoute } from './openapi-json.ts'

/** @param document called at the first request, because the document describes these routes too. */
export function createDocsSurface(version: string, document: () => OpenApiDocument): Surface {
  return {
    name: 'Documentation',
    description: 'What this server is, for people and for programs.',
    invalidStatus: 400,
    routes: [faviconRoute(), openApiRoute(document), docsRoute(version), assetRoute(version)],
  }
}
