/** What a process that is one of several on a port has of the others. */
import type { RateWindows } from '../admission/rate-windows.ts'
import type { SharedPlaces } from '../admission/share-running-calls.ts'
import type { MetricNumbers, PrintedMetrics } from '../observe/metrics.ts'
import type { Spared } from '../routing/spared-news.ts'

export interface WorkerPart {
  /** How many they are. */
  workers: number
  /** Says that everything is open; resolves to the port once all are so far. */
  port(): Promise<number>
  /** Counted once for all of them. */
  windows: RateWindows
  places: SharedPlaces
  /** Deployments that one of all processes spares. */
  spared: {
    tell(news: Spared): void
    hearBy(hear: (news: Spared) => void): void
  }
  metrics: {
    /** How the numbers of this process are read when the primary asks. */
    readBy(read: () => Promise<MetricNumbers>): void
    /** Of all processes; null where the primary does not respond. */
    print(): Promise<PrintedMetrics | null>
  }
}
