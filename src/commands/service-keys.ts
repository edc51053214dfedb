/** `tollgate service-key ...`: the keys of applications. */
import { createServiceKey, listServiceKeys, revokeServiceKey, rotateServiceKey } from '../billing/service-keys.ts'
import type { Change } from '../vault/audit-log.ts'
import { EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'
import { printJson, withStore } from './with-store.ts'

export function serviceKeyCreate(options: Options): Promise<number> {
  const { name, org, user, actAs, models, routes, limits } = options
  const service = { name, organization: org, user: user || `${name}-service` }
  const key = { ...service, actAs, models, routes, limits, expiresAt: null }
  return printJson(options, (database) => createServiceKey(database, key, changeBy('tollgate service-key create')))
}

export function serviceKeyRotate(options: Options): Promise<number> {
  const by = changeBy('tollgate service-key rotate')
  return printJson(options, (database) => rotateServiceKey(database, options.name, options.overlapSeconds, by))
}

export function serviceKeyRevoke(options: Options): Promise<number> {
  const by = changeBy('tollgate service-key revoke')
  return printJson(options, (database) => revokeServiceKey(database, options.name, by))
}

export async function serviceKeyList(options: Options): Promise<number> {
  const keys = await withStore(options, listServiceKeys)
  process.stdout.write(
    options.json ? `${JSON.stringify(keys, null, 2)}\n` : printRows(keys, 'No service key is stored.'),
  )
  return EXIT.ok
}

function changeBy(command: string): Change {
  return { actor: `${command}, uid ${process.getuid?.() ?? 'unknown'}`, ip: null, requestId: null }
}
