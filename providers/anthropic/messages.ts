/**
 * An OpenAI conversation as Claude's: system messages at the start become `system`, roles alternate, the results of all calls of a
 * turn stand together at the beginning of the next user message.
 *
 * A system message in the middle keeps its place: as one where the model takes that (after a user message, with nothing of the user
 * behind it), else as text of the user, marked `<system>`. `name` has no place in Claude's messages: it is refused, or left out under
 * `drop_params`. Reasoning without Claude's signature, which clients echo by themselves, is left out.
 */
import { parseExactJson } from '../exact-json.ts'
import { asObject } from '../json.ts'
import { type CallIds, createCallIds } from './call-ids.ts'
import { blocksOfIds, blocksOfMember, type Carried, createInflateBudget, isThought, turnBlocks } from './carried.ts'
import type { ClaudeModel } from './models.ts'
import { type Block, contentBlocks, type PartContext, textBlocks, textOf, withCacheHint } from './parts.ts'

type Members = Readonly<Record<string, unknown>>

export interface ClaudeMessage {
  role: 'user' | 'assistant' | 'system'
  content: Block[]
}

export interface Conversation {
  system: Block[]
  messages: ClaudeMessage[]
  /** The turn that goes on called tools, and its thoughts are not here: it can't be continued with manual thinking. */
  lostThoughts: boolean
}

export function readConversation(messages: unknown, model: ClaudeModel, context: PartContext): Conversation {
  const list = Array.isArray(messages) ? messages.map((message) => asObject(message) ?? {}) : []
  const leading = list.findIndex((message) => !isSystem(message))
  const start = leading < 0 ? list.length : leading
  const system = list.slice(0, start).flatMap((message, index) => plainBlocks(message, index, context))
  const turns = createTurns(model, context, carriedBy(list, context))
  for (let index = start; index < list.length; index += 1) turns.add(list[index]!, index)
  if (list.some(isNamed)) {
    context.refuse('messages[].name', "Claude's messages have no name. Leave it out, or say it in the text.", true)
  }
  const said = turns.end()
  // A prompt of system messages alone is one for OpenAI; for Claude somebody has to have spoken.
  if (said.length === 0) return { system: [], messages: [{ role: 'user', content: system }], lostThoughts: false }
  endTidily(said)
  return { system, messages: said, lostThoughts: thoughtsLost(said) }
}

/** By message, the blocks in the ids of its calls; whatever its role, for all of them are counted as input. */
function carriedBy(list: readonly Members[], { refuse }: PartContext): Carried[][] {
  const budget = createInflateBudget()
  const carried = list.map(({ tool_calls: calls }) =>
    Array.isArray(calls)
      ? blocksOfIds(
          calls.map((call) => text(asObject(call)?.id)),
          budget,
        )
      : [],
  )
  if (budget.left <= 0) {
    refuse(
      'messages',
      'The ids of tool calls carry too much. Send those of earlier turns as they were before "__sig_".',
    )
  }
  return carried
}

/** Results may have the name of their tool, which is known. */
function isNamed({ role, name }: Members): boolean {
  return role !== 'tool' && role !== 'function' && typeof name === 'string' && name !== ''
}

function isSystem(message: Members): boolean {
  return message.role === 'system' || message.role === 'developer'
}

/** A message's own blocks; a hint on the message counts for its last one. */
function plainBlocks(message: Members, index: number, context: PartContext): Block[] {
  const blocks = contentBlocks(message.content, `messages[${index}].content`, context)
  const last = blocks.at(-1)
  return last === undefined ? [] : [...blocks.slice(0, -1), withCacheHint(last, message)]
}

interface Turns {
  add(message: Members, index: number): void
  /** The whole conversation, translated. */
  end(): ClaudeMessage[]
}

function createTurns(model: ClaudeModel, context: PartContext, carried: readonly Carried[][]): Turns {
  const messages: ClaudeMessage[] = []
  const calls = createCallIds()
  /** Of the open user message: they go before whatever else it says once it is over, since each insertion would move all of that. */
  let results: Block[] = []

  function open(role: ClaudeMessage['role'], content: Block[]): void {
    putResults()
    messages.push({ role, content })
  }

  function putResults(): void {
    const last = messages.at(-1)
    if (last !== undefined && results.length > 0) last.content = results.concat(last.content)
    results = []
  }

  function say(role: ClaudeMessage['role'], blocks: readonly Block[]): void {
    if (blocks.length === 0) return
    const last = messages.at(-1)
    // Not push(...blocks): a spread of a few hundred thousand overflows the stack.
    if (last?.role === role) for (const block of blocks) last.content.push(block)
    else open(role, [...blocks])
  }

  function addResult(message: Members, index: number): void {
    const content = plainBlocks({ ...message, cache_control: undefined }, index, context)
    const id = calls.answer(message.role === 'function' ? '' : text(message.tool_call_id))
    const block: Record<string, unknown> = { type: 'tool_result', tool_use_id: id }
    if (content.length > 0) block.content = content
    if (message.is_error === true) block.is_error = true
    if (messages.at(-1)?.role !== 'user') open('user', [])
    results.push(withCacheHint(block, message))
  }

  function addSystem(message: Members, index: number): void {
    const blocks = plainBlocks(message, index, context)
    if (messages.at(-1)?.role === 'user' && model.systemInMessages) say('system', blocks)
    else say('user', blocks.map(marked))
  }

  return {
    end() {
      putResults()
      return messages
    },
    add(message, index) {
      if (messages.at(-1)?.role === 'system' && message.role !== 'assistant' && !isSystem(message)) {
        // Nothing of the user may follow it: it becomes text of the user after all.
        const { content } = messages.pop()!
        say('user', content.map(marked))
      }
      if (isSystem(message)) addSystem(message, index)
      else if (message.role === 'user') say('user', plainBlocks(message, index, context))
      else if (message.role === 'tool' || message.role === 'function') addResult(message, index)
      else if (message.role === 'assistant')
        say('assistant', assistantBlocks(message, index, calls, carried[index] ?? [], context))
      else
        context.refuse(`messages[${index}].role`, 'Claude knows the roles system, developer, user, assistant and tool.')
    },
  }
}

function marked(block: Block): Block {
  return typeof block.text === 'string' ? { ...block, text: `<system>\n${block.text}\n</system>` } : block
}

function assistantBlocks(
  message: Members,
  index: number,
  calls: CallIds,
  inIds: readonly Carried[],
  context: PartContext,
): Block[] {
  const path = `messages[${index}]`
  if (asObject(message.audio) !== null) context.refuse(`${path}.audio`, 'Claude can not hear an answer given as audio.')
  const listed = Array.isArray(message.tool_calls) ? message.tool_calls.map((call) => asObject(call) ?? {}) : []
  const legacy = asObject(message.function_call)
  const made = listed.length === 0 && legacy !== null ? [{ id: '', function: legacy } as Members] : listed
  calls.begin(index)
  const uses = made.flatMap((call, at): Block[] => {
    const body = asObject(call.function)
    if (body === null) {
      context.refuse(`${path}.tool_calls[${at}]`, 'Claude knows tool calls of type function only.')
      return []
    }
    const use = {
      type: 'tool_use',
      id: calls.ask(text(call.id)),
      name: text(body.name),
      input: inputOf(body.arguments),
    }
    return [withCacheHint(use, call)]
  })
  const carried = blocksOfMember(message.thinking_blocks) ?? inIds
  // The content is read in any case, because what Claude can't take in it must be refused.
  const plain = plainBlocks(message, index, context)
  if (carried.length === 0 && Array.isArray(message.content)) return [...plain, ...refusalOf(message), ...uses]
  const blocks = turnBlocks(`${textOf(message.content)}${text(message.refusal)}`, uses, carried)
  const lastText = blocks.findLastIndex((block) => block.type === 'text')
  return blocks.map((block, at) => (at === lastText ? withCacheHint(block, message) : block))
}

function refusalOf(message: Members): Block[] {
  return textBlocks(text(message.refusal))
}

/** Claude takes an object. What a model wrote that is none is kept as text under a name of its own. */
function inputOf(argument: unknown): unknown {
  if (typeof argument !== 'string') return asObject(argument) ?? {}
  if (argument.trim() === '') return {}
  try {
    const input = parseExactJson(argument)
    if (asObject(input) !== null) return input
  } catch {}
  return { arguments: argument }
}

/** Claude returns 400 for a prefilled response that ends in white space. */
function endTidily(messages: readonly ClaudeMessage[]): void {
  const last = messages.at(-1)
  const block = last?.content.at(-1)
  if (last?.role !== 'assistant' || typeof block?.text !== 'string') return
  last.content[last.content.length - 1] = { ...block, text: block.text.trimEnd() }
}

/** Manual thinking wants the first message of the turn that goes on to begin with a thought. */
function thoughtsLost(messages: readonly ClaudeMessage[]): boolean {
  if (messages.at(-1)?.role === 'assistant') return !isThought(messages.at(-1)?.content[0])
  const asked = messages.findLastIndex(({ role, content }) => role === 'user' && content[0]?.type !== 'tool_result')
  const first = messages.slice(asked + 1).find(({ role }) => role === 'assistant')
  return first !== undefined && !isThought(first.content[0])
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
