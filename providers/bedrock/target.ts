/** Where a model of Amazon Bedrock's is invoked, and by which name. */
import { withRegion } from '../cloud.ts'
import { ownHeaders } from '../own-headers.ts'
import type { UpstreamRequest } from '../provider.ts'
import { REGION } from './sign.ts'

interface Target {
  model: string
  apiBase: string | null
  extraHeaders: Readonly<Record<string, string>>
}

export const USUAL_REGION = 'us-west-2'

export function baseOf(region: string): string {
  return withRegion(`https://bedrock-runtime.${region}.amazonaws.com`, REGION, region)
}

/** `converse/`, `invoke/`: by which operation LiteLLM asks; here the model decides that. */
export function bareModel(name: string): string {
  return name.replace(/^(?:converse|invoke|converse_like)\//, '')
}

/** `us-east-1/anthropic.claude-v2:1` */
export function placeIn(name: string): { region: string; model: string } | null {
  const [, region, model] = /^(?:(?:converse|invoke)\/)?([a-z]{2}(?:-[a-z]+){1,2}-\d)\/(.+)$/.exec(name) ?? []
  return region === undefined || model === undefined ? null : { region, model }
}

/** The name whose price a model has: of a profile's or a model's ARN its last part, which for one of the account's own says nothing. */
export function pricedName(name: string): string {
  const model = bareModel(name)
  return /^arn:aws[\w-]*:bedrock:[^:]*:[^:]*:(?:inference-profile|foundation-model)\/(.+)$/.exec(model)?.[1] ?? model
}

export function bedrockTarget(
  { model, apiBase, extraHeaders }: Target,
  operation: string,
  accept: string,
): Omit<UpstreamRequest, 'body'> {
  const base = new URL(apiBase ?? baseOf(USUAL_REGION))
  const headers = ownHeaders(accept, extraHeaders)
  // Names may come from callers: none may lead to another path.
  const path = `${base.pathname.replace(/\/+$/, '')}/model/${encodeURIComponent(bareModel(model))}/${operation}`
  return { origin: base.origin, path, headers }
}

export const EVENT_STREAM = 'application/vnd.amazon.eventstream'
