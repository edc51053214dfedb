/** A cloud that hosts models of others: by what a configuration says where it stands, whose account pays, and who asks. */

/** A member of `litellm_params`, and the variables that stand in for it. */
export interface CloudSetting {
  member: string
  variables: readonly string[]
}

export interface CloudFacts {
  /** `usual`: where it stands if nobody says it. */
  region: CloudSetting & { usual: string }
  /** An address in the place of the cloud's own, where another member than `api_base` says it. */
  endpoint: CloudSetting | null
  /** The account that pays, where a credential does not name it. */
  account: CloudSetting | null
  /** The members that a credential is made of, each written for itself. */
  parts: readonly CloudSetting[]
  /** A credential as JSON, or the path of a file of it. */
  file: CloudSetting | null
  /** Members that lead to credentials which nobody reads here. */
  unread: readonly string[]
  /** What a model's name says of the region, and the name without it; null where it says nothing. */
  placeIn?(model: string): { region: string; model: string } | null
  baseOf(region: string): string
  /** The one text that stands for a credential. @throws {Error} whose message says, without a secret, why these are none. */
  credentialOf(parts: Readonly<Partial<Record<string, string>>>): string
  /** The account that a credential belongs to; null where it names none. Left out where none is needed. */
  accountOf?(credential: string): string | null
  /** Why a model can't be served; null for one that can. */
  refuses(model: string): string | null
}

/** The address of a region's host, where that is a part of the address; the region goes along for what is signed and named by it. */
export function withRegion(base: string, name: string, region: string): string {
  return `${base}?${name}=${encodeURIComponent(region)}`
}

/** Of an address that `withRegion` made. */
export function regionIn(base: URL, name: string): string {
  return base.searchParams.get(name) ?? ''
}
