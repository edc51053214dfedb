/** Reads a request for a transcription: checks what decides its price and leaves the rest as it is. */
import type { Form } from '../../../providers/flat-request.ts'
import { KNOWN_TRANSCRIPTION } from '../../../providers/known-members/media-members.ts'
import type { TranscriptionRequest } from '../../../providers/transcriptions.ts'
import { readFlatForm, wordOf } from '../flat/read-flat.ts'
import { bad } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

/** The most voices that OpenAI takes, and the seconds of each. */
const VOICES_MAX = 4
const VOICE_SECONDS = 10

const JSON_FORMATS: ReadonlySet<string> = new Set(['json', 'verbose_json', 'diarized_json'])
const TEXT_FORMATS: ReadonlySet<string> = new Set(['text', 'srt', 'vtt'])

/** @throws {TollgateError} 400, naming the field that is wrong. */
export function readTranscription(form: Form, isTranslation: boolean): TranscriptionRequest {
  const flat = readFlatForm(form, KNOWN_TRANSCRIPTION)
  const { json } = flat
  for (const name of ['url', 'file_url'])
    if (name in json)
      throw bad(name, `Send the recording as a file in "file": how long one at an address is can't be known.`)
  for (const { field } of form.files)
    if (field !== 'file')
      throw bad(field, `"${field.slice(0, 100)}" is not a file of a transcription. Send one file, as "file".`)
  const [file] = form.files
  if (file === undefined) throw bad('file', 'Send the recording as a file in "file".')
  if (file.bytes.length === 0) throw bad('file', 'The file is empty.')
  isJsonAsked(json)
  return { flat, isTranslation, prompt: wordOf(json, 'prompt') ?? '', sound: file.bytes, voices: voicesOf(json) }
}

/** @param json with the operator's defaults, or without. @throws {TollgateError} 400. */
export function isJsonAsked(json: Json): boolean {
  const format = wordOf(json, 'response_format') ?? 'json'
  if (JSON_FORMATS.has(format)) return true
  if (TEXT_FORMATS.has(format)) return false
  throw bad('response_format', `"response_format" must be one of ${[...JSON_FORMATS, ...TEXT_FORMATS].join(', ')}.`)
}

/** Seconds of the voices that are to be known again. */
function voicesOf({ known_speaker_references: voices = [] }: Json): number {
  const count = Array.isArray(voices) ? voices.length : 1
  if (count <= VOICES_MAX) return count * VOICE_SECONDS
  throw bad('known_speaker_references', `Send at most ${VOICES_MAX} voices.`)
}
