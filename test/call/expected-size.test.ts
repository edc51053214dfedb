/** A bound is for holding, an expectation for charging: of a call nobody stated the usage of, media are charged at their usual size. */
import { expect, test } from 'vitest'
import { formatDecimal } from '../../src/metering/money.ts'
import * as make from '../providers/media/build.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { chatStream } from '../support/upstream-answers.ts'

const product = useProduct(() => ({}))

/** The role, and the framing of a message and of the answer. */
const AROUND = 7

const never = new Promise<never>(() => {})

/** Three pages, and three megabytes of pictures. */
const HONEST = make.pdf(make.pages(3), {
  streams: [Buffer.from(`80 0 obj\n<< /Length 3000000 >>\nstream\n${'x'.repeat(3_000_000)}\nendstream\nendobj\n`)],
})
const UNKNOWN = Buffer.from(`%PDF-1.7 ${'x'.repeat(3_000_000)}`)

// A page is a thousand tokens of text and an image of four tiles (25,501 for this model). At $0.15 a
// million and 50 % a token is 0.000225 credits, a word of output 0.0009.
test.for<[string, Buffer, number]>([
  ['three pages', HONEST, 3 * 26_501],
  ['what the model can read at most, where its pages are unknown,', UNKNOWN, 128_000],
])('A PDF of three megabytes, left after one word, is charged as %s.', async ([, pdf, tokens]) => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
  const file_data = `data:application/pdf;base64,${pdf.toString('base64')}`
  const before = upstream.requests.length
  upstream.respond(chatStream({ text: ['One', ' word'], gate: (i) => (i === 2 ? never : undefined) }))
  const call = openCall(product.tollgate, acme.keys.alice, {
    model: 'gpt-4o-mini',
    stream: true,
    messages: [{ role: 'user', content: [{ type: 'file', file: { file_data } }] }],
  })
  await upstream.received(before + 1)
  await call.frames(2)

  call.leave()

  const row = await rowOfRequest(product, call.requestId)
  const charged = BigInt(tokens + AROUND) * 225n + 900n
  expect(row).toMatchObject({
    provenance: 'estimated',
    outcome: 'client_disconnected',
    credits_used: formatDecimal(charged, 6),
  })
})
