/**
 * Every place where a member of OpenAI's completion request may stand; below `.*` names are the caller's own. Written by
 * `npm run members` from the types of the installed `openai` package; a test fails where the two differ.
 */
export const COMPLETION_MEMBERS: readonly string[] = [
  'best_of',
  'echo',
  'frequency_penalty',
  'logit_bias',
  'logit_bias.*',
  'logprobs',
  'max_tokens',
  'model',
  'n',
  'presence_penalty',
  'prompt',
  'seed',
  'stop',
  'stream',
  'stream_options',
  'stream_options.include_obfuscation',
  'stream_options.include_usage',
  'suffix',
  'temperature',
  'top_p',
  'user',
]
