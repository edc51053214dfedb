/** A request to Anthropic as a test says it: the members that matter, the rest as it usually is. */
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderCall } from '../../providers/provider.ts'
import { providerCall } from '../support/provider-call.ts'

export type Json = Record<string, unknown>

export const HAIKU = 'claude-haiku-4-5'
export const USER = { role: 'user', content: 'Hi' }
export const ADD = { type: 'function', function: { name: 'add', description: 'Adds', parameters: { type: 'object' } } }

export function prepare(json: Json, rest: Partial<ProviderCall> = {}) {
  const text = JSON.stringify({ model: 'claude', messages: [USER], ...json })
  return anthropic.chat.prepare(providerCall(text, { model: HAIKU, apiKey: 'sk-ant-1', ...rest }))
}

export const sent = (json: Json, rest: Partial<ProviderCall> = {}): Json =>
  JSON.parse(prepare(json, rest).body.toString())
export const refused = (json: Json, model = HAIKU) =>
  anthropic.chat
    .refuses({ model: 'claude', messages: [USER], ...json }, model)
    .map(({ param, droppable }) => [param, droppable] as const)
export const text = (value: string) => ({ type: 'text', text: value })
