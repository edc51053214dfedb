/**
 * Relays one attempt's stream: bytes pass as they come, the reader meters them on the way. Ends in exactly one of the ways of
 * RelayEnd; whoever awaits it settles.
 */
import type { ProviderError, StreamPart, StreamReader } from '../../providers/provider.ts'
import type { ClientStream } from './client-stream.ts'
import type { Exchange } from './exchange.ts'
import type { ResponseHeaders, UpstreamControl, UpstreamHandler } from './upstream.ts'

export type RelayEnd =
  /** The provider finished its answer. */
  | { kind: 'done' }
  /** The caller left; upstream was told to stop. */
  | { kind: 'client_gone' }
  /** We stopped it: what is left to spend is spent, or the process is going down. */
  | { kind: 'stopped' }
  /** The provider refused, failed or was cut off. */
  | { kind: 'failed'; error: ProviderError }

export interface RelayOptions {
  exchange: Exchange
  client: ClientStream
  reader: StreamReader
  /** Starts the call upstream. */
  start: (handler: UpstreamHandler) => UpstreamControl
  readError: (status: number, headers: ResponseHeaders, body: Buffer) => ProviderError
  readFailure: (error: Error) => ProviderError
  /** Aborted when the process goes down. */
  shutdown: AbortSignal
  /** After each piece passed on; may call `stop`. */
  onPassed: (stop: () => void) => void
  /** Runs at the first byte from upstream. */
  onFirstByte: () => void
}

const ERROR_BODY_MAX = 64 * 1024

export function relayStream(options: RelayOptions): Promise<RelayEnd> {
  const { exchange, client, reader } = options
  return new Promise((resolve) => {
    let ended = false
    let control: UpstreamControl | null = null
    let refused: { status: number; headers: ResponseHeaders; body: Buffer[]; size: number } | null = null

    const onShutdown = () => end({ kind: 'stopped' }, true)

    function end(result: RelayEnd, abort: boolean): void {
      if (ended) return
      ended = true
      options.shutdown.removeEventListener('abort', onShutdown)
      if (abort) control?.abort()
      resolve(result)
    }

    function pass(part: StreamPart): void {
      if (part.bytes !== null && !client.write(part.bytes)) {
        control?.pause()
        client.onDrain(() => control?.resume())
      }
      if (part.error !== null) end({ kind: 'failed', error: part.error }, true)
      else if (part.done) end({ kind: 'done' }, false)
      else if (part.bytes !== null) options.onPassed(() => end({ kind: 'stopped' }, true))
    }

    function guarded(read: () => void): void {
      if (ended) return
      try {
        read()
      } catch (error) {
        end({ kind: 'failed', error: options.readFailure(error as Error) }, true)
      }
    }

    exchange.onGone(() => end({ kind: 'client_gone' }, true))
    options.shutdown.addEventListener('abort', onShutdown)
    if (options.shutdown.aborted) onShutdown()
    if (ended) return
    control = options.start({
      onHead(status, headers) {
        options.onFirstByte()
        if (status !== 200) refused = { status, headers, body: [], size: 0 }
      },
      onData(chunk) {
        if (refused === null) return guarded(() => pass(reader.push(chunk)))
        refused.size += chunk.length
        if (refused.size <= ERROR_BODY_MAX) refused.body.push(chunk)
      },
      onEnd() {
        if (refused !== null) {
          const { status, headers, body } = refused
          return end({ kind: 'failed', error: options.readError(status, headers, Buffer.concat(body)) }, false)
        }
        guarded(() => {
          pass(reader.end())
          if (reader.finishReasons.length > 0 || reader.reading.usage !== null) end({ kind: 'done' }, false)
          else
            end(
              { kind: 'failed', error: options.readFailure(new Error('the stream ended before the answer did')) },
              false,
            )
        })
      },
      onError: (error) => end({ kind: 'failed', error: options.readFailure(error) }, false),
    })
    // The caller may have left while the call was being started.
    if (ended) control.abort()
  })
}
