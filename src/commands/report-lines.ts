/** One line for each thing a migration did; none where there was nothing to do. */
import type { MigrateReport } from '../db/migrate.ts'
import { describeDrift, describeNewerSet } from '../db/schema-plan.ts'

export function reportLines({ migrations, functions, mended, newerSet, sameNumber }: MigrateReport): string[] {
  return [
    ...mended.map((drift) => `Put right: ${describeDrift(drift)}.`),
    ...migrations.map((name) => `Applied migration ${name}.`),
    ...functions.map((name) => `Applied functions of ${name}.`),
    ...(sameNumber
      ? ['The database had other texts under the same number of the function set; they were replaced.']
      : []),
    ...(newerSet === null ? [] : [describeNewerSet(newerSet)]),
  ]
}
