/**
 * What a run is called. The id is a signed text: whose it is, until when, and which rows of `ledger_limits` bound it and the runs it was
 * opened within. So a call that names a run asks nobody what the run is, and nobody can make one up. All replicas of one database
 * accept it. Fails closed: where the secret can't be read, no call of a run starts.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { TollgateError } from '../http/errors.ts'
import type { Limit, Payer } from './ledger.ts'

/** Bounds credits, and calls; every run has a row of calls, for closing takes that away. */
export const RUN = 'run'
export const RUN_CALLS = 'run_calls'
export const RUN_HEADER = 'x-tollgate-run'
/** Runs within runs. */
export const RUN_DEPTH = 4

const PREFIX = 'run_'
const OWNER = 16
const MAC = 16
const HEAD = 8 + OWNER
const LINK = 17
const LONGEST = 200

type Owner = Pick<Payer, 'organizationId' | 'userId'>

export interface RunLink {
  /** Its row in `tollgate.runs`. */
  id: string
  boundsCredits: boolean
}

export interface OpenedRun {
  expiresAt: Date
  /** The runs it was opened within, the outermost first, and itself. */
  chain: readonly RunLink[]
}

export interface Runs {
  sign(owner: Owner, run: OpenedRun): Promise<string>
  /** @throws {TollgateError} 400 for what is no run, 403 for somebody else's, 503. */
  read(owner: Owner, id: string): Promise<OpenedRun>
  /** What a call of this run counts on. @throws {TollgateError} 400, 402 where it has expired, 403, 503. */
  limitsOf(owner: Owner, id: string): Promise<readonly Limit[]>
}

/** @param secret reads the secret of this database; called when it is first needed. */
export function createRuns(secret: () => Promise<Uint8Array>, now: () => Date): Runs {
  async function read(owner: Owner, id: string): Promise<OpenedRun> {
    const bytes = bytesOf(id)
    const signed = bytes.subarray(0, -MAC)
    if (!timingSafeEqual(macOf(signed, await secret()), bytes.subarray(-MAC))) throw invalid()
    if (!signed.subarray(8, HEAD).equals(ownerOf(owner))) throw somebodyElses()
    const links = Array.from({ length: (signed.length - HEAD) / LINK }, (_, place) =>
      signed.subarray(HEAD + place * LINK, HEAD + (place + 1) * LINK),
    )
    return {
      expiresAt: new Date(Number(signed.readBigInt64BE(0))),
      chain: links.map((link) => ({ id: uuidOf(link.subarray(0, 16)), boundsCredits: link[16] === 1 })),
    }
  }

  return {
    async sign(owner, { expiresAt, chain }) {
      const until = Buffer.alloc(8)
      until.writeBigInt64BE(BigInt(expiresAt.getTime()))
      const links = chain.flatMap(({ id, boundsCredits }) => [
        Buffer.from(id.replaceAll('-', ''), 'hex'),
        Buffer.from([boundsCredits ? 1 : 0]),
      ])
      const signed = Buffer.concat([until, ownerOf(owner), ...links])
      return PREFIX + Buffer.concat([signed, macOf(signed, await secret())]).toString('base64url')
    },
    read,
    async limitsOf(owner, id) {
      const { expiresAt, chain } = await read(owner, id)
      if (expiresAt <= now()) throw expired(expiresAt)
      return chain.flatMap((link) => limitsOfLink(link))
    },
  }
}

/** Their amounts stand in their rows. */
function limitsOfLink({ id, boundsCredits }: RunLink): Limit[] {
  const calls: Limit = { kind: RUN_CALLS, id, window: null, unit: 'calls', amount: null }
  return boundsCredits ? [{ kind: RUN, id, window: null, unit: 'credits', amount: null }, calls] : [calls]
}

function bytesOf(id: string): Buffer {
  if (!id.startsWith(PREFIX) || id.length > LONGEST) throw invalid()
  const bytes = Buffer.from(id.slice(PREFIX.length), 'base64url')
  const links = bytes.length - HEAD - MAC
  if (links < LINK || links % LINK !== 0) throw invalid()
  return bytes
}

function ownerOf({ organizationId, userId }: Owner): Buffer {
  return createHash('sha256').update(`${organizationId}/${userId}`).digest().subarray(0, OWNER)
}

/** The same secret signs quotes; nothing of these begins as this does. */
function macOf(signed: Buffer, secret: Uint8Array): Buffer {
  return createHmac('sha256', secret).update('run\0').update(signed).digest().subarray(0, MAC)
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function invalid(): TollgateError {
  const message = 'This is no run. Send the id that POST /v1/runs returned, as it came, in X-Tollgate-Run.'
  return new TollgateError(400, 'invalid_run', message, { param: 'X-Tollgate-Run' })
}

function somebodyElses(): TollgateError {
  const message = 'This run was opened by another user or in another organization. Open one of your own: POST /v1/runs.'
  return new TollgateError(403, 'run_of_another', message, { param: 'X-Tollgate-Run' })
}

function expired(at: Date): TollgateError {
  const message = `This run ended at ${at.toISOString()}. Open another one: POST /v1/runs.`
  return new TollgateError(402, 'run_expired', message, { headers: { 'x-should-retry': 'false' } })
}
