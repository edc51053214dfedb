/** The log's own backlog: a reader that is slow, stopped or gone costs lines and nothing else. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const MODULE = fileURLToPath(new URL('../../src/observe/log-output.ts', import.meta.url))
const LINE = 200
const BACKLOG = 100_000

/** A process that logs to its standard error, with `output`, `line(n)` and `say(text)` (to standard output) at hand. */
function logging(script: string): ChildProcess {
  const source = `
    import { setTimeout as pause } from 'node:timers/promises'
    import { createLogOutput } from ${JSON.stringify(MODULE)}
    const output = createLogOutput({ fd: 2, backlogBytes: ${BACKLOG} })
    const line = (n) => JSON.stringify({ n }).padEnd(${LINE - 1}) + '\\n'
    const say = (text) => console.log(text)
    ${script}`
  return spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['pipe', 'pipe', 'pipe'] })
}

async function textOf(stream: ChildProcess['stderr']): Promise<string> {
  let text = ''
  for await (const part of stream!.setEncoding('utf8')) text += part
  return text
}

test('Where nobody reads the log, the program runs on, its memory stays, and it ends when it wants to.', async () => {
  const child = logging(`
    const before = process.memoryUsage().rss
    for (let n = 0; n < 200_000; n += 1) {
      output.write(line(n))
      if (n % 1_000 === 0) await pause(0)
    }
    say(output.dropped > 198_000)
    say(process.memoryUsage().rss - before < 40_000_000)
    await output.drain(10)
    say('over')`)
  const ended = once(child, 'exit')
  expect(await textOf(child.stdout)).toBe('true\ntrue\nover\n')
  expect((await ended)[0]).toBe(0)
})

test('A reader who comes back to the log gets whole lines in order, and how many are missing between them.', async () => {
  const child = logging(`
    for (let n = 0; n < 3_000; n += 1) output.write(line(n))
    say('written')
    process.stdin.once('data', async () => {
      await output.drain(60_000)
      output.write(line('last'))
      await output.drain(60_000)
      process.exit(0)
    })`)
  await once(child.stdout!, 'data')
  child.stdin!.write('go')
  const lines = (await textOf(child.stderr))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { n?: number | string; dropped?: number; msg?: string })
  const numbers = lines.flatMap(({ n }) => (typeof n === 'number' ? [n] : []))
  expect(numbers).toEqual(numbers.map((_, index) => index))
  expect(numbers).toHaveLength(BACKLOG / LINE)
  expect(lines.filter(({ dropped }) => dropped !== undefined)).toMatchObject([
    { level: 'warn', dropped: 3_000 - BACKLOG / LINE, msg: expect.stringContaining('left out') },
  ])
  expect(lines.at(-1)).toEqual({ n: 'last' })
})

test('A line larger than the whole backlog is left out, and that is reported at once.', async () => {
  const child = logging(`
    output.write('x'.repeat(${BACKLOG + 1}))
    output.write(line(1))`)
  expect((await textOf(child.stderr)).split('\n').map((line) => line.slice(0, 8))).toEqual(['{"level"', '{"n":1} ', ''])
})

test('A crash leaves what was written before it.', async () => {
  const child = logging(`
    for (let n = 0; n < 300; n += 1) output.write(line(n))
    throw new Error('out of the blue')`)
  const ended = once(child, 'exit')
  const text = await textOf(child.stderr)
  for (const n of [0, 150, 299]) expect(text).toContain(`{"n":${n}}`)
  expect(text).toContain('out of the blue')
  expect((await ended)[0]).toBe(1)
})

test.each([
  ['a reader that is gone', '2> >(exec true)'],
  ['a disk that is full', '2>/dev/full'],
])('%s does not end the program.', async (_, redirection) => {
  const source = `
    import { setTimeout as pause } from 'node:timers/promises'
    import { createLogOutput } from ${JSON.stringify(MODULE)}
    const output = createLogOutput({ fd: 2, backlogBytes: 1_000 })
    for (let n = 0; n < 30; n += 1) { output.write('x'.repeat(99) + '\\n'); await pause(10) }
    await output.drain(50)
    console.log(JSON.stringify({ dropped: output.dropped }))`
  const child = spawn(
    'bash',
    ['-c', `exec 3>&1; "$0" --input-type=module --eval "$1" >&3 ${redirection}`, process.execPath, source],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  const { dropped } = JSON.parse(await textOf(child.stdout)) as { dropped: number }
  // The backlog takes ten lines; a reader may have gone a little later.
  expect(dropped).toBeGreaterThan(10)
  expect(dropped).toBeLessThanOrEqual(20)
})
