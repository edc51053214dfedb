/** A flat request as a call, and the stream of such endpoints: its events end it, with no mark behind them. */
import type { FlatRequest } from '../../../providers/flat-request.ts'
import { dataFrame } from '../../../providers/sse-frames.ts'
import type { EndpointRequest, StreamForm } from '../../call/endpoint.ts'
import { errorBody } from '../../http/errors.ts'

export function flatCall(flat: FlatRequest, termsOn: EndpointRequest['termsOn']): EndpointRequest {
  return {
    // Made when somebody asks: of a form it is large.
    get text() {
      return flat.text
    },
    model: flat.model,
    stream: flat.stream,
    includeUsage: true,
    powerLevel: flat.json.power_level,
    mentionsUsageQuestion: () => false,
    remoteMedia: () => null,
    termsOn,
  }
}

export const EVENTS: StreamForm = {
  contentType: 'text/event-stream; charset=utf-8',
  keepAlive: Buffer.from(': keep-alive\n\n'),
  pending: Buffer.from(': settlement pending\n\n'),
  end: Buffer.alloc(0),
  error: (error) => dataFrame(JSON.stringify({ type: 'error', ...errorBody(error) })),
}
