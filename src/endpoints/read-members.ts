/** Checks that several endpoints share. */
import { aliasOf, type Path, type Shape, showPath } from '../../providers/known-members/shape.ts'
import { TollgateError } from '../http/errors.ts'

type Json = Readonly<Record<string, unknown>>

/** More than any model writes, and small enough that its price fits the ledger at any rate. */
export const OUTPUT_CAP_MAX = 2_147_483_647
const MODEL_NAME_MAX = 256

/** @throws {TollgateError} 400. */
export function modelNameOf({ model }: Json): string {
  if (typeof model === 'string' && model.trim() !== '' && model.length <= MODEL_NAME_MAX) return model
  throw bad('model', 'Name the model to use in "model", a string. GET /v1/models lists what there is.')
}

/**
 * A server may take an unknown member for one whose name differs in case, and read another value than was priced.
 * @param path the place of an unknown member. @throws {TollgateError} 400.
 */
export function refuseAlias(path: Path, known: Shape): void {
  const name = aliasOf(path, known)
  if (name === null) return
  const shown = showPath(path)
  throw bad(shown, `'${shown}' is not a member of a request. Write '${name}' if you mean that one, or leave it out.`)
}

export function bad(param: string, message: string): TollgateError {
  return new TollgateError(400, 'invalid_request', message, { param })
}

/** The error for a member that this model or provider can't honour. */
export function unsupported(param: string, message: string): TollgateError {
  return new TollgateError(400, 'unsupported_parameter', message, { param })
}
