/** `npm run members`: writes providers/known-members/chat-members.ts anew from the installed `openai` package. */
import { writeFileSync } from 'node:fs'
import { readSdkMembers } from './read-sdk.ts'

const FILE = new URL('../../providers/known-members/chat-members.ts', import.meta.url)

const lines = readSdkMembers().map((place) => `  '${place}',\n`)
writeFileSync(
  FILE,
  `/**
 * Every place where a member of OpenAI's chat completion request may stand; below \`.*\` names are the caller's own. Written by
 * \`npm run members\` from the types of the installed \`openai\` package; a test fails where the two differ.
 */
export const CHAT_MEMBERS: readonly string[] = [
${lines.join('')}]
`,
)
