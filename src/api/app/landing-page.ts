/** What stands at the address of the server where the app was not built. */
import { html } from 'hono/html'

export function landingPage(version: string): string {
  return String(html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollgate</title></head>
<body><main><h1>Tollgate ${version}</h1><p>An OpenAI-compatible proxy that meters every call against prepaid credits.</p>
<ul><li><a href="/docs">The routes</a>, to read and to try; <a href="/openapi.json">as OpenAPI</a></li>
<li><a href="/health/readiness">Whether calls can be taken</a></li>
<li>The app that opens here was not built: <code>npm run build:web</code> builds it, then start the server again</li></ul></main></body></html>
`)
}
