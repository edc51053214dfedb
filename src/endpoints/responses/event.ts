/** An event in the stream of a response. */
export function event(type: string, members: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`)
}
