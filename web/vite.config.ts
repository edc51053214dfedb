/** How the app is built: `npm run build:web` into web/dist, or `npm run dev:web` before a product that runs. */
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { compressed } from './build/compressed.ts'
import { themeCss } from './build/theme-css.ts'
import { usedCss } from './build/used-css.ts'

/** Paths of the product itself, while Vite serves the app. */
const API = ['/v1', '/api', '/auth', '/key', '/openapi.json', '/docs', '/health', '/favicon.ico']

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [react(), themeCss(), usedCss(), compressed()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    // No `data:` addresses and no scripts in the page: the policy of the server allows neither.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    reportCompressedSize: false,
    // Otherwise parts that only screens share are put into the first view.
    rolldownOptions: { experimental: { chunkOptimization: false } },
  },
  server: {
    proxy: Object.fromEntries(API.map((path) => [path, process.env.TOLLGATE_URL ?? 'http://127.0.0.1:4000'])),
  },
})
