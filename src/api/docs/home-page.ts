/** The page at the address of the server, for people. */
import { html } from 'hono/html'
import { Reply } from '../reply.ts'
import { openRoute, type Route } from '../route.ts'
import { fileSchema, pageHeaders } from './page.ts'

const DAY = 'public, max-age=86400'

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1b1f24"/>
<path d="M3 5h10M8 5v8" stroke="#fff" stroke-width="2"/></svg>`

export function homeRoute(version: string): Route {
  const page = String(html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollgate</title></head>
<body><h1>Tollgate ${version}</h1><p>An OpenAI-compatible proxy that meters every call against prepaid credits.</p>
<ul><li><a href="/docs">The routes</a>, to read and to try; <a href="/openapi.json">as OpenAPI</a></li>
<li><a href="/health/readiness">Whether calls can be taken</a></li></ul></body></html>
`)
  return openRoute({
    method: 'get',
    path: '/',
    summary: 'Where to go from here',
    produces: 'text/html',
    returns: fileSchema,
    handle: () => new Reply(page, { headers: pageHeaders("default-src 'none'; img-src 'self'") }),
  })
}

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
