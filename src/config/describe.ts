/**
 * What `check-config` prints about a configuration that loads: everything that decides who may call, where a call goes and what it
 * costs. It shows no secret.
 */

import { trimDecimal } from '../../providers/decimal.ts'
import type { Config, Deployment } from './config.ts'
import { describeCallers } from './describe-callers.ts'
import { NO_EFFECT, showText } from './problem.ts'

export function describeConfig(config: Config): string {
  return [
    ...describeModels(config),
    '',
    ...describeSettings(config),
    '',
    ...describeCallers(config),
    ...describeUnused(config),
  ].join('\n')
}

function describeModels(config: Config): string[] {
  const groups = Map.groupBy(config.deployments, ({ modelName }) => modelName)
  const lines = [`${config.file ?? 'no configuration file'}: ${count(groups.size, 'model group')}`]
  for (const [name, deployments] of groups) {
    lines.push(`  ${name}`, ...deployments.map((deployment) => `    ${describeDeployment(deployment)}`))
  }
  for (const [alias, group] of Object.entries(config.modelGroupAlias))
    lines.push(`  ${alias}`, `    stands for ${group}`)
  return lines
}

function describeDeployment(deployment: Deployment): string {
  const { provider, upstreamModel, apiKeySource, apiBase, mockResponse, allowedParams } = deployment
  const host = apiBase === null ? '' : ` at ${new URL(apiBase).origin}`
  const key = apiKeySource === null ? 'no key' : `key from ${apiKeySource}`
  const answer = mockResponse === null ? [key] : ['mock: nobody is called']
  const unknown = allowedParams.length === 0 ? [] : [`lets through ${allowedParams.map(showText).join(' ')}`]
  const trust = deployment.statement === 'counted' ? ['charged at most what is counted here'] : []
  const described = [
    `${provider} ${upstreamModel}${host}`,
    ...answer,
    `price: ${describePrice(deployment)}`,
    ...unknown,
    ...trust,
  ]
  return described.join(', ')
}

function describePrice({ price }: Deployment): string {
  if (price === null) return 'data set'
  const { input, output } = price
  if (input === null && output === null) return 'data set, in part operator'
  const perMillion = (rate: bigint | null): string => (rate === null ? 'data set' : `$${trimDecimal(rate, 9)}`)
  const free =
    input === 0n && output === 0n && Object.values(price).every((rate) => typeof rate !== 'bigint' || rate === 0n)
  return free && price.tiers.length === 0
    ? 'free'
    : `operator (per million tokens: input ${perMillion(input)}, output ${perMillion(output)})`
}

function describeSettings(config: Config): string[] {
  const percent = (markup: bigint): string => `+${trimDecimal(markup, 4)} %`
  const { platform, byok, hybrid } = config.plans
  const { eco, balanced, precision } = config.powerLevels
  const factor = (level: bigint): string => `x${trimDecimal(level, 6)}`
  return [
    `master key: ${config.masterKey === null ? 'not set' : 'set'}`,
    `database: ${config.databaseUrl === null ? 'embedded' : 'PostgreSQL from DATABASE_URL or database_url'}`,
    `plans: platform ${percent(platform.markup)}, byok ${percent(byok.markup)}, hybrid ${percent(hybrid.markup)}`,
    `power levels: eco ${factor(eco)}, balanced ${factor(balanced)}, precision ${factor(precision)}`,
    `charges below the provider's cost: ${config.allowBelowCost ? 'allowed' : 'never'}`,
    `retries: ${config.numRetries}, request timeout: ${config.requestTimeoutMs / 1000} s`,
  ]
}

function describeUnused(config: Config): string[] {
  const unused = config.warnings.filter(({ message }) => message === NO_EFFECT)
  if (unused.length === 0) return []
  return [
    '',
    'LiteLLM settings accepted without effect:',
    ...unused.map(({ line, path }) => `  ${line === null ? '' : `line ${line}: `}${path}`),
  ]
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
