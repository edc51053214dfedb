/** The routes of the app itself, for tests that must not miss a new one. */
import { PROVIDERS } from '../../providers/registry.ts'
import { type AppDependencies, createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createPriceBook } from '../../src/metering/price.ts'

export interface AppRoute {
  method: string
  /** In OpenAPI's form: `/v1/calls/{call_id}`. */
  path: string
}

/** Every route, without middleware. */
export function appRoutes(): AppRoute[] {
  const { config } = loadConfig('model_list: []', 'config.yaml', {}, { embedded: true, providers: PROVIDERS })
  // Mounting calls nothing, so a route needs no more than this to be listed.
  const calls = { money: { prices: createPriceBook() } }
  const { routes } = createApp({ config, version: '0.0.0', calls } as AppDependencies)
  return routes
    .filter(({ method }) => method !== 'ALL')
    .map(({ method, path }) => ({ method, path: path.replaceAll(/:(\w+)(?:\{[^}]*\})?/g, '{$1}') }))
}
