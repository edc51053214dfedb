/** The memory of the proxy over many calls, half of them streams: flat and small, or something is kept that should not be. */
import { processMemory } from './process-memory.ts'
import { showProfile } from './profile.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { quantile, spreadOf } from './spread.ts'
import { openStage } from './stage.ts'
import { judge, showVerdicts } from './verdict.ts'

const CONNECTIONS = 32
/** The load comes in so many parts, each of which is a line of the graph. */
const PARTS = 30
const SAMPLE_MS = 100
const MOST_MB = 300
const FLAT = 1.1
const GRAPH_WIDTH = 60

interface Part {
  calls: number
  /** Megabytes. */
  samples: number[]
}

export async function benchMemory(context: BenchmarkContext): Promise<Report> {
  const { options, progress } = context
  const stage = await openStage(context)
  const parts: Part[] = []
  const problems: string[] = []
  let calls = 0
  for (let i = 1; i <= PARTS; i += 1) {
    progress.show(`${calls} of ${options.calls} calls`)
    const wanted = Math.round((options.calls * i) / PARTS) - calls
    const sampler = new Sampler(stage.proxy.pid)
    const result = await stage.loadProxy({
      kinds: ['whole', 'stream'],
      connections: CONNECTIONS,
      warmSeconds: 0,
      seconds: Infinity,
      calls: wanted,
    })
    calls += result.answered.whole + result.answered.stream
    parts.push({ calls, samples: await sampler.stop() })
    problems.push(...result.problems)
  }
  progress.show('checking the books')
  problems.push(...(await stage.checkBooks()))
  const peak = await processMemory(stage.proxy.pid, 'VmHWM')
  const sections = [graph(parts), `At most, ever since its start: ${peak.toFixed(0)} MB.`]
  if (options.profile) {
    await stage.proxy.stop()
    sections.push(await showProfile(stage.profiles))
  }
  const growth = third(parts, 2) / third(parts, 1)
  const verdicts = judge([
    { what: 'last third of the calls by the middle third, medians', measured: [growth], unit: ' x', atMost: FLAT },
    { what: 'most memory ever, MB', measured: [peak], unit: '', atMost: MOST_MB },
  ])
  return { sections: [...sections, showVerdicts(verdicts)], verdicts, figures: parts, problems }
}

/** Looks at a process ten times a second until it is stopped. */
class Sampler {
  private readonly samples: number[] = []
  private readonly timer: NodeJS.Timeout
  private readonly pid: number

  constructor(pid: number) {
    this.pid = pid
    this.timer = setInterval(() => void this.look(), SAMPLE_MS)
  }

  /** Returns all samples, including one taken now. */
  async stop(): Promise<number[]> {
    clearInterval(this.timer)
    await this.look()
    return this.samples
  }

  private async look(): Promise<void> {
    this.samples.push(await processMemory(this.pid, 'VmRSS'))
  }
}

function third(parts: readonly Part[], which: 1 | 2): number {
  const share = parts.length / 3
  const samples = parts
    .slice(Math.round(which * share), Math.round((which + 1) * share))
    .flatMap((part) => part.samples)
  return spreadOf(samples).median
}

/** A line a part: the median as a bar, the most as a mark behind it. */
function graph(parts: readonly Part[]): string {
  const most = Math.max(MOST_MB, ...parts.flatMap(({ samples }) => samples))
  const cells = (megabytes: number) => Math.round((megabytes / most) * GRAPH_WIDTH)
  const lines = parts.map(({ calls, samples }) => {
    const sorted = samples.toSorted((a, b) => a - b)
    const [middle, top] = [quantile(sorted, 0.5), quantile(sorted, 1)]
    const bar = `${'#'.repeat(cells(middle)).padEnd(Math.max(cells(top) - 1, 0))}|`
    return `${`${calls}`.padStart(8)}  ${middle.toFixed(0).padStart(4)} ${top.toFixed(0).padStart(4)}  ${bar}`
  })
  return [`${'calls'.padStart(8)}  ${'MB'.padStart(4)} most`, ...lines].join('\n')
}
