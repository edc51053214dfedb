/**
 * Who asks Vertex AI: a service account or a person, whose file Google makes, packed into one text; or a token that somebody else fetched,
 * which is sent as it is. Packed is JSON in base64, of those members alone that are needed.
 */
import { createPrivateKey } from 'node:crypto'
import { asObject, parseJson } from '../json.ts'

export interface ServiceAccount {
  type: 'service_account'
  project_id?: string
  private_key_id?: string
  private_key: string
  client_email: string
  token_uri: string
}

/** A person who logged in with gcloud. */
export interface AuthorizedUser {
  type: 'authorized_user'
  quota_project_id?: string
  client_id: string
  client_secret: string
  refresh_token: string
  token_uri: string
}

export type GoogleAccount = ServiceAccount | AuthorizedUser

const TOKEN_URI = 'https://oauth2.googleapis.com/token'
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  service_account: ['private_key', 'client_email'],
  authorized_user: ['client_id', 'client_secret', 'refresh_token'],
}
const TAKEN = ['type', 'project_id', 'quota_project_id', 'private_key_id', 'token_uri']

/** @throws {Error} that says what is wrong with it. */
export function packGoogleAccount({
  vertex_credentials: text = '',
}: Readonly<Partial<Record<string, string>>>): string {
  if (text === '') throw new Error('the file of the credential can not be read')
  const json = asObject(parseJson(text))
  if (json === null) throw new Error('the credential is no JSON object')
  const type = typeof json.type === 'string' ? json.type : ''
  const needed = Object.hasOwn(NEEDED, type) ? NEEDED[type] : undefined
  if (needed === undefined) throw new Error('the credential is neither a service account’s nor an authorized user’s')
  const missing = needed.find((name) => typeof json[name] !== 'string' || json[name] === '')
  if (missing !== undefined) throw new Error(`the credential has no ${missing}`)
  if (type === 'service_account') checkKey(String(json.private_key))
  const taken = [...TAKEN, ...needed].flatMap((name) => (typeof json[name] === 'string' ? [[name, json[name]]] : []))
  return Buffer.from(JSON.stringify(Object.fromEntries(taken))).toString('base64')
}

function checkKey(key: string): void {
  try {
    createPrivateKey(key)
  } catch {
    throw new Error('the private_key of the credential can not be read')
  }
}

/** Null for a token, which is sent as it is. */
export function unpackGoogleAccount(credential: string): GoogleAccount | null {
  const json = asObject(parseJson(Buffer.from(credential, 'base64')))
  const needed = typeof json?.type === 'string' && Object.hasOwn(NEEDED, json.type) ? NEEDED[json.type] : undefined
  if (json === null || needed?.every((name) => typeof json[name] === 'string') !== true) return null
  return { token_uri: TOKEN_URI, ...json } as GoogleAccount
}

/** The project that a credential belongs to. */
export function projectOf(credential: string): string | null {
  const account = unpackGoogleAccount(credential)
  return (account?.type === 'service_account' ? account.project_id : account?.quota_project_id) ?? null
}
