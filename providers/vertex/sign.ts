/** A request to Vertex AI carries a token, which a credential is exchanged for: a service account signs a statement of who it is. */
import { createHash, createPrivateKey } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Sign, TokenRequest } from '../sign.ts'
import { type GoogleAccount, unpackGoogleAccount } from './credentials.ts'

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
const SECONDS = 3_600

export const signVertex: Sign = async (_, { credential, at, token }) => {
  const account = unpackGoogleAccount(credential)
  if (account === null) return { authorization: `Bearer ${credential}` }
  const value = await token(requestFor(account, credential, at))
  // What a person uses counts for a project, which has to be named.
  const project = account.type === 'authorized_user' ? account.quota_project_id : undefined
  return { authorization: `Bearer ${value}`, ...(project === undefined ? {} : { 'x-goog-user-project': project }) }
}

function requestFor(account: GoogleAccount, credential: string, at: Date): TokenRequest {
  return {
    id: createHash('sha256').update(credential).digest('hex'),
    url: account.token_uri,
    form: async () => {
      if (account.type === 'authorized_user') {
        const { client_id, client_secret, refresh_token } = account
        return { grant_type: 'refresh_token', client_id, client_secret, refresh_token }
      }
      const now = Math.floor(at.getTime() / 1000)
      const assertion = await new SignJWT({ scope: SCOPE })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: account.private_key_id ?? '' })
        .setIssuer(account.client_email)
        .setAudience(account.token_uri)
        .setIssuedAt(now)
        .setExpirationTime(now + SECONDS)
        .sign(createPrivateKey(account.private_key))
      return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }
    },
  }
}
