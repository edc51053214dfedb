/**
 * Who asks Amazon Bedrock: an access key with its secret, packed into one text, or a key of Bedrock's own, which is sent as it is. Packed
 * is JSON in base64, so that it can be kept wherever a key can.
 */
import { asObject, parseJson } from '../json.ts'

export interface AwsKey {
  accessKeyId: string
  secretAccessKey: string
  /** Of a key that expires. */
  sessionToken?: string
}

/** The parts by LiteLLM's names. @throws {Error} where one is missing. */
export function packAwsKey(parts: Readonly<Partial<Record<string, string>>>): string {
  const { aws_access_key_id: id, aws_secret_access_key: secret, aws_session_token: token } = parts
  if (id === undefined) throw new Error('an access key needs its aws_access_key_id')
  if (secret === undefined) throw new Error('an access key needs its aws_secret_access_key')
  const key = {
    aws_access_key_id: id,
    aws_secret_access_key: secret,
    ...(token === undefined ? {} : { aws_session_token: token }),
  }
  return Buffer.from(JSON.stringify(key)).toString('base64')
}

/** Null for a text that is sent as it is. */
export function unpackAwsKey(credential: string): AwsKey | null {
  const json = asObject(parseJson(Buffer.from(credential, 'base64')))
  const { aws_access_key_id: id, aws_secret_access_key: secret, aws_session_token: token } = json ?? {}
  if (typeof id !== 'string' || typeof secret !== 'string') return null
  return { accessKeyId: id, secretAccessKey: secret, ...(typeof token === 'string' ? { sessionToken: token } : {}) }
}
