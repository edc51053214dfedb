/** The kinds of models that do one thing only, and the path on which each is called, if there is one. */
import { type AnyProvider, findProvider } from '../../providers/registry.ts'
import type { Deployment } from '../config/config.ts'
import { modeOf } from '../config/mode-of.ts'
import { TollgateError } from '../http/errors.ts'

/** The kinds by `model_info.mode`, with LiteLLM's names. */
const KINDS: Readonly<Record<string, { what: string; path: string | null }>> = {
  embedding: { what: 'a model for embeddings', path: '/v1/embeddings' },
  image_generation: { what: 'a model for images', path: '/v1/images/generations' },
  audio_speech: { what: 'a model for speech', path: '/v1/audio/speech' },
  audio_transcription: { what: 'a model for transcriptions', path: '/v1/audio/transcriptions' },
  moderation: { what: 'a model for moderations', path: '/v1/moderations' },
  rerank: { what: 'a model for rerankings', path: null },
}

/** @throws {TollgateError} 400 where the model is not made to write text. */
export function refuseOtherThanChat(deployment: Deployment): void {
  const mode = modeOf(deployment)
  const kind = Object.hasOwn(KINDS, mode) ? KINDS[mode] : undefined
  if (kind === undefined) return
  const { what, path } = kind
  throw unserved(
    path === null
      ? `${shownName(deployment)} is ${what}, and nothing here calls such models. Ask for another model.`
      : `${shownName(deployment)} is ${what}: ask POST ${path} for it, or ask for another model here.`,
  )
}

/** What a provider may have besides chat, by the kind of model that does it. */
const CAPABILITIES = {
  embeddings: 'embedding',
  images: 'image_generation',
  speech: 'audio_speech',
  transcriptions: 'audio_transcription',
  moderations: 'moderation',
} as const
type CapabilityName = keyof typeof CAPABILITIES

/** @param does true if the model does this besides its main work. @throws {TollgateError} 400 where the deployment does not. */
export function capabilityOf<Name extends CapabilityName>(
  deployment: Deployment,
  name: Name,
  does: (provider: AnyProvider | null) => boolean = () => false,
): { provider: AnyProvider; capability: NonNullable<AnyProvider[Name]> } {
  const provider = findProvider(deployment.provider)
  const mode = CAPABILITIES[name]
  if (modeOf(deployment) !== mode && !does(provider))
    throw unserved(
      `${shownName(deployment)} makes no ${name}. Ask for a model that does; where this one does, the operator can set model_info.mode: ${mode}.`,
    )
  const capability = provider?.[name]
  if (provider === null || capability === undefined)
    throw unserved(`${provider?.label ?? deployment.provider} serves no ${name}. Ask for another model.`)
  return { provider, capability: capability as NonNullable<AnyProvider[Name]> }
}

function unserved(message: string): TollgateError {
  return new TollgateError(400, 'unsupported_endpoint', message, { param: 'model' })
}

function shownName({ modelName }: Deployment): string {
  return `'${modelName.slice(0, 100)}'`
}
