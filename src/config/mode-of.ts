/** What a deployment is made for: as the operator says, else as its model's name tells. */
import { kindOfName } from '../../providers/model-kind.ts'
import type { Deployment } from './config.ts'

export function modeOf({ mode, upstreamModel }: Pick<Deployment, 'mode' | 'upstreamModel'>): string {
  return mode ?? kindOfName(upstreamModel)
}
