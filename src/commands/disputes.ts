/** `tollgate disputes` lists charges whose provider stated an impossible usage; `tollgate disputes settle` settles one, once. */
import { type Dispute, listDisputes, settleDispute } from '../billing/disputes.ts'
import { EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { withStore } from './with-store.ts'

export function disputesList(options: Options): Promise<number> {
  return withStore(options, async (database) => {
    const disputes = await listDisputes(database)
    process.stdout.write(options.json ? `${JSON.stringify(disputes, null, 2)}\n` : readable(disputes))
    return EXIT.ok
  })
}

/** Exit code 1 where there is nothing to settle: it was settled before, the call is not disputed, or there is no such call. */
export function disputesSettle(options: Options): Promise<number> {
  return withStore(options, async (database) => {
    const actor = `tollgate disputes settle, uid ${process.getuid?.() ?? 'unknown'}`
    const settled = await settleDispute(database, options.call, options.terms, actor)
    process.stdout.write(`${JSON.stringify({ call_id: options.call, ...settled }, null, 2)}\n`)
    return settled.outcome === 'settled' ? EXIT.ok : EXIT.failed
  })
}

function readable(disputes: readonly Dispute[]): string {
  if (disputes.length === 0) return 'No call is disputed.\n'
  const lines = disputes.map((one) => {
    const who = `organization ${one.organization}, user ${one.user_id}, model ${one.model ?? 'unknown'}`
    const what = `charged ${one.charged} credits, the provider stated $${one.stated_api_cost}`
    return `  ${one.call_id}  ${one.created_at.toISOString()}\n    ${who}\n    ${what}`
  })
  return `${disputes.length} disputed:\n${lines.join('\n')}\n`
}
