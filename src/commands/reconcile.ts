/**
 * `tollgate reconcile openai|anthropic|openrouter`: a provider's bill beside the books. Exit code 1 where no call explains a difference.
 * The key for the report comes from the environment, or for OpenRouter from the vault, and is not printed.
 */
import { readFile } from 'node:fs/promises'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { Bill, Biller } from '../reconcile/bill.ts'
import { OTHER } from '../reconcile/bill.ts'
import { compareBill } from '../reconcile/compare-bill.ts'
import { readAnthropicBill } from '../reconcile/read-anthropic-bill.ts'
import { readBillFile } from '../reconcile/read-bill-file.ts'
import { readBooked } from '../reconcile/read-booked.ts'
import { readOpenaiBill } from '../reconcile/read-openai-bill.ts'
import { readOpenrouterBill } from '../reconcile/read-openrouter-bill.ts'
import { ReconcileError } from '../reconcile/reconcile-error.ts'
import { createKeyOpener } from '../vault/key-opener.ts'
import { findKeyRow } from '../vault/key-rows.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { reconciliationJson, reconciliationText } from './reconciliation-text.ts'
import { requireRootConfig } from './root-config.ts'
import { withPrepared } from './with-store.ts'

interface Account {
  base: string
  /** Environment variables with the key, the first one that is set. */
  variables: readonly string[]
  headers: (key: string) => Record<string, string>
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const ACCOUNTS: Readonly<Record<Biller, Account>> = {
  openai: { base: 'https://api.openai.com/v1', variables: ['OPENAI_ADMIN_KEY'], headers: bearer },
  anthropic: {
    base: 'https://api.anthropic.com/v1',
    variables: ['ANTHROPIC_ADMIN_KEY'],
    headers: (key) => ({ 'x-api-key': key, 'anthropic-version': '2023-06-01' }),
  },
  openrouter: {
    base: 'https://openrouter.ai/api/v1',
    variables: ['OPENROUTER_MANAGEMENT_KEY', 'OPENROUTER_PROVISIONING_KEY'],
    headers: bearer,
  },
}

export const reconcileOpenai = (options: Options): Promise<number> => reconcile('openai', options)
export const reconcileAnthropic = (options: Options): Promise<number> => reconcile('anthropic', options)
export const reconcileOpenrouter = (options: Options): Promise<number> => reconcile('openrouter', options)

function reconcile(biller: Biller, options: Options): Promise<number> {
  const span = options.days ?? { from: '', to: '' }
  return withPrepared(
    options,
    async (config, say) => ({ config, say }),
    async (database, { config, say }) => {
      const bill = await billOf(biller, options, database, { config, say }).catch(asCommandError)
      const booked = await readBooked(database, {
        provider: biller,
        span,
        deployments: config.deployments.map(({ id, provider, upstreamModel }) => ({
          deployment: id,
          provider,
          model: upstreamModel,
        })),
        hasOther: bill.lines.some(({ model }) => model === OTHER),
      })
      const { tolerance, providerKeys: keyOf } = options
      const lines = compareBill({ bill, ...booked, keyOf, tolerance })
      process.stdout.write(
        options.json
          ? `${JSON.stringify(reconciliationJson(biller, span, lines, bill.use), null, 2)}\n`
          : reconciliationText(biller, span, lines),
      )
      return lines.some(({ verdict }) => verdict === 'unexplained') ? EXIT.failed : EXIT.ok
    },
  )
}

interface Surroundings {
  config: Config
  say: (line: string) => void
}

async function billOf(biller: Biller, options: Options, database: Database, around: Surroundings): Promise<Bill> {
  const span = options.days ?? { from: '', to: '' }
  if (options.file !== null) return readBillFile(await textOf(options.file), biller, span)
  const { base, headers, variables } = ACCOUNTS[biller]
  const named = variables.map((name) => options.env[name]).find(Boolean)
  const key = named ?? (biller === 'openrouter' ? await provisioningKey(options, database, around) : null)
  if (key === null)
    throw new ReconcileError(
      `Set ${variables[0]}: cost reports want an admin key, not the key of calls. Or download the report as CSV and name it with --file.`,
    )
  const source = { base: options.apiBase ?? base, headers: headers(key) }
  if (biller === 'openai') return readOpenaiBill(source, span)
  if (biller === 'anthropic') return readAnthropicBill(source, span)
  return readOpenrouterBill(source, span, [...new Set(options.providerKeys.values())])
}

/** The platform's key for making keys at OpenRouter, which is a management key. */
async function provisioningKey(
  options: Options,
  database: Database,
  { config, say }: Surroundings,
): Promise<string | null> {
  const row = await findKeyRow(database.query, 'provisioning', { kind: 'platform' })
  if (row === null || !row.enabled) return null
  const root = await requireRootConfig(options, config, say)
  return createKeyOpener({ database, ...root }).open(row)
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new ReconcileError(`${file} can't be read: ${(error as Error).message}.`, { cause: error })
  }
}

function asCommandError(error: unknown): never {
  if (!(error instanceof ReconcileError)) throw error
  throw new CommandError(EXIT.failed, error.message, { cause: error })
}
