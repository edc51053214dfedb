/** The id an exchange is traced by: the caller's X-Request-ID where it is safe to echo and to log, else one of ours. */

const SAFE = /^[\w.:\-/+=@~]{1,128}$/

export function requestIdOf(stated: string | string[] | undefined, own: () => string): string {
  return typeof stated === 'string' && SAFE.test(stated) ? stated : own()
}
