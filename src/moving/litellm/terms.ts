/** What bounds a row of LiteLLM's, as it is kept here. */
import { readDollars } from '../../billing/spenders/dollars.ts'
import type { Settings } from '../../billing/spenders/settings.ts'
import { readDuration } from '../../config/duration.ts'
import type { Notes, What } from './notes.ts'
import type { SourceRow } from './source.ts'
import { jsonIn, type Members, membersIn, numberIn, textIn, textsIn } from './values.ts'

export interface At {
  what: What
  row: string
  notes: Notes
}

const COUNT_MAX = 2_147_483_647
/** Of an organization's, a team's or a user's page there, or with secrets of loggers. */
const NOT_METADATA = new Set([
  ...['tags', 'logging', 'callback_settings', 'model_max_budget', 'soft_budget', 'model_rpm_limit', 'model_tpm_limit'],
])

export function settingsOf(row: SourceRow, at: At): Settings {
  const metadata = membersIn(row, 'metadata')
  const kept = Object.fromEntries(Object.entries(metadata).filter(([name]) => !NOT_METADATA.has(name)))
  if (metadata.logging !== undefined)
    at.notes.changed(at.what, at.row, 'Loggers of its own (metadata.logging) have no effect here.')
  const aliases = Object.entries(membersIn(row, 'aliases')).filter(
    (one): one is [string, string] => typeof one[1] === 'string',
  )
  return without({
    max_budget: dollarsOf(row, 'max_budget', at),
    budget_duration: durationOf(row, 'budget_duration', at),
    budget_limits: windowsOf(row, at),
    model_max_budget: modelBudgetsOf(row, at),
    soft_budget: dollarsOf(row, 'soft_budget', at),
    rpm_limit: countOf(row, 'rpm_limit', COUNT_MAX),
    tpm_limit: countOf(row, 'tpm_limit', Number.MAX_SAFE_INTEGER),
    max_parallel_requests: countOf(row, 'max_parallel_requests', COUNT_MAX),
    model_rpm_limit: countsByModel(row, 'model_rpm_limit', COUNT_MAX),
    model_tpm_limit: countsByModel(row, 'model_tpm_limit', Number.MAX_SAFE_INTEGER),
    models: textsIn(row, 'models'),
    aliases: Object.fromEntries(aliases),
    tags: textsIn(metadata, 'tags'),
    metadata: kept,
  })
}

/** What is nothing is left out. */
function without(settings: { [Name in keyof Settings]: Settings[Name] | undefined }): Settings {
  const said = Object.entries(settings).filter(
    ([, value]) => value !== undefined && (typeof value !== 'object' || Object.keys(value).length > 0),
  )
  return Object.fromEntries(said) as Settings
}

function dollarsOf(row: SourceRow | Members, name: string, at: At): string | undefined {
  const value = row[name]
  if (value === null || value === undefined) return undefined
  const read = typeof value === 'number' || typeof value === 'string' ? readDollars(value) : null
  if (read !== null) return read
  // Whoever wrote a budget wanted one.
  at.notes.changed(
    at.what,
    at.row,
    `${name} is no amount from 0 to ten billion dollars; here it is 0, which refuses every call.`,
  )
  return '0'
}

function durationOf(row: SourceRow | Members, name: string, at: At): string | undefined {
  const text = textIn(row, name)
  if (text === null || readDuration(text) !== null) return text ?? undefined
  at.notes.changed(at.what, at.row, `${name} is no duration such as 30d; here the budget does not begin anew.`)
  return undefined
}

function countOf(row: SourceRow | Members, name: string, most: number): number | undefined {
  const value = numberIn(row, name)
  // What is larger than what can be counted bounds nothing.
  return value === null || value > most ? undefined : Math.max(0, Math.floor(value))
}

/** In a column, or as LiteLLM keeps those of keys in their metadata. */
function countsByModel(row: SourceRow, name: string, most: number): Record<string, number> {
  const own = membersIn(row, name)
  const stated = Object.keys(own).length > 0 ? own : membersIn(membersIn(row, 'metadata'), name)
  return Object.fromEntries(
    Object.keys(stated).flatMap((model) => {
      const count = countOf(stated, model, most)
      return count === undefined ? [] : [[model, count] as const]
    }),
  )
}

function windowsOf(row: SourceRow, at: At): Settings['budget_limits'] {
  const list = jsonIn(row, 'budget_limits')
  if (!Array.isArray(list)) return undefined
  return list.flatMap((one: Members) => {
    const most = dollarsOf({ budget_limits: one.max_budget ?? one.budget_limit }, 'budget_limits', at)
    const period = { budget_limits: one.budget_duration ?? one.time_period }
    const duration = durationOf(period, 'budget_limits', at)
    return most === undefined || duration === undefined ? [] : [{ max_budget: most, budget_duration: duration }]
  })
}

function modelBudgetsOf(row: SourceRow, at: At): Settings['model_max_budget'] {
  const own = membersIn(row, 'model_max_budget')
  const stated = Object.keys(own).length > 0 ? own : membersIn(membersIn(row, 'metadata'), 'model_max_budget')
  const entries = Object.entries(stated).flatMap(([model, one]) => {
    const members = typeof one === 'object' && one !== null ? (one as Members) : { budget_limit: one }
    const most = dollarsOf({ model_max_budget: members.budget_limit ?? members.max_budget }, 'model_max_budget', at)
    const period = { model_max_budget: members.time_period ?? members.budget_duration }
    if (most === undefined) return []
    return [[model, { budget_limit: most, time_period: durationOf(period, 'model_max_budget', at) ?? null }] as const]
  })
  return Object.fromEntries(entries)
}
