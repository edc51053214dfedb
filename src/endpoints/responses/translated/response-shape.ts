/** The response object around its output, at the start and at the end of a stream. */
type Json = Readonly<Record<string, unknown>>

export interface Ending {
  status: 'in_progress' | 'completed' | 'incomplete'
  incomplete_details: { reason: string } | null
}

export const RUNNING: Ending = { status: 'in_progress', incomplete_details: null }

/** @param finish the finish reason of the chat completion. */
export function endingOf(finish: unknown): Ending {
  const reason = finish === 'length' ? 'max_output_tokens' : finish === 'content_filter' ? 'content_filter' : null
  return reason === null
    ? { status: 'completed', incomplete_details: null }
    : { status: 'incomplete', incomplete_details: { reason } }
}

export interface Head {
  id: string
  created: number
  /** The request. */
  asked: Json
}

/** Members that a response repeats only where they were sent. */
const REPEATED = ['user', 'safety_identifier', 'prompt_cache_key']

/** The response without its usage. It repeats the request's members, except those about keeping it. */
export function responseOf({ id, created, asked }: Head, ending: Ending, output: readonly Json[]): Json {
  return {
    id,
    object: 'response',
    created_at: created,
    ...ending,
    background: false,
    error: null,
    instructions: asked.instructions ?? null,
    max_output_tokens: asked.max_output_tokens ?? null,
    max_tool_calls: asked.max_tool_calls ?? null,
    metadata: asked.metadata ?? {},
    model: asked.model,
    output,
    parallel_tool_calls: asked.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: asked.reasoning ?? { effort: null, summary: null },
    store: false,
    temperature: asked.temperature ?? 1,
    text: asked.text ?? { format: { type: 'text' } },
    tool_choice: asked.tool_choice ?? 'auto',
    tools: asked.tools ?? [],
    top_p: asked.top_p ?? 1,
    truncation: 'disabled',
    ...Object.fromEntries(REPEATED.flatMap((name) => (asked[name] === undefined ? [] : [[name, asked[name]]]))),
  }
}

/** The JSON text of a response with the usage, whose numbers keep their exact digits. */
export function withUsage(response: Json, usage: string): string {
  return `${JSON.stringify(response).slice(0, -1)},"usage":${usage}}`
}
