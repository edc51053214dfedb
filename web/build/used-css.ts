/**
 * Leaves out of the stylesheet what no script of the build can name: Mantine's file has the rules of every component it knows. Its classes
 * are hashes (`m_4081bf90`) that stand in the scripts, so what is unused is known exactly.
 */
import { createHash } from 'node:crypto'
import postcss from 'postcss'
import type { Plugin } from 'vite'

const CLASS = /\bm_[0-9a-f]{6,8}\b/g

export function usedCss(): Plugin {
  return {
    name: 'used-css',
    apply: 'build',
    enforce: 'post',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const outputs = Object.values(bundle)
        const scripts = outputs.flatMap((one) => (one.type === 'chunk' ? [one.code] : []))
        const used = new Set(scripts.flatMap((code) => code.match(CLASS) ?? []))
        const page = outputs.find(({ fileName }) => fileName === 'index.html')
        for (const sheet of outputs) {
          if (sheet.type !== 'asset' || page?.type !== 'asset' || !sheet.fileName.endsWith('.css')) continue
          // Those of screens are small, and scripts name them.
          if (!String(page.source).includes(sheet.fileName)) continue
          const left = withoutUnused(Buffer.from(sheet.source).toString(), used)
          // The name goes by what is in it: browsers keep a name forever.
          const hash = createHash('sha256').update(left).digest('hex').slice(0, 8)
          const name = `assets/page-${hash}.css`
          page.source = String(page.source).replaceAll(sheet.fileName, name)
          delete bundle[sheet.fileName]
          this.emitFile({ type: 'asset', fileName: name, source: left })
        }
      },
    },
  }
}

function withoutUnused(css: string, used: ReadonlySet<string>): string {
  // What is in `:not` is true of an element without the class.
  const isUnused = (selector: string) =>
    !selector.includes(':not(') && (selector.match(CLASS) ?? []).some((name) => !used.has(name))
  const root = postcss.parse(css)
  root.walkRules((rule) => {
    if (rule.selectors.every(isUnused)) rule.remove()
  })
  return root.toString()
}
