/** Cache entries are kept for five minutes where a hint says nothing else; an hour costs more. Hints may stand anywhere. */
export function asksForLongCache(json: Readonly<Record<string, unknown>>): boolean {
  const open: unknown[] = [json]
  for (let value = open.pop(); value !== undefined || open.length > 0; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    for (const [name, member] of Object.entries(value)) {
      if (typeof member !== 'object' || member === null) continue
      if (name === 'cache_control' && 'ttl' in member && member.ttl !== '5m') return true
      open.push(member)
    }
  }
  return false
}
