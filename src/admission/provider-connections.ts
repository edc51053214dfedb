/**
 * Connections to the hosts of providers, shared fairly between organizations. A call that has to wait for one does so for a bounded
 * time; a connection that is free again goes to the organization that has the fewest.
 */
import { createFairShare, type FairShare } from './fair-share.ts'

export interface ConnectionLimits {
  /** To one host. */
  connections: number
  waitMs: number
}

export interface ProviderConnections {
  /**
   * Resolves to how to give the connection back, once; to null where none was free in time.
   * @param onDisconnect is told what to call when nobody waits any more.
   */
  take(host: string, organizationId: string, onDisconnect: (cancel: () => void) => void): Promise<(() => void) | null>
}

interface Host {
  share: FairShare
  used: number
  /** By organization. */
  own: Map<string, number>
  waiting: Map<string, ((give: boolean) => void)[]>
}

export function createProviderConnections(
  { connections, waitMs }: ConnectionLimits,
  now: () => number,
): ProviderConnections {
  /** As many as the configuration names. */
  const hosts = new Map<string, Host>()

  function hostOf(name: string): Host {
    const host = hosts.get(name) ?? {
      share: createFairShare(connections, now),
      used: 0,
      own: new Map(),
      waiting: new Map(),
    }
    hosts.set(name, host)
    return host
  }

  const isFree = ({ share, own, used }: Host, organization: string) =>
    share.mayTake(organization, own.get(organization) ?? 0, used)

  /** Returns how to give it back. */
  function occupy(host: Host, organization: string): () => void {
    host.used += 1
    host.own.set(organization, (host.own.get(organization) ?? 0) + 1)
    return () => {
      host.used -= 1
      const left = (host.own.get(organization) ?? 1) - 1
      if (left === 0) host.own.delete(organization)
      else host.own.set(organization, left)
      giveOn(host)
    }
  }

  /** One that was given back may let several take theirs: with less used, everybody may have more. */
  function giveOn(host: Host): void {
    for (;;) {
      let next: string | null = null
      let fewest = connections
      for (const organization of host.waiting.keys()) {
        const own = host.own.get(organization) ?? 0
        if (own < fewest && isFree(host, organization)) {
          next = organization
          fewest = own
        }
      }
      if (next === null) return
      host.waiting.get(next)?.[0]?.(true)
    }
  }

  return {
    take(name, organization, onDisconnect) {
      const host = hostOf(name)
      if (!host.waiting.has(organization) && isFree(host, organization))
        return Promise.resolve(occupy(host, organization))
      return new Promise((resolve) => {
        const line = host.waiting.get(organization) ?? []
        host.waiting.set(organization, line)
        const answer = (give: boolean): void => {
          if (!line.includes(answer)) return
          clearTimeout(timer)
          line.splice(line.indexOf(answer), 1)
          if (line.length === 0) host.waiting.delete(organization)
          resolve(give ? occupy(host, organization) : null)
        }
        const timer = setTimeout(() => answer(false), waitMs)
        line.push(answer)
        onDisconnect(() => answer(false))
      })
    },
  }
}
