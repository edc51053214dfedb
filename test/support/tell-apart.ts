/** Tells apart what a process has seen from what still waits on its sockets. */
import { get, type Tollgate } from './tollgate.ts'

/** Once these are answered, the process has seen what happened on its sockets before they were sent. */
export async function tellApart(tollgate: Pick<Tollgate, 'url'>, turns = 2): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await get(tollgate, null, '/health/liveliness')
}
