/** The headers of every request to a provider, in lower case. What the operator adds counts more than what we say. */
export function ownHeaders(
  accept: string,
  extraHeaders: Readonly<Record<string, string>>,
  said: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept,
    'accept-encoding': 'identity',
    'user-agent': 'tollgate',
    ...said,
  }
  for (const [name, value] of Object.entries(extraHeaders)) headers[name.toLowerCase()] = value
  return headers
}
