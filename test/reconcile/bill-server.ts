/** The cost reports of OpenAI, Anthropic and OpenRouter on loopback, in the form their documentation states, in pages of one day. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Billed {
  day: string
  /** OpenAI's line item; else the model. Null: of no model. */
  item: string | null
  key?: string
  /** Dollars, as text. */
  dollars: string
  calls?: number
}

export interface BillServer {
  url: string
  /** Paths with their queries, and the header that has the key. */
  asked: { url: string; key: string | undefined }[]
  close(): Promise<void>
}

export async function startBillServer(billed: readonly Billed[], key: string): Promise<BillServer> {
  const asked: BillServer['asked'] = []
  const days = [...new Set(billed.map(({ day }) => day))].sort()
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://127.0.0.1')
    const sent = request.headers['x-api-key'] ?? request.headers.authorization?.replace('Bearer ', '')
    asked.push({ url: request.url ?? '', key: sent as string | undefined })
    const answer =
      sent === key ? report(url, billed, days) : { status: 401, body: { error: { message: `no such key ${sent}` } } }
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

function report(url: URL, billed: readonly Billed[], days: readonly string[]): { status: number; body: unknown } {
  const index = Number(url.searchParams.get('page') ?? 0)
  const day = days[index] ?? ''
  const next = { has_more: index + 1 < days.length, next_page: index + 1 < days.length ? String(index + 1) : null }
  const ofDay = billed.filter((one) => one.day === day)
  const seconds = Date.parse(day) / 1_000
  switch (url.pathname) {
    case '/organization/costs':
      return ok({
        object: 'page',
        data: [{ object: 'bucket', start_time: seconds, end_time: seconds + 86_400, results: ofDay.map(openaiCost) }],
        ...next,
      })
    case '/organization/usage/completions':
      return ok({
        data: [{ start_time: seconds, results: ofDay.filter(({ calls }) => calls).map(openaiUsage) }],
        ...next,
      })
    case '/organizations/cost_report':
      return ok({
        data: [{ starting_at: `${day}T00:00:00Z`, ending_at: '', results: ofDay.map(anthropicCost) }],
        ...next,
      })
    case '/organizations/usage_report/messages':
      return ok({ data: [{ starting_at: `${day}T00:00:00Z`, results: ofDay.map(anthropicUsage) }], ...next })
    case '/activity': {
      const hash = url.searchParams.get('api_key_hash')
      const rows = billed.filter(
        (one) => one.day === url.searchParams.get('date') && (hash === null || one.key === hash),
      )
      return ok({ data: rows.map(openrouterRow) })
    }
    default:
      return { status: 404, body: { error: { message: url.pathname } } }
  }
}

const ok = (body: unknown) => ({ status: 200, body })
const openaiCost = ({ item, dollars, key }: Billed) => ({
  object: 'organization.costs.result',
  amount: { value: Number(dollars), currency: 'usd' },
  ...{ line_item: item, project_id: null, api_key_id: key ?? null },
})
const openaiUsage = ({ item, calls, key }: Billed) => ({
  object: 'organization.usage.completions.result',
  ...{
    input_tokens: 10,
    output_tokens: 5,
    num_model_requests: calls,
    model: item?.split(', ')[0],
    api_key_id: key ?? null,
  },
})
const anthropicCost = ({ item, dollars }: Billed) => ({
  amount: String(Number(dollars) * 100),
  ...{ currency: 'USD', cost_type: item === null ? 'web_search' : 'tokens', model: item, workspace_id: null },
})
const anthropicUsage = ({ item, key }: Billed) => ({
  ...{ uncached_input_tokens: 7, cache_read_input_tokens: 2, output_tokens: 5, model: item, api_key_id: key ?? null },
  cache_creation: { ephemeral_1h_input_tokens: 1, ephemeral_5m_input_tokens: 0 },
})
const openrouterRow = ({ day, item, dollars, calls }: Billed) => ({
  ...{
    date: day,
    model: item,
    model_permaslug: item,
    usage: Number(dollars),
    byok_usage_inference: 9,
    requests: calls ?? 1,
  },
  ...{ endpoint_id: 'x', provider_name: 'X', prompt_tokens: 1, completion_tokens: 1, reasoning_tokens: 0 },
})
