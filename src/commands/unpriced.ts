/** Deployments whose calls are refused because nobody knows what they cost, and the lines that change that. */

import { findProvider } from '../../providers/registry.ts'
import type { Unit } from '../../providers/usage.ts'
import type { Config, Deployment } from '../config/config.ts'
import { listingOf } from '../config/listing-of.ts'
import { modeOf } from '../config/mode-of.ts'
import { findPrice, type Price } from '../metering/price.ts'

/** Of a deployment whose model is written in full; null where none is known. */
export function priceOf(config: Config, deployment: Deployment, at: Date): Price | null {
  const provider = findProvider(deployment.provider)
  if (provider === null) return null
  const mode = modeOf(deployment)
  return findPrice({
    listed: listingOf(provider, deployment),
    at,
    operator: deployment.price,
    toolFees: config.toolFees,
    inputOnly: mode === 'embedding' || mode === 'moderation',
    units: UNITS_OF[mode] ?? [],
  })
}

const UNITS_OF: Readonly<Record<string, readonly Unit[]>> = {
  image_generation: ['images'],
  audio_speech: ['characters'],
  audio_transcription: ['milliseconds'],
}

/** By what a call of such a model is charged. */
const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  embedding: ['input_cost_per_token'],
  moderation: ['input_cost_per_token'],
  image_generation: ['output_cost_per_image'],
  audio_speech: ['input_cost_per_character'],
  audio_transcription: ['input_cost_per_second'],
}
const TOKENS = ['input_cost_per_token', 'output_cost_per_token']

/** Those whose calls are priced by the model that is asked for are not among them. */
export function unpricedOf(config: Config, at: Date): Deployment[] {
  return config.deployments.filter(
    (deployment) =>
      !deployment.upstreamModel.includes('*') && !isFree(deployment) && priceOf(config, deployment, at) === null,
  )
}

/** Its provider bills nothing for it. */
function isFree({ provider, upstreamModel }: Deployment): boolean {
  return findProvider(provider)?.moderations?.isFree(upstreamModel) ?? false
}

/** What a start says of them; null where there are none. */
export function unpricedLine(config: Config, at: Date): string | null {
  const groups = [...new Set(unpricedOf(config, at).map(({ modelName }) => modelName))]
  if (groups.length === 0) return null
  const of = groups.length === 1 ? 'a deployment' : 'deployments'
  return `No price is known for ${of} of ${someOf(groups)}, so they get no calls: set input_cost_per_token and output_cost_per_token; tollgate check-config has the lines to add.`
}

/** The lines to add, deployments with equal ones together. A server in one's own network costs nothing; who knows better writes that. */
export function linesToAdd(deployments: readonly Deployment[]): string[] {
  const groups = Map.groupBy(deployments, settingsOf)
  return [...groups].flatMap(([settings, those]) => [
    `  to litellm_params of ${those.map(({ modelName, upstreamModel }) => `${modelName} (${upstreamModel})`).join(', ')}:`,
    ...settings.split('\n').map((line) => `      ${line}`),
  ])
}

function settingsOf(deployment: Deployment): string {
  // The name of a deployment of Azure's says nothing of the model behind it.
  if (findProvider(deployment.provider)?.versionVariable !== undefined) return 'base_model: <the model behind it>'
  const mode = modeOf(deployment)
  const names = SETTINGS[mode] ?? TOKENS
  const amount = isOwnServer(deployment) ? '0' : '<dollars>'
  return names.map((name) => `${name}: ${amount}`).join('\n')
}

/** A name without a dot, a loopback address or one of a private network. */
function isOwnServer({ apiBase }: Deployment): boolean {
  if (apiBase === null) return false
  const { hostname } = new URL(apiBase)
  return (
    !/[.:]/.test(hostname) ||
    /^(?:127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/.test(hostname) ||
    /^(?:\[::1\]|host\.docker\.internal)$|\.(?:local|internal|lan)$/.test(hostname)
  )
}

const NAMED = 8

/** So many that a line can be read. */
export function someOf(names: readonly string[]): string {
  const more = names.length - NAMED
  return more <= 0 ? names.join(', ') : `${names.slice(0, NAMED).join(', ')} and ${more} more`
}
