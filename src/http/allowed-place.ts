/** A place that the operator lists for callers' own URLs: `host`, `host:port`, `10.1.0.0/16`, `10.1.2.3:8080`, `[fd00::/8]:8080`. */
import { BlockList, isIP } from 'node:net'

/** This file is apart from the one that makes the calls, so that a command which only reads the configuration loads no HTTP client. */
export interface AllowedPlace {
  host: string | null
  range: BlockList | null
  /** Null: the ports of the web, 80 and 443. */
  port: number | null
}

/** @throws {Error} for an entry that can't be understood. */
export function readAllowedPlace(text: string): AllowedPlace {
  // An IPv6 address without brackets has no port.
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text)
  const place = match === null ? text : (match[1] ?? match[2] ?? '')
  const port = match?.[3]
  const [address = '', bits, ...more] = place.split('/')
  const version = isIP(address)
  const most = version === 4 ? 32 : 128
  const known = version === 0 ? bits === undefined && /^[a-z0-9.-]+$/i.test(place) : Number(bits ?? most) <= most
  if (!known || more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits)) || Number(port ?? 1) > 65_535) {
    throw new Error(
      `${JSON.stringify(text)} is not an address to allow. Write host, host:port, 10.1.0.0/16 or [fd00::/8]:8080`,
    )
  }
  return {
    host: version === 0 ? place.toLowerCase() : null,
    range: version === 0 ? null : rangesOf([`${address}/${bits ?? most}`]),
    port: port === undefined ? null : Number(port),
  }
}

export function rangesOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/')
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
