import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-database.ts'],
    setupFiles: ['test/support/wait-longer.ts'],
    expect: { poll: { timeout: 20_000 } },
    // A process a file: what one leaves open ends with it. Two, because each file also keeps the one database server busy.
    pool: 'forks',
    fileParallelism: true,
    maxWorkers: 2,
    // For what hangs: on a machine that is shared, a test may take several times as long as alone.
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
})
