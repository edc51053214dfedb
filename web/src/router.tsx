/** Every address of the app. What stands in the menu is in shell/menu.ts; the code of a screen is loaded when it is opened. */
import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from '@tanstack/react-router'
import { ApiError } from './api/api-error.ts'
import { meQuery } from './api/me.ts'
import { callSearch } from './screens/calls/call-search.ts'
import { keySearch } from './screens/keys/key-search.ts'
import { usageSearch } from './screens/usage/usage-search.ts'
import { Shell } from './shell/shell.tsx'
import { ShellFailure } from './shell/shell-failure.tsx'
import { signInSearch } from './shell/sign-in-search.ts'

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Outlet,
  notFoundComponent: lazyRouteComponent(() => import('./shell/not-found.tsx'), 'NotFound'),
})

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/app/sign-in',
  validateSearch: signInSearch,
  component: lazyRouteComponent(() => import('./shell/sign-in-screen.tsx'), 'SignInScreen'),
})

/** Everything but signing in: whoever is not signed in is sent there and comes back. */
const shell = createRoute({
  getParentRoute: () => root,
  id: 'shell',
  component: Shell,
  errorComponent: ShellFailure,
  async beforeLoad({ context, location }) {
    try {
      await context.queries.ensureQueryData(meQuery)
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error
      throw redirect({ to: '/app/sign-in', search: { return_to: location.href } })
    }
  },
})

const home = createRoute({
  getParentRoute: () => shell,
  path: '/',
  component: lazyRouteComponent(() => import('./screens/home/home-screen.tsx'), 'HomeScreen'),
})
const keys = createRoute({
  getParentRoute: () => shell,
  path: '/app/keys',
  validateSearch: keySearch,
  component: lazyRouteComponent(() => import('./screens/keys/keys-screen.tsx'), 'KeysScreen'),
})
const calls = createRoute({
  getParentRoute: () => shell,
  path: '/app/calls',
  validateSearch: callSearch,
  component: lazyRouteComponent(() => import('./screens/calls/calls-screen.tsx'), 'CallsScreen'),
})
const call = createRoute({
  getParentRoute: () => shell,
  path: '/app/calls/$callId',
  component: lazyRouteComponent(() => import('./screens/calls/call-screen.tsx'), 'CallScreen'),
})
const usage = createRoute({
  getParentRoute: () => shell,
  path: '/app/usage',
  validateSearch: usageSearch,
  component: lazyRouteComponent(() => import('./screens/usage/usage-screen.tsx'), 'UsageScreen'),
})
const models = createRoute({
  getParentRoute: () => shell,
  path: '/app/models',
  validateSearch: ({ model }): { model?: string } => (typeof model === 'string' ? { model } : {}),
  component: lazyRouteComponent(() => import('./screens/models/models-screen.tsx'), 'ModelsScreen'),
})
const ownKeys = createRoute({
  getParentRoute: () => shell,
  path: '/app/own-keys',
  component: lazyRouteComponent(() => import('./screens/own-keys/own-keys-screen.tsx'), 'OwnKeysScreen'),
})

const tree = root.addChildren([signIn, shell.addChildren([home, keys, calls, call, usage, models, ownKeys])])

export function createAppRouter(queries: QueryClient) {
  return createRouter({
    routeTree: tree,
    context: { queries },
    defaultPreload: 'intent',
    scrollRestoration: true,
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
}
