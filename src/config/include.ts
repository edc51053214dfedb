/** `include`: further files beside config.yaml. As for LiteLLM, their lists follow the file's own, and any other setting of theirs replaces it. */
import { parseDocument } from 'yaml'
import { Field, Section } from './field.ts'
import type { Source } from './source.ts'

export interface IncludedFile {
  /** As config.yaml names it: a path from its own folder. */
  file: string
  text: string | null
}

/** The names in `include`, in order; whatever else is wrong with the text is said when it is read. */
export function includesIn(text: string): string[] {
  const document = parseDocument(text, { logLevel: 'silent', uniqueKeys: false })
  if (document.errors.length > 0) return []
  const include: unknown = (document.toJS({ maxAliasCount: 1_000 }) as { include?: unknown } | null)?.include
  return [include].flat().filter((name) => typeof name === 'string' && name !== '') as string[]
}

/** @param sources those of `files` that could be read. A file that can't be is an error: what it holds may bound something. */
export function withIncluded(own: Section, sources: readonly Source[], files: readonly IncludedFile[]): Section {
  const include = own.take('include')
  const names = include.isList ? include.list() : [include]
  for (const name of names) {
    const text = name.text('the name of a file')
    const file = files.find((one) => one.file === text)
    if (text !== null && text !== '' && (file?.text ?? null) === null)
      name.error('this file can not be read', 'name one that is there, from the folder of this file')
  }
  const fields = new Map(own.fields.map((field) => [field.name, field]))
  for (const source of sources) {
    for (const field of new Field(source, '', '', null, source.root).section()?.fields ?? []) {
      const before = fields.get(field.name)
      if (field.name === 'include') field.noEffect('name it in config.yaml itself')
      else
        fields.set(field.name, before !== undefined && field.isList && before.isList ? before.extendedBy(field) : field)
    }
  }
  const section = new Section(own.place, [...fields.values()])
  section.take('include')
  return section
}
