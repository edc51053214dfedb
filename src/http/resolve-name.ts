/**
 * Looks up the names that callers give us, over sockets. The system's own lookup runs on libuv's four threads, which the file system
 * and compression share: four names of silent name servers would stop them all for as long as their owner likes. So what else the
 * system does is done here: the hosts file comes first, and a name that the operator lists is completed as resolv.conf says
 * (`vllm` to `vllm.models.svc.cluster.local`). Both files are read once: containers have them before they start.
 */
import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

/** @param isListed the operator lists the name. @returns no address where there is none. */
export type ResolveName = (name: string, isListed: boolean) => Promise<readonly LookupAddress[]>

export interface NameSources {
  hostsFile: string
  resolvFile: string
  /** Left out: those of the system. */
  servers?: readonly string[]
}

const SYSTEM: NameSources = { hostsFile: '/etc/hosts', resolvFile: '/etc/resolv.conf' }
/** With what a second server takes, within the five seconds that a lookup may take. */
const TIMING = { timeout: 2_000, tries: 1 }
const SEARCHED_MAX = 6

export function createResolveName({ hostsFile, resolvFile, servers }: NameSources = SYSTEM): ResolveName {
  let sources: { hosts: ReadonlyMap<string, readonly LookupAddress[]>; search: readonly string[] } | null = null
  let resolver: Resolver | null = null

  async function ask(name: string): Promise<LookupAddress[]> {
    if (resolver === null) {
      resolver = new Resolver(TIMING)
      if (servers !== undefined) resolver.setServers(servers)
    }
    const asked = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    return asked.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value.map(addressOf) : []))
  }

  return async (name, isListed) => {
    sources ??= { hosts: readHosts(hostsFile), search: readSearch(resolvFile) }
    const { hosts, search } = sources
    const written = hosts.get(name.toLowerCase())
    if (written !== undefined) return written
    for (const candidate of [name, ...(isListed ? search.map((domain) => `${name}.${domain}`) : [])]) {
      const found = await ask(candidate)
      if (found.length > 0) return found
    }
    return []
  }
}

function addressOf(address: string): LookupAddress {
  return { address, family: isIP(address) }
}

function readHosts(file: string): Map<string, LookupAddress[]> {
  const hosts = new Map<string, LookupAddress[]>()
  for (const [address = '', ...names] of wordsOf(file)) {
    if (isIP(address) === 0) continue
    for (const name of names)
      hosts.set(name.toLowerCase(), [...(hosts.get(name.toLowerCase()) ?? []), addressOf(address)])
  }
  return hosts
}

/** The last line counts. */
function readSearch(file: string): string[] {
  const line = wordsOf(file).findLast(([word]) => word === 'search' || word === 'domain')
  return (line ?? []).slice(1, 1 + SEARCHED_MAX).map((domain) => domain.replace(/\.$/, ''))
}

/** Of each line, without its comment; a file that can't be read has none. */
function wordsOf(file: string): string[][] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n')
    return lines.map((line) =>
      line
        .replace(/[#;].*$/, '')
        .trim()
        .split(/\s+/),
    )
  } catch {
    return []
  }
}
