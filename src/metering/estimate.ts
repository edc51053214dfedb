/**
 * What a chat request's input counts as, bounded from above without a tokenizer: what a hold covers before the call. It walks nested
 * values with a list of its own: ten thousand nested arrays are a valid JSON body and would overflow a recursive walk.
 */
import { estimateText } from '../../providers/estimate-text.ts'
import type { MediaSize } from '../../providers/media/media-size.ts'
import type { ModelFacts } from '../../providers/provider.ts'
import type { Units, Usage } from '../../providers/usage.ts'
import { type ChatInput, type InputVisitor, type UnpackId, visitInput } from './request-input.ts'

export { estimateText } from '../../providers/estimate-text.ts'

export interface InputEstimate {
  /** Text tokens, overheads included; images, files and audio are apart. */
  tokens: number
  /** UTF-8 bytes of the same text plus the overheads: a bound nothing can exceed. Never below `tokens`. */
  bytes: number
  /** Tokens of images and files at most. */
  media: number
  /** Tokens of audio at most. */
  audioInput: number
  /** The same at their usual sizes: what is charged where nobody stated usage. */
  expected: { media: number; audioInput: number }
  /**
   * The same at the least a hold covers; never below `expected`, never above what they are at most. `window`: something is in it of
   * which nothing tells how much it usually is, so a part of the context window has to be covered.
   */
  least: { media: number; audioInput: number; window: boolean }
  /**
   * What is billed by something else than tokens of text: at most, and what is charged where nobody stated usage, tokens of what is no
   * text included. Left out where nothing is.
   */
  units?: { most: Units; expected: Readonly<Partial<Omit<Usage, 'toolFees'>>> }
  /** Of text the request predicts the response to be: what is wrong in it is billed as output. */
  predicted: { tokens: number; bytes: number }
  /** Uses of separately priced tools the request asks for: `{ web_search: 1 }`. */
  toolFees: Record<string, number>
  /** Parts nothing in the request bounds, e.g. `messages[0].content[1].file.file_id`. */
  unbounded: string[]
  /** One of them may be sound. */
  unboundedSound: boolean
}

/** Tokens of a content part that is not text: a provider's rules. */
export type MediaTokens = (part: unknown) => MediaSize

interface Sum {
  tokens: number
  bytes: number
}

/** Estimates a request as its client wrote it. */
export function estimateChatInput(request: ChatInput, mediaTokens: MediaTokens, unpackId: UnpackId): InputEstimate {
  const options = request.web_search_options
  const searches = typeof options === 'object' && options !== null && !Array.isArray(options)
  const estimate = estimateVisited((visitor) => visitInput(request, unpackId, visitor), mediaTokens)
  return searches ? { ...estimate, toolFees: { web_search: 1 } } : estimate
}

/** Estimates what a walk of a request visits. */
export function estimateVisited(visit: (visitor: InputVisitor) => void, mediaTokens: MediaTokens): InputEstimate {
  const sum: Sum = { tokens: 0, bytes: 0 }
  const predicted: Sum = { tokens: 0, bytes: 0 }
  const media = createMediaSum()
  visit({
    text: (text) => addText(sum, text),
    json: (value) => addJson(sum, value),
    framing: (tokens) => addTokens(sum, tokens),
    role: () => addTokens(sum, 1),
    media: (part, path) => media.add(part.type === 'input_audio' ? 'audioInput' : 'media', mediaTokens(part), path),
    unbounded: (path) => media.add('audioInput', { bound: null, expected: 0 }, path),
    prediction: (content) => addJson(predicted, content ?? ''),
  })
  const bytes = Math.max(sum.bytes, sum.tokens)
  return {
    tokens: sum.tokens,
    bytes,
    ...media.sizes(),
    predicted,
    toolFees: {},
  }
}

type MediaSizes = Pick<InputEstimate, 'media' | 'audioInput' | 'expected' | 'least' | 'unbounded' | 'unboundedSound'>
type MediaKind = 'media' | 'audioInput'

/** Items that are held by the most they can be are summed first: many small ones are as much as a large one. */
function createMediaSum(): { add(kind: MediaKind, size: MediaSize, path: string): void; sizes(): MediaSizes } {
  const nothing = () => ({ media: 0, audioInput: 0 })
  const [most, expected, own, ruledMost, ruledExpected] = [nothing(), nothing(), nothing(), nothing(), nothing()]
  const unbounded: string[] = []
  let unboundedSound = false
  let window = false
  return {
    add(kind, size, path) {
      expected[kind] += size.expected
      if (size.bound === null) {
        unbounded.push(path)
        unboundedSound ||= kind === 'audioInput'
      } else most[kind] += size.bound
      if (size.least !== undefined) own[kind] += size.least
      else if (size.bound === null) window = true
      else {
        ruledMost[kind] += size.bound
        ruledExpected[kind] += size.expected
      }
    },
    sizes() {
      const least = (kind: MediaKind) => own[kind] + leastOf(ruledMost[kind], ruledExpected[kind])
      const leasts = { media: least('media'), audioInput: least('audioInput'), window }
      return { ...most, expected, least: leasts, unbounded, unboundedSound }
    },
  }
}

/** The estimate in a model's own tokens, and what it adds unseen; never more of the text than a token a byte. */
export function inTokensOf(
  { tokensPercent, hiddenInput }: Pick<ModelFacts, 'tokensPercent' | 'hiddenInput'>,
  base: InputEstimate,
  hasTools: boolean,
): InputEstimate {
  const hidden = hiddenInput.always + (hasTools ? hiddenInput.withTools : 0)
  const own = ({ tokens, bytes }: Sum) => Math.min(Math.ceil((tokens * tokensPercent) / 100), bytes)
  // A provider that bills less framing than the base estimate takes has a negative part hidden.
  const tokens = Math.max(1, own(base) + hidden)
  const predicted = { ...base.predicted, tokens: own(base.predicted) }
  return { ...base, tokens, bytes: Math.max(tokens, base.bytes + hidden), predicted }
}

/** The same of a walk that meets texts alone. */
export function estimateTexts(facts: ModelFacts, visit: (visitor: InputVisitor) => void): InputEstimate {
  return inTokensOf(
    facts,
    estimateVisited(visit, () => NO_MEDIA),
    false,
  )
}

const NO_MEDIA = { bound: 0, expected: 0 }

/** Of its media a payer covers a third of the most they can be, however small they seem; the rest is small in these many tokens. */
const UNHELD_SHARE = 3
const UNHELD_TOKENS = 12_000

/**
 * Tokens of media that have to be held: the expected size. Where that is far below the bound, a third of the bound, so that nobody is
 * served for much more than he has; but a large single image of unknown size may always be held at its expected size.
 */
function leastOf(most: number, expected: number): number {
  const least = Math.min(Math.ceil(most / UNHELD_SHARE), most - UNHELD_TOKENS)
  return Math.min(most, Math.max(expected, least, 0))
}

/** What has to be held of something that may fill the context window, and of which nothing tells how much it usually is. */
export function leastOfWindow(contextWindow: number): number {
  return leastOf(contextWindow, 0)
}

/**
 * The most tokens of media and sound that can be left unheld on a model that reads no more than `contextWindow`: all of it where no rule
 * tells what its images can be.
 */
export function mostUnheld(contextWindow: number, mediaTokens: MediaTokens): number {
  const { bound, least } = mediaTokens({ type: 'image_url', image_url: { url: 'https://example.com/' } })
  return bound === null && least !== undefined ? contextWindow : contextWindow - leastOfWindow(contextWindow)
}

function addText(sum: Sum, text: string): void {
  sum.tokens += estimateText(text)
  sum.bytes += Buffer.byteLength(text)
}

function addTokens(sum: Sum, tokens: number): void {
  sum.tokens += tokens
  sum.bytes += tokens
}

/** Adds a value as the JSON text it would be: every name and string with its quotes and escapes, a token a bracket. */
function addJson(sum: Sum, root: unknown): void {
  const open: unknown[] = [root]
  for (let value = open.pop(); value !== undefined || open.length > 0; value = open.pop()) {
    if (typeof value !== 'object' || value === null) {
      // A separator each: the comma or the end of the text.
      addText(sum, typeof value === 'string' ? JSON.stringify(value) : String(value))
      addTokens(sum, 1)
      continue
    }
    addTokens(sum, 2)
    if (Array.isArray(value)) {
      // Not push(...value): a spread of a few hundred thousand elements overflows the stack.
      for (const element of value) open.push(element)
      continue
    }
    for (const [name, member] of Object.entries(value)) {
      addText(sum, `${JSON.stringify(name)}:`)
      open.push(member)
    }
  }
}
