/** What a deployment's model is for: what the operator wrote, else what the model's name implies. */
import { kindOfName } from '../../providers/model-kind.ts'
import type { Deployment } from './config.ts'

export function modeOf(deployment: Pick<Deployment, 'mode' | 'upstreamModel' | 'baseModel'>): string {
  return deployment.mode ?? kindOfName(deployment.baseModel?.model ?? deployment.upstreamModel)
}
