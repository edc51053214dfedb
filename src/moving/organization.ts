/** What is carried, as it will stand here. Amounts are microcredits. */
export interface MovedOrganization {
  id: string
  /** Its id there. */
  theirs: string
  name: string
  row: Readonly<Record<string, string | null>>
  pool: MovedPool | null
  members: Map<string, Readonly<Record<string, string | null>>>
  allocations: Map<string, MovedAllocation>
  subscriptions: Readonly<Record<string, string | null>>[]
  history: Readonly<Record<string, string | null>>[]
  /** Rows of use that are carried. */
  charges: number
}

export interface MovedPool {
  row: Readonly<Record<string, string | null>>
  /** As they are there. */
  total: bigint
  allocated: bigint
  used: bigint
}

export interface MovedAllocation {
  id: string
  /** Null: it is not there; made here for the use it has rows of. */
  row: Readonly<Record<string, string | null>> | null
  allocated: bigint
  used: bigint
  /** What its rows of use add up to, and those above zero of them. */
  net: bigint
  charged: bigint
}
