/** What compose.yaml and the Dockerfile promise of every container: nothing it does not need, and bounds on what it takes. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

interface Service {
  image?: string
  build?: string
  command?: string[]
  user?: string
  cap_drop?: string[]
  cap_add?: string[]
  privileged?: boolean
  security_opt?: string[]
  read_only?: boolean
  restart?: string
  network_mode?: string
  mem_limit?: string
  pids_limit?: number
  ulimits?: Record<string, number>
  volumes?: string[]
  ports?: string[]
  environment?: Record<string, string | null>
  logging?: { driver: string; options: Record<string, string> }
  depends_on?: Record<string, { condition: string }>
}

const read = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const compose: { services: Record<string, Service>; volumes: Record<string, unknown> } = parse(
  await read('compose.yaml'),
  { merge: true },
)
const services = Object.entries(compose.services)
const PINNED = /^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/

test('There are the containers that this test knows, and no other.', () => {
  expect(Object.keys(compose.services)).toEqual([
    'make-secrets',
    'migrate',
    'ops-center-centerdeep',
    'unicorn-postgresql',
    'unicorn-redis',
    'prometheus',
    'grafana',
  ])
})

test.each(services)('%s has no right it does not need.', (name, service) => {
  expect(service.cap_drop).toEqual(['ALL'])
  expect(service.cap_add).toBeUndefined()
  expect(service.privileged).toBeUndefined()
  expect(service.security_opt).toEqual(['no-new-privileges:true'])
  expect(service.read_only).toBe(true)
  expect(service.user).toMatch(name === 'make-secrets' ? /^0:0$/ : /^[1-9]\d*:\d+$/)
  // The one that runs as root writes files and talks to nobody.
  if (service.user === '0:0') expect(service.network_mode).toBe('none')
  for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/)
  expect(service.volumes?.some((volume) => volume.includes('docker.sock'))).toBe(false)
})

test.each(services)('%s takes a bounded share of the machine, and writes no core dump.', (_, service) => {
  expect(service.mem_limit).toMatch(/^\d+[mg]$/)
  expect(service.pids_limit).toBeGreaterThan(0)
  expect(service.ulimits).toEqual({ core: 0, nofile: expect.any(Number) })
  expect(service.logging).toEqual({
    driver: 'json-file',
    options: { 'max-size': '20m', 'max-file': '5', mode: 'non-blocking', 'max-buffer-size': '4m' },
  })
})

test.each(services)('%s is built here or pinned by digest.', (_, service) => {
  if (service.build === undefined) expect(service.image).toMatch(PINNED)
  else expect([service.build, service.image]).toEqual(['.', 'tollgate'])
})

test('The image is made from one base, pinned by digest, of the Node that package.json pins.', async () => {
  const dockerfile = await read('Dockerfile')
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
  expect(bases).toHaveLength(3)
  expect(new Set(bases).size).toBe(1)
  expect(bases[0]).toMatch(PINNED)
  const { devDependencies } = JSON.parse(await read('package.json')) as { devDependencies: Record<string, string> }
  expect(bases[0]).toMatch(new RegExp(`^node:${devDependencies.node}-`))
  expect(dockerfile).toMatch(/^USER 10001:10001$/m)
})

test('Each container mounts its own secrets and no other, read only.', () => {
  const mounted = services.flatMap(([name, { volumes = [] }]) =>
    volumes.filter((volume) => volume.startsWith('secrets')).map((volume) => `${name} ${volume}`),
  )
  expect(mounted.filter((mount) => !mount.startsWith('make-secrets '))).toEqual([
    'migrate secrets-migrate:/run/tollgate:ro',
    'ops-center-centerdeep secrets-proxy:/run/tollgate:ro',
    'unicorn-postgresql secrets-database:/run/tollgate:ro',
    'unicorn-redis secrets-redis:/run/tollgate:ro',
    'prometheus secrets-prometheus:/run/tollgate:ro',
    'grafana secrets-grafana:/run/tollgate:ro',
  ])
  const made = Object.keys(compose.volumes).filter((name) => name.startsWith('secrets-'))
  expect(mounted.filter((mount) => mount.startsWith('make-secrets '))).toEqual(
    made.map((name) => `make-secrets ${name}:/run/tollgate/${name.slice('secrets-'.length)}`),
  )
})

test('No secret stands in the file, and none in an environment variable that is ours to make.', () => {
  for (const [, { environment = {} }] of services) {
    for (const [name, value] of Object.entries(environment))
      if (value !== null && /PASSWORD|SECRET|TOKEN|KEY|URL/.test(name))
        expect(value, name).toMatch(/^\/run\/tollgate\//)
  }
})

test('The program starts as a role that owns nothing, after another migrated.', () => {
  const command = (name: string, ...args: string[]) => [
    'node',
    `--env-file=/run/tollgate/${name}.env`,
    'src/main.ts',
    ...args,
  ]
  expect(compose.services).toMatchObject({
    migrate: { command: command('migrate', 'migrate') },
    'ops-center-centerdeep': {
      command: command('proxy', 'start'),
      depends_on: { migrate: { condition: 'service_completed_successfully' } },
    },
  })
})
