/** Decides which members of a request go to a deployment: those its server takes and the operator's defaults, without those it can't honour. */
import { bareName, type FlatCapability, type FlatRequest } from '../../../providers/flat-request.ts'
import { type Path, type Shape, showPath } from '../../../providers/known-members/shape.ts'
import type { Deployment } from '../../config/config.ts'
import { judgeStrangers } from '../chat-completions/strange-members.ts'
import { unsupported } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

export interface JudgedFlat {
  drop: readonly string[]
  dropAt: readonly Path[]
  /** The operator's defaults that such a request can have: a wildcard serves other endpoints too. */
  defaults: Json
  /** The members as they are sent, defaults included. */
  asked: Json
  /** Unknown members as JSON texts: they may become input, so they count as input. */
  strange: readonly string[]
}

/** @param isLenient leaves out what can't be honoured, whatever the operator configured. @throws {TollgateError} 400, naming the refused member. */
export function judgeFlat(
  request: FlatRequest,
  deployment: Deployment,
  {
    capability,
    label,
    known,
    isLenient = false,
  }: { capability: Pick<FlatCapability, 'takes' | 'refuses'>; label: string; known: Shape; isLenient?: boolean },
): JudgedFlat {
  const { upstreamModel, apiBase, allowedParams, dropParams } = deployment
  const taken = capability.takes(apiBase)
  const strangers = judgeStrangers(request, { taken, label }, deployment)
  const isTaken = (name: string) => known.members.has(name) || taken.members.has(name) || allowedParams.includes(name)
  const defaults = Object.fromEntries(Object.entries(deployment.defaults).filter(([name]) => isTaken(name)))
  const all = { ...defaults, ...request.json }
  const refused = capability
    .refuses({ ...all, ...filesOf(request) }, upstreamModel, apiBase)
    .filter(({ param, droppable }) => !(droppable && allowedParams.includes(param)))
  for (const { param, message, droppable } of refused)
    if (!droppable || !(dropParams || isLenient)) throw unsupported(param, message)
  const drop = [...strangers.drop, ...refused.map(({ param }) => param)]
  return {
    drop,
    dropAt: strangers.dropAt,
    defaults,
    asked: Object.fromEntries(Object.entries(all).filter(([name]) => !drop.includes(name))),
    strange: strangers.letThrough.map(({ path, value }) => JSON.stringify({ [showPath(path)]: value })),
  }
}

/** Files of a form by the names of their fields: a list, for a field may have several. */
function filesOf({ form }: FlatRequest): Json {
  return Object.groupBy(form?.files ?? [], ({ field }) => bareName(field))
}
