/** The embedded PostgreSQL can't be had. The message names the place at fault and what to do; it is for the operator as it is. */
export class EmbeddedStoreError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'EmbeddedStoreError'
  }
}

/** `EACCES`, `ENOSPC`, `57P03`: the code of a failed system call or of PostgreSQL; null when there is none. */
export function errorCode(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null
  return typeof thrown.code === 'string' ? thrown.code : null
}

export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Runs `work`; a failed system call in it becomes an error that says what was tried, where, and what may help. */
export async function explaining<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof EmbeddedStoreError) throw thrown
    throw new EmbeddedStoreError(`${what}: ${errorText(thrown)}.${advice(errorCode(thrown))}`, thrown)
  }
}

function advice(code: string | null): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return ' Free some disk space and start again.'
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return ' Make it writable for the user that runs Tollgate, choose another data directory, or set DATABASE_URL.'
  }
  return ''
}
