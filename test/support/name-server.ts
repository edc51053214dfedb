/** A name server on loopback whose answers a test writes: real DNS over UDP, one question a packet, A and AAAA records. */
import { createSocket } from 'node:dgram'
import { promises as dns, type LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { isIP } from 'node:net'

export interface NameServer {
  /** The n-th time a name is looked up (from 0) it has these addresses; none is "no such name". */
  answer(name: string, addresses: (lookup: number) => readonly string[]): void
  /** Asks this server. */
  resolve(name: string): Promise<LookupAddress[]>
  /** `127.0.0.1:PORT` */
  address: string
  /** How often the name was looked up. */
  lookups(name: string): number
  close(): Promise<void>
}

const A = 1
const AAAA = 28

export async function startNameServer(): Promise<NameServer> {
  const zone = new Map<string, (lookup: number) => readonly string[]>()
  const counts = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (query, peer) => {
    const { name, type, end } = readQuestion(query)
    const asked = counts.get(name) ?? 0
    // A lookup asks for A first, then for AAAA.
    if (type === A) counts.set(name, asked + 1)
    const addresses = zone.get(name)?.(type === A ? asked : asked - 1) ?? []
    const records = addresses.filter((address) => isIP(address) === (type === A ? 4 : type === AAAA ? 6 : -1))
    socket.send(writeAnswer(query.subarray(0, end), records, addresses.length > 0), peer.port, peer.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const resolver = new dns.Resolver({ timeout: 2_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${socket.address().port}`])
  return {
    address: `127.0.0.1:${socket.address().port}`,
    answer: (name, addresses) => void zone.set(name, addresses),
    async resolve(name) {
      const four = await resolver.resolve4(name).catch(() => [])
      const six = await resolver.resolve6(name).catch(() => [])
      return [...four.map((address) => ({ address, family: 4 })), ...six.map((address) => ({ address, family: 6 }))]
    },
    lookups: (name) => counts.get(name) ?? 0,
    async close() {
      resolver.cancel()
      socket.close()
      await once(socket, 'close')
    },
  }
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 }
}

function writeAnswer(question: Buffer, addresses: readonly string[], known: boolean): Buffer {
  const head = Buffer.from(question)
  head.writeUInt16BE(known ? 0x8180 : 0x8183, 2)
  head.writeUInt16BE(addresses.length, 6)
  head.fill(0, 8, 12)
  return Buffer.concat([head, ...addresses.map(record)])
}

function record(address: string): Buffer {
  const data = isIP(address) === 4 ? Buffer.from(address.split('.').map(Number)) : bytesOf6(address)
  const head = Buffer.from([0xc0, 12, 0, data.length === 4 ? A : AAAA, 0, 1, 0, 0, 0, 0, 0, data.length])
  return Buffer.concat([head, data])
}

function bytesOf6(address: string): Buffer {
  const [left = '', right] = address.split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [first, last] = [groups(left), groups(right ?? '')]
  const all =
    right === undefined ? first : [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 255]))
}
