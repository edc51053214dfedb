import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBase64 } from '../../../providers/media/base64.ts'
import { dataUrlImageSize, imageSize } from '../../../providers/media/image-size.ts'
import { png } from './build.ts'
import { IMAGES } from './crafted.ts'

describe('the size of an image', () => {
  test.for(IMAGES)('The size of an image is proved or unknown for $name', ({ bytes, size }) => {
    expect(imageSize(bytes)).toEqual(size === null ? null : { width: size[0], height: size[1] })
  })

  test('The size of an image is never found in a file that was cut short, but for bytes behind a JPEG.', () => {
    for (const { name, bytes, size } of IMAGES) {
      if (size === null || name.includes('second picture')) continue
      for (let length = 0; length < bytes.length; length++)
        expect(imageSize(bytes.subarray(0, length)), name).toBeNull()
    }
  })

  test('The size of an image is read from damaged bytes without an error.', () => {
    const damaged = fc.tuple(fc.constantFrom(...IMAGES), fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 6 }))
    fc.assert(
      fc.property(damaged, ([{ bytes }, changes]) => {
        const copy = Buffer.from(bytes)
        for (const [at, value] of changes) if (at < copy.length) copy[at] = value
        const size = imageSize(copy)
        if (size !== null) expect(size.width * size.height).toBeGreaterThan(0)
      }),
    )
  })

  test('The size of an image goes by the bytes, whatever type a data URL states.', () => {
    const base64 = png(40, 30).toString('base64')
    const size = { width: 40, height: 30 }
    for (const type of ['image/png', 'image/jpeg', 'text/plain', ''])
      expect(dataUrlImageSize(`data:${type};base64,${base64}`)).toEqual(size)
    expect(dataUrlImageSize(`data:image/png;base64,${base64.replace(/(.{20})/g, '$1\r\n')}`)).toEqual(size)
    expect(dataUrlImageSize(`data:image/png;base64,-${base64}`)).toBeNull()
    expect(dataUrlImageSize(`data:image/png,${encodeURIComponent(base64)}`)).toBeNull()
    expect(dataUrlImageSize(`data:image/png;base64;x=1,${base64}`)).toBeNull()
    expect(dataUrlImageSize('https://example.com/a.png')).toBeNull()
  })
})

describe('base64', () => {
  test.for([
    ['QUJD', 'ABC'],
    ['QUI=', 'AB'],
    ['QQ==', 'A'],
    ['QQ', 'A'],
    [' QU\r\nJD\t', 'ABC'],
    ['QQ== \n', 'A'],
    ['', ''],
    ['Q', null],
    ['QQ=', null],
    ['QUJD=', null],
    ['QQ==QUJD', null],
    ['QU-D', null],
    ['QU_D', null],
    ['QU\u00a0JD', null],
    ['QQ===', null],
    ['QQ= =', null],
    ['QU\fJD', null],
    ['====', null],
  ] as const)('Base64 of %j is %j.', ([base64, plain]) => {
    expect(decodeBase64(base64)?.toString('latin1') ?? null).toBe(plain)
  })

  test('Base64 is looked through in time linear in its length.', () => {
    const started = performance.now()
    expect(decodeBase64(`A${' '.repeat(1_000_000)}!`)).toBeNull()
    expect(performance.now() - started).toBeLessThan(1_000)
  })
})
