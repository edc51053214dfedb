/** Whatever strangers do with their connections, a caller beside them is served, and the process goes on. How fast is `npm run bench -- floods`. */
import { expect, test } from 'vitest'
import { FLOODS } from '../support/floods.ts'
import { useProduct } from '../support/product.ts'
import { startFlood } from '../support/start-flood.ts'
import { postChat } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

const CONNECTIONS = 40
const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test.for(FLOODS)('A caller is served beside a flood: $name', async (flood) => {
  const { keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  const broke = await product.db.seedOrganization({ credits: 0, users: { mallory: 0 } })
  product.upstream.respond(chat())
  const bounded = { ...flood, connections: Math.min(flood.connections, CONNECTIONS) }
  const running = [null, broke.keys.mallory].map((key) => startFlood(bounded, product.tollgate.url, key))
  try {
    const served = []
    for (let at = 0; at < 3; at += 1) served.push((await postChat(product.tollgate, keys.alice, HELLO)).status)
    expect(served).toEqual([200, 200, 200])
  } finally {
    for (const { stop } of running) stop()
  }
})
