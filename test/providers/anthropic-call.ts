/** A request to Anthropic as a test says it: the members that matter, the rest as it usually is. */
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderCall } from '../../providers/provider.ts'
import { parseRequest } from '../../src/chat/read-request.ts'

export type Json = Record<string, unknown>

export const HAIKU = 'claude-haiku-4-5'
export const USER = { role: 'user', content: 'Hi' }
export const ADD = { type: 'function', function: { name: 'add', description: 'Adds', parameters: { type: 'object' } } }

export function prepare(json: Json, rest: Partial<ProviderCall> = {}) {
  const request = parseRequest(Buffer.from(JSON.stringify({ model: 'claude', messages: [USER], ...json })))
  return anthropic.prepare({
    request,
    model: HAIKU,
    apiKey: 'sk-ant-1',
    apiBase: null,
    organization: null,
    extraHeaders: {},
    defaults: {},
    outputCap: null,
    drop: [],
    askUsage: true,
    ...rest,
  })
}

export const sent = (json: Json, rest: Partial<ProviderCall> = {}): Json =>
  JSON.parse(prepare(json, rest).body.toString())
export const refused = (json: Json, model = HAIKU) =>
  anthropic
    .refuses({ model: 'claude', messages: [USER], ...json }, model)
    .map(({ param, droppable }) => [param, droppable] as const)
export const text = (value: string) => ({ type: 'text', text: value })
