/** What of a request becomes input for sure, framing included; images and sound are apart. To be counted where nobody stated usage. */
import type { InputVisitor } from './request-input.ts'

export interface SureTexts {
  texts: string[]
  framing: number
}

/** @param visit walks the request. */
export function sureTexts(visit: (visitor: InputVisitor) => void): SureTexts {
  const texts: string[] = []
  let framing = 0
  visit({
    text: (text, isSure) => isSure && texts.push(text),
    json: (value, isSure) => isSure && texts.push(JSON.stringify(value)),
    framing: (tokens, isSure) => {
      if (isSure) framing += tokens
    },
    role: (role) => texts.push(role),
    media: () => {},
    unbounded: () => {},
    prediction: () => {},
  })
  return { texts, framing }
}
