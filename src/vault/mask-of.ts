/** Enough of a key to recognize it: seven characters, three dots, four characters. *** for a short one. */

export function maskOf(key: string): string {
  return key.length < 12 ? '***' : `${key.slice(0, 7)}...${key.slice(-4)}`
}
