/** Members of management answers: ours as they are, LiteLLM's as its own types state them, for without a database it does not answer. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Json } from '../support/response-answers.ts'
import type { HttpAnswer } from './litellm-differences.ts'
import type { Asked } from './litellm-requests.ts'

export interface MembersDifference {
  path: string
  /** Members of LiteLLM's that ours does not have. */
  missing: string[]
}

type Ask = (asked: Pick<Asked, 'method' | 'path' | 'body'>) => Promise<HttpAnswer>

/** @param python that has LiteLLM. */
export async function litellmMembers(python: string): Promise<Record<string, string[]>> {
  const script = fileURLToPath(new URL('litellm_members.py', import.meta.url))
  const env = { ...process.env, LITELLM_LOCAL_MODEL_COST_MAP: 'True' }
  const { stdout } = await promisify(execFile)(python, [script], { env })
  return JSON.parse(stdout.slice(stdout.indexOf('{'))) as Record<string, string[]>
}

/** Makes one of each, and looks which members the answers have. @param ask Tollgate, with the operator's key. */
export async function missingMembers(ask: Ask, theirs: Record<string, string[]>): Promise<MembersDifference[]> {
  const ours = await ourAnswers(ask)
  return Object.entries(theirs).map(([path, names]) => {
    const members = ours[path] ?? {}
    return { path, missing: names.filter((name) => !(name in members)) }
  })
}

async function ourAnswers(ask: Ask): Promise<Record<string, Json>> {
  const post = async (path: string, body: Json) => answered(await ask({ method: 'POST', path, body }), path)
  const get = async (path: string) => answered(await ask({ method: 'GET', path }), path)
  const budget = { max_budget: 5, budget_duration: '30d' }
  const key = await post('/key/generate', { key_alias: 'compared', tags: ['a'], ...budget })
  const user = await post('/user/new', { user_id: 'compared', ...budget })
  // The calls that were compared are booked.
  const [log = {}] = (await get('/spend/logs?summarize=false')) as unknown as Json[]
  return {
    '/key/generate': key,
    '/key/info': (await get(`/key/info?key=${String(key.token)}`)).info as Json,
    '/user/new': user,
    '/user/info': (await get('/user/info?user_id=compared')).user_info as Json,
    '/team/new': await post('/team/new', { team_id: 'compared', ...budget }),
    '/organization/new': await post('/organization/new', { organization_alias: 'compared', ...budget }),
    '/budget/new': await post('/budget/new', { budget_id: 'compared', ...budget }),
    '/customer/new': await post('/customer/new', { user_id: 'compared', ...budget }),
    '/spend/logs': log,
  }
}

function answered({ status, body }: HttpAnswer, path: string): Json {
  if (status !== 200) throw new Error(`${path}: ${status} ${body.slice(0, 500)}`)
  return JSON.parse(body) as Json
}
