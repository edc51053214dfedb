/** The sound of a deployment with a `mock_response`: a tenth of a second of silence, as wav. */
const SAMPLES = 2_400
const HEAD = Buffer.from(
  '524946460000000057415645666d74201000000001000100c05d000080bb0000020010006461746100000000',
  'hex',
)

export function mockSpeech(isEvents: boolean): { whole: Buffer; frames: readonly Buffer[] } {
  const head = Buffer.from(HEAD)
  const samples = Buffer.alloc(SAMPLES * 2)
  head.writeUInt32LE(head.length - 8 + samples.length, 4)
  head.writeUInt32LE(samples.length, head.length - 4)
  const sound = Buffer.concat([head, samples])
  const event = (json: Record<string, string>) => Buffer.from(`data: ${JSON.stringify(json)}\n\n`)
  const events = [
    event({ type: 'speech.audio.delta', audio: sound.toString('base64') }),
    event({ type: 'speech.audio.done' }),
  ]
  return { whole: sound, frames: isEvents ? events : [sound] }
}
