/** Where clients of Azure's API Management send a key, and where its gateway sends one of its own. */
import { expect, test } from 'vitest'
import { readKey } from '../../src/identity/credential.ts'

const read = (headers: Record<string, string>, url = '/v1/models') => readKey({ headers, rawHeaders: [], url }, null)

test('A key in Ocp-Apim-Subscription-Key counts where no other place has one, and never contradicts another key.', () => {
  const header = { 'ocp-apim-subscription-key': 'sk-of-the-gateway' }
  expect(read(header)).toBe('sk-of-the-gateway')
  expect(read({ ...header, authorization: 'Bearer sk-of-the-caller' })).toBe('sk-of-the-caller')
  expect(read({ ...header, 'x-api-key': 'sk-of-the-caller' })).toBe('sk-of-the-caller')
  expect(read({ ...header, 'x-litellm-api-key': 'sk-of-the-caller' })).toBe('sk-of-the-caller')
  expect(read(header, '/v1beta/models?key=sk-of-the-caller')).toBe('sk-of-the-caller')
})
