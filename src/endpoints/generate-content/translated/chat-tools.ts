/** Turns functions, and the rule which of them may or must be called, into OpenAI's form. */
import { listOf } from '../../../../providers/google/passed/passed-tools.ts'
import { asObject } from '../../../../providers/json.ts'
import { jsonSchemaOf } from './json-schema.ts'
import { onlyGemini } from './only-gemini.ts'

type Json = Readonly<Record<string, unknown>>

/** Returns `tools` and `tool_choice`, or nothing where no function is declared. @throws {TollgateError} 400. */
export function chatTools({ tools, toolConfig }: Json): Json {
  const config = asObject(asObject(toolConfig)?.functionCallingConfig) ?? {}
  const allowed = listOf(config.allowedFunctionNames)
  const mode = typeof config.mode === 'string' ? config.mode.toUpperCase() : 'AUTO'
  const isOnly = mode === 'ANY' && allowed.length > 0
  const functions = listOf(tools)
    .flatMap((tool, index) => functionsOf(asObject(tool) ?? {}, index))
    // A model that must call one of some functions is shown only those: not every provider has another way to say it.
    .filter(({ name }) => !isOnly || allowed.includes(name))
  if (functions.length === 0) return {}
  return {
    tools: functions.map((declared) => ({ type: 'function', function: declared })),
    ...(mode === 'NONE' ? { tool_choice: 'none' } : {}),
    ...(mode === 'ANY' ? { tool_choice: 'required' } : {}),
  }
}

function functionsOf(tool: Json, index: number): Json[] {
  for (const [name, value] of Object.entries(tool))
    if (name !== 'functionDeclarations' && value !== null) throw onlyGemini(`tools[${index}].${name}`)
  return listOf(tool.functionDeclarations).map((value) => {
    const { name, description, parameters, parametersJsonSchema } = asObject(value) ?? {}
    const schema = parametersJsonSchema ?? (parameters == null ? undefined : jsonSchemaOf(parameters))
    return {
      name,
      ...(typeof description === 'string' && description !== '' ? { description } : {}),
      ...(schema === undefined ? {} : { parameters: schema }),
    }
  })
}
