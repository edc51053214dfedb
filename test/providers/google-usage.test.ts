import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isGoogleUsage, readGoogleUsage } from '../../providers/google/usage.ts'
import { inputTokens, NO_USAGE, outputTokens } from '../../providers/usage.ts'

const read = (raw: unknown) => (isGoogleUsage(raw) ? readGoogleUsage(raw) : null)
const stated = (raw: unknown) => read(raw)?.usage ?? null

describe('usageMetadata', () => {
  it('usageMetadata has four addends; thoughts are output, what tools read is input, cached is inside the prompt.', () => {
    const raw = {
      promptTokenCount: 1107,
      cachedContentTokenCount: 1081,
      toolUsePromptTokenCount: 1171,
      candidatesTokenCount: 21,
      thoughtsTokenCount: 41,
      totalTokenCount: 2340,
    }
    expect(stated(raw)).toEqual({ ...NO_USAGE, input: 1197, cacheRead: 1081, output: 62, reasoning: 41 })
    expect(read(raw)?.consistent).toBe(true)
  })

  it('Sound and pictures are apart, sound in the cache is cached.', () => {
    expect(
      stated({
        promptTokenCount: 300,
        promptTokensDetails: [
          { modality: 'TEXT', tokenCount: 100 },
          { modality: 'AUDIO', tokenCount: 200 },
        ],
        cachedContentTokenCount: 150,
        cacheTokensDetails: [
          { modality: 'AUDIO', tokenCount: 120 },
          { modality: 'TEXT', tokenCount: 30 },
        ],
        candidatesTokenCount: 1300,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: 1120 }],
        totalTokenCount: 1600,
      }),
    ).toEqual({
      ...NO_USAGE,
      input: 70,
      cacheRead: 30,
      cacheReadAudio: 120,
      audioInput: 80,
      output: 180,
      imageOutput: 1120,
    })
    const unsaid = { promptTokenCount: 300, cachedContentTokenCount: 150, candidatesTokenCount: 1 }
    const details = { promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 200 }] }
    expect(stated({ ...unsaid, ...details })).toMatchObject({
      input: 0,
      cacheRead: 100,
      cacheReadAudio: 50,
      audioInput: 150,
    })
  })

  it('What is left out is 0; a prompt left out is what the total leaves; no count at all is no usage.', () => {
    expect(stated({ promptTokenCount: 14, totalTokenCount: 14 })).toEqual({ ...NO_USAGE, input: 14 })
    expect(stated({ candidatesTokenCount: 4, totalTokenCount: 14 })).toEqual({ ...NO_USAGE, input: 10, output: 4 })
    expect(stated({ candidatesTokenCount: 4 })).toBeNull()
    for (const wrong of [-1, 1.5, '3', Number.NaN, 2 ** 60]) {
      expect(stated({ promptTokenCount: wrong, totalTokenCount: 5 })).toBeNull()
      expect(stated({ promptTokenCount: 5, thoughtsTokenCount: wrong })).toBeNull()
    }
    for (const nothing of [null, undefined, 7, [], 'x', {}]) expect(stated(nothing)).toBeNull()
  })

  it('usageMetadata says where the numbers contradict each other.', () => {
    const consistent = (raw: unknown) => read(raw)?.consistent
    expect(consistent({ promptTokenCount: 5, candidatesTokenCount: 5, totalTokenCount: 11 })).toBe(false)
    expect(consistent({ promptTokenCount: 5, cachedContentTokenCount: 6 })).toBe(false)
  })

  it('Buckets never overlap: they sum up to the addends, whatever is stated.', () => {
    const tokens = fc.nat(1_000_000)
    const details = fc.option(
      fc.array(
        fc.record({ modality: fc.constantFrom('TEXT', 'AUDIO', 'IMAGE', 'VIDEO', 'DOCUMENT'), tokenCount: tokens }),
        { maxLength: 4 },
      ),
      { nil: undefined },
    )
    const raw = fc.record({
      promptTokenCount: tokens,
      toolUsePromptTokenCount: fc.option(tokens, { nil: undefined }),
      candidatesTokenCount: fc.option(tokens, { nil: undefined }),
      thoughtsTokenCount: fc.option(tokens, { nil: undefined }),
      cachedContentTokenCount: fc.option(tokens, { nil: undefined }),
      promptTokensDetails: details,
      cacheTokensDetails: details,
      candidatesTokensDetails: details,
      toolUsePromptTokensDetails: details,
    })
    fc.assert(
      fc.property(raw, (usage) => {
        const buckets = stated(usage)!
        expect(inputTokens(buckets)).toBe(usage.promptTokenCount + (usage.toolUsePromptTokenCount ?? 0))
        expect(outputTokens(buckets)).toBe((usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0))
        const { toolFees: _, ...counts } = buckets
        for (const count of Object.values(counts)) expect(count).toBeGreaterThanOrEqual(0)
        expect(buckets.reasoning).toBeLessThanOrEqual(buckets.output)
      }),
    )
  })
})
