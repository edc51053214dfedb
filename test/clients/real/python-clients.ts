/** The clients for Python: `python_clients.py` with the interpreter that has one. */
import { fileURLToPath } from 'node:url'
import { EMBEDDING_CHARGE } from './lane.ts'
import { type Library, scenesOf } from './libraries.ts'
import { runClient } from './run-client.ts'

const SCRIPT = fileURLToPath(new URL('./python_clients.py', import.meta.url))

/** @param name as the script calls it. */
function library(name: string, rest: Omit<Library, 'run' | 'failsAt' | 'isQuick'>): Library {
  return {
    ...rest,
    isQuick: false,
    failsAt: { whole: 'plain', stream: 'stream' },
    run: (what, { model, key, patience }, stand, installed) =>
      runClient(installed.python(rest.client), [SCRIPT, name, what], {
        home: `${stand.folder}/home`,
        // It would look for prices at GitHub before it begins.
        env: { LITELLM_LOCAL_MODEL_COST_MAP: 'True' },
        input: JSON.stringify({ url: stand.url, key, model }),
        ...(patience === undefined ? {} : { patience }),
      }),
  }
}

const LIBRARIES: readonly Library[] = [
  library('openai', {
    client: 'openai for Python',
    model: 'gpt',
    once: {
      plain: {},
      stream: {},
      embeddings: { model: 'embedding', gives: /^\[0\.5, 0\.25\]$/m, charge: EMBEDDING_CHARGE },
      completions: { model: 'local' },
    },
    tasks: { tools: 'gemini', responses: 'gpt' },
  }),
  library('anthropic', {
    client: 'Anthropic for Python',
    model: 'claude',
    once: { plain: {}, stream: {} },
    tasks: { tools: 'claude' },
  }),
  library('litellm', { client: 'litellm', model: 'groq', once: { plain: {}, stream: {} }, tasks: { tools: 'claude' } }),
  library('langchain', {
    client: 'LangChain',
    model: 'gpt',
    once: { plain: {}, stream: {} },
    tasks: { tools: 'gemini', responses: 'gpt' },
  }),
  library('llamaindex', {
    client: 'LlamaIndex',
    model: 'local',
    once: { plain: {}, stream: {} },
    tasks: { tools: 'groq' },
  }),
  library('pydantic', {
    client: 'pydantic-ai',
    model: 'gpt',
    once: { plain: {}, stream: {} },
    tasks: { tools: 'gemini', responses: 'gpt', messages: 'claude' },
  }),
]

export const pythonClients = LIBRARIES.flatMap(scenesOf)
