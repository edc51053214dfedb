/** Forms that some servers read otherwise than we do: what reaches a provider is written anew, or refused. */
import { jsonAnswer } from '../../support/upstream-answers.ts'
import { FORM_TYPE, field, file, form, part } from '../form.ts'
import { exact, type Promised, type Provider, refused, type Trick } from '../trick.ts'

const PATH = '/v1/images/edits'
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const BASE = [field('model', 'dall-e'), field('prompt', 'A cat'), file('image', PNG, 'a.png', 'image/png')]

/** Makes as many images as any reader of its form may take it to ask for, at $0.04 each. */
const draws: Provider = ({ body }) => {
  const asked = [...body.toString('latin1').matchAll(/name="?'*(?:n|N)(?:\[\])?"?[^\r]*\r\n(?:[^\r]+\r\n)*\r\n(\d+)/g)]
  const count = Math.max(1, ...asked.map(([, digits]) => Number(digits)))
  const data = Array(count).fill({ b64_json: 'AAAA' })
  return { script: jsonAnswer({ created: 1, data }), bill: { input: 0, output: 0, fees: 40_000_000n * BigInt(count) } }
}

const sent = (name: string, parts: readonly Buffer[], promise: Promised, type = FORM_TYPE): Trick => ({
  name,
  by: 'caller',
  act: form(PATH, [...BASE, ...parts], type),
  provider: draws,
  promise,
})
const malformed = (name: string, ...parts: Buffer[]) => sent(name, parts, refused('invalid_form'))
const wrong = (name: string, ...parts: Buffer[]) => sent(name, parts, refused('invalid_request'))

const headed = (head: string, body: string | Buffer = '9') => part(head, body)

const FIELDS: readonly Trick[] = [
  sent('nine images are nine', [field('n', '9')], exact),
  malformed('a number of images twice', field('n', '1'), field('n', '9')),
  malformed('a number of images twice, once as a list', field('n', '1'), field('n[]', '9')),
  malformed('a number of images twice, once as a file', field('n', '1'), file('n', Buffer.from('9'))),
  wrong('a number of images in capitals', field('N', '9')),
  malformed('a number of images with an escape in its name', headed('content-disposition: form-data; name="\\n"')),
  malformed('a number of images named twice in one part', headed('content-disposition: form-data; name="x"; name="n"')),
  malformed(
    'a number of images by a name in another charset',
    headed("content-disposition: form-data; name*=utf-8''n"),
  ),
  malformed('a number of images without quotes', headed('content-disposition: form-data; name=n')),
  malformed(
    'two dispositions in one part',
    headed('content-disposition: form-data; name="x"\r\ncontent-disposition: form-data; name="n"'),
  ),
  malformed('a part that is folded over two lines', headed('content-disposition: form-data;\r\n name="n"')),
  malformed(
    'a number of images in base64',
    headed('content-disposition: form-data; name="n"\r\ncontent-transfer-encoding: base64', 'OQ=='),
  ),
  wrong(
    'a part of parts',
    headed(
      'content-disposition: form-data; name="n"\r\ncontent-type: multipart/mixed; boundary=x',
      '--x\r\n\r\n9\r\n--x--',
    ),
  ),
  wrong(
    'a number of images in UTF-16',
    headed(
      'content-disposition: form-data; name="n"\r\ncontent-type: text/plain; charset=utf-16',
      Buffer.from('9', 'utf16le'),
    ),
  ),
  wrong('a number that is one in other letters', field('n', '９')),
  wrong('a number with a blank', field('n', ' 9')),
  wrong('a number in words of a float', field('n', '9e0')),
  wrong('none at all', field('n', '0')),
  sent('a charset for all fields', [field('_charset_', 'utf-16')], refused('unsupported_parameter')),
  malformed('a hundred and thirty parts', ...Array.from({ length: 130 }, (_, i) => field(`x${i}`, '1'))),
]

const typed = (name: string, type: string, promise: Promised): Trick => sent(name, [field('n', '9')], promise, type)

const TYPES: readonly Trick[] = [
  typed('two boundaries', `${FORM_TYPE}; boundary=other`, refused('invalid_form')),
  typed('a boundary in pieces', 'multipart/form-data; boundary*0=cut-; boundary*1=here', refused('invalid_form')),
  typed('no boundary', 'multipart/form-data', refused('invalid_form')),
  typed('a form that says it is JSON', 'application/json', refused('invalid_json')),
  typed('a form that says it is a query', 'application/x-www-form-urlencoded', refused('unsupported_media_type', 415)),
  typed(
    'a form that says it is another one',
    `multipart/mixed; boundary=cut-here`,
    refused('unsupported_media_type', 415),
  ),
  typed('a form with a charset', `${FORM_TYPE}; charset=utf-16`, exact),
]

const raw = (name: string, change: (body: Buffer) => Buffer): Trick => {
  const ask = form(PATH, [...BASE, field('n', '9')])
  return {
    name,
    by: 'caller',
    act: { ...ask, text: change(ask.text as Buffer) },
    provider: draws,
    promise: refused('invalid_form'),
  }
}

const BYTES: readonly Trick[] = [
  raw('a form whose lines end as in Unix', (body) =>
    Buffer.from(body.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
  ),
  raw('words before a form', (body) => Buffer.concat([Buffer.from('hello\r\n'), body])),
  raw('a form that does not end', (body) => body.subarray(0, -6)),
  raw('a form behind its end', (body) => Buffer.concat([body, field('n', '1')])),
]

const SEVENTEEN: Trick = {
  ...wrong('seventeen pictures'),
  act: form(PATH, [...BASE.slice(0, 2), ...Array.from({ length: 17 }, () => file('image[]', PNG))]),
}

export const FILES: readonly Trick[] = [SEVENTEEN, ...FIELDS, ...TYPES, ...BYTES]
