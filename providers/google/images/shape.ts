/**
 * The size of an image in Google's words, a ratio of its sides and a step of resolution, and the tokens that Google publishes for one: they
 * depend on the step alone.
 */
import type { ImageAsked, ImageTokens } from '../../images.ts'
import type { Refusal } from '../../provider.ts'
import { bareModel, thinkingOf } from '../models.ts'

type Json = Readonly<Record<string, unknown>>

type Step = '1K' | '2K' | '4K'

interface Drawer {
  /** Tokens of an image at each step it has; one that is left out is none. */
  tokens: Readonly<Partial<Record<Step, number>>>
  ratios: readonly string[]
}

const USUAL = ['1:1', '2:3', '3:2', '3:4', '4:3', '4:5', '5:4', '9:16', '16:9', '21:9']
const NARROW = ['1:4', '4:1', '1:8', '8:1']

/** By name; first match wins. */
const DRAWERS: readonly (readonly [RegExp, Drawer])[] = [
  [/^gemini-2\.[05]-flash-(?:image|preview-image)/, { tokens: { '1K': 1_290 }, ratios: USUAL }],
  [/^gemini-3(?:\.\d+)?-pro-image/, { tokens: { '1K': 1_120, '2K': 1_120, '4K': 2_000 }, ratios: USUAL }],
  [
    /^gemini-3(?:\.\d+)?-flash-image/,
    { tokens: { '1K': 1_120, '2K': 1_680, '4K': 2_520 }, ratios: [...USUAL, ...NARROW] },
  ],
]
const IMAGEN_RATIOS = ['1:1', '3:4', '4:3', '9:16', '16:9']

/** Of what is written beside the image, and of what is thought before it: the cap that is sent leaves room for both. */
const TEXT_ROOM = 512
const THOUGHT_ROOM = 4_096

/** Tokens of one that is sent: those from generation 3 on count each as one, earlier ones its tiles, at most 144 of them. */
const READ: Readonly<Record<'whole' | 'tiles', ImageTokens>> = {
  whole: { most: 1_120, expected: 1_120 },
  tiles: { most: 144 * 258, expected: 4 * 258 },
}

export function drawerOf(model: string): Drawer | null {
  const name = bareModel(model).toLowerCase()
  return DRAWERS.find(([pattern]) => pattern.test(name))?.[1] ?? null
}

/** Imagen makes nothing but images, by a method of its own. */
export function isImagen(model: string): boolean {
  return bareModel(model).startsWith('imagen-')
}

/** Of an image of the usual size that a chat shows. */
export function imageTokens(model: string): number | undefined {
  return drawerOf(model)?.tokens['1K']
}

/** Null for a model whose images nobody has published the tokens of. */
export function googleTokensMade({ size }: ImageAsked, model: string): ImageTokens | null {
  const drawer = drawerOf(model)
  if (drawer === null) return null
  const tokens = drawer.tokens[stepOf(size)] ?? Math.max(...Object.values(drawer.tokens))
  const room = thinkingOf(model) === 'none' ? TEXT_ROOM : TEXT_ROOM + THOUGHT_ROOM
  return { most: tokens + room, expected: tokens }
}

export function googleTokensRead(model: string): ImageTokens {
  return READ[thinkingOf(model) === 'level' ? 'whole' : 'tiles']
}

/** How far from the ratio that was asked for another one may be: 1792x1024 is meant as 16:9. */
const RATIO_ERROR = 0.02

export interface Shape {
  aspectRatio?: string
  step?: Step
}

/** What asks for it; null where the model has nothing like it. A ratio that is stated comes before that of the size. */
export function shapeOf(size: ImageAsked['size'], ratio: unknown, model: string): Shape | null {
  const { ratios, tokens } = known(model)
  const isStated = (ratio ?? 'auto') !== 'auto'
  if (isStated && !ratios.some((one) => one === ratio)) return null
  const step = size === null ? null : stepOf(size)
  const near = size === null ? null : nearest(size, ratios)
  if (step !== null && (near === null || tokens[step] === undefined)) return null
  const aspectRatio = isStated ? String(ratio) : near
  return {
    ...(aspectRatio === null ? {} : { aspectRatio }),
    ...(step === null || Object.keys(tokens).length === 1 ? {} : { step }),
  }
}

/** Null where none is near. */
function nearest({ width, height }: { width: number; height: number }, ratios: readonly string[]): string | null {
  const error = (one: string) => Math.abs((quotient(one) * height) / width - 1)
  const [first = '1:1'] = [...ratios].sort((a, b) => error(a) - error(b))
  return error(first) <= RATIO_ERROR ? first : null
}

/** Refuses a size, or a ratio of sides, that the model does not make. */
export function refusesOfShape({ size, aspect_ratio: ratio }: Json, model: string): Refusal[] {
  const { ratios, tokens } = known(model)
  const refuse = (param: string): Refusal[] => [
    {
      param,
      message: `This model makes images of ${ratios.join(', ')}, in ${Object.keys(tokens).join(', ')}. Ask for one of these.`,
      droppable: true,
    },
  ]
  return [
    ...(shapeOf(null, ratio, model) === null ? refuse('aspect_ratio') : []),
    ...(shapeOf(sizeIn(size), null, model) === null ? refuse('size') : []),
  ]
}

function sizeIn(size: unknown): ImageAsked['size'] {
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(typeof size === 'string' ? size : '') ?? []
  return width === undefined ? null : { width: Number(width), height: Number(height) }
}

/** What nobody has published is taken to be as with the others. */
function known(model: string): Drawer {
  return drawerOf(model) ?? { ratios: isImagen(model) ? IMAGEN_RATIOS : USUAL, tokens: STEPS }
}

const STEPS: Readonly<Record<Step, number>> = { '1K': 0, '2K': 0, '4K': 0 }

function quotient(ratio: string): number {
  const [width = 1, height = 1] = ratio.split(':').map(Number)
  return width / height
}

/** The least step that has as many pixels as were asked for, as near as other models' sizes come to it. */
function stepOf(size: ImageAsked['size']): Step {
  const pixels = size === null ? 0 : size.width * size.height
  if (pixels <= 1_536 * 1_280) return '1K'
  return pixels <= 3_072 * 2_560 ? '2K' : '4K'
}
