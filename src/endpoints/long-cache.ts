/** How long a cache entry is kept unless the hint says otherwise, by the hint's name. A longer time costs more. */
const USUAL: Readonly<Record<string, string>> = {
  cache_control: '5m',
  prompt_cache_options: '30m',
  prompt_cache_breakpoint: '30m',
}

/** True if a hint anywhere in the request asks for a longer time. */
export function asksForLongCache(json: Readonly<Record<string, unknown>>): boolean {
  const open: unknown[] = [json]
  for (let value = open.pop(); value !== undefined || open.length > 0; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    for (const [name, member] of Object.entries(value)) {
      if (typeof member !== 'object' || member === null) continue
      if (Object.hasOwn(USUAL, name) && 'ttl' in member && member.ttl !== USUAL[name]) return true
      open.push(member)
    }
  }
  return false
}
