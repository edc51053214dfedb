/**
 * What goes upstream is what was priced: members that a server is not known to take are refused by name, left out where the operator
 * drops what can't be honoured, or let through where he says so; then nobody knows what they do, so what they hold counts as input
 * and no cap on output is believed. Fails closed: a name on no list is never forwarded in silence.
 */
import {
  type Path,
  placeOf,
  type Shape,
  type Stranger,
  shapeAt,
  showPath,
  showPlace,
  strangersIn,
} from '../../../providers/known-members/shape.ts'
import type { ChatRequest } from '../../../providers/provider.ts'
import type { Deployment } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'

export interface StrangeMembers {
  /** Members of the request to be left out. */
  drop: readonly string[]
  /** The same below its own members. */
  dropAt: readonly Path[]
  letThrough: readonly Stranger[]
}

/** @param taken beyond what all take; null where nothing is forwarded. @throws {TollgateError} 400, naming the first that is refused. */
export function judgeStrangers(
  { strangers }: Pick<ChatRequest, 'strangers'>,
  { taken, label }: { taken: Shape | null; label: string },
  deployment: Pick<Deployment, 'dropParams' | 'allowedParams'>,
): StrangeMembers {
  const drop: string[] = []
  const dropAt: Path[] = []
  const letThrough: Stranger[] = []
  if (taken === null || strangers.length === 0) return { drop, dropAt, letThrough }
  for (const stranger of strangers) {
    const shape = shapeAt(taken, stranger.path)
    for (const { path, value } of shape === undefined
      ? [stranger]
      : strangersIn(stranger.value, shape, stranger.path)) {
      refuseLater(path, value)
      if (isAllowed(path, deployment.allowedParams)) letThrough.push({ path, value })
      else if (!deployment.dropParams) refuse(path, label)
      else if (path.length === 1) drop.push(String(path[0]))
      else dropAt.push(path)
    }
  }
  return { drop, dropAt, letThrough }
}

/** By its name on top, by its place (`messages[].prefix`), or with all others. */
export function isAllowed(path: Path, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return false
  return allowed.includes('*') || allowed.includes(String(path[0])) || allowed.includes(placeOf(path))
}

/** A call that is answered later, elsewhere, is one whose usage nobody sees here. Not left out either: its caller waits for a ticket. */
const LATER = new Set(['background', 'deferred'])

function refuseLater([name, ...below]: Path, value: unknown): void {
  if (below.length > 0 || !LATER.has(String(name)) || value === false || value === null) return
  const message = `Calls that run in the background are not metered here. Leave '${name}' out.`
  throw new TollgateError(400, 'unsupported_parameter', message, { param: String(name) })
}

function refuse(path: Path, label: string): never {
  const shown = showPath(path)
  throw new TollgateError(
    400,
    'unsupported_parameter',
    `'${shown}' is no parameter that ${label} is known to take. Leave it out, or ask the operator for drop_params: true or allowed_openai_params: ['${showPlace(path)}'].`,
    { param: shown },
  )
}
