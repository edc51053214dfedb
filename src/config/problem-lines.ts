/**
 * What a start says of a configuration: each problem once, however many deployments share it, and the settings without effect in one
 * line. `tollgate check-config` prints every place.
 */
import { formatProblem, NO_EFFECT, type Problem } from './problem.ts'

/** So many further lines are named. */
const LINES_NAMED = 4

/** In the order in which they first occur. Quiet ones are left out. */
export function problemLines(problems: readonly Problem[]): string[] {
  const shown = problems.filter(({ quiet }) => quiet !== true)
  const idle = shown.filter(({ message }) => message === NO_EFFECT)
  const groups = Map.groupBy(
    shown.filter(({ message }) => message !== NO_EFFECT),
    ({ severity, message, fix }) => JSON.stringify([severity, message, fix]),
  )
  return [...[...groups.values()].map(lineOf), ...(idle.length === 0 ? [] : [idleLine(idle)])]
}

function lineOf([first, ...others]: readonly Problem[]): string {
  if (first === undefined) return ''
  const lines = others.map(({ line }) => line).filter((line) => line !== null)
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
