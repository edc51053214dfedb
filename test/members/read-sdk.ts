/**
 * The members of a request, read from the types of an installed client by TypeScript's own checker. That API calls itself unstable:
 * this is a script and a test, and the compiler's version is pinned.
 */
import { fileURLToPath } from 'node:url'
import {
  API,
  type Checker,
  SymbolFlags,
  type Type,
  TypeFlags,
  type TypeReference,
  type UnionOrIntersectionType,
} from 'typescript/unstable/sync'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Where a request is declared. */
interface Declared {
  module: string
  request: string
}

export const CHAT_COMPLETION: Declared = {
  module: `${ROOT}node_modules/openai/resources/chat/completions/completions.d.mts`,
  request: 'ChatCompletionCreateParamsBase',
}
export const RESPONSE: Declared = {
  module: `${ROOT}node_modules/openai/resources/responses/responses.d.mts`,
  request: 'ResponseCreateParamsBase',
}
export const EMBEDDING: Declared = {
  module: `${ROOT}node_modules/openai/resources/embeddings.d.mts`,
  request: 'EmbeddingCreateParams',
}
export const COMPLETION: Declared = {
  module: `${ROOT}node_modules/openai/resources/completions.d.mts`,
  request: 'CompletionCreateParamsBase',
}
/** With what is in beta: coding agents use that. */
export const MESSAGE: Declared = {
  module: `${ROOT}node_modules/@anthropic-ai/sdk/resources/beta/messages/messages.d.mts`,
  request: 'MessageCreateParamsBase',
}

/**
 * Every place a member may stand, sorted: `temperature`, `messages[].content[].text`; `.*` after a place means that names below it are
 * the caller's own (`metadata.*`, a JSON schema). Members of a union's variants stand side by side.
 * @throws when the package no longer declares the request under this name.
 */
export function readSdkMembers({ module, request: name }: Declared): string[] {
  const api = new API({ cwd: ROOT })
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${ROOT}tsconfig.json`] })
    const { program, checker } = snapshot.getProject(`${ROOT}tsconfig.json`)!
    const file = program.getSourceFile(module)
    if (file === undefined) throw new Error(`not part of the program: ${module}`)
    const request = checker.resolveName(name, SymbolFlags.Interface, { document: module, position: file.end })
    if (request === undefined) throw new Error(`${name} is not declared in ${module}`)
    const places = new Set<string>()
    collect(checker, checker.getDeclaredTypeOfSymbol(request), '', places)
    return [...places].sort()
  } finally {
    api.close()
  }
}

function collect(checker: Checker, type: Type, place: string, places: Set<string>): void {
  if ((type.flags & TypeFlags.UnionOrIntersection) !== 0) {
    for (const one of (type as UnionOrIntersectionType).getTypes()) collect(checker, one, place, places)
  } else if ((type.flags & TypeFlags.Unknown) !== 0) {
    places.add(`${place}.*`)
  } else if ((type.flags & TypeFlags.Object) === 0) {
    return
  } else if (checker.isArrayLikeType(type)) {
    for (const element of checker.getTypeArguments(type as TypeReference))
      collect(checker, element, `${place}[]`, places)
  } else if (checker.getIndexInfosOfType(type).length > 0) {
    places.add(`${place}.*`)
  } else {
    for (const member of checker.getPropertiesOfType(type)) {
      const below = place === '' ? member.name : `${place}.${member.name}`
      places.add(below)
      const value = checker.getTypeOfSymbol(member)
      if (value !== undefined) collect(checker, value, below, places)
    }
  }
}
