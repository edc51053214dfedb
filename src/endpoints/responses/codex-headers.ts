/** What Codex reads of a balance: two words and an amount, of which it shows whole numbers. It makes nothing of one without the others. */
import type { CreditsLeft } from '../../call/endpoint.ts'
import { thousandths } from '../../call/response-headers.ts'

export function codexCredits({ balance, isEnough, isUnlimited }: CreditsLeft): Record<string, string> {
  return {
    'x-codex-credits-has-credits': String(isEnough),
    'x-codex-credits-unlimited': String(isUnlimited),
    'x-codex-credits-balance': thousandths(balance > 0n ? balance : 0n),
  }
}
