/** Every place of a request where a credential may be, for OpenAPI. One credential is enough, on every route that requires one. */
import { KEY_HEADERS, LAST_HEADER, LITELLM_HEADER } from '../identity/credential.ts'

type Scheme = {
  description: string
} & ({ type: 'http'; scheme: string } | { type: 'apiKey'; in: 'header' | 'cookie'; name: string })

export interface CredentialPlaces {
  /** The cookie of a session. */
  cookie: string
  /** `litellm_key_header_name`; null for none. */
  keyHeader: string | null
}

const NOTES: Readonly<Record<string, string>> = {
  [LITELLM_HEADER]: 'Takes precedence over all others: a proxy in front may fill Authorization with its own token.',
  'x-service-key': 'The header in which services of Ops-Center send their key.',
  'x-api-key': "Where Anthropic's SDKs send a key.",
  'api-key': "Where Azure OpenAI's SDKs send a key.",
  'x-goog-api-key': "Where Google's SDKs send a key.",
  [LAST_HEADER]: "Where clients of Azure's API Management send a key. Counts where no other place has one.",
}

/** By name. */
export function credentialSchemes({ cookie, keyHeader }: CredentialPlaces): Record<string, Scheme> {
  const headers = new Set([...KEY_HEADERS, LAST_HEADER, LITELLM_HEADER, ...(keyHeader === null ? [] : [keyHeader])])
  return {
    bearer: {
      type: 'http',
      scheme: 'bearer',
      description:
        'An API key (`uc_` and 64 hex digits), a virtual key, a service key, a token of an identity provider, or the master key.',
    },
    ...Object.fromEntries(
      [...headers].map((name): [string, Scheme] => [
        name,
        {
          type: 'apiKey',
          in: 'header',
          name,
          description: NOTES[name] ?? 'Named by the operator. Takes precedence over all others.',
        },
      ]),
    ),
    session: {
      type: 'apiKey',
      in: 'cookie',
      name: cookie,
      description: 'The session of a person who logged in. A page of another site can change nothing with it.',
    },
  }
}
