/** A collector of OpenTelemetry spans. */
export interface TraceSink {
  /** The callback's name. */
  name: string
  /** http(s), the whole address. */
  url: string
  /** Secrets. */
  headers: Readonly<Record<string, string>>
}
