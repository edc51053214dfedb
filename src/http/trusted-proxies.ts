/**
 * Who is at the other end of a connection, and whether they came over TLS. What a request says of itself (`X-Forwarded-For`,
 * `X-Forwarded-Proto`) is believed only where the operator listed the peer: everybody can write these headers.
 */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

export interface Client {
  /** An IP address; empty where the connection is gone. */
  address: string
  isHttps: boolean
  /** As the client asked for it: `gate.example.com:8084`; null where none was named. */
  host: string | null
}

export type ClientOf = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => Client

const MAPPED = /^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i

/** @param trusted addresses and ranges: `10.0.0.0/8`, `192.0.2.7`, `fd00::/8`. @throws {Error} for one that is neither. */
export function createClientOf(trusted: readonly string[]): ClientOf {
  const proxies = rangesOf(trusted)
  const isProxy = (address: string) => {
    const family = isIP(address)
    return family !== 0 && proxies.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }

  return ({ headers, socket }) => {
    const peer = plain(socket.remoteAddress ?? '')
    const host = headers.host ?? null
    if (trusted.length === 0 || !isProxy(peer)) return { address: peer, isHttps: false, host }
    return {
      address: furthest(peer, listed(headers['x-forwarded-for']), isProxy),
      // The first proxy saw the client; the ones behind it may speak HTTP to each other.
      isHttps: listed(headers['x-forwarded-proto'])[0]?.toLowerCase() === 'https',
      host: listed(headers['x-forwarded-host'])[0] ?? host,
    }
  }
}

/**
 * Each proxy adds at the end whom it heard from. Read from there, the first that is no proxy of ours is the client: what stands
 * before it, the client may have made up. What is no address ends the reading: a proxy of ours would not have written it.
 */
function furthest(peer: string, forwarded: readonly string[], isProxy: (address: string) => boolean): string {
  let address = peer
  for (const entry of forwarded.toReversed()) {
    const next = addressIn(entry)
    if (next === null) return address
    address = next
    if (!isProxy(address)) return address
  }
  return address
}

/** `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]:4711`. */
function addressIn(entry: string): string | null {
  const bare = entry.replace(/^\[([^\]]*)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
  const address = plain(bare)
  return isIP(address) === 0 ? null : address
}

/** An IPv4 address that came through an IPv6 socket. */
function plain(address: string): string {
  return address.replace(MAPPED, '')
}

function listed(value: string | string[] | undefined): string[] {
  const text = Array.isArray(value) ? value.join(',') : (value ?? '')
  return text.split(',').flatMap((entry) => entry.trim() || [])
}

function rangesOf(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits, ...more] = entry.split('/')
    const family = isIP(address)
    const most = family === 4 ? 32 : 128
    const isRange = more.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most))
    if (family === 0 || !isRange)
      throw new Error(`${JSON.stringify(entry)} is neither an address nor a range of addresses`)
    list.addSubnet(address, Number(bits ?? most), family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
