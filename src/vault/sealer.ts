/**
 * Seals a text for one place and opens it there: envelope encryption by the AWS Encryption SDK, a fresh data key for each text,
 * wrapped by a root key. What comes out is `tollgate:<root's name>:<message in base64>`. Fails closed: nothing comes out of a
 * text that was cut, changed, moved or sealed under a root key that is not here.
 */
import type { KeyringNode, KmsKeyringNodeInput } from '@aws-crypto/client-node'
import { type EncryptionSdk, loadEncryptionSdk, loadKmsParts } from './encryption-sdk.ts'
import type { SealContext } from './key-owner.ts'
import type { KmsRoot, RawRoot, Root } from './root-key.ts'
import { UnreadableKeyError } from './unreadable-key-error.ts'

const NAMESPACE = 'tollgate'
const FORM = /^tollgate:(.+):([A-Za-z0-9+/]+={0,2})$/
const TEXT_MAX = 16_384
/** A KMS that says nothing must not hold a call for long. */
const KMS_PATIENCE = { connectionTimeout: 2_000, requestTimeout: 3_000 }

export interface Sealer {
  seal(text: string, context: SealContext, root: Root): Promise<string>
  /** @throws {UnreadableKeyError} and, where KMS can't be asked just now, any other error. */
  open(sealed: string, context: SealContext, roots: readonly Root[]): Promise<string>
}

/** The name of the root key a text was sealed under; null when it is not sealed. */
export function sealedUnder(sealed: string): string | null {
  return FORM.exec(sealed)?.[1] ?? null
}

export function createSealer(): Sealer {
  const keyrings = new Map<string, KeyringNode>()
  let loaded: ReturnType<typeof prepare> | null = null
  const sdk = () => {
    loaded ??= prepare(loadEncryptionSdk())
    return loaded
  }

  function keyringOf(root: Root): KeyringNode {
    const known = keyrings.get(root.name)
    if (known !== undefined) return known
    const made = root.kind === 'raw' ? sdk().rawKeyring(root) : kmsKeyring(root)
    keyrings.set(root.name, made)
    return made
  }

  return {
    async seal(text, context, root) {
      const { result } = await sdk().encrypt(keyringOf(root), text, context)
      return `${NAMESPACE}:${root.name}:${result.toString('base64')}`
    },
    async open(sealed, context, roots) {
      const [, name, message] = FORM.exec(sealed) ?? []
      if (name === undefined || message === undefined) {
        throw new UnreadableKeyError(
          'not_sealed',
          'it is not sealed, so it was not stored by Tollgate; save the key again',
        )
      }
      const root = roots.find((candidate) => candidate.name === name)
      if (root === undefined) throw unknownRoot(name, roots)
      const { plaintext, messageHeader } = await sdk()
        .decrypt(keyringOf(root), Buffer.from(message, 'base64'))
        .catch((cause: unknown) => {
          throw failure(root, cause)
        })
      const bound = messageHeader.encryptionContext
      if (!sameContext(bound, context)) throw misplaced(bound)
      return plaintext.toString('utf8')
    },
  }
}

function prepare(sdk: EncryptionSdk) {
  const options = { commitmentPolicy: sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, maxEncryptedDataKeys: 1 }
  const { encrypt } = sdk.buildEncrypt(options)
  const { decrypt } = sdk.buildDecrypt(options)
  // Committing, so that a message opens to one text under one key only. Without a signature: it would tell readers from
  // writers, and here whoever can open can seal.
  const suiteId = sdk.AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY
  return {
    encrypt: (keyring: KeyringNode, text: string, context: SealContext) =>
      encrypt(keyring, text, { suiteId, encryptionContext: { ...context } }),
    decrypt: (keyring: KeyringNode, message: Buffer) => decrypt(keyring, message, { maxBodySize: TEXT_MAX }),
    rawKeyring: ({ name, bytes }: RawRoot): KeyringNode =>
      new sdk.RawAesKeyringNode({
        keyNamespace: NAMESPACE,
        keyName: name,
        unencryptedMasterKey: Uint8Array.from(bytes),
        wrappingSuite: sdk.RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
      }),
  }
}

type KmsClient = ReturnType<NonNullable<KmsKeyringNodeInput['clientProvider']>>

/** Endpoint and credentials come from AWS's own environment variables, the region from the ARN. */
function kmsKeyring({ name }: KmsRoot): KeyringNode {
  const { KmsKeyringNode, KMS } = loadKmsParts()
  // Only the ARN's own region is ever asked for.
  let client: InstanceType<typeof KMS> | null = null
  return new KmsKeyringNode({
    generatorKeyId: name,
    clientProvider(region) {
      client ??= new KMS({ region, maxAttempts: 2, requestHandler: KMS_PATIENCE })
      // The two packages differ in how they spell an optional member, in types only.
      return client as unknown as KmsClient
    },
  })
}

function sameContext(bound: SealContext, expected: SealContext): boolean {
  const names = Object.keys(expected)
  return Object.keys(bound).length === names.length && names.every((name) => bound[name] === expected[name])
}

function unknownRoot(name: string, roots: readonly Root[]): UnreadableKeyError {
  const here = roots.map((root) => root.name).join(', ')
  return new UnreadableKeyError(
    'unknown_root',
    `it is sealed under root key ${name}, and here is ${here}; give this process that root key as well, or save the key again`,
  )
}

function misplaced({ purpose, provider, owner }: SealContext): UnreadableKeyError {
  return new UnreadableKeyError(
    'misplaced',
    `it was sealed for another place (${[purpose, provider, owner].filter(Boolean).join(', ')}) and moved here; save the key again`,
  )
}

/** With KMS, not being able to ask is not a damaged key. */
function failure(root: Root, cause: unknown): Error {
  const text = String((cause as Error).message)
  if (root.kind === 'kms' && /KMS CMKs had an error/.test(text) && !/InvalidCiphertext|IncorrectKey/.test(text)) {
    return new Error(`KMS did not open it: ${/Error #1\s+(.*)/.exec(text)?.[1] ?? 'no answer'}`, { cause })
  }
  return new UnreadableKeyError('damaged', 'it was cut or changed since it was sealed; save the key again', { cause })
}
