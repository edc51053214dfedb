/**
 * Facts of OpenAI's models that its API does not tell, by name. Where a fact is disputed or may change (its documentation
 * and its bills differ on image multipliers), the table holds the larger number: it bounds what a call can cost, and is
 * never what a call is charged.
 */
import { type CutTexts, NO_CUTS } from './cut-texts.ts'
import { asObject } from './json.ts'
import { base64Bytes } from './media/base64.ts'
import { dataUrlImageSize, type ImageSize } from './media/image-size.ts'
import { dataOf, exactly, type MediaSize, pagesOf, unknownMedia, upTo, usualText } from './media/media-size.ts'
import { soundLength } from './media/sound-length.ts'
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
/** Small models write faster than the large ones. */
const SMALL = /^gpt-[5-9].*-(?:mini|nano)/
const OLD_VOCABULARY = /^gpt-(?:3\.5|35|4(?:-|$))/

/** Facts of a model by its OpenAI name; an unknown name has no output limit and the newest vocabulary. */
export function openAiModel(name: string): ModelFacts {
  const model = baseName(name)
  return {
    maxOutputTokens: OUTPUT_LIMITS.find(([pattern]) => pattern.test(model))?.[1] ?? null,
    hiddenReasoning: REASONS.test(model),
    ...(SMALL.test(model) ? { topSpeed: 400 } : {}),
    encoding: OLD_VOCABULARY.test(model) ? 'cl100k_base' : 'o200k_base',
    countPercent: 100,
    tokensPercent: 100,
    hiddenInput: { always: 0, withTools: 0 },
  }
}

function baseName(name: string): string {
  const model = name.startsWith('ft:') ? (name.slice(3).split(':')[0] ?? '') : name
  return model.toLowerCase()
}

/** Millionths of the list price, by the `service_tier` of the response. Names it doesn't hold cost the list price. */
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

/** For a model, the tokens of a content part that is not text; not bounded for a file by its id and a part of an unknown type. */
export function openAiMediaTokens(model: string): (part: unknown, cuts?: CutTexts) => MediaSize {
  const rule = IMAGE_RULES.find(([pattern]) => pattern.test(baseName(model)))?.[1] ?? NEWEST_IMAGE_RULE
  return (value, cuts = NO_CUTS) => {
    const part = asObject(value)
    if (part?.type === 'image_url') return imageTokens(rule, part.image_url, cuts)
    const sound = part?.type === 'input_audio' ? asObject(part.input_audio)?.data : undefined
    if (typeof sound === 'string') return soundTokens(sound, cuts)
    const file = part?.type === 'file' ? asObject(part.file)?.file_data : undefined
    return typeof file === 'string' ? fileTokens(rule, file, cuts) : unknownMedia(part, cuts)
  }
}

/** The published example, 2048 x 4096 in high detail, is 768 x 1536 and six tiles; nothing is larger than 768 x 2048. */
const MOST_TILES = 8
const USUAL_IMAGE: ImageSize = { width: 1_024, height: 1_024 }

function imageTokens(rule: ImageRule, value: unknown, cuts: CutTexts): MediaSize {
  const image = typeof value === 'string' ? { url: value } : asObject(value)
  const detail = image !== null && 'detail' in image ? image.detail : undefined
  const size = typeof image?.url === 'string' ? dataUrlImageSize(image.url, cuts) : null
  if (size !== null) return exactly(sizeTokens(rule, detail, size))
  return upTo(sizeTokens(rule, detail, null), sizeTokens(rule, detail, USUAL_IMAGE))
}

/** `size`: null for the largest there is. */
function sizeTokens(rule: ImageRule, detail: unknown, size: ImageSize | null): number {
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
/** The context window of the models that hear. */
const AUDIO_TOKENS_MAX = 128_000

/** Spoken input is billed by its length. */
function soundTokens(data: string, cuts: CutTexts): MediaSize {
  const { bound, expected } = soundLength(dataOf(data), cuts)
  const tokens = (seconds: number) => Math.min(AUDIO_TOKENS_MAX, Math.ceil(seconds * AUDIO_TOKENS_PER_SECOND))
  return upTo(bound === null ? AUDIO_TOKENS_MAX : tokens(bound), tokens(expected))
}

/** A document is read as its text and as an image of each page. Nothing is published of the text; as dense as Claude's pages. */
const PAGE_TEXT_TOKENS = { usual: 1_000, most: 3_000 }
const PAGES_MAX = 1_000
/** Of letter paper at 150 dots an inch. */
const USUAL_PAGE: ImageSize = { width: 1_275, height: 1_650 }

function fileTokens(rule: ImageRule, file: string, cuts: CutTexts): MediaSize {
  const data = dataOf(file)
  const pages = pagesOf(data, cuts)
  const { bound, expected } = pages
  if (bound === null && !isPdf(file)) {
    // Something else, read as text: a token a byte, and not less than one page's image.
    return upTo(
      Math.max(base64Bytes(data, cuts), sizeTokens(rule, undefined, null)),
      Math.ceil(base64Bytes(data, cuts) / 4),
    )
  }
  return upTo(
    Math.min(PAGES_MAX, bound ?? PAGES_MAX) * (PAGE_TEXT_TOKENS.most + sizeTokens(rule, 'high', null)),
    Math.min(PAGES_MAX, expected) * (usualText(pages, PAGE_TEXT_TOKENS.usual) + sizeTokens(rule, 'high', USUAL_PAGE)),
  )
}

/** By what it says it is, or by its first bytes: a header may come a little later. */
function isPdf(file: string): boolean {
  return /^data:application\/pdf/i.test(file) || Buffer.from(dataOf(file).slice(0, 1_400), 'base64').includes('%PDF')
}
