/**
 * The bare relay, as a process: what is left of a proxy when it does nothing but pass bytes on. node:http in front, undici's raw
 * dispatch behind, the same two libraries Tollgate uses; no routing, no JSON, no money.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'
import { answerAsks } from './answer-asks.ts'

export interface RelayWorker {
  /** Passes calls on to an origin. Returns its own origin: http://127.0.0.1:PORT */
  listen(upstream: string): Promise<string>
}

/** Of one connection, not of what is passed on. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'transfer-encoding']

function serve(pool: Pool, request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const { authorization = '', 'content-type': contentType = '' } = request.headers
    const path = request.url ?? '/'
    const headers = { authorization, 'content-type': contentType }
    pool.dispatch({ method: 'POST', path, headers, body: Buffer.concat(chunks) }, handlerFor(response))
  })
}

function handlerFor(response: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      response.on('drain', () => controller.resume())
      response.on('close', () => {
        if (!response.writableFinished) controller.abort(new Error('the client left'))
      })
    },
    onResponseStart(_, status, headers) {
      for (const name of HOP_BY_HOP) delete headers[name]
      response.writeHead(status, headers)
    },
    onResponseData(controller, chunk) {
      if (!response.write(chunk)) controller.pause()
    },
    onResponseEnd() {
      response.end()
    },
    onResponseError() {
      response.destroy()
    },
  }
}

answerAsks<RelayWorker>({
  async listen(upstream) {
    const pool = new Pool(upstream, { keepAliveTimeout: 30_000 })
    const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, (request, response) =>
      serve(pool, request, response),
    )
    server.listen(0, '127.0.0.1', 4_096)
    await once(server, 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  },
})
