/** The flag --keys of reconcile. */
import { CommandError, EXIT } from './exit.ts'

/**
 * Reads pairs such as `key_abc=DEPLOYMENT`. Returns the provider's id of the key by deployment: several deployments call with one key.
 * @throws {CommandError} with exit code 2.
 */
export function providerKeysOf(pairs: readonly string[]): Map<string, string> {
  return new Map(
    pairs.map((pair): [string, string] => {
      const at = pair.indexOf('=')
      const [key, deployment] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()]
      if (at > 0 && key !== '' && deployment !== '') return [deployment, key]
      throw new CommandError(
        EXIT.usage,
        `--keys takes the provider's id of a key and a deployment that calls with it, key_abc=DEPLOYMENT, apart by commas; '${pair}' is none.`,
      )
    }),
  )
}
