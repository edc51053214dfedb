#!/usr/bin/env node
// Runs src/main.ts on a Node that can: this one if it is new enough, else the one the repository pins through npm.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const pinned = fileURLToPath(new URL('../node_modules/node/bin/node', import.meta.url))
const installed = fileURLToPath(new URL('../node_modules/hono/package.json', import.meta.url))

if (!existsSync(installed)) refuse('nothing is installed yet. Run: npm ci')
else if (Number(process.versions.node.split('.')[0]) >= 24) await import(main)
else if (existsSync(pinned)) forward(spawn(pinned, [main, ...process.argv.slice(2)], { stdio: 'inherit' }))
else refuse(`needs Node 24 or later, and this is ${process.version}. Run npm ci, which brings one.`)

function refuse(why) {
  console.error(`tollgate: ${why}`)
  process.exitCode = 1
}

/** Signals go to the program, its exit code comes back. */
function forward(child) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 1 : 128)
  })
}
