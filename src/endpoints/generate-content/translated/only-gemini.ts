/** The error for members that other providers can't honour. */
import type { TollgateError } from '../../../http/errors.ts'
import { unsupported } from '../../read-members.ts'

export function onlyGemini(place: string): TollgateError {
  const shown = place.slice(0, 100)
  return unsupported(shown, `Only Gemini can honour '${shown}'. Leave it out, or ask for a Gemini model.`)
}
