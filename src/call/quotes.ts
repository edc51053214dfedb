/**
 * Quotes: the prices of a call, promised before it is made. Nothing is stored. A quote is a signed text that the caller sends back with
 * the call: for whom, for which body, until when, and the rates, markup and level it fixes. All replicas of one database have the same
 * secret, so each accepts what another has signed. A quote that was changed, has expired, or is for another caller or request is refused
 * before anything is held. Fails closed: where the secret can't be read, no quote is made or accepted.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { PowerLevel } from '../config/config.ts'
import type { TollgateError } from '../http/errors.ts'
import { hashInSlices } from '../http/in-slices.ts'
import type { Caller } from '../identity/caller.ts'
import { DATA_SET } from '../metering/listed-price.ts'
import type { Agreed } from './agreed.ts'
import type { Candidate } from './candidate.ts'
import type { Endpoint, EndpointRequest } from './endpoint.ts'
import { powerLevelOf } from './power-level.ts'
import { priceVersion } from './price-version.ts'
import { quoteRefusal } from './quote-refusal.ts'
import { agreedIn, type WrittenTerms, writtenTerms } from './written-terms.ts'

/** The header with which a caller sends a quote back. */
export const QUOTE_HEADER = 'x-tollgate-quote'
/** How long the prices of a quote are valid. */
export const QUOTE_SECONDS = 600
/** Longer than any quote we make. */
const LONGEST = 8_192
const ALGORITHM = 'HS256'
const TYPE = 'quote'

/** What a quote is for. */
export interface Quoted {
  caller: Pick<Caller, 'organizationId' | 'userId'>
  request: Pick<EndpointRequest, 'text' | 'powerLevel'>
  endpoint: Pick<Endpoint, 'name'>
}

export interface MadeQuote {
  id: string
  /** A name of the prices: equal for equal prices. */
  version: string
  expiresAt: Date
}

export interface Quotes {
  /** @param at a whole second, whose prices the quote fixes. */
  make(
    quoted: Quoted,
    terms: { powerLevel: PowerLevel; candidates: readonly Candidate[]; at: Date },
  ): Promise<MadeQuote>
  /** Returns what the quote in these headers fixes. @throws {TollgateError} 400, 503. */
  open(headers: IncomingHttpHeaders, quoted: Quoted): Promise<Agreed>
}

interface Payload extends WrittenTerms {
  /** Hashes of the caller and of the body. */
  who: string
  body: string
  endpoint: string
  version: string
  iat: number
  exp: number
}

/** @param secret reads the secret of this database; called when it is first needed. */
export function createQuotes(secret: () => Promise<Uint8Array>, now: () => Date): Quotes {
  return {
    async make(quoted, { powerLevel, candidates, at }) {
      const issued = at.getTime() / 1000
      const expires = issued + QUOTE_SECONDS
      const version = priceVersion(candidates)
      const payload = { ...(await boundTo(quoted)), version, ...writtenTerms(powerLevel, candidates) }
      const id = await new SignJWT(payload)
        .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
        .setIssuedAt(issued)
        .setExpirationTime(expires)
        .sign(await secret())
      return { id, version, expiresAt: new Date(expires * 1000) }
    },
    async open(headers, quoted) {
      const payload = await read(headers[QUOTE_HEADER], await secret(), now())
      refuseOther(payload, await boundTo(quoted), quoted.request, headers['x-power-level'])
      return agreedIn(payload, { at: new Date(payload.iat * 1000), version: payload.version })
    },
  }
}

async function read(text: string | string[] | undefined, secret: Uint8Array, currentDate: Date): Promise<Payload> {
  if (typeof text !== 'string' || text.length > LONGEST) throw invalid()
  try {
    const options = { algorithms: [ALGORITHM], typ: TYPE, currentDate, requiredClaims: ['iat', 'exp', 'who', 'body'] }
    return (await jwtVerify<Payload>(text, secret, options)).payload
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw quoteRefusal('quote_expired', 'This quote has expired.')
    if (error instanceof errors.JOSEError) throw invalid()
    throw error
  }
}

function refuseOther(
  payload: Payload,
  { who, body, endpoint }: Bound,
  { powerLevel }: Quoted['request'],
  header: string | string[] | undefined,
): void {
  if (payload.who !== who) throw quoteRefusal('quote_of_another_caller', 'This quote was made for another caller.')
  if (payload.body !== body || payload.endpoint !== endpoint) {
    throw quoteRefusal('quote_of_another_request', 'This quote was made for another request: its body differs.')
  }
  // A call that states no level uses the quoted one.
  const isStated = header !== undefined || (powerLevel !== undefined && powerLevel !== null)
  if (isStated && powerLevelOf(header, powerLevel) !== payload.level) {
    throw quoteRefusal('quote_of_another_level', `This quote was made for the power level ${payload.level}.`)
  }
  if (payload.list !== DATA_SET)
    throw quoteRefusal('quote_void', 'The list of prices has changed since this quote was made.')
}

type Bound = Pick<Payload, 'who' | 'body' | 'endpoint'>

async function boundTo({ caller, request, endpoint }: Quoted): Promise<Bound> {
  const who = createHash('sha256').update(`${caller.organizationId}\0${caller.userId}`).digest('base64url')
  return { who, body: (await hashInSlices(request.text)).toString('base64url'), endpoint: endpoint.name }
}

function invalid(): TollgateError {
  return quoteRefusal('invalid_quote', 'X-Tollgate-Quote holds no quote that was made here.')
}
