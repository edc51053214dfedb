export interface SignInSearch {
  return_to?: string
  /** The server sends people here whose link was used already, or is too old. */
  link?: 'over'
}

/** @returns only a path of our own: a link from elsewhere must not send people away after they signed in. */
export function signInSearch(search: Record<string, unknown>): SignInSearch {
  const { return_to: to, link } = search
  return {
    ...(typeof to === 'string' && /^\/(?![/\\])/.test(to) && { return_to: to }),
    ...(link === 'over' && { link }),
  }
}
