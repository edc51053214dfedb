/** Services whose keys stand in the configuration. Their organizations and allocations are made at start (billing/prepare-services.ts). */
import type { ServiceKeySetting } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { hashKey } from './api-key.ts'
import { asService, nameOf } from './find-key.ts'
import type { Principal } from './principal.ts'
import { createRemembered } from './remembered.ts'
import { NO_SPENDERS } from './spender.ts'
import { findStanding } from './standing.ts'

/** Null: not the key of a service. @throws what the database throws. */
export type FindService = (hash: Buffer) => Promise<Principal> | null

export function createConfiguredServices(
  settings: readonly ServiceKeySetting[],
  database: Database,
  now: () => number,
): FindService {
  const byHash = new Map(settings.map((setting) => [nameOf(hashKey(setting.key)), setting]))
  const remembered = createRemembered<Principal>({ max: Math.max(1, settings.length), now })

  async function load(setting: ServiceKeySetting): Promise<Principal> {
    const { name, organization, user, actAs, models, routes, limits } = setting
    const standing = await findStanding(database, organization, user)
    return {
      userId: user,
      email: null,
      credential: { kind: 'service_key', id: null, name },
      keyId: `service/${name}`,
      isSystemAdmin: false,
      standings: standing === null ? [] : [asService(standing)],
      scopes: null,
      models,
      routes,
      limits,
      spenders: NO_SPENDERS,
      actAs,
      callers: new Map(),
    }
  }

  return (hash) => {
    if (byHash.size === 0) return null
    const setting = byHash.get(nameOf(hash))
    return setting === undefined ? null : remembered(setting.name, () => load(setting))
  }
}
