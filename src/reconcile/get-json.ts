/** One page of a provider's report. Fails closed: a report that is not whole is no report. */
import { request } from 'undici'
import type { z } from 'zod'
import { withoutSecrets } from '../observe/without-secrets.ts'
import { ReconcileError } from './reconcile-error.ts'

const TIMEOUT_MS = 30_000
const SHOWN = 300
/** A bill of a month has some hundred pages at most. */
const PAGES_MAX = 2_000

export interface Source {
  /** Without a trailing slash. */
  base: string
  headers: Readonly<Record<string, string>>
}

export type Query = readonly (readonly [string, string])[]

/** @throws {ReconcileError} */
export async function getJson<Schema extends z.ZodType>(
  { base, headers }: Source,
  path: string,
  query: Query,
  schema: Schema,
): Promise<z.output<Schema>> {
  const url = `${base}${path}?${new URLSearchParams(query.map(([name, value]): [string, string] => [name, value]))}`
  const { status, text } = await ask(url, headers)
  if (status === 401 || status === 403)
    throw new ReconcileError(
      `${base} refuses the key (${status}): cost reports want an admin key, not the key of calls. ${shown(text)}`,
    )
  if (status !== 200) throw new ReconcileError(`${base}${path} answered ${status}. ${shown(text)}`)
  const read = schema.safeParse(parsed(text))
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new ReconcileError(
    `${base}${path} answered in a form that is not known here (${issue?.path.join('.')}: ${issue?.message}). Download the report and use --file.`,
  )
}

interface Page {
  data: unknown[]
  has_more: boolean
  next_page: string | null
}

/** All pages of a report that names its next page. @throws {ReconcileError} */
export async function getPages<Schema extends z.ZodType<Page>>(
  source: Source,
  path: string,
  query: Query,
  schema: Schema,
): Promise<z.output<Schema>['data']> {
  const rows: z.output<Schema>['data'] = []
  let next: string | null = null
  for (let count = 0; count < PAGES_MAX; count += 1) {
    const page: z.output<Schema> = await getJson(
      source,
      path,
      next === null ? query : [...query, ['page', next]],
      schema,
    )
    rows.push(...page.data)
    next = page.next_page
    if (!page.has_more || next === null) return rows
  }
  throw new ReconcileError(`${source.base}${path} has more than ${PAGES_MAX} pages. Ask for fewer days.`)
}

async function ask(url: string, headers: Source['headers']): Promise<{ status: number; text: string }> {
  try {
    const { statusCode, body } = await request(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) })
    return { status: statusCode, text: await body.text() }
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    throw new ReconcileError(`${new URL(url).origin} did not answer: ${code ?? message}.`, { cause: error })
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function shown(text: string): string {
  return withoutSecrets(
    text
      .slice(0, SHOWN)
      .replace(/\s+/g, ' ')
      .replace(/\p{Cc}/gu, '')
      .trim(),
  )
}
