/**
 * npm run attack: every known trick against the running product, with what was true, held and charged. Exit status 1 where a promise
 * is broken, or where the books do not add up afterwards. `-- <word>` performs those whose name has the word.
 */
import { CATALOGUE } from './catalogue/index.ts'
import { attackConfig } from './config.ts'
import { perform, type Result } from './perform.ts'
import { isFailure, printHead, printLine } from './report.ts'
import { withStage } from './stage.ts'

async function main(word = ''): Promise<number> {
  const begun = performance.now()
  const { result: results, findings } = await withStage(attackConfig, async (stage) => {
    const done: Result[] = []
    for (const [theme, tricks] of Object.entries(CATALOGUE)) {
      const chosen = tricks.filter(({ name }) => name.includes(word))
      if (chosen.length > 0) printHead(theme)
      for (const trick of chosen) {
        const result = await perform(stage, trick)
        printLine(result)
        done.push(result)
      }
    }
    return done
  })
  const broken = results.filter(isFailure).length
  const known = results.filter(({ trick }) => trick.known !== undefined).length
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(
    `\n${results.length} tricks, ${broken} promises broken, ${known} known to succeed; the audit finds ${findings} differences; ${seconds} s`,
  )
  return broken === 0 && findings === 0 && results.length > 0 ? 0 : 1
}

process.exitCode = await main(process.argv[2])
