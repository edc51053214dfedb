/** Where a model of Vertex AI's stands: below a project and a location, by who made it. */
import { regionIn, withRegion } from '../cloud.ts'
import type { DeploymentCall } from '../deployment-call.ts'
import { projectOf } from './credentials.ts'

export const LOCATION = 'location'
export const USUAL_LOCATION = 'us-central1'

export function baseOf(location: string): string {
  return withRegion(`https://${hostOf(location)}`, LOCATION, location)
}

/** `global` is everywhere, `us` and `eu` are of several regions. */
function hostOf(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com'
  if (location === 'us' || location === 'eu') return `aiplatform.${location}.rep.googleapis.com`
  return `${location}-aiplatform.googleapis.com`
}

export function locationOf(apiBase: string | null): string {
  return apiBase === null ? USUAL_LOCATION : regionIn(new URL(apiBase), LOCATION) || USUAL_LOCATION
}

type Caller = Pick<DeploymentCall, 'apiBase' | 'apiKey' | 'organization'>

/** The address above `models/`. A caller's own credential is of a project of its own; the operator's is what the deployment says. */
export function publisherBase({ apiBase, apiKey, organization }: Caller, version: string, publisher: string): string {
  const base = new URL(apiBase ?? baseOf(USUAL_LOCATION))
  const project = organization ?? (apiKey === null ? null : projectOf(apiKey)) ?? '-'
  const above = `${base.pathname.replace(/\/+$/, '')}/${version}/projects/${encodeURIComponent(project)}`
  const location = encodeURIComponent(locationOf(apiBase))
  return `${base.origin}${above}/locations/${location}/publishers/${publisher}`
}
