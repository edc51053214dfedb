/**
 * Ids of tool calls that carry what a provider signed: `call_x__sig_...` (anthropic/carried.ts), `call_x__gsig_...`
 * (google/tool-id.ts). Clients return ids whatever else they drop; whoever made no such signature cuts it off.
 */

export const CARRIED_MARKS = ['__sig_', '__gsig_', '__gsigt_']
const MARK = /__(?:sig|gsig|gsigt)_/

/** The id as its model gave it. */
export function bareId(id: string): string {
  const at = id.search(MARK)
  return at < 0 ? id : id.slice(0, at)
}
