/**
 * What happens to an error that nobody owns: a timer, an event or a promise that threw outside of any call. Each is a mistake of ours;
 * every source that is known has an owner, which ends one call. Node would end the process, and with it every running call of every
 * caller. Here it is logged and counted, and the process goes on while only what belongs to one call can be half done; else it drains.
 */
import type { Log } from './log.ts'

/** Where functions keep nothing beyond the call, the request or the line they work for. */
const OF_ONE_CALL =
  /[\\/](?:src[\\/](?:call|endpoints|routing|http|metering|identity|api|billing|reports)|providers)[\\/]/
const OURS = /[\\/](?:src|providers)[\\/][^()]*\.ts:\d+/
const OF_LIBRARIES = /[\\/]node_modules[\\/]/

export interface LastResort {
  /** Resolves when the process can't be trusted any more and should drain. */
  readonly unsound: Promise<void>
  /** From here on Node ends the process again. */
  remove(): void
}

export function createLastResort(log: Log, count: () => void): LastResort {
  const unsound = Promise.withResolvers<void>()
  const hear = (error: unknown) => {
    count()
    const goesOn = isOfOneCall(error)
    log.error({ err: error, goes_on: goesOn }, 'AN ERROR THAT NOBODY OWNS: report it')
    if (!goesOn) unsound.resolve()
  }
  process.on('uncaughtException', hear)
  process.on('unhandledRejection', hear)
  return {
    unsound: unsound.promise,
    remove() {
      process.off('uncaughtException', hear)
      process.off('unhandledRejection', hear)
    },
  }
}

/** By the places of ours in its stack: at least one, and all of them of one call. */
export function isOfOneCall(error: unknown): boolean {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const own = stack.split('\n').filter((line) => OURS.test(line) && !OF_LIBRARIES.test(line))
  return own.length > 0 && own.every((line) => OF_ONE_CALL.test(line))
}
