/** Reads a request for speech: checks what decides its price and its form, and leaves the rest as it is. */
import { KNOWN_SPEECH } from '../../../providers/known-members/media-members.ts'
import type { SpeechRequest } from '../../../providers/speech.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { readFlatJson, textOf, wordOf } from '../flat/read-flat.ts'
import { bad } from '../read-members.ts'

type Json = Readonly<Record<string, unknown>>

const TYPES: Readonly<Record<string, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/ogg',
  ogg: 'audio/ogg',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
  mulaw: 'audio/basic',
}
const SPEED = { least: 0.25, most: 4 }

export interface SpeechAsked {
  format: string
  contentType: string
  isEvents: boolean
  speed: number
}

/** @throws {TollgateError} 400, naming the member that is wrong. */
export function readSpeech(body: JsonObject): SpeechRequest {
  const flat = readFlatJson(body, KNOWN_SPEECH)
  askedOf(flat.json)
  return { flat, input: textOf(flat.json, 'input'), instructions: wordOf(flat.json, 'instructions') ?? '' }
}

/** @param json with the operator's defaults, or without. @throws {TollgateError} 400. */
export function askedOf(json: Json): SpeechAsked {
  const format = wordOf(json, 'response_format') ?? 'mp3'
  const contentType = Object.hasOwn(TYPES, format) ? TYPES[format] : undefined
  if (contentType === undefined)
    throw bad('response_format', `"response_format" must be one of ${Object.keys(TYPES).join(', ')}.`)
  const streamed = wordOf(json, 'stream_format') ?? 'audio'
  if (streamed !== 'audio' && streamed !== 'sse')
    throw bad('stream_format', '"stream_format" must be "audio" or "sse".')
  const speed = json.speed ?? 1
  if (typeof speed !== 'number' || !(speed >= SPEED.least && speed <= SPEED.most))
    throw bad('speed', `"speed" must be a number from ${SPEED.least} to ${SPEED.most}.`)
  const isEvents = streamed === 'sse'
  return { format, contentType: isEvents ? 'text/event-stream; charset=utf-8' : contentType, isEvents, speed }
}
