/** Where a browser goes after a login: a page of ours, whatever the link that began the login said. */

/** Where people see that they are known. */
export const AFTER_LOGIN = '/auth/session'
const ANY_ORIGIN = 'http://own.invalid'

/** @returns path and query; `AFTER_LOGIN` for what leads elsewhere. */
export function returnTo(stated: string | undefined): string {
  // Browsers read `//host`, `/\host` and what has a line break or a tab in it as another site.
  if (stated === undefined || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(stated)) return AFTER_LOGIN
  const url = URL.canParse(stated, ANY_ORIGIN) ? new URL(stated, ANY_ORIGIN) : null
  if (url === null || url.origin !== ANY_ORIGIN || url.pathname.startsWith('//')) return AFTER_LOGIN
  return `${url.pathname}${url.search}${url.hash}`
}
