/**
 * The app that people open in a browser. It is static: what it shows it asks of the other routes, with the session of whoever is signed in.
 * The page may load and ask nothing but this server, run no inline script and apply no inline style, and stand in no frame.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { extname } from 'node:path'
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { acceptsCoding } from '../accepts-coding.ts'
import { fileSchema } from '../docs/page.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'
import type { Surface } from '../surface.ts'
import type { AppFile, AppFiles } from './app-files.ts'
import { landingPage } from './landing-page.ts'

const FOREVER = 'public, max-age=31536000, immutable'
const HTML = 'text/html; charset=utf-8'
const SHARED = "base-uri 'none'; frame-ancestors 'none'"
const APP_POLICY = `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; ${SHARED}`
const LANDING_POLICY = `default-src 'none'; img-src 'self'; form-action 'none'; ${SHARED}`

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/** @param app null where it was not built. */
export function createAppSurface(version: string, app: AppFiles | null): Surface {
  return {
    name: 'App',
    description: 'The app for people with a browser.',
    invalidStatus: 400,
    routes: [...pages(version, app), assetRoute(app)],
  }
}

/** One page for every address of the app, which reads the address itself. */
function pages(version: string, app: AppFiles | null): Route[] {
  const landing = app === null ? landingPage(version) : null
  const body = landing ?? app?.page ?? ''
  const headers = {
    'Content-Type': HTML,
    'Content-Security-Policy': landing === null ? APP_POLICY : LANDING_POLICY,
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cache-Control': 'no-cache',
  }
  const shared = {
    method: 'get',
    produces: 'text/html',
    returns: fileSchema,
    handle: () => new Reply(body, { headers }),
  } as const
  const params = z.object({ screen: z.string() })
  return [
    openRoute({ ...shared, path: '/', summary: 'The app' }),
    openRoute({ ...shared, path: '/app', summary: 'The same' }),
    openRoute({ ...shared, path: '/app/{screen}', restOfPath: true, params, summary: 'A screen of the app' }),
  ]
}

function assetRoute(app: AppFiles | null): Route {
  return openRoute({
    method: 'get',
    path: '/assets/{file}',
    summary: 'A file of the app',
    description: 'Its name changes with what is in it, so a browser may keep it forever.',
    params: z.object({ file: z.string() }),
    produces: '*/*',
    returns: fileSchema,
    errors: { 404: 'There is no such file.' },
    handle({ params, headers }) {
      const file = app?.assets.get(params.file)
      if (file === undefined) {
        throw new TollgateError(
          404,
          'file_not_found',
          'There is no such file. Reload the page: it names the present ones.',
        )
      }
      const { body, coding } = codedFor(file, headers)
      return new Reply(body, {
        headers: {
          'Content-Type': TYPES[extname(params.file)] ?? 'application/octet-stream',
          'Cache-Control': FOREVER,
          Vary: 'Accept-Encoding',
          ...(coding === null ? {} : { 'Content-Encoding': coding }),
        },
      })
    },
  })
}

function codedFor(
  file: AppFile,
  asked: Pick<IncomingHttpHeaders, 'accept-encoding'>,
): { body: Uint8Array; coding: string | null } {
  if (file.brotli !== null && acceptsCoding(asked, 'br')) return { body: file.brotli, coding: 'br' }
  if (file.gzip !== null && acceptsCoding(asked, 'gzip')) return { body: file.gzip, coding: 'gzip' }
  return { body: file.plain, coding: null }
}
