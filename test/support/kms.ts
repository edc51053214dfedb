/**
 * AWS KMS as far as sealing needs it, on loopback: GenerateDataKey, Encrypt and Decrypt over its JSON 1.1 protocol. One key; what
 * it encrypts is bound to the encryption context, as with the real one.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ScriptedKms {
  arn: string
  /** What points AWS's client here. */
  env: Record<string, string>
  /** The operations asked for so far, with their encryption contexts. */
  requests: { operation: string; context: Record<string, string>; signed: boolean }[]
  /** From now on every request is refused with this error, until null. */
  refuse(error: { status: number; type: string; message: string } | null): void
  close(): Promise<void>
}

interface KmsRequest {
  KeyId?: string
  CiphertextBlob?: string
  Plaintext?: string
  NumberOfBytes?: number
  EncryptionContext?: Record<string, string>
}

export async function startKms(): Promise<ScriptedKms> {
  const arn = 'arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'
  const secret = randomBytes(32)
  const requests: ScriptedKms['requests'] = []
  let refusal: { status: number; type: string; message: string } | null = null

  function answer(operation: string, asked: KmsRequest): Record<string, string> | null {
    const context = asked.EncryptionContext ?? {}
    if (operation === 'Decrypt') {
      const plain = open(secret, Buffer.from(asked.CiphertextBlob ?? '', 'base64'), context)
      return plain && { KeyId: arn, Plaintext: plain.toString('base64') }
    }
    const plain =
      operation === 'GenerateDataKey'
        ? randomBytes(asked.NumberOfBytes ?? 32)
        : Buffer.from(asked.Plaintext ?? '', 'base64')
    const answered = { KeyId: arn, CiphertextBlob: seal(secret, plain, context).toString('base64') }
    return operation === 'GenerateDataKey' ? { ...answered, Plaintext: plain.toString('base64') } : answered
  }

  const server = createServer(async (incoming, outgoing) => {
    const operation = `${incoming.headers['x-amz-target']}`.replace('TrentService.', '')
    const asked = await bodyOf(incoming)
    const signed = `${incoming.headers.authorization}`.startsWith('AWS4-HMAC-SHA256 Credential=AKIATEST/')
    requests.push({ operation, context: asked.EncryptionContext ?? {}, signed })
    const wrongKey = asked.KeyId !== undefined && asked.KeyId !== arn
    const body = refusal === null && !wrongKey ? answer(operation, asked) : null
    const error = refusal ?? { status: 400, type: 'InvalidCiphertextException', message: '' }
    outgoing.writeHead(body === null ? error.status : 200, { 'content-type': 'application/x-amz-json-1.1' })
    outgoing.end(JSON.stringify(body ?? { __type: error.type, message: error.message }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    arn,
    env: {
      AWS_ENDPOINT_URL_KMS: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      AWS_ACCESS_KEY_ID: 'AKIATEST',
      AWS_SECRET_ACCESS_KEY: 'not-a-secret',
    },
    requests,
    refuse: (error) => {
      refusal = error
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<KmsRequest> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}

function seal(secret: Buffer, plain: Buffer, context: Record<string, string>): Buffer {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, iv).setAAD(aad(context))
  return Buffer.concat([iv, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function open(secret: Buffer, sealed: Buffer, context: Record<string, string>): Buffer | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', secret, sealed.subarray(0, 12), { authTagLength: 16 })
    decipher.setAAD(aad(context)).setAuthTag(sealed.subarray(-16))
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
  } catch {
    return null
  }
}

function aad(context: Record<string, string>): Buffer {
  return Buffer.from(JSON.stringify(Object.entries(context).sort()))
}
