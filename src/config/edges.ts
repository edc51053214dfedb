/** What surrounds Tollgate: its public address, the sites whose pages may call it, the proxies in front of it. */
import { createCors } from '../http/cors.ts'
import { createClientOf } from '../http/trusted-proxies.ts'
import type { Field } from './field.ts'

/** `cors: { origins: [...] }`. */
export function readCors(field: Field | null): string[] {
  const section = field?.section() ?? null
  const origins = (section?.take('origins').list() ?? []).flatMap((entry) => readOrigin(entry))
  section?.finish(new Set(), 'origins')
  return origins
}

function readOrigin(entry: Field): string[] {
  const origin = entry.text('an origin')?.trim().replace(/\/$/, '') ?? ''
  try {
    createCors([origin])
    return [origin]
  } catch {
    entry.error('not an origin', 'write https://app.example.com, https://*.example.com, http://localhost:* or "*"')
    return []
  }
}

/** An entry that can't be read stops the start: it decides which proxy may state a caller's address. */
export function readTrustedProxies(field: Field | null): string[] {
  return (field?.list() ?? []).flatMap((entry) => {
    const range = entry.text('an address')?.trim() ?? ''
    try {
      createClientOf([range])
      return [range]
    } catch {
      entry.error('not an address or a range of addresses', 'write 10.0.0.0/8, 192.0.2.7 or fd00::/8')
      return []
    }
  })
}

export function readPublicUrl(field: Field | null): string | null {
  const text = field?.text('a URL')?.trim() ?? ''
  if (field === null || text === '') return null
  const url = URL.canParse(text) ? new URL(text) : null
  const isWeb = url !== null && /^https?:$/.test(url.protocol)
  if (isWeb && url.pathname === '/' && url.search === '' && url.username === '') return url.origin
  return field.error('not the address of a server', 'write public_url: https://gate.example.com, without a path')
}
