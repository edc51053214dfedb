/**
 * Members of OpenAI's requests for images, speech, transcriptions, and moderations, as its client for Node (7)
 * declares them, and what other servers take besides. What decides a price and can't be metered is refused
 * by name where it is read, not here.
 */
import { NEVER_SENT } from './additions.ts'
import { type Shape, shapeOf } from './shape.ts'

const IMAGE = [
  ...['background', 'complexity', 'frame_count', 'frame_duration_ms', 'model', 'n', 'output_compression'],
  ...[
    'output_format',
    'partial_images',
    'prompt',
    'quality',
    'response_format',
    'safety_identifier',
    'size',
    'stream',
    'user',
  ],
]
const GENERATION = [...IMAGE, 'moderation', 'style', 'svg']
const EDIT = [...IMAGE, 'image', 'input_fidelity', 'markup', 'mask']
const SPEECH = ['input', 'instructions', 'model', 'response_format', 'speed', 'stream_format', 'voice.*']
const TRANSCRIPTION = [
  // A form has an object's members as fields of their own.
  ...['type', 'threshold', 'prefix_padding_ms', 'silence_duration_ms'].map((name) => `chunking_strategy[${name}]`),
  ...['chunking_strategy', 'file', 'include', 'known_speaker_names', 'known_speaker_references', 'language', 'model'],
  ...['prompt', 'response_format', 'stream', 'temperature', 'timestamp_granularities'],
]
const MODERATION = ['input.*', 'model']

/** What only some servers take. */
const SHAPE_OF_IMAGE = ['aspect_ratio']
const TAKES_A_SHAPE: ReadonlySet<string> = new Set(['xai', 'gemini', 'openrouter'])
const LOCAL_IMAGE = [
  'cfg_scale',
  'guidance_scale',
  'negative_prompt',
  'num_inference_steps',
  'sampler',
  'seed',
  'steps',
]

export interface Known {
  /** At OpenAI. */
  members: Shape
  /** All there are, wherever they are taken: what a name must not look like. */
  anywhere: Shape
}

const known = (own: readonly string[], others: readonly string[] = []): Known => ({
  members: shapeOf([...own, ...NEVER_SENT]),
  anywhere: shapeOf([...own, ...others, ...NEVER_SENT]),
})

export const KNOWN_GENERATION = known(GENERATION, [...SHAPE_OF_IMAGE, ...LOCAL_IMAGE])
export const KNOWN_EDIT = known(EDIT, [...SHAPE_OF_IMAGE, ...LOCAL_IMAGE])
export const KNOWN_SPEECH = known(SPEECH, ['sample_rate'])
export const KNOWN_TRANSCRIPTION = known(TRANSCRIPTION)
export const KNOWN_MODERATION = known(MODERATION)

/** Groq's, of speech. */
export const SAMPLE_RATE: Shape = shapeOf([...NEVER_SENT, 'sample_rate'])

/** Nothing more than OpenAI's own. */
export const NOTHING_MORE: Shape = shapeOf(NEVER_SENT)

/** `foreign` behind an `api_base` that is not the provider's own host: Stable Diffusion and its like. */
export function imageAdditionsOf(provider: string): { own: Shape; foreign: Shape } {
  const own = [...NEVER_SENT, ...(TAKES_A_SHAPE.has(provider) ? SHAPE_OF_IMAGE : [])]
  return { own: shapeOf(own), foreign: shapeOf([...own, ...LOCAL_IMAGE]) }
}
