/**
 * Only what was priced goes upstream. A member that a server is not known to take is refused by name, left out where the operator drops
 * what can't be honoured, or let through where the operator allows it. Nobody knows what such a member does, so its content counts as
 * input and no cap on output is believed. Fails closed: an unknown name is never forwarded silently.
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
  /** Members of the request that are left out. */
  drop: readonly string[]
  /** Members below those that are left out. */
  dropAt: readonly Path[]
  letThrough: readonly Stranger[]
}

/** @param taken members that this server takes besides those that all take; null where nothing is forwarded. @throws {TollgateError} 400, naming the first refused member. */
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

/** The operator allows a member by its name at the top, by its place (`messages[].prefix`), or with `*`. */
export function isAllowed(path: Path, allowed: readonly string[]): boolean {
  if (allowed.length === 0) return false
  return allowed.includes('*') || allowed.includes(String(path[0])) || allowed.includes(placeOf(path))
}

/** Nobody sees the usage of a call that is completed later and elsewhere. The member is not left out either: its caller waits for a ticket. */
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
    `'${shown}' is not a parameter that ${label} is known to take. Leave it out, or ask the operator for drop_params: true or allowed_openai_params: ['${showPlace(path)}'].`,
    { param: shown },
  )
}
