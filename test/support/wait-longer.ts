/** What a test waits for may take as long as a busy machine needs: Vitest's own second is too short where two cores serve everybody. */
import { vi } from 'vitest'

const PATIENT = { timeout: 20_000 }
const { waitFor, waitUntil } = vi
const patient = (options: Parameters<typeof waitFor>[1]) =>
  typeof options === 'number' ? options : { ...PATIENT, ...options }

vi.waitFor = (callback, options) => waitFor(callback, patient(options))
vi.waitUntil = (callback, options) => waitUntil(callback, patient(options))
