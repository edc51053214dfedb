/** Questions to the primary, over the channel of this process. */
import type { Answer, Ask, ToPrimary } from './messages.ts'

/** Without an answer by then, the primary counts as gone; it does little, so it has been stopped or killed. */
const PATIENCE_MS = 1_000

/** Resolves to null where the primary does not respond. */
export type AskPrimary = <Reply extends Answer>(ask: Ask, patienceMs?: number) => Promise<Reply | null>

export interface PrimaryQuestions {
  ask: AskPrimary
  answered(id: number, answer: Answer): void
  /** The primary is gone: nobody will answer. */
  forget(): void
}

export function createPrimaryQuestions(tell: (message: ToPrimary) => void): PrimaryQuestions {
  const open = new Map<number, (answer: Answer | null) => void>()
  let latest = 0
  let isGone = false

  function close(id: number, answer: Answer | null): void {
    const resolve = open.get(id)
    open.delete(id)
    resolve?.(answer)
  }

  return {
    ask<Reply extends Answer>(ask: Ask, patienceMs = PATIENCE_MS) {
      if (isGone) return Promise.resolve(null)
      latest += 1
      const id = latest
      const late = setTimeout(() => close(id, null), patienceMs)
      return new Promise<Reply | null>((resolve) => {
        open.set(id, (answer) => {
          clearTimeout(late)
          resolve(answer as Reply | null)
        })
        tell({ say: 'ask', id, ask })
      })
    },
    answered: close,
    forget() {
      isGone = true
      for (const id of open.keys()) close(id, null)
    },
  }
}
