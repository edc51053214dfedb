/** The name of an operation in generated clients: `GET /v1/calls/{call_id}` is `getV1CallsByCallId`. */

export function operationIdOf(method: string, path: string): string {
  const words = path.replaceAll('{', 'by-').split(/[^A-Za-z0-9]+/)
  return [method.toLowerCase(), ...words.filter((word) => word !== '').map(capitalized)].join('')
}

function capitalized(word: string): string {
  return `${word.charAt(0).toUpperCase()}${word.slice(1)}`
}
