/**
 * Builds the app on `npm ci`. It never fails: the proxy works without the app, and says so when it starts. It skips where the
 * development dependencies are missing (`npm ci --omit=dev`). JavaScript: an older Node that installs the program runs it.
 */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
try {
  if (!existsSync(`${root}/node_modules/vite`)) console.log('The dashboard is not built: Vite is not installed.')
  else {
    process.chdir(root)
    // Whatever it is at installation: React has another build for development.
    process.env.NODE_ENV = 'production'
    const { build } = await import('vite')
    await build({ configFile: `${dirname(import.meta.dirname)}/vite.config.ts`, logLevel: 'warn' })
  }
} catch (error) {
  console.log(`The dashboard is not built: ${error instanceof Error ? error.message : error}. Try: npm run build:web`)
}
