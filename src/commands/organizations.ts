/** `tollgate org ...`, `tollgate member ...` and `tollgate key ...`: an operator manages organizations without SQL. */
import { listKeys, revokeKey } from '../billing/api-keys.ts'
import { createKey } from '../billing/create-key.ts'
import { createOrganization } from '../billing/create-organization.ts'
import { setDefaultOrganization } from '../billing/default-organization.ts'
import { findOrganization } from '../billing/find-organization.ts'
import { addMember, listMembers } from '../billing/members.ts'
import { addCredits, listOrganizations, setStatus, showOrganization } from '../billing/organizations.ts'
import type { Database } from '../db/connect.ts'
import { EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { printRows } from './print-rows.ts'
import { printJson, withStore } from './with-store.ts'

type Command = (options: Options) => Promise<number>

const json =
  (work: (database: Database, options: Options) => Promise<unknown>): Command =>
  (options) =>
    printJson(options, (database) => work(database, options))

/** Prints a table for people, or JSON with --json. */
const table =
  (work: (database: Database, options: Options) => Promise<readonly object[]>, none: string): Command =>
  async (options) => {
    const rows = await withStore(options, (database) => work(database, options))
    process.stdout.write(options.json ? `${JSON.stringify(rows, null, 2)}\n` : printRows(rows, none))
    return EXIT.ok
  }

export const orgCreate = json((database, options) => createOrganization(database, options))
export const orgList = table(listOrganizations, 'There is no organization. Make one with: tollgate org create')
export const orgShow = json((database, { org }) => showOrganization(database, org))
export const orgSuspend = json((database, { org }) => setStatus(database, org, 'suspended'))
export const orgResume = json((database, { org }) => setStatus(database, org, 'active'))
export const orgAddCredits = json((database, { org, credits }) => addCredits(database, org, credits))

export const memberList = table((database, { org }) => listMembers(database, org), 'The organization has no members.')
export const memberAdd = json((database, { org, user, role, allocate }) =>
  addMember(database, { organization: org, user, role, allocate }, 'tollgate member add'),
)
export const memberAllocate = json((database, { org, user, credits }) =>
  addMember(database, { organization: org, user, role: null, allocate: credits }, 'tollgate member allocate'),
)

export const memberDefault = json(async (database, { org, user }) => {
  const organization = await findOrganization(database.query, org)
  await database.query
    .transaction()
    .execute((transaction) => setDefaultOrganization(transaction, organization.id, user))
  return { user, default_organization: organization }
})

export const keyCreate = json((database, { org, user, allocate, role, label }) =>
  createKey(database, { organization: org, user, allocate, role, name: label }),
)
export const keyList = table((database, { org }) => listKeys(database, org || null), 'There is no key.')
export const keyRevoke = json((database, { key }) => revokeKey(database, key))
