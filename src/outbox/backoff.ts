/** How long to wait before the next attempt, in seconds: twice as long each time, within bounds, and never the same for everybody. */

const FIRST = 1
const MOST = 300

/** @param failures how often it failed by now, 1 or more. @param random from 0 to 1. */
export function backoffSeconds(failures: number, random: number): number {
  const whole = Math.min(MOST, FIRST * 2 ** Math.min(failures - 1, 20))
  return whole / 2 + (whole / 2) * random
}
