/** Texts as callers send them, a dozen kinds: what the fast estimate is held against. Written for this purpose. */
import { createHash } from 'node:crypto'

/** Bytes that look random and are the same in every run. */
function noise(length: number): Buffer {
  const blocks: Buffer[] = []
  for (let block = 0; block * 32 < length; block++) blocks.push(createHash('sha256').update(`block ${block}`).digest())
  return Buffer.concat(blocks).subarray(0, length)
}

const orders = Array.from({ length: 12 }, (_, i) => ({
  id: `ord_${1000 + i * 37}`,
  customer: { name: ['Ada Byron', 'Grace Hopper', 'Edsger Dijkstra'][i % 3], email: `customer${i}@example.com` },
  items: [{ sku: `SKU-${i * 7919}`, quantity: (i % 4) + 1, unitPrice: 19.99 + i }],
  createdAt: `2026-03-${String(i + 1).padStart(2, '0')}T08:${String(i * 4).padStart(2, '0')}:00Z`,
  paid: i % 2 === 0,
}))

const tool = {
  type: 'function',
  function: {
    name: 'get_weather_forecast',
    description:
      'Returns the forecast for a place. Use it whenever the user asks about temperature, rain, wind or snow.',
    parameters: {
      type: 'object',
      properties: {
        location: { type: 'string', description: 'City and country, e.g. "Lisbon, Portugal"' },
        days: { type: 'integer', minimum: 1, maximum: 14, description: 'How many days to look ahead' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
      },
      required: ['location'],
      additionalProperties: false,
    },
  },
}

export const SAMPLES = {
  greeting: 'Hello! How are you today?',
  instruction: 'You are a helpful assistant. Answer briefly, and say so when you do not know.',
  prose:
    'The harbour was quiet when the last ferry came in. Nobody had expected it before midnight, and the two men on the pier ' +
    'had long since given up pretending to work. They sat on upturned crates, passing a thermos back and forth, and watched ' +
    'the lights crawl along the breakwater. "She\'s early," said the older one, without much interest. The other shrugged. ' +
    'It had been that kind of winter: things arrived when they arrived, and it was best not to ask why.',
  technical:
    'When a replica falls behind, the primary retains write-ahead log segments until the replication slot advances. An ' +
    'abandoned slot therefore fills the disk; monitor pg_replication_slots and set max_slot_wal_keep_size so that the ' +
    'database survives a consumer that never comes back. Checkpoints, autovacuum and hot_standby_feedback interact here.',
  legal:
    'Notwithstanding anything to the contrary herein, the indemnifying party shall not be liable for any consequential, ' +
    'incidental, or punitive damages arising out of or relating to this Agreement, whether foreseeable or unforeseeable.',
  email:
    'Hi Sam,\n\nthanks for the draft. Two things:\n\n1. The numbers on page 3 are from Q2.\n2. Can we ship on Friday?\n\nBest,\nJo\n',
  markdown:
    '# Release 2.4\n\n## Added\n- `--dry-run` for **migrate**\n- Support for [PostgreSQL 18](https://www.postgresql.org)\n\n' +
    '## Fixed\n- A crash when `config.yaml` is empty (#412)\n\n> Upgrade notes: run `npm ci` first.\n\n---\n',
  table:
    '| model | input | output | context |\n|-------|------:|-------:|--------:|\n| small | 0.15 | 0.60 | 128,000 |\n' +
    '| medium | 2.50 | 10.00 | 200,000 |\n| large | 15.00 | 60.00 | 1,000,000 |\n',
  csv: Array.from(
    { length: 20 },
    (_, i) => `${i},2026-01-${i + 10},${(i * 13.37).toFixed(2)},EUR,user_${i}@mail.example`,
  ).join('\n'),
  typescript:
    "import { readFile } from 'node:fs/promises'\n\nexport async function loadSettings(path: string): Promise<Settings> {\n" +
    "  const text = await readFile(path, 'utf8')\n  const parsed: unknown = JSON.parse(text)\n  if (!isSettings(parsed)) {\n" +
    '    throw new TypeError(path + " does not hold settings")\n  }\n  return { ...DEFAULTS, ...parsed }\n}\n\n' +
    'const byName = new Map(items.map((item) => [item.name.toLowerCase(), item]))\nfor (let i = 0; i < 10; i++) total += i * 2\n',
  python:
    'class LeastRecentlyUsed:\n    """A cache that forgets."""\n\n    def __init__(self, capacity: int = 128) -> None:\n' +
    '        self._items: OrderedDict[str, Any] = OrderedDict()\n        self.capacity = capacity\n\n' +
    '    def get(self, key):\n        if key not in self._items:\n            return None\n        self._items.move_to_end(key)\n' +
    '        return self._items[key]\n',
  sql:
    'SELECT o.id, u.email, SUM(i.quantity * i.unit_price) AS total\n  FROM orders o\n  JOIN users u ON u.id = o.user_id\n' +
    "  LEFT JOIN items i ON i.order_id = o.id\n WHERE o.created_at >= now() - interval '30 days'\n GROUP BY 1, 2\nHAVING COUNT(*) > 3;",
  c: '#include <stdio.h>\n\nint main(int argc, char **argv) {\n\tfor (size_t i = 1; i < (size_t)argc; ++i) {\n\t\tprintf("%zu: %s\\n", i, argv[i]);\n\t}\n\treturn 0;\n}\n',
  shell:
    'set -euo pipefail\nfor f in "$@"; do\n  [[ -f "$f" ]] || { echo "missing: $f" >&2; exit 1; }\n  sha256sum "$f" | awk \'{print $1}\'\ndone\n',
  html: '<!doctype html>\n<html lang="en">\n  <head><title>Status</title></head>\n  <body class="dark">\n    <ul id="nav"><li><a href="/a?b=1&amp;c=2">Home</a></li></ul>\n  </body>\n</html>\n',
  css: '.card { display: grid; gap: 1rem; padding: 12px 16px; border: 1px solid #e5e7eb; }\n@media (max-width: 640px) { .card { padding: 8px; } }\n',
  json: JSON.stringify(orders),
  prettyJson: JSON.stringify(orders, null, 2),
  toolDefinition: JSON.stringify(tool),
  yaml: 'services:\n  web:\n    image: nginx:1.27\n    ports: ["8080:80"]\n    environment:\n      LOG_LEVEL: debug\n    depends_on: [db]\n  db:\n    image: postgres:18\n',
  log: Array.from(
    { length: 8 },
    (_, i) =>
      `2026-05-04T12:00:0${i}.123Z INFO  [http-nio-8080-exec-${i}] c.e.api.OrderController - GET /orders/${i * 991} 200 ${i * 7}ms`,
  ).join('\n'),
  stackTrace:
    "TypeError: Cannot read properties of undefined (reading 'length')\n    at parseHeader (/srv/app/src/http/parse-header.ts:42:17)\n" +
    '    at async handle (/srv/app/src/http/handle.ts:118:5)\n    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)\n',
  german:
    'Sehr geehrte Damen und Herren, hiermit kündige ich meinen Vertrag fristgerecht zum nächstmöglichen Zeitpunkt. Bitte ' +
    'bestätigen Sie mir den Eingang der Kündigung sowie das Beendigungsdatum schriftlich. Die Geschwindigkeitsbegrenzung auf ' +
    'der Landstraße wurde während der Straßenbauarbeiten vorübergehend herabgesetzt, worüber sich die Anwohner freuten.',
  french:
    "L'été dernier, nous avons traversé la Bretagne à vélo. Les côtes étaient raides, mais la vue sur l'océan valait l'effort ; " +
    'chaque soir, nous plantions la tente près d’un village où l’on pouvait acheter du pain et des crêpes.',
  spanish:
    'El informe señala que la inflación se desaceleró durante el segundo trimestre, aunque los precios de la energía siguen ' +
    'siendo volátiles. ¿Podrías resumirlo en tres párrafos y añadir una tabla con las cifras más importantes?',
  portuguese:
    'A reunião foi adiada para a próxima quinta-feira. Não se esqueça de trazer os documentos e a procuração assinada.',
  polish:
    'Proszę o przesłanie faktury za ostatni miesiąc. Zażółć gęślą jaźń. Spółka została założona w Warszawie w 1998 roku.',
  turkish:
    'Müşterilerimizin memnuniyeti bizim için çok önemlidir. Siparişiniz yarın öğleden sonra kargoya verilecektir.',
  finnish:
    'Lentokoneen lähtöaika on siirretty myöhemmäksi sääolosuhteiden vuoksi. Pahoittelemme matkustajille aiheutunutta haittaa.',
  vietnamese:
    'Xin chào, tôi muốn đặt một bàn cho bốn người vào tối thứ bảy. Nhà hàng có món chay không? Cảm ơn bạn rất nhiều.',
  russian:
    'Уважаемые коллеги, напоминаем, что совещание состоится в четверг в десять часов утра. Просим заранее подготовить отчёт о ' +
    'проделанной работе и предложения по улучшению взаимодействия между подразделениями компании.',
  ukrainian:
    'Будь ласка, надішліть мені рахунок за минулий місяць. Зустріч перенесено на п’ятницю через погодні умови.',
  greek: 'Καλημέρα σας. Θα ήθελα να κλείσω ένα δωμάτιο για δύο άτομα από τις δέκα έως τις δεκαπέντε Ιουλίου.',
  chinese:
    '人工智能正在改变我们的生活方式。越来越多的企业开始使用大型语言模型来处理客户咨询、撰写报告和分析数据。然而，成本控制仍然是一个重要的问题。',
  traditionalChinese: '請幫我把這份合約翻譯成英文，並在重要的條款旁邊加上註解。付款期限為發票日起三十天內。',
  japanese:
    'お世話になっております。先日お送りいただいた見積書について、いくつか確認したい点がございます。納期を一週間早めることは可能でしょうか。' +
    'ご検討のほど、よろしくお願いいたします。',
  korean: '안녕하세요. 지난주에 주문한 상품이 아직 도착하지 않았습니다. 배송 상태를 확인해 주시면 감사하겠습니다.',
  arabic: 'مرحبا، أود حجز غرفة لشخصين من العاشر إلى الخامس عشر من يوليو. هل يشمل السعر وجبة الإفطار؟',
  hebrew: 'שלום, אני רוצה לבטל את ההזמנה שלי ולקבל החזר כספי מלא. תודה רבה.',
  hindi: 'नमस्ते, कृपया मुझे बताइए कि मेरा ऑर्डर कब तक पहुँचेगा। मैंने इसे पिछले सप्ताह मंगवाया था।',
  thai: 'สวัสดีครับ ผมอยากจองโต๊ะสำหรับสี่คนในคืนวันเสาร์ ไม่ทราบว่ามีโต๊ะว่างไหมครับ',
  emoji: 'Great job team 🎉🎉🚀 we did it 💪🏽 😂😂 see you at the 🏖️ 👨‍👩‍👧‍👦 ❤️ 🇩🇪 🇯🇵',
  base64: noise(900).toString('base64'),
  base64url: noise(300).toString('base64url'),
  hex: noise(400).toString('hex'),
  upperHex: noise(200).toString('hex').toUpperCase(),
  uuids: Array.from({ length: 10 }, (_, i) =>
    noise(400)
      .toString('hex')
      .slice(i * 36)
      .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5'),
  ).join('\n'),
  numbers: Array.from({ length: 60 }, (_, i) => (i * 7919.331).toFixed(3)).join(' '),
  digits: '3141592653589793238462643383279502884197169399375105820974944592307816406286208998628034825342117067',
  math: 'Let $f(x) = \\frac{1}{\\sqrt{2\\pi\\sigma^2}} e^{-\\frac{(x-\\mu)^2}{2\\sigma^2}}$; then \\int_{-\\infty}^{\\infty} f(x)\\,dx = 1.',
  urls: 'https://www.example.com/search?q=token+counting&lang=en-GB&utm_source=newsletter#results\nhttp://127.0.0.1:4000/v1/chat/completions',
  shouting: 'PLEASE READ THE TERMS AND CONDITIONS CAREFULLY BEFORE USING THIS SERVICE. ALL SALES ARE FINAL.',
  identifiers:
    'getUserAccountById MAX_RETRY_COUNT kebab-case-name snake_case_variable XMLHttpRequest handleOnClickEvent useEffect innerHTML',
  rule: `${'='.repeat(80)}\n${'-'.repeat(80)}\n${'*'.repeat(40)}\n`,
  indentation: Array.from({ length: 12 }, (_, i) => `${' '.repeat(i * 4)}- level ${i}`).join('\n'),
  diff: '@@ -12,7 +12,7 @@ export function total(items) {\n-  return items.reduce((a, b) => a + b.price, 0)\n+  return items.reduce((sum, item) => sum + item.price * item.quantity, 0n)\n }\n',
  chat: 'lol yeah idk tbh, gonna check it tmrw... brb!!! u there?? omg thx :)',
}
