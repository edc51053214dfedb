/** The text of an event, of an item or of a whole output: what was written by the model, whatever its member is called. */

/** Members that name things, repeat others, or hold what no model wrote as text. */
const SILENT: ReadonlySet<string> = new Set([
  ...[
    'type',
    'id',
    'item_id',
    'call_id',
    'status',
    'role',
    'phase',
    'object',
    'container_id',
    'server_label',
    'execution',
  ],
  ...[
    'encrypted_content',
    'signature',
    'obfuscation',
    'logprobs',
    'annotations',
    'annotation',
    'results',
    'outputs',
    'sources',
  ],
  ...['partial_image_b64', 'result', 'format', 'action', 'caller', 'created_by', 'fingerprint'],
])

/** With a list of its own: a deep value must not overflow the stack. */
export function saidIn(value: unknown): string {
  const pieces: string[] = []
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (typeof next === 'string') pieces.push(next)
    else if (Array.isArray(next)) for (let i = next.length - 1; i >= 0; i -= 1) open.push(next[i])
    else if (typeof next === 'object' && next !== null)
      for (const [name, member] of Object.entries(next).reverse()) if (!SILENT.has(name)) open.push(member)
  }
  return pieces.join('')
}
