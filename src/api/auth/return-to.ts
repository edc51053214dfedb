/** Where a browser goes after a login: always a page of this server, whatever the link to the login named. */

/** The app. */
export const AFTER_LOGIN = '/'
const ANY_ORIGIN = 'http://own.invalid'

/** @returns path and query; `AFTER_LOGIN` for an address of another site. */
export function returnTo(stated: string | undefined): string {
  // Browsers read `//host`, `/\host` and addresses with a line break or a tab as another site.
  if (stated === undefined || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(stated)) return AFTER_LOGIN
  const url = URL.canParse(stated, ANY_ORIGIN) ? new URL(stated, ANY_ORIGIN) : null
  if (url === null || url.origin !== ANY_ORIGIN || url.pathname.startsWith('//')) return AFTER_LOGIN
  return `${url.pathname}${url.search}${url.hash}`
}
