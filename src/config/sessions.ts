/** `tollgate.sessions`: the cookie that identifies people, and where sessions are kept. */
import type { SessionSettings } from './config.ts'
import type { Field, NumberRule } from './field.ts'
import type { Source } from './source.ts'

const SECONDS: NumberRule = {
  what: 'a whole number of seconds, from 60 to 2592000',
  example: '7200',
  least: 60,
  whole: true,
  most: 2_592_000,
}
const EXAMPLE = 'redis://:password@host:6379/0'
const KNOWN = 'redis_url, cookie, prefix, seconds, admin_roles'
/** The names of system administrators' roles in Ops-Center's sessions. */
const ADMIN_ROLES = ['admin', 'system_admin']

/** @param redisUrl used where the section names none. */
export function readSessions(field: Field | null, redisUrl: string | null): SessionSettings {
  const section = field?.section() ?? null
  const written = section?.take('redis_url')
  const roles = section?.take('admin_roles')
  const settings = {
    redisUrl: written === undefined || written.empty ? redisUrl : readRedisUrl(written),
    cookie: readCookie(section?.take('cookie') ?? null),
    prefix: section?.take('prefix').text('the beginning of a key')?.trim() || 'session:',
    seconds: section?.take('seconds').number(SECONDS) ?? 7200,
    adminRoles:
      roles === undefined || roles.empty
        ? ADMIN_ROLES
        : roles.list().flatMap((entry) => entry.text('the name of a role')?.trim() || []),
  }
  section?.finish(new Set(), KNOWN)
  return settings
}

export function readRedisUrl(field: Field): string | null {
  const url = field.text('the URL of a Redis')?.trim() ?? ''
  if (url === '') return null
  return isRedisUrl(url) ? url : field.error('not the URL of a Redis', `write ${field.label}: ${EXAMPLE}`)
}

/** REDIS_URL; null where it is not set. */
export function sharedRedisUrl(source: Source): string | null {
  const url = source.variable('REDIS_URL')?.trim() ?? ''
  if (url === '') return null
  if (isRedisUrl(url)) return url
  const message = 'the environment variable REDIS_URL is not the URL of a Redis'
  source.report({ severity: 'error', line: null, path: '', message, fix: `write ${EXAMPLE}` })
  return null
}

function isRedisUrl(url: string): boolean {
  return /^rediss?:\/\//.test(url) && URL.canParse(url) && new URL(url).hostname !== ''
}

function readCookie(field: Field | null): string {
  const name = field?.text('the name of a cookie')?.trim() || 'session_token'
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) field?.mismatch('the name of a cookie', 'write cookie: session_token')
  return name
}
