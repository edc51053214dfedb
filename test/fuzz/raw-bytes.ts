/** Bytes of a connection: whole requests no client library makes, what only begins like one, and callers who hang up at once. */
import fc from 'fast-check'

export interface RawBytes {
  bytes: Buffer
  /** The connection is reset as soon as they are sent. */
  hangsUp: boolean
}

const BODY = '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}],"stream":true}'

/** First lines and headers; `KEY` stands for the credential. */
const HEADS = [
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\n',
  `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`,
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"mod\r\n',
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n',
  'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: the-spanish-inquisition\r\n\r\n',
  'GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
  'GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(20),
  'GET /docs HTTP/1.0\r\n\r\n',
  'GET http://other.example/v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer KEY\r\n\r\n',
  'GET /v1/models HTTP/1.1\r\nhost: [::1\r\nauthorization: Bearer KEY\r\n\r\n',
  'GET /v1/models HTTP/1.1\r\nhost: a b\r\n\r\n',
  'GET /v1/models?%=%&%ED%A0%80=\xff HTTP/1.1\r\nhost: x\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
  'CONNECT 127.0.0.1:1 HTTP/1.1\r\nhost: x\r\n\r\n',
  'TRACE /v1/models HTTP/1.1\r\nhost: x\r\n\r\n',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  '',
]

export const rawBytes = (key: string): fc.Arbitrary<RawBytes> =>
  fc
    .record({ head: fc.constantFrom(...HEADS), tail: fc.uint8Array({ maxLength: 200 }), hangsUp: fc.boolean() })
    .map(({ head, tail, hangsUp }) => ({
      bytes: Buffer.concat([Buffer.from(head.replaceAll('KEY', key), 'latin1'), tail]),
      hangsUp,
    }))
