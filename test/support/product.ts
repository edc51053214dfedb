/** Everything a test of a whole call needs, for one test file: a database, a scripted provider, the product as a process. */
import { afterAll, afterEach, beforeAll } from 'vitest'
import { expectNothingHeld } from './call-books.ts'
import { type TestDatabase, useDatabase } from './database.ts'
import { configFor, type ExtraConfig, startTollgate, type Tollgate } from './tollgate.ts'
import { type ScriptedUpstream, startUpstream } from './upstream.ts'

export interface Product {
  readonly db: TestDatabase
  readonly upstream: ScriptedUpstream
  readonly tollgate: Tollgate
}

/**
 * Call it at the top of a test file. One upstream and one process serve all its tests; `extra` is asked once the upstream's
 * address is known. After each test nothing may be held any more, and the books are audited.
 */
export function useProduct(extra: (upstreamUrl: string) => ExtraConfig = () => ({})): Product {
  const db = useDatabase()
  let upstream: ScriptedUpstream | undefined
  let tollgate: Tollgate | undefined

  beforeAll(async () => {
    upstream = await startUpstream()
    tollgate = await startTollgate({ databaseUrl: db.url, config: configFor(upstream.url, extra(upstream.url)) })
  })
  afterEach(() => expectNothingHeld(db.pool))
  afterAll(async () => {
    await tollgate?.stop()
    await upstream?.close()
  })

  return {
    db,
    get upstream() {
      return present(upstream)
    },
    get tollgate() {
      return present(tollgate)
    },
  }
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('the product runs only while tests and hooks run')
  return value
}
