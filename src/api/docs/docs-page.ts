/** The page on which people read and try the routes: Swagger UI, served from here. Nothing is loaded from another host. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { z } from '@hono/zod-openapi'
import { html } from 'hono/html'
import { TollgateError } from '../../http/errors.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'
import { type Packed, pack, sendPacked } from './packed.ts'
import { fileSchema, pageHeaders } from './page.ts'

const requires = createRequire(import.meta.url)
const PACKAGE = 'swagger-ui-dist/package.json'
const FOREVER = 'public, max-age=31536000, immutable'
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"

/** The validator is off: it would send the description to another host. */
const START = `window.onload = () => SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui', deepLinking: true, validatorUrl: null, displayRequestDuration: true,
})
`

const FILES = ['swagger-ui-bundle.js', 'swagger-ui.css', 'start.js'] as const
type File = (typeof FILES)[number]

export function docsRoute(version: string): Route {
  const base = `/docs/${buildOf(version)}`
  const page = String(html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollgate ${version}</title>
<link rel="stylesheet" href="${base}/swagger-ui.css"><script src="${base}/swagger-ui-bundle.js"></script><script src="${base}/start.js"></script></head>
<body><div id="swagger-ui"></div><noscript>This page needs JavaScript. <a href="/openapi.json">openapi.json</a> says the same.</noscript></body></html>
`)
  return openRoute({
    method: 'get',
    path: '/docs',
    summary: 'This description, for people',
    produces: 'text/html',
    returns: fileSchema,
    handle: () => new Reply(page, { headers: pageHeaders(POLICY) }),
  })
}

export function assetRoute(version: string): Route {
  const build = buildOf(version)
  const packed = new Map<File, Promise<Packed>>()
  return openRoute({
    method: 'get',
    path: '/docs/{build}/{file}',
    summary: 'A file of the page /docs',
    description: 'Each build has its own addresses, so a browser may keep each file forever.',
    params: z.object({
      build: z.string().openapi({ example: build }),
      file: z.string().openapi({ example: FILES[0] }),
    }),
    produces: '*/*',
    returns: fileSchema,
    errors: { 404: 'There is no such file.' },
    async handle({ params, headers }) {
      const name = FILES.find((known) => known === params.file)
      if (name === undefined || params.build !== build) {
        throw new TollgateError(404, 'file_not_found', 'There is no such file. Open /docs for the present ones.')
      }
      const reading = packed.get(name) ?? readPacked(name)
      packed.set(name, reading)
      const file = await reading.catch((error: unknown) => {
        packed.delete(name)
        throw error
      })
      const type = name.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8'
      return sendPacked(file, headers, { 'Content-Type': type, 'Cache-Control': FOREVER })
    },
  })
}

/** The files are read at the first request: most processes never serve them. */
async function readPacked(name: File): Promise<Packed> {
  return pack(name === 'start.js' ? Buffer.from(START) : await readFile(join(dirname(requires.resolve(PACKAGE)), name)))
}

/** The versions of this server and of the package, since either may change a file. */
function buildOf(version: string): string {
  const { version: swagger } = requires(PACKAGE) as { version: string }
  return `${version}-${swagger}`
}
