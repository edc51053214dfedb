/** Paths that only Gemini's clients ask: all of v1beta, and of v1 the methods of a model. In the one form of request-path.ts. */
const PATHS = /^\/v1beta\/|^\/v1\/models\/.+%3A\w+$/

export function isGeminiPath(path: string): boolean {
  return PATHS.test(path)
}
