/** The media that the messages of a chat completion name by URL. */
import { asObject } from '../../../providers/json.ts'
import { changeMembers, objectMembers } from '../../../providers/json-members.ts'
import type { ChatRequest } from '../../../providers/provider.ts'
import type { EndpointRequest, RemoteMedia, RemotePlace } from '../../call/endpoint.ts'

/** @param mustFetch true for a URL that has to be replaced; URLs of the provider's own storage do not. */
export function remoteMedia(
  request: ChatRequest,
  mustFetch: (url: string) => boolean,
  remake: (request: ChatRequest) => EndpointRequest,
): RemoteMedia | null {
  const placesIn = (messages: unknown) => remotePlaces(messages).filter(({ url }) => mustFetch(url))
  const count = placesIn(request.json.messages).length
  if (count === 0) return null
  return {
    count,
    param: 'messages',
    open() {
      const messages: unknown = structuredClone(request.json.messages)
      return { places: placesIn(messages), filled: () => remake(withMessages(request, messages)) }
    },
  }
}

function withMessages(request: ChatRequest, messages: unknown): ChatRequest {
  const text = changeMembers(request.text, request.members, [{ key: 'messages', value: JSON.stringify(messages) }])
  return { ...request, text, members: objectMembers(text), json: { ...request.json, messages } }
}

/** Every http(s) URL of a part that is an image, a sound, a video or a file. */
function remotePlaces(messages: unknown): RemotePlace[] {
  return list(messages).flatMap((message, m) =>
    list(asObject(message)?.content).flatMap((part, p) => {
      const found = holderOf(asObject(part))
      if (found === null) return []
      const { holder, key, path } = found
      const url = holder[key]
      if (typeof url !== 'string' || !/^https?:\/\//i.test(url)) return []
      const put = (dataUrl: string) => {
        holder[key] = dataUrl
      }
      return [{ url, param: `messages[${m}].content[${p}].${path}`, put }]
    }),
  )
}

type Json = Record<string, unknown>

/** The place of a part that may hold a URL: `image_url` is an object with `url`, or the URL itself. */
function holderOf(part: Json | null): { holder: Json; key: string; path: string } | null {
  if (part === null) return null
  if (part.type === 'file') {
    const file = asObject(part.file)
    return file === null ? null : { holder: file, key: 'file_data', path: 'file.file_data' }
  }
  const kind = ['image_url', 'video_url', 'audio_url'].find((name) => part.type === name)
  if (kind === undefined) return null
  const inner = asObject(part[kind])
  return inner === null ? { holder: part, key: kind, path: kind } : { holder: inner, key: 'url', path: `${kind}.url` }
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
