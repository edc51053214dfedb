/** The last checkpoint of each call that runs. Nobody waits for it: a failure is told, and the next one says more. */
import type { Progress } from './ledger.ts'
import { type ProgressAnswer, tellEnded } from './progress-batch.ts'
import type { Job, Shards } from './shards.ts'

export interface Checkpoints {
  /** With null only asks whether the payer may still spend; such a question does not push aside what is to be noted. */
  note(request: Omit<Progress, 'hold'>): void
  /** Drops what is on its way: the call is over. */
  forget(callId: string): void
}

export function createCheckpoints(
  shards: Shards<Progress, ProgressAnswer>,
  onError: (error: unknown, callId: string) => void,
): Checkpoints {
  const unanswered = new Map<string, Job<Progress, ProgressAnswer>>()

  function forget(callId: string): void {
    unanswered.get(callId)?.drop()
    unanswered.delete(callId)
  }

  return {
    forget,
    note(checkpoint) {
      const { callId } = checkpoint
      if (checkpoint.delivered === null && unanswered.has(callId)) return
      forget(callId)
      const request = { ...checkpoint, hold: null }
      const job = shards.run(request)
      unanswered.set(callId, job)
      const answered = () => {
        if (unanswered.get(callId) === job) unanswered.delete(callId)
      }
      job.answer.then(
        (answer) => {
          answered()
          tellEnded(request, answer)
        },
        (error: unknown) => {
          answered()
          onError(error, callId)
        },
      )
    },
  }
}
