/** `npm run members`: writes the lists of known members anew from the types of the installed clients. */
import { writeFileSync } from 'node:fs'
import { CHAT_COMPLETION, COMPLETION, EMBEDDING, MESSAGE, RESPONSE, readSdkMembers } from './read-sdk.ts'

write('chat-members.ts', 'CHAT_MEMBERS', "OpenAI's chat completion request", 'openai', readSdkMembers(CHAT_COMPLETION))
write('response-members.ts', 'RESPONSE_MEMBERS', "OpenAI's request for a response", 'openai', readSdkMembers(RESPONSE))
write('embedding-members.ts', 'EMBEDDING_MEMBERS', "OpenAI's embedding request", 'openai', readSdkMembers(EMBEDDING))
write(
  'completion-members.ts',
  'COMPLETION_MEMBERS',
  "OpenAI's completion request",
  'openai',
  readSdkMembers(COMPLETION),
)
write(
  'message-members.ts',
  'MESSAGE_MEMBERS',
  "Anthropic's message request",
  '@anthropic-ai/sdk',
  readSdkMembers(MESSAGE),
)

function write(file: string, name: string, what: string, client: string, places: readonly string[]): void {
  const lines = places.map((place) => `  '${place}',\n`)
  writeFileSync(
    new URL(`../../providers/known-members/${file}`, import.meta.url),
    `/**
 * Every place where a member of ${what} may stand; below \`.*\` names are the caller's own. Written by
 * \`npm run members\` from the types of the installed \`${client}\` package; a test fails where the two differ.
 */
export const ${name}: readonly string[] = [
${lines.join('')}]
`,
  )
}
