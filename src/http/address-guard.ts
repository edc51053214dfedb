/**
 * Addresses that callers give us to call: custom base URLs, key tests. A name is resolved once for each connection, all its
 * addresses are judged, and the connection goes to exactly those, so a name server that responds differently the next time
 * changes nothing. Fails closed: what is not plainly a public web server is refused unless the operator listed it.
 */
import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { rangesOf, readAllowedPlace } from './allowed-place.ts'
import { TollgateError } from './errors.ts'
import { createResolveName, type ResolveName } from './resolve-name.ts'

const LOOKUP_MS = 5_000
const WEB_PORTS = [80, 443]

/** Special purpose ranges of IANA, and what clouds serve their instances on: 168.63.129.16 is Azure's, in public space. */
const REFUSED_4 = [
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24',
  '192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32',
].flatMap((line) => line.split(' '))
/** Of IPv6, global unicast only, which leaves out loopback, private, link-local, multicast, mapped IPv4 and NAT64; and less these. */
const GLOBAL_6 = '2000::/3'
const REFUSED_6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']

export interface AddressGuard {
  /** For when a URL is stored. @throws {TollgateError} 400 that says why it can't be used. */
  check(url: string): Promise<URL>
  /** Returns an agent that judges and pins every connection. It follows no redirects. */
  agent(connectTimeoutMs: number): Agent
}

/**
 * @param allowed what the operator lists: `host`, `host:port`, `10.1.0.0/16`, `10.1.2.3:8080`, `[fd00::/8]:8080`. A listed place
 *   may be private; its port is the listed one, else 80 and 443. @throws {Error} for an entry that can't be understood.
 */
export function createAddressGuard(
  allowed: readonly string[],
  resolve: ResolveName = createResolveName(),
): AddressGuard {
  const list = allowed.map(readAllowedPlace)

  /** All addresses of the name, or none. */
  async function judge(hostname: string, port: number): Promise<readonly LookupAddress[]> {
    const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
    const listed = list.filter((entry) => entry.port === port || (entry.port === null && WEB_PORTS.includes(port)))
    const named = listed.some((entry) => entry.host === host.toLowerCase())
    const mayCall = (address: LookupAddress) =>
      named || listed.some((entry) => entry.range?.check(address.address, family(address))) || isWeb(address, port)
    const addresses = await addressesOf(host, () => resolve(host, named))
    const wrong = addresses.find((address) => !mayCall(address))
    if (wrong !== undefined) {
      const why = WEB_PORTS.includes(port) ? 'it is not a public address' : `port ${port} is not a web server's`
      throw refused(host, why, wrong.address)
    }
    return addresses
  }

  return {
    async check(url) {
      const parsed = readUrl(url)
      await judge(parsed.hostname, portOf(parsed.port, parsed.protocol))
      return parsed
    },
    agent: (timeout) =>
      new Agent({
        connect(options, callback) {
          judge(options.hostname, portOf(options.port, options.protocol)).then(
            (addresses) => buildConnector({ timeout, allowH2: false, lookup: pinnedTo(addresses) })(options, callback),
            (error: Error) => callback(error, null),
          )
        },
      }),
  }
}

export interface GuardedAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: Buffer
}

/** One exchange over a connection of its own. A redirect is a response like any other. @throws {TollgateError} and undici's errors. */
export async function guardedRequest(
  guard: AddressGuard,
  url: string,
  {
    timeoutMs,
    maxBytes,
    onBytes,
    signal,
    ...options
  }: Pick<Dispatcher.RequestOptions, 'method' | 'headers' | 'body'> & {
    timeoutMs: number
    /** What is longer is cut off. */
    maxBytes: number
    /** Told of each piece before it is kept; what it throws ends the exchange. */
    onBytes?: (bytes: number) => void
    signal?: AbortSignal
  },
): Promise<GuardedAnswer> {
  const { origin, pathname, search } = readUrl(url)
  const agent = guard.agent(timeoutMs)
  const timeout = AbortSignal.timeout(timeoutMs)
  const limit = signal === undefined ? timeout : AbortSignal.any([timeout, signal])
  try {
    const request = { ...options, origin, path: `${pathname}${search}`, signal: limit }
    const { statusCode, headers, body } = await agent.request(request)
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of body as AsyncIterable<Buffer>) {
      onBytes?.(chunk.length)
      chunks.push(chunk)
      size += chunk.length
      if (size >= maxBytes) break
    }
    return { status: statusCode, headers, body: Buffer.concat(chunks).subarray(0, maxBytes) }
  } finally {
    await agent.destroy()
  }
}

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null) throw refused('what was given', 'it is not a URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refused(url.protocol, 'only https and http are called')
  if (url.username !== '' || url.password !== '') throw refused(url.hostname, 'a URL must not hold a user or password')
  return url
}

function portOf(port: string, protocol: string): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

async function addressesOf(host: string, resolve: () => ReturnType<ResolveName>): Promise<readonly LookupAddress[]> {
  const literal = isIP(host)
  if (literal !== 0) return [{ address: host, family: literal }]
  const addresses = await Promise.race([resolve(), delay(LOOKUP_MS, [], { ref: false })]).catch(() => [])
  if (addresses.length > 0) return addresses
  throw new TollgateError(400, 'address_not_found', `The host ${JSON.stringify(host)} has no address. Check the URL.`)
}

const refused4 = rangesOf(REFUSED_4)
const global6 = rangesOf([GLOBAL_6])
const refused6 = rangesOf(REFUSED_6)

function isWeb(address: LookupAddress, port: number): boolean {
  if (!WEB_PORTS.includes(port)) return false
  if (address.family === 4) return !refused4.check(address.address, 'ipv4')
  return global6.check(address.address, 'ipv6') && !refused6.check(address.address, 'ipv6')
}

function family(address: LookupAddress): 'ipv4' | 'ipv6' {
  return address.family === 4 ? 'ipv4' : 'ipv6'
}

/** Resolves every name to these addresses. */
function pinnedTo(addresses: readonly LookupAddress[]): LookupFunction {
  return (_, options, callback) => {
    const first = addresses[0]!
    if (options.all) callback(null, [...addresses])
    else callback(null, first.address, first.family)
  }
}

/** What a name resolved to is for the log only: it would tell callers about the operator's network. */
function refused(host: string, why: string, resolved?: string): TollgateError {
  return new TollgateError(
    400,
    'address_not_allowed',
    `The address ${JSON.stringify(host.slice(0, 200))} can't be called: ${why}. Use a public one, or ask the operator to list it.`,
    resolved === undefined ? {} : { cause: new Error(`it resolves to ${resolved}`) },
  )
}
