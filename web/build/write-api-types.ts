/**
 * Writes the types of our own routes, from the routes themselves, to web/src/api/schema.d.ts. It runs before each type check, so that
 * file is never old, and is not in the repository: two changes of routes never meet in it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { PROVIDERS } from '../../providers/registry.ts'
import { type AppDependencies, createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createPriceBook } from '../../src/metering/price.ts'

const FILE = new URL('../src/api/schema.d.ts', import.meta.url)

/** Every route, whatever the configuration: mounting calls nothing, so it needs no more than this. */
function describe(): object {
  const environment = { embedded: true, providers: PROVIDERS }
  const { config } = loadConfig('model_list: []', 'config.yaml', {}, environment)
  const calls = { money: { prices: createPriceBook() } }
  const app = createApp({ config, version: '0.0.0', calls } as AppDependencies)
  return app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'Tollgate', version: '0.0.0' } })
}

// openapi-typescript writes with the compiler's own printer, which TypeScript 7 does not have: it is given that of TypeScript 6.
registerHooks({
  resolve: (specifier, context, next) =>
    next(specifier === 'typescript' ? '@typescript/typescript6' : specifier, context),
})
const { default: generate, astToString, NULL, NUMBER, STRING } = await import('openapi-typescript')
const { default: typescript } = await import('@typescript/typescript6')
const exact = typescript.factory.createUnionTypeNode([NUMBER, STRING])
const exactOrNull = typescript.factory.createUnionTypeNode([NUMBER, STRING, NULL])
const text = astToString(
  await generate(JSON.stringify(describe()), {
    defaultNonNullable: false,
    silent: true,
    // The client keeps what a float can't hold as text: see web/src/api/client.ts.
    transform({ type }) {
      if (type === 'number') return exact
      return Array.isArray(type) && (type as string[]).includes('number') ? exactOrNull : undefined
    },
  }),
)
await mkdir(new URL('.', FILE), { recursive: true })
await writeFile(FILE, `// Written by web/build/write-api-types.ts.\n${text}`)
console.log(`wrote ${fileURLToPath(FILE)}`)
