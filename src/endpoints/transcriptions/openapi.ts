/** The routes of transcriptions and translations, for OpenAPI. */
import { formBody, operationOf } from '../describe-call.ts'

const MEMBERS = {
  model: { type: 'string' },
  file: { type: 'string', format: 'binary' },
  prompt: { type: 'string' },
  response_format: { type: 'string', enum: ['json', 'verbose_json', 'diarized_json', 'text', 'srt', 'vtt'] },
  temperature: { type: 'number' },
}
const DESCRIPTION =
  "OpenAI's form, which is read, checked and written anew. Held for the longest that the recording can be, charged by the seconds or tokens that the provider states, else by its length as it is measured here. A recording whose length nothing but decoding tells is a 400."

export const transcriptionsOperation = operationOf(
  {
    summary: 'Transcriptions',
    description: DESCRIPTION,
    response: "OpenAI's transcription, a text, subtitles, or a stream of events.",
  },
  formBody({ ...MEMBERS, language: { type: 'string' }, stream: { type: 'boolean' } }, ['model', 'file']),
)

export const translationsOperation = operationOf(
  {
    summary: 'Translations into English',
    description: DESCRIPTION,
    response: "OpenAI's translation, a text or subtitles.",
  },
  formBody(MEMBERS, ['model', 'file']),
  false,
)
