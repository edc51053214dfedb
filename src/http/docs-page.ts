/** The OpenAPI description as one page without scripts, for people. */
import { html } from 'hono/html'
import type { OpenApi } from './openapi.ts'

interface Operation {
  summary: string
  description?: string
  parameters?: { name: string; in: string; description?: string }[]
  responses: Record<string, { description: string; headers?: Record<string, { description?: string }> }>
}

export function docsPage(api: OpenApi) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(([method, operation]) => section(method, path, operation)),
  )
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tollgate</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
code,pre{font:14px/1.5 ui-monospace,monospace;background:#f3f4f6;border-radius:4px;padding:.1em .3em}pre{padding:1rem;overflow:auto}
table{border-collapse:collapse;width:100%}td{border-top:1px solid #d8dee4;padding:.3rem .6rem .3rem 0;vertical-align:top}td:first-child{white-space:nowrap}
h2{margin-top:2.5rem;font-size:1.1rem}</style></head>
<body><h1>Tollgate ${api.info.version}</h1><p>${api.info.description}</p>
<p>Point any OpenAI SDK here: only the base URL and the key change.</p>
<pre>from openai import OpenAI
client = OpenAI(base_url="http://127.0.0.1:8084/v1", api_key="uc_...")</pre>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>
${operations}</body></html>`
}

function section(method: string, path: string, operation: Operation) {
  const headers = Object.entries(operation.responses[200]?.headers ?? {})
  return html`<h2><code>${method.toUpperCase()} ${path}</code> ${operation.summary}</h2>
${operation.description === undefined ? '' : html`<p>${operation.description}</p>`}
<table>${(operation.parameters ?? []).map((p) => html`<tr><td><code>${p.name}</code></td><td>${p.in}</td><td>${p.description ?? ''}</td></tr>`)}
${Object.entries(operation.responses).map(([status, r]) => html`<tr><td>${status}</td><td>answer</td><td>${r.description}</td></tr>`)}
${headers.map(([name, h]) => html`<tr><td><code>${name}</code></td><td>answer header</td><td>${h.description ?? ''}</td></tr>`)}</table>`
}
