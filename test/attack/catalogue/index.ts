/** Every known trick, by theme. */
import type { Trick } from '../trick.ts'
import { AGAIN } from './again.ts'
import { BYOK } from './byok.ts'
import { CAP } from './cap.ts'
import { COMPLETIONS } from './completions.ts'
import { CORNERS } from './corners.ts'
import { DELIVERY } from './delivery.ts'
import { EMBEDDINGS } from './embeddings.ts'
import { FILES } from './files.ts'
import { FORMS } from './forms.ts'
import { GENERATE } from './generate.ts'
import { HIDDEN } from './hidden.ts'
import { IDEMPOTENCY } from './idempotency.ts'
import { IMAGES } from './images.ts'
import { JUDGED } from './judged.ts'
import { MEDIA } from './media.ts'
import { MEMBERS } from './members.ts'
import { MESSAGES } from './messages.ts'
import { NATIVES } from './natives.ts'
import { PAYERS } from './payers.ts'
import { PRICE } from './price.ts'
import { RECORDINGS } from './recordings.ts'
import { RESPONSES } from './responses.ts'
import { SPEECH } from './speech.ts'
import { STATEMENTS } from './statements.ts'
import { STREAMS } from './streams.ts'
import { TIERS } from './tiers.ts'
import { TOOLS } from './tools.ts'
import { UNHELD } from './unheld.ts'
import { USAGE } from './usage.ts'

export const CATALOGUE: Readonly<Record<string, readonly Trick[]>> = {
  members: MEMBERS,
  'caps and choices': CAP,
  usage: USAGE,
  'usage of Claude and Gemini': NATIVES,
  price: PRICE,
  tiers: TIERS,
  delivery: DELIVERY,
  media: MEDIA,
  'media on little money': UNHELD,
  tools: TOOLS,
  idempotency: IDEMPOTENCY,
  'streams and money': STREAMS,
  'own keys': BYOK,
  'who pays': PAYERS,
  'what is possible and what is shown': STATEMENTS,
  'what does not show': HIDDEN,
  'other ways of writing': FORMS,
  'the same again': AGAIN,
  corners: CORNERS,
  "Anthropic's messages": MESSAGES,
  "OpenAI's responses": RESPONSES,
  "Gemini's own surface": GENERATE,
  'text completions': COMPLETIONS,
  embeddings: EMBEDDINGS,
  recordings: RECORDINGS,
  forms: FILES,
  speech: SPEECH,
  images: IMAGES,
  'moderations and rankings': JUDGED,
}
