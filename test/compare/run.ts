/**
 * npm run compare -- bridge: the same requests for a model whose provider speaks chat completions only, to Tollgate and to LiteLLM's
 * bridges, one scripted provider behind both. What each sent and answered is compared; a difference without a reason fails the run.
 * npm run compare -- litellm: a few hundred requests to Tollgate and to a real LiteLLM proxy; see litellm.ts. It is installed once, in the
 * folder that TOLLGATE_PEERS names.
 *   --python FILE  an interpreter that has litellm (default: $TOLLGATE_LITELLM_PYTHON or python3)
 *   --seed N, --count N, --show WORDS (differences whose line has the words, in full; of litellm, requests)
 */
import { parseArgs } from 'node:util'
import { compareBridge } from './bridge.ts'
import { compareLitellm } from './litellm.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: 'string' },
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '300' },
    show: { type: 'string' },
  },
})
const show = values.show ?? null
const [what] = positionals
if (what !== 'bridge' && what !== 'litellm') throw new Error('npm run compare -- bridge, or npm run compare -- litellm')
const python = values.python ?? process.env.TOLLGATE_LITELLM_PYTHON ?? 'python3'
process.exitCode =
  what === 'litellm'
    ? await compareLitellm({ show })
    : await compareBridge({ python, seed: Number(values.seed), count: Number(values.count), show })
