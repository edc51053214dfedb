/** `tollgate.outbox`: who is told what happens. A consumer that can't be understood stops the start: its receiver would wait in vain. */
import type { ConsumerReceiver, ConsumerSetting, Plan } from './config.ts'
import type { Field, NumberRule, Section } from './field.ts'

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i
const TYPE = /^(?:\*|[a-z_]+\.\*|[a-z_]+\.[a-z_]+)$/
const HEADER = /^[\w!#$%&'*+.^`|~-]{1,100}$/
const SECRET_PREFIX = 'whsec_'
const HOURS: NumberRule = { what: 'a number of hours, more than 0', example: '72', moreThan: 0, most: 8_760 }
const DEAD_AFTER_HOURS = 72
/** What people want to read: not every charge. */
const NEWS = [
  'balance.*',
  'allocation.*',
  'limit.*',
  'quota.*',
  'spend.*',
  'key.*',
  'payment.*',
  'charge.disputed',
  'charge.recovered',
]

type Reader = (section: Section) => ConsumerReceiver | null

const READERS: Readonly<Record<string, { read: Reader; types: readonly string[] }>> = {
  webhook: { read: readWebhook, types: ['*'] },
  slack: { read: readSlack, types: NEWS },
  cloudevents: { read: readCloudEvents, types: ['charge.*'] },
  lago: { read: readLago, types: ['charge.*'] },
  stripe: { read: readStripeMeter, types: ['charge.*'] },
}

export function readOutbox(field: Field | null): ConsumerSetting[] {
  const found: ConsumerSetting[] = []
  for (const entry of field?.list() ?? []) {
    const section = entry.section()
    const consumer = section === null ? null : readConsumer(section)
    section?.finish(new Set(), section.known)
    if (consumer === null) continue
    if (found.some(({ name }) => name === consumer.name))
      entry.error(
        `two consumers are named ${consumer.name}`,
        'give each a name of its own: it is where the cursor is kept',
      )
    else found.push(consumer)
  }
  return found
}

function readConsumer(section: Section): ConsumerSetting | null {
  const named = section.take('name')
  const name = named.text('a name')?.trim() ?? ''
  if (!NAME.test(name)) named.mismatch('a name of letters, digits, dots and dashes', 'write name: billing')
  const kind = section.take('type')
  const reader = READERS[kind.text('the kind of a receiver')?.trim() ?? '']
  if (reader === undefined) return kind.mismatch(Object.keys(READERS).join(', '), 'write type: webhook')
  const types = readTypes(section.take('events')) ?? reader.types
  const deadAfterHours = section.take('dead_after_hours').number(HOURS) ?? DEAD_AFTER_HOURS
  const receiver = reader.read(section)
  return receiver === null || !NAME.test(name) ? null : { name, types, deadAfterHours, receiver }
}

function readTypes(field: Field): string[] | null {
  if (field.empty) return null
  const what = 'a type of events, or a group of them'
  return field.list().flatMap((entry) => {
    const type = entry.text(what)?.trim() ?? ''
    if (TYPE.test(type)) return [type]
    entry.mismatch(what, 'write events: ["charge.*", "balance.low"]')
    return []
  })
}

function readWebhook(section: Section): ConsumerReceiver | null {
  const url = readUrl(section.take('url'))
  const field = section.take('secret')
  const secrets = (field.isList ? field.list() : [field]).map(readSecret)
  if (url === null || secrets.length === 0 || secrets.includes(null)) return null
  return { kind: 'webhook', url, secrets: secrets.flatMap((secret) => secret ?? []) }
}

/** As Standard Webhooks writes one: whsec_ and 24 to 64 bytes in base64. */
function readSecret(field: Field): string | null {
  const fix = 'make one: echo "whsec_$(openssl rand -base64 32)", and write secret: os.environ/NAME'
  const secret = field.text('a secret')?.trim() ?? ''
  if (secret === '') return field.error('missing: the secret that webhooks are signed with', fix)
  const base64 = secret.slice(SECRET_PREFIX.length)
  const bytes = Buffer.from(base64, 'base64')
  const isKey = secret.startsWith(SECRET_PREFIX) && /^[A-Za-z0-9+/]+=*$/.test(base64)
  if (!isKey || bytes.length < 24 || bytes.length > 64)
    return field.error('a secret is whsec_ and 24 to 64 random bytes in base64', fix)
  if (field.variableName === null)
    field.warn('the secret is written into the file', 'put it in the environment and name the variable')
  return base64
}

function readSlack(section: Section): ConsumerReceiver | null {
  const url = readUrl(section.take('url'))
  return url === null ? null : { kind: 'slack', url }
}

function readCloudEvents(section: Section): ConsumerReceiver | null {
  const url = readUrl(section.take('url'))
  const headers = (section.take('headers').section()?.rest() ?? []).flatMap((field) => {
    const value = field.text('the value of a header')?.trim() ?? ''
    if (HEADER.test(field.name) && /^[\x20-\x7e]+$/.test(value)) return [[field.name.toLowerCase(), value] as const]
    field.error('not a header', 'write authorization: os.environ/NAME')
    return []
  })
  return url === null ? null : { kind: 'cloudevents', url, headers: Object.fromEntries(headers) }
}

/** Only charges are use: what is no charge has no amount that Lago or Stripe could bill. */
function readLago(section: Section): ConsumerReceiver | null {
  const url = readUrl(section.take('url'), 'LAGO_API_URL')
  const apiKey = readSecretText(section.take('api_key'), 'LAGO_API_KEY')
  const metric = section.take('metric').text('the code of a billable metric')?.trim() || 'api_call'
  const field = section.take('plans')
  const plans = field.section()
  const code = (plan: Plan): string => plans?.take(plan).text('the code of a plan in Lago')?.trim() ?? ''
  const codes = { platform: code('platform'), byok: code('byok'), hybrid: code('hybrid') }
  plans?.finish(new Set(), 'platform, byok, hybrid')
  if (Object.values(codes).includes(''))
    return field.error('missing: the codes that plans have in Lago', 'write plans: {platform: a, byok: b, hybrid: c}')
  const key = section.take('webhook_key')
  const webhookKey = key.empty ? key.source.variable('LAGO_WEBHOOK_SECRET') : key.text('the HMAC key of webhooks')
  return url === null || apiKey === null ? null : { kind: 'lago', url, apiKey, metric, plans: codes, webhookKey }
}

function readStripeMeter(section: Section): ConsumerReceiver | null {
  const url = section.take('url').empty ? 'https://api.stripe.com' : readUrl(section.take('url'))
  const secretKey = readSecretText(section.take('secret_key'), 'STRIPE_SECRET_KEY')
  const named = section.take('meter')
  const meter = named.text('the event_name of a meter')?.trim() ?? ''
  if (meter === '') named.error('missing: the event_name of the meter', 'write meter: tollgate_microcredits')
  const customers = (section.take('customers').section()?.rest() ?? []).flatMap((field) => {
    const customer = field.text('the id of a customer')?.trim() ?? ''
    if (/^cus_\w+$/.test(customer)) return [[field.name, customer] as const]
    field.error('not the id of a customer of Stripe', 'write acme: cus_NffrFeUfNV2Hib')
    return []
  })
  if (url === null || secretKey === null || meter === '') return null
  return { kind: 'stripe', url, secretKey, meter, customers: Object.fromEntries(customers) }
}

/** @param variable where it is looked for when nothing is written. */
function readSecretText(field: Field, variable: string): string | null {
  const secret = field.empty ? field.source.variable(variable) : (field.text('a key')?.trim() ?? null)
  if (secret !== null && /^[\x21-\x7e]+$/.test(secret)) return secret
  return field.error('missing: the key of the service', `write ${field.label}: os.environ/${variable}`)
}

/** @param variable where it is looked for when nothing is written. */
function readUrl(field: Field, variable: string | null = null): string | null {
  const fix = `write ${field.label}: https://example.com/events, or name a variable`
  const named = field.empty && variable !== null ? field.source.variable(variable) : field.text('a URL')
  const written = named?.trim() ?? ''
  if (written === '') return field.error('missing: where events are sent', fix)
  const url = URL.canParse(written) ? new URL(written) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '')
    return field.error('not a URL of https or http without a user', fix)
  return written
}
