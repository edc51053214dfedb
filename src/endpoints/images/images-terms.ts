/** What images may cost on a deployment, and how they are asked of the provider and read back. */
import type {
  ImageAsked,
  ImagesCapability,
  ImagesContext,
  ImagesRequest,
  ImageTokens,
} from '../../../providers/images.ts'
import { KNOWN_EDIT, KNOWN_GENERATION } from '../../../providers/known-members/media-members.ts'
import { NO_UNITS } from '../../../providers/usage.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import type { InputEstimate } from '../../metering/estimate.ts'
import { flatTerms } from '../flat/flat-terms.ts'
import { judgeFlat } from '../flat/judge-flat.ts'
import { capabilityOf } from '../model-kinds.ts'
import { mockImages } from './mock-images.ts'
import { askedOf } from './read-request.ts'

/** @param isLenient leaves out what the model can't honour. @throws {TollgateError} 400 for what can't be honoured or bounded. */
export function imagesTerms(
  { flat: request, prompt }: ImagesRequest,
  deployment: Deployment,
  isLenient: boolean,
): Terms {
  const { provider, capability: images } = capabilityOf(
    deployment,
    'images',
    (served) => served?.images?.makes(deployment.upstreamModel) ?? false,
  )
  const { upstreamModel: model, mockResponse } = deployment
  const known = (request.form === null ? KNOWN_GENERATION : KNOWN_EDIT).members
  const judged = judgeFlat(request, deployment, { capability: images, label: provider.label, known, isLenient })
  const facts = images.model(model)
  const asked = askedOf(judged.asked, request.form)
  const made = images.tokensMade(asked, model)
  const common = flatTerms({ provider, facts, request, texts: [prompt], judged }, deployment, (call) =>
    images.prepare({ ...call, asked, mostTokens: made?.most ?? null }),
  )
  return {
    ...common,
    estimate: withImages(common.estimate, asked, made, images.tokensRead(asked, model)),
    choices: asked.n,
    outputCap: made?.most ?? 0,
    leastOutput: made?.most ?? 0,
    units: ['images', 'imagesRead'],
    ...(made === null
      ? { unboundedOutput: `How many tokens such an image of '${model.slice(0, 100)}' takes is not known` }
      : {}),
    ...readers(images, deployment, { model, shown: request.model, n: asked.n, expected: made?.expected ?? 0 }),
    mock: mockResponse === null ? null : ({ created }) => mockImages(asked.n, created),
  }
}

function readers(
  images: ImagesCapability,
  { price }: Deployment,
  known: Pick<ImagesContext, 'model' | 'shown' | 'n' | 'expected'>,
): Pick<Terms, 'readWhole' | 'readStream'> {
  const context = { ...known, isByImage: price?.units?.images !== undefined }
  return {
    readWhole: (body, { created }) => images.readResponse(body, { ...context, created }),
    readStream: ({ created }) => images.readStream({ ...context, created }),
  }
}

/** The hold covers every sent image at the most tokens it can have. */
function withImages(
  estimate: InputEstimate,
  asked: ImageAsked,
  made: ImageTokens | null,
  read: ImageTokens,
): InputEstimate {
  const { n: images, sent } = asked
  const media = sent * read.most
  return {
    ...estimate,
    media,
    least: { media, audioInput: 0, window: false },
    units: {
      most: { ...NO_UNITS, images, imagesRead: sent },
      expected: {
        images,
        imagesRead: sent,
        imageInput: sent * read.expected,
        imageOutput: images * (made?.expected ?? 0),
      },
    },
  }
}
