/** The image of a deployment with a `mock_response`: one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII='

export function mockImages(n: number, created: number): { whole: Buffer; frames: readonly Buffer[] } {
  const data = Array.from({ length: n }, () => ({ b64_json: PIXEL }))
  const type = 'image_generation.completed'
  const event = `event: ${type}\ndata: ${JSON.stringify({ type, b64_json: PIXEL, created_at: created })}\n\n`
  return { whole: Buffer.from(JSON.stringify({ created, data })), frames: data.map(() => Buffer.from(event)) }
}
