/** Usage in Gemini's form: cached tokens are inside the prompt, thoughts beside the candidates. */
import { inputTokens, outputTokens, type Usage } from '../../../providers/usage.ts'

export function generateUsage(usage: Usage): Record<string, unknown> {
  const { cacheRead, cacheReadAudio, audioInput, reasoning, audioOutput, imageOutput } = usage
  const prompt = inputTokens(usage)
  const output = outputTokens(usage)
  const cached = cacheRead + cacheReadAudio
  const answer = [detail('AUDIO', audioOutput), detail('IMAGE', imageOutput)].flat()
  return {
    promptTokenCount: prompt,
    candidatesTokenCount: output - reasoning,
    totalTokenCount: prompt + output,
    ...(reasoning > 0 ? { thoughtsTokenCount: reasoning } : {}),
    ...(cached > 0 ? { cachedContentTokenCount: cached } : {}),
    ...(audioInput > 0 ? { promptTokensDetails: detail('AUDIO', audioInput + cacheReadAudio) } : {}),
    ...(answer.length > 0 ? { candidatesTokensDetails: answer } : {}),
  }
}

function detail(modality: string, tokenCount: number): { modality: string; tokenCount: number }[] {
  return tokenCount > 0 ? [{ modality, tokenCount }] : []
}
