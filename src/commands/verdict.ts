/** How `check-config` ends: what serves, what is refused at the call, what protects nobody, what has no effect. */
import type { Config } from '../config/config.ts'
import { NO_EFFECT, type Problem, UNKNOWN_SETTING } from '../config/problem.ts'
import { unenforcedIn } from './unenforced.ts'
import { linesToAdd, someOf, unpricedOf } from './unpriced.ts'

export interface Judged {
  config: Config
  problems: readonly Problem[]
  /** Protections the operator does without. */
  accepts: ReadonlySet<string>
  now: Date
}

/** Four lines; before them, the settings that would give a price to what has none. */
export function verdict(judged: Judged): string[] {
  const unpriced = unpricedOf(judged.config, judged.now)
  const lines = unpriced.length === 0 ? [] : ['no price is known; add', ...linesToAdd(unpriced), '']
  return [...lines, ...modelLines(judged.config, new Set(unpriced)), protectionLine(judged), idleLine(judged.problems)]
}

function modelLines(config: Config, unpriced: ReadonlySet<unknown>): string[] {
  const served = new Set(config.deployments.filter((one) => !unpriced.has(one)).map(({ modelName }) => modelName))
  const all = new Set([...config.deployments, ...config.leftOut].map(({ modelName }) => modelName))
  const refused = [...all].filter((name) => !served.has(name))
  const why = Map.groupBy(refused, (name) => whyRefused(config, name))
  const reasons = [...why].map(([reason, names]) => `${someOf(names)} (${reason})`)
  const of = `${served.size} of ${all.size} model ${all.size === 1 ? 'group' : 'groups'}`
  return [
    `serves: ${of}${served.size === 0 ? '' : `: ${someOf([...served])}`}`,
    `refused at the call: ${reasons.length === 0 ? 'none' : reasons.join('; ')}`,
  ]
}

function whyRefused(config: Config, name: string): string {
  const leftOut = config.leftOut.filter(({ modelName }) => modelName === name).map(({ why }) => why)
  const unpriced = config.deployments.some(({ modelName }) => modelName === name) ? ['no price: the lines above'] : []
  return [...new Set([...leftOut, ...unpriced])].join(', ')
}

function protectionLine({ problems, accepts }: Judged): string {
  const { accepted, refused } = unenforcedIn(problems, accepts)
  const said = [
    ...(refused.length === 0
      ? []
      : [`${refused.join(', ')} (a start stops at it: --accept-unenforced ${refused.join(',')})`]),
    ...(accepted.length === 0 ? [] : [`${accepted.join(', ')} (accepted)`]),
  ]
  return `not enforced: ${said.length === 0 ? 'nothing that this file asks for' : said.join('; ')}`
}

function idleLine(problems: readonly Problem[]): string {
  const idle = namesOf(problems, NO_EFFECT)
  const unknown = namesOf(problems, UNKNOWN_SETTING)
  const said = [
    ...(idle.length === 0 ? [] : [idle.join(', ')]),
    ...(unknown.length === 0 ? [] : [`unknown: ${unknown.join(', ')}`]),
  ]
  return `no effect: ${said.length === 0 ? 'none' : said.join('; ')}`
}

function namesOf(problems: readonly Problem[], message: string): string[] {
  const names = problems
    .filter((problem) => problem.message === message)
    .map(({ path }) => path.split('.').at(-1) ?? '')
  return [...new Set(names)]
}
