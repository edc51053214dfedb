/** By the hint, how long a cache entry is kept where it says nothing else; longer costs more. Hints may stand anywhere. */
const USUAL: Readonly<Record<string, string>> = {
  cache_control: '5m',
  prompt_cache_options: '30m',
  prompt_cache_breakpoint: '30m',
}

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
