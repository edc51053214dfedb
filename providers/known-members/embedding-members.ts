/**
 * Every place where a member of OpenAI's embedding request may stand; below `.*` names are the caller's own. Written by
 * `npm run members` from the types of the installed `openai` package; a test fails where the two differ.
 */
export const EMBEDDING_MEMBERS: readonly string[] = ['dimensions', 'encoding_format', 'input', 'model', 'user']
