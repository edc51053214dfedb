/**
 * What `check-config` says of each model about statements: the most one of them can charge a call. What exceeds the call's hold is the
 * most that it can overdraw a balance.
 */
import { unknownMedia } from '../../providers/media/media-size.ts'
import { findProvider } from '../../providers/registry.ts'
import type { Config, Deployment } from '../config/config.ts'
import { modeOf } from '../config/mode-of.ts'
import { MILLION } from '../metering/charge.ts'
import { mostUnheld } from '../metering/estimate.ts'
import { trimDecimal } from '../metering/money.ts'
import { mostCharge } from '../metering/plausible.ts'
import { priceOf } from './unpriced.ts'

/** One line for each deployment whose model is written in full. */
export function describeOverdraft(config: Config, now: Date): string[] {
  return config.deployments
    .filter(({ upstreamModel, mockResponse }) => !upstreamModel.includes('*') && mockResponse === null)
    .map((deployment) => `  ${deployment.modelName}: ${overdraftOf(config, deployment, now)}`)
}

function overdraftOf(config: Config, deployment: Deployment, now: Date): string {
  const provider = findProvider(deployment.provider)
  const { upstreamModel: model } = deployment
  const inputOnly = modeOf(deployment) === 'embedding'
  const price = priceOf(config, deployment, now)
  if (provider === null || price === null) return 'no price is known, so no call is made'
  const facts = provider.model(model)
  const limits = [deployment.maxOutputTokens, facts.maxOutputTokens].filter((limit) => limit !== null)
  const output = limits.length === 0 ? config.caps.outputTokens : Math.max(...limits)
  const windows = [deployment.maxInputTokens, price.contextWindow].filter((window) => window !== null)
  const cap = limits.length === 0 ? `; its output limit is not known, so a cap of ${output} is sent` : ''
  const level = Object.values(config.powerLevels).reduce((a, b) => (b > a ? b : a))
  const factors = { tier: MILLION, markup: config.plans.platform.markup, level, allowBelowCost: false }
  const worth = (input: number, written = output) => {
    const most = mostCharge(
      { input, output: written, hears: true, speaks: true, toolUses: {}, surcharge: 0n },
      price,
      factors,
    )
    return `${trimDecimal(most, 6)} credits`
  }
  if (windows.length > 0) {
    const window = Math.max(...windows)
    if (inputOnly) return `${worth(window, 0)} an input at most`
    const rules = provider.chat?.mediaTokens(model) ?? unknownMedia
    const media = `of which media that the payer does not cover can be ${worth(mostUnheld(window, rules), 0)}`
    return `${worth(window)} a choice at most, ${media}${cap}`
  }
  return `${worth(0)} a choice at most, and its input: its context window is not known, so what a call is quoted at bounds it (set model_info.max_input_tokens)${cap}`
}
