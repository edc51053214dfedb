/** The query of a request: all that is read of its URL beside the path, which requestPath reads. */
import type { IncomingMessage } from 'node:http'

export function requestQuery({ url = '' }: Pick<IncomingMessage, 'url'>): URLSearchParams {
  return new URLSearchParams(/\?([^#]*)/.exec(url)?.[1] ?? '')
}
