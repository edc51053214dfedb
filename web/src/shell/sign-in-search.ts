/** @returns only a path of our own: a link from elsewhere must not send people away after they signed in. */
export function signInSearch(search: Record<string, unknown>): { return_to?: string } {
  const to = search.return_to
  return typeof to === 'string' && /^\/(?![/\\])/.test(to) ? { return_to: to } : {}
}
