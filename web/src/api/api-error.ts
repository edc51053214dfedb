/** What the API said when it refused. */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  /** The id under which the server's log has the request. */
  readonly requestId: string | null

  constructor(status: number, code: string, message: string, requestId: string | null, cause?: unknown) {
    super(message, { cause })
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.requestId = requestId
  }
}

interface Said {
  error?: { message?: unknown; code?: unknown } | string
  detail?: unknown
}

/** Both shapes the server has: OpenAI's envelope, and Ops-Center's `detail`. */
export function errorOf(response: Response, text: string): ApiError {
  const said = read(text)
  const error = typeof said.error === 'object' ? said.error : {}
  const message = [error.message, said.error, said.detail].find((one) => typeof one === 'string')
  return new ApiError(
    response.status,
    typeof error.code === 'string' ? error.code : `${response.status}`,
    message === undefined ? `The server answered ${response.status} ${response.statusText}.` : String(message),
    response.headers.get('x-request-id'),
  )
}

function read(text: string): Said {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
