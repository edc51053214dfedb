/** An entry of `model_list` while it is read. */
import type { Deployment, LeftOut } from './config.ts'
import type { Field, Section } from './field.ts'

export interface Entry {
  modelName: string
  model: string
  modelField: Field
  params: Section
  info: Section | null
}

export type Target = Pick<Deployment, 'provider' | 'upstreamModel'>

/** Said once for all entries with the same trouble; the rest of the file is served. */
export function leaveOut({ modelName, modelField }: Entry, why: string, fix: string): LeftOut {
  modelField.warn(`left out: ${why}`, fix)
  return { modelName, why }
}

export function firstWritten(section: Section, name: string, alias: string): Field {
  const field = section.take(name)
  const other = section.take(alias)
  return field.empty && !other.empty ? other : field
}
