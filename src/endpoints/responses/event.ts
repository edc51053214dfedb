/** An event of a response's stream, as its clients read it. */
export function event(type: string, members: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`)
}
