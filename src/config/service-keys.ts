/** `tollgate.service_keys`: the applications that call for an organization, each with a key that the operator chooses. */
import { isRouteRule, ROUTE_GROUPS } from '../http/route-group.ts'
import type { KeyLimits, ServiceKeySetting } from './config.ts'
import type { Field, NumberRule, Section } from './field.ts'
import { weaknessOf } from './master-key.ts'

const LEAST_LENGTH = 24
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i
/** Ops-Center's source and documents show its service keys, such as `sk-loopnet-service-key-2025`. */
const KNOWN_SAMPLE = /^sk-[a-z0-9-]+-service-key-20\d\d$/i
const KNOWN =
  'name, key, organization, user, act_as, models, routes, requests_per_minute, tokens_per_minute, calls_at_once'

const COUNT: NumberRule = { what: 'a whole number, 1 or more', example: '600', least: 1, whole: true, most: 1e12 }

/** @param masterKey the key that no service may have. */
export function readServiceKeys(field: Field | null, masterKey: string | null): ServiceKeySetting[] {
  const found: ServiceKeySetting[] = []
  for (const entry of field?.list() ?? []) {
    const section = entry.section()
    if (section === null) continue
    const setting = readServiceKey(section)
    section.finish(new Set(), KNOWN)
    if (setting === null) continue
    if (found.some(({ name }) => name === setting.name))
      entry.error(`two service keys are named ${setting.name}`, 'give each a name of its own')
    else if (setting.key === masterKey || found.some(({ key }) => key === setting.key))
      entry.error('this key is used twice', 'make one for each service: openssl rand -hex 24')
    else found.push(setting)
  }
  return found
}

/** Null where the key is missing: the service is then unknown, and its calls are refused. */
function readServiceKey(section: Section): ServiceKeySetting | null {
  const name = readName(section.take('name'))
  const key = readKey(section.take('key'))
  const organization = section.take('organization').text('the name or id of an organization')?.trim() || name
  const user = section.take('user').text("a user's id")?.trim() || `${name}-service`
  const actAs = readActAs(section.take('act_as'))
  const models = readTexts(section.take('models'), 'the name of a model, or a pattern like claude-*')
  const routes = readRoutes(section.take('routes')) ?? ['llm']
  const limits = readKeyLimits(section)
  if (name === '' || key === null) return null
  return { name, key, organization, user, actAs, models, routes, limits }
}

function readName(field: Field): string {
  const name = field.text("the service's name")?.trim() ?? ''
  if (!NAME.test(name)) field.mismatch('a name of letters, digits, dots and dashes', 'write name: loopnet')
  return NAME.test(name) ? name : ''
}

function readKey(field: Field): string | null {
  const key = field.text('a key')?.trim() ?? ''
  const fix = 'take a random one: echo "sk-$(openssl rand -hex 24)", and write key: os.environ/NAME'
  if (key === '') return field.variableName === null ? field.error('missing: the key of the service', fix) : null
  if (KNOWN_SAMPLE.test(key)) return field.error('this key is a sample from public documents', fix)
  if (key.length < LEAST_LENGTH) return field.error(`a service key has ${LEAST_LENGTH} characters or more`, fix)
  if (!/^[\x21-\x7e]+$/.test(key)) return field.error('a key has no spaces and no characters beyond ASCII', fix)
  if (field.variableName === null)
    field.warn('the key of a service is written into the file', 'put it in the environment and name the variable')
  const weakness = weaknessOf(key)
  if (weakness !== null) field.warn(`the key ${weakness}`, fix)
  return key
}

function readActAs(field: Field): ServiceKeySetting['actAs'] {
  const value = field.text('none or members')?.trim() ?? 'none'
  if (value === 'none' || value === 'members') return value
  field.mismatch('none or members', 'write act_as: members')
  return 'none'
}

function readRoutes(field: Field): readonly string[] | null {
  const what = `a group (${ROUTE_GROUPS.join(', ')}) or a path`
  const routes = readTexts(field, what)
  for (const route of routes ?? []) if (!isRouteRule(route)) field.mismatch(what, 'write routes: [llm]')
  return routes
}

/** Null where none are named. */
function readTexts(field: Field, what: string): readonly string[] | null {
  if (field.empty) return null
  const texts = field.list().flatMap((entry) => entry.text(what)?.trim() || [])
  return texts.length === 0 ? null : texts
}

export function readKeyLimits(section: Section): KeyLimits {
  return {
    requestsPerMinute: section.take('requests_per_minute').number(COUNT),
    tokensPerMinute: section.take('tokens_per_minute').number(COUNT),
    callsAtOnce: section.take('calls_at_once').number(COUNT),
  }
}
