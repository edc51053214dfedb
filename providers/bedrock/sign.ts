/** Signs a request to Amazon Bedrock by AWS's Signature Version 4; a key of Bedrock's own goes as a token. */
import { Sha256Node } from '@smithy/core/checksum'
import { SignatureV4 } from '@smithy/signature-v4'
import { regionIn } from '../cloud.ts'
import type { Sign } from '../sign.ts'
import { unpackAwsKey } from './credentials.ts'

const SERVICE = 'bedrock'
export const REGION = 'region'

export const signBedrock: Sign = async (request, { credential, apiBase, at }) => {
  const key = unpackAwsKey(credential)
  if (key === null) return { authorization: `Bearer ${credential}` }
  const { hostname, host, port, protocol } = new URL(request.origin)
  const signer = new SignatureV4({
    service: SERVICE,
    region: apiBase === null ? '' : regionIn(new URL(apiBase), REGION),
    credentials: key,
    sha256: Sha256Node,
  })
  const added = { 'x-amz-content-sha256': (await request.hash()).toString('hex') }
  const { headers } = await signer.sign(
    {
      method: 'POST',
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path: request.path,
      headers: { ...request.headers, ...added, host },
    },
    { signingDate: at },
  )
  const signed = ['authorization', 'x-amz-date', 'x-amz-security-token']
    .map((name): [string, string | undefined] => [name, headers[name]])
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
  return { ...added, ...Object.fromEntries(signed) }
}
