/** Bytes on a connection of their own, whether they are HTTP or not. */
import { connect } from 'node:net'
import type { RawBytes } from './raw-bytes.ts'

/** What came back until the other side closed. Our side is closed as soon as all is sent. */
export function sendRaw(host: string, port: number, { bytes, hangsUp }: RawBytes): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, host, () => {
      if (hangsUp) socket.write(bytes, () => socket.resetAndDestroy())
      else socket.end(bytes)
    })
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      answer += text
    })
    // A reset is an answer too.
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })
}
