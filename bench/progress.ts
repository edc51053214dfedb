/** What is being done right now: one line that is rewritten on a terminal, a line each elsewhere. */

export interface Progress {
  show(text: string): void
  /** Takes the line away, before something that stays is printed. */
  clear(): void
}

export function createProgress(out: NodeJS.WriteStream): Progress {
  if (!out.isTTY) return { show: (text) => void out.write(`${text}\n`), clear: () => {} }
  const ERASE_LINE = '\r\x1b[2K'
  return {
    show: (text) => void out.write(`${ERASE_LINE}${text.slice(0, out.columns - 1)}`),
    clear: () => void out.write(ERASE_LINE),
  }
}
