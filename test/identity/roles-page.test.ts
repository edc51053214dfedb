/** docs/identity.md says who may do what. It is written from the table that decides it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PERMISSIONS, type Permission } from '../../src/identity/permissions.ts'

const ROLES = ['owner', 'admin', 'billing_admin', 'member', 'service', 'none'] as const
const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'identity.md'), 'utf8')

function row(permission: Permission): string {
  const { roles, what } = PERMISSIONS[permission]
  const cells = ROLES.map((role) => ((roles as readonly string[]).includes(role) ? 'yes' : ''))
  return `| \`${permission}\` | ${what} | yes | ${cells.join(' | ')} |`
}

test('The page has the table of roles as the program has it.', () => {
  const head = `| permission | allows to | system_admin | ${ROLES.join(' | ')} |`
  const rule = `|${'---|'.repeat(ROLES.length + 3)}`
  const table = [head, rule, ...(Object.keys(PERMISSIONS) as Permission[]).map(row)].join('\n')
  expect(/<!-- roles -->\n(.*)\n<!-- \/roles -->/s.exec(PAGE)?.[1]).toBe(table)
})
