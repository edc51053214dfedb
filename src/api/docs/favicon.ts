/** The icon of the pages of this server. */
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'
import { fileSchema } from './page.ts'

const DAY = 'public, max-age=86400'

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1b1f24"/>
<path d="M3 5h10M8 5v8" stroke="#fff" stroke-width="2"/></svg>`

export function faviconRoute(): Route {
  return openRoute({
    method: 'get',
    path: '/favicon.ico',
    summary: 'The icon of the pages of this server',
    produces: 'image/svg+xml',
    returns: fileSchema,
    handle: () => new Reply(ICON, { headers: { 'Cache-Control': DAY } }),
  })
}
