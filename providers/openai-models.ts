/**
 * Facts of OpenAI's models that its API does not tell, by name. Where a fact is disputed or may change (its documentation
 * and its bills differ on image multipliers), the table holds the larger number: it bounds what a call can cost, and is
 * never what a call is charged.
 */
import { audioSeconds, base64Bytes } from './audio-seconds.ts'
import { dataUrlImageSize, type ImageSize } from './image-size.ts'
import { asObject } from './json.ts'
import type { ModelFacts } from './provider.ts'

/** First match wins. Fine-tuned models (`ft:gpt-4o-mini-2024-07-18:acme::x`) are looked up as what they were tuned from. */
const OUTPUT_LIMITS: readonly (readonly [RegExp, number])[] = [
  [/^gpt-3\.5-turbo|^gpt-35-turbo/, 4_096],
  [/^gpt-4-32k/, 32_768],
  [/^gpt-4-(?:turbo|1106|0125|vision)/, 4_096],
  [/^gpt-4(?:-0314|-0613)?$/, 8_192],
  [/^gpt-4o-2024-05-13/, 4_096],
  [/^(?:chatgpt-4o|gpt-4o|gpt-4\.5|gpt-audio)/, 16_384],
  [/^gpt-4\.1/, 32_768],
  [/^o1-mini/, 65_536],
  [/^o1-preview/, 32_768],
  [/^o[1-9](?:-|$)/, 100_000],
  [/^gpt-(?:[5-9](?:\.\d+)?-)?chat/, 16_384],
  [/^gpt-5-pro/, 272_000],
  [/^gpt-[5-9](?:[.-]|$)/, 128_000],
]

const REASONS = /^(?:o[1-9](?:-|$)|gpt-(?!5-chat)[5-9](?:[.-]|$)|gpt-chat)/
const OLD_VOCABULARY = /^gpt-(?:3\.5|35|4(?:-|$))/

/** Facts of a model by its OpenAI name; an unknown name has no output limit and the newest vocabulary. */
export function openAiModel(name: string): ModelFacts {
  const model = baseName(name)
  return {
    maxOutputTokens: OUTPUT_LIMITS.find(([pattern]) => pattern.test(model))?.[1] ?? null,
    hiddenReasoning: REASONS.test(model),
    encoding: OLD_VOCABULARY.test(model) ? 'cl100k_base' : 'o200k_base',
    tokensPercent: 100,
    hiddenInput: { always: 0, withTools: 0 },
  }
}

function baseName(name: string): string {
  const model = name.startsWith('ft:') ? (name.slice(3).split(':')[0] ?? '') : name
  return model.toLowerCase()
}

/** Millionths of the list price, by the `service_tier` of the answer. Names it doesn't hold cost the list price. */
const TIERS: Readonly<Record<string, bigint>> = {
  auto: 1_000_000n,
  default: 1_000_000n,
  scale: 1_000_000n,
  flex: 500_000n,
  priority: 2_000_000n,
  fast: 2_000_000n,
}

export function serviceTierMultiplier(tier: string | null | undefined): bigint {
  return (typeof tier === 'string' && Object.hasOwn(TIERS, tier) ? TIERS[tier] : undefined) ?? 1_000_000n
}

/** An image costs a base and so much for each 512-pixel tile, or (millionths) so much for each 32-pixel patch up to a cap. */
type ImageRule = { base: number; tile: number } | { perMillion: number; patches: number; largePatches: number }

const IMAGE_RULES: readonly (readonly [RegExp, ImageRule])[] = [
  [/^gpt-4o-mini/, { base: 2_833, tile: 5_667 }],
  [/^gpt-4\.1-mini/, { perMillion: 1_620_000, patches: 1_536, largePatches: 1_536 }],
  [/^gpt-4\.1-nano/, { perMillion: 2_460_000, patches: 1_536, largePatches: 1_536 }],
  [/^o4-mini/, { perMillion: 1_720_000, patches: 1_536, largePatches: 1_536 }],
  [/^gpt-5-mini/, { perMillion: 1_620_000, patches: 1_536, largePatches: 1_536 }],
  [/^gpt-5-nano/, { perMillion: 2_460_000, patches: 1_536, largePatches: 1_536 }],
  [/^gpt-5\.[23](?:-|$)/, { perMillion: 1_200_000, patches: 1_536, largePatches: 1_536 }],
  [/^gpt-5\.4-mini/, { perMillion: 1_620_000, patches: 2_500, largePatches: 2_500 }],
  [/^gpt-5\.4-nano/, { perMillion: 2_460_000, patches: 2_500, largePatches: 2_500 }],
  [/^(?:gpt-5(?:\.1)?(?:-|$))/, { base: 70, tile: 140 }],
  [/^o[1-9](?:-|$)/, { base: 75, tile: 150 }],
  [/^(?:gpt-4|chatgpt-4o)/, { base: 85, tile: 170 }],
]
/** Newer models look at images whole (`original`, their `auto`), up to ten thousand patches. */
const NEWEST_IMAGE_RULE: ImageRule = { perMillion: 1_200_000, patches: 2_500, largePatches: 10_000 }

/**
 * For a model, the most tokens a content part that is not text can take; `null` where nothing in the request bounds it
 * (a file by its id, a part of an unknown type).
 */
export function openAiMediaTokens(model: string): (part: unknown) => number | null {
  const rule = IMAGE_RULES.find(([pattern]) => pattern.test(baseName(model)))?.[1] ?? NEWEST_IMAGE_RULE
  return (value) => {
    const part = asObject(value)
    if (part?.type === 'image_url') return imageTokens(rule, part.image_url)
    if (part?.type === 'input_audio') return audioTokens(asObject(part.input_audio)?.data)
    if (part?.type === 'file') return fileTokens(rule, asObject(part.file)?.file_data)
    return null
  }
}

/** The published example, 2048 x 4096 in high detail, is 768 x 1536 and six tiles; nothing is larger than 768 x 2048. */
const MOST_TILES = 8

function imageTokens(rule: ImageRule, value: unknown): number {
  const image = typeof value === 'string' ? { url: value } : asObject(value)
  const detail = image !== null && 'detail' in image ? image.detail : undefined
  const size = typeof image?.url === 'string' ? dataUrlImageSize(image.url) : null
  if ('tile' in rule) {
    if (detail === 'low') return rule.base
    return rule.base + rule.tile * (size === null ? MOST_TILES : tiles(size))
  }
  // Low detail has no effect on models that count patches: they are billed as for high.
  const most = detail === 'low' || detail === 'high' ? rule.patches : rule.largePatches
  const patches = size === null ? most : Math.min(most, Math.ceil(size.width / 32) * Math.ceil(size.height / 32))
  return Math.ceil((patches * rule.perMillion) / 1_000_000)
}

/** Shrunk into 2048 x 2048, then until the shorter side is 768; never enlarged. */
function tiles({ width, height }: ImageSize): number {
  const scale = Math.min(1, 2_048 / Math.max(width, height), 768 / Math.min(width, height))
  const across = (side: number) => Math.ceil(Math.round(side * scale) / 512) || 1
  return Math.min(MOST_TILES, across(width) * across(height))
}

const AUDIO_TOKENS_PER_SECOND = 10

/** Spoken input is billed by its length, which compression hides; only uncompressed WAV states its bytes a second. */
function audioTokens(data: unknown): number | null {
  return typeof data === 'string' ? Math.ceil(audioSeconds(data) * AUDIO_TOKENS_PER_SECOND) : null
}

/** A file is read as its text and as an image of each page: a token a byte, and not less than one page's image. */
function fileTokens(rule: ImageRule, data: unknown): number | null {
  return typeof data === 'string' ? Math.max(base64Bytes(data), imageTokens(rule, null)) : null
}
