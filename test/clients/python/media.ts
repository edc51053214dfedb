/**
 * A part of npm run clients:python: images, sound and moderations as the clients of OpenAI and Google for Python see them, each call with
 * its charge. gpt-image-1 takes $40 a million tokens of an image, gemini-2.5-flash-image $30, whisper-1 $0.36 an hour; half of it on top.
 */
import { fileURLToPath } from 'node:url'
import { configFor, modelOn } from '../../support/tollgate.ts'
import { type Handler, jsonAnswer, textAnswer } from '../../support/upstream-answers.ts'
import { differences, type Stand, unsettled, withStand } from './stand.ts'

const CLIENTS = ['openai==3.52.0', 'google-genai==3.3.0']
const SCRIPT = fileURLToPath(new URL('./media.py', import.meta.url))
const ALLOCATED = 10_000n * 1_000_000n
const GEMINI = 'gemini-2.5-flash-image'
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII='
const TEXT = 'Hello.'

/** Every service by its path, each with one answer. */
const serve: Handler = ({ path, body }) => {
  const isText = body.includes('name="response_format"\r\n\r\ntext')
  if (path.endsWith(':generateContent')) return jsonAnswer(DRAWN)
  if (path.endsWith('/chat/completions')) return jsonAnswer(ROUTED)
  if (path.endsWith('/transcriptions'))
    return isText ? textAnswer(200, TEXT) : jsonAnswer({ text: TEXT, usage: { type: 'duration', seconds: 2 } })
  if (path.endsWith('/speech'))
    return { ...textAnswer(200, ''), frames: [Buffer.from(PIXEL, 'base64')], headers: { 'content-type': 'audio/mpeg' } }
  if (path.endsWith('/moderations'))
    return jsonAnswer({ id: 'm', model: 'omni-moderation-latest', results: [{ flagged: false, categories: {} }] })
  return jsonAnswer({ created: 1, data: [{ b64_json: PIXEL }], usage: USAGE })
}

const USAGE = { input_tokens: 2, output_tokens: 1_056, total_tokens: 1_058 }
const DRAWN = {
  candidates: [
    {
      content: { role: 'model', parts: [{ inlineData: { mimeType: 'image/png', data: PIXEL } }] },
      finishReason: 'STOP',
      index: 0,
    },
  ],
  usageMetadata: {
    promptTokenCount: 2,
    candidatesTokenCount: 1_290,
    totalTokenCount: 1_292,
    candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1_290 }],
  },
  modelVersion: GEMINI,
}
const ROUTED = {
  id: 'g',
  object: 'chat.completion',
  created: 1,
  model: `google/${GEMINI}`,
  choices: [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: '',
        images: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${PIXEL}` } }],
      },
      finish_reason: 'stop',
    },
  ],
  usage: { prompt_tokens: 2, completion_tokens: 1_290, total_tokens: 1_292, cost: 0.04 },
}

const configOf = (url: string): string =>
  configFor(url, {
    models: [
      modelOn(url, 'gpt-image-1'),
      modelOn(url, GEMINI, { model: `gemini/${GEMINI}` }),
      modelOn(url, 'routed', { model: `openrouter/google/${GEMINI}` }),
      modelOn(url, 'whisper-1'),
      modelOn(url, 'tts-1', { input_cost_per_character: 0.000015 }),
      modelOn(url, 'omni-moderation-latest'),
    ],
    router_settings: { num_retries: 0 },
  })

/** `service credits`, a line a call. */
const BOOKED = [
  'image_generation 63.375000',
  'image_generation 63.375000',
  // 2 x $0.30 + 1 290 x $30, twice by OpenAI's client; OpenRouter's bill is $0.04.
  'image_generation 58.050900',
  'image_generation 58.050900',
  'image_generation 60.000000',
  'llm_inference 58.050900',
  // Two seconds that were stated; two that were measured, with the head of the file.
  'audio_transcription 0.300000',
  'audio_transcription 0.300300',
  'audio_speech 0.112500',
  'audio_speech 0.112500',
  'moderation 0.000000',
]

async function check({ url, database, keyOf, run }: Stand): Promise<number> {
  const key = await keyOf('alice', ALLOCATED)
  const checks = await run<{ check: string; error: string | null }>(SCRIPT, {
    url,
    key,
    pixel: PIXEL,
    text: TEXT,
    gemini: GEMINI,
  })
  const { rows } = await database.pool.query<{ line: string }>(
    `select concat_ws(' ', service_type, credits_used) as line from credit_usage_attribution`,
  )
  const booked = rows.map(({ line }) => line)
  const failed = checks.filter(({ error }) => error !== null)
  const wrong = [...differences(BOOKED, booked), ...(await unsettled(database))]
  for (const { check: name, error } of failed) process.stdout.write(`FAILED ${name}\n${error}\n`)
  for (const line of wrong) process.stdout.write(`${line}\n`)
  const passed = checks.length - failed.length
  process.stdout.write(
    `${CLIENTS.join(', ')}: ${passed} of ${checks.length} checks passed; ${wrong.length} differences in the books\n`,
  )
  return failed.length + wrong.length === 0 ? 0 : 1
}

await withStand(CLIENTS, { provider: serve, configOf }, check)
