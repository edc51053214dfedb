/** An event, or the response in it, with the model's name that was asked for; every other byte as it came. */
import { type Change, changeMembers, objectMembers } from '../json-members.ts'

/** Null where it says that name already, or none. */
export function renamed(data: string, asked: string, stated: unknown): Buffer | null {
  if (typeof stated !== 'string' || stated === '' || stated === asked) return null
  return withResponse(Buffer.from(data.replaceAll('\n', ' ')), () => [{ key: 'model', value: JSON.stringify(asked) }])
}

/** @param changesOf its response, which is given as its text. The event as a frame. */
export function withResponse(payload: Buffer, changesOf: (response: Buffer) => Change[]): Buffer {
  const members = objectMembers(payload)
  const own = members.findLast(({ key }) => key === 'response')
  const type = members.findLast(({ key }) => key === 'type')
  if (own === undefined || type === undefined) return eventFrame('message', payload)
  const response = payload.subarray(own.valueStart, own.end)
  const value = changeMembers(response, objectMembers(response), changesOf(response)).toString('utf8')
  const name = JSON.parse(payload.toString('utf8', type.valueStart, type.end)) as unknown
  return eventFrame(String(name), changeMembers(payload, members, [{ key: 'response', value }]))
}

/** A name of a provider's may be anything: in the line that says it, no line may end. */
export function eventFrame(name: string, payload: Buffer | string): Buffer {
  const data = typeof payload === 'string' ? Buffer.from(payload) : payload
  return Buffer.concat([Buffer.from(`event: ${name.replace(/[\r\n]/g, ' ')}\ndata: `), data, Buffer.from('\n\n')])
}
