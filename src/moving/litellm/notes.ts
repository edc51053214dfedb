/** What the move has to say of a row: it is left, or it is otherwise here. */

export type What =
  | 'organizations'
  | 'budgets'
  | 'users'
  | 'teams'
  | 'team members'
  | 'customers'
  | 'keys'
  | 'deployments'
  | 'others'

export interface Note {
  /** left: it is not carried. changed: it is carried otherwise than it is there. */
  is: 'left' | 'changed'
  what: What
  /** Its id there; of a key its alias or its hash. */
  row: string
  says: string
}

export interface Notes {
  readonly all: readonly Note[]
  left(what: What, row: string, says: string): void
  changed(what: What, row: string, says: string): void
}

export function createNotes(): Notes {
  const all: Note[] = []
  return {
    all,
    left: (what, row, says) => void all.push({ is: 'left', what, row, says }),
    changed: (what, row, says) => void all.push({ is: 'changed', what, row, says }),
  }
}
