/**
 * A text without keys and passwords in it: the last thing that happens to every line of the log, so that a secret stays out
 * whoever quotes it (a provider, a driver, a line somebody adds). Knows secrets by their form and by the name they stand under;
 * one that has neither gets through, so nothing that may hold one is logged in the first place.
 */

const NAME =
  '[\\w.-]{0,40}(?:authorization|cookie|passw(?:or)?d|secret|api[-_]?key|(?:master|root|private|encryption|access)[-_]?key|(?:access|refresh|session|metrics|auth)[-_]?token)'

/**
 * What takes the place of each. A line is JSON and stays it: nothing that matches begins or ends in the middle of an escape.
 * Repetitions are bounded or stop at the next quote, since a line may quote what strangers wrote.
 */
const FORMS: readonly (readonly [RegExp, string])[] = [
  // {"password":"..."}, at whatever depth; then as JSON inside a text; then deeper still, up to the first escape.
  [new RegExp(`((?<!\\\\)"${NAME}"\\s?:\\s?")(?:[^"\\\\]|\\\\.)*`, 'gi'), '$1[redacted]'],
  [
    new RegExp(`((?<!\\\\)\\\\"${NAME}\\\\"\\s?:\\s?\\\\")(?:[^"\\\\]|\\\\\\\\(?:\\\\.|[^"\\\\]))*`, 'gi'),
    '$1[redacted]',
  ],
  [new RegExp(`(\\\\{2,15}"${NAME}\\\\{2,15}"\\s?:\\s?\\\\{2,15}")[^"\\\\]+`, 'gi'), '$1[redacted]'],
  // postgres://user:password@host, redis://:password@host, https://user:password@host
  [/(\b[a-z][a-z0-9+.-]{1,20}:\/\/[^:@/\s"\\]{0,200}:)[^\s"\\/][^\s"\\]{0,500}@/gi, '$1[redacted]@'],
  [/\b(bearer {1,4})[\w.~+/=:|-]{6,}/gi, '$1[redacted]'],
  [/\b(basic {1,4})[\w+/-]{12,}={0,2}/gi, '$1[redacted]'],
  [/([?&;](?:key|api[-_]?key|token|access_token|password|sig(?:nature)?)=)[^\s&"'\\]+/gi, '$1[redacted]'],
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[\w+/=\s-]|\\{1,15}[nr])*/g, '[private key]'],
  // OpenAI, OpenRouter, Anthropic, LiteLLM: sk-...; Langfuse and others: pk-...
  [/\b[sp]k[-_][A-Za-z0-9_-]{6,}/g, '[key]'],
  // Our own; Groq; Hugging Face; xAI; Google; AWS. Longer than any model's name.
  [/\b(?:uc_|gsk_|hf_|xai-)[A-Za-z0-9]{16,}/g, '[key]'],
  [/\bAIza[\w-]{20,}/g, '[key]'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, '[key]'],
  // Fernet, as keys are stored by those we import from; JSON web tokens.
  [/\bgAAAA[\w-]{20,}={0,2}/g, '[token]'],
  [/\beyJ[\w-]{10,500}\.[\w-]{4,}(?:\.[\w-]*)?/g, '[token]'],
]

export function withoutSecrets(text: string): string {
  let clean = text
  for (const [form, instead] of FORMS) clean = clean.replace(form, instead)
  return clean
}
