/**
 * What a start prints about a configuration: each problem once, however many deployments share it, and the settings without effect in
 * one line. `tollgate check-config` prints every place.
 */
import { formatProblem, NO_EFFECT, type Problem } from './problem.ts'

/** How many further lines are named. */
const LINES_NAMED = 4

/** In the order in which they first occur. Quiet ones are left out. */
export function problemLines(problems: readonly Problem[]): string[] {
  const shown = problems.filter(({ quiet }) => quiet !== true)
  const idle = shown.filter(({ message }) => message === NO_EFFECT)
  const others = linesOf(shown.filter(({ message }) => message !== NO_EFFECT))
  return [...others, ...(idle.length === 0 ? [] : [idleLine(idle)])]
}

/** One line for each problem, however many places have it, and one for all providers without a key. */
export function linesOf(problems: readonly Problem[]): string[] {
  const groups = Map.groupBy(problems, ({ keyless, severity, message, fix }) =>
    keyless === undefined ? JSON.stringify([severity, message, fix]) : 'keyless',
  )
  return [...groups.values()].map((group) => lineOf(keylessTogether(group)))
}

/** A wildcard for every provider lacks dozens of keys at once, which is one fact. A single provider keeps its own sentence. */
function keylessTogether(group: readonly Problem[]): readonly Problem[] {
  const variablesOf = new Map(group.flatMap(({ keyless }) => (keyless ? [[keyless.provider, keyless.variables]] : [])))
  if (variablesOf.size < 2) return group
  const named = [...variablesOf].map(([provider, variables]) => `${provider} (${variables.join(' or ')})`)
  const message = `no key for ${named.join(', ')}: only callers with a key of their own can use these providers`
  const fix = 'set the variable in the brackets, write api_key, or store a key while Tollgate runs'
  return group.map((problem) => ({ ...problem, message, fix }))
}

function lineOf([first, ...others]: readonly Problem[]): string {
  if (first === undefined) return ''
  const lines = [...new Set(others.map(({ line }) => line))].filter((line) => line !== null && line !== first.line)
  if (lines.length === 0) return formatProblem(first)
  const more = lines.length - LINES_NAMED
  const named = lines.slice(0, LINES_NAMED).join(', ')
  const where = lines.length === 1 ? `line ${named}` : `lines ${named}`
  return `${formatProblem(first)} (also ${where}${more > 0 ? ` and ${more} more` : ''})`
}

function idleLine(idle: readonly Problem[]): string {
  const names = [...new Set(idle.map(({ path }) => path.slice(path.lastIndexOf('.') + 1)))]
  const settings = names.length === 1 ? 'a setting of LiteLLM has' : `${names.length} settings of LiteLLM have`
  return `${idle[0]?.file}: ${settings} no effect here: ${names.join(', ')}. Nothing to do; tollgate check-config says where.`
}
