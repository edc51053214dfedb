/** The document says why Tollgate and LiteLLM's proxy answer differently, in the words that the comparison goes by. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { LITELLM_REASONS } from './litellm-reasons.ts'

test('The document on migrating states each reason for which answers may differ from LiteLLM.', async () => {
  const text = await readFile(new URL('../../docs/migrating-from-litellm.md', import.meta.url), 'utf8')
  expect(LITELLM_REASONS.filter((reason) => !text.includes(`- ${reason}\n`))).toEqual([])
})
