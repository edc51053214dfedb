/** `tollgate.oidc`: identity providers whose tokens are accepted, and the one that people log in with. */
import type { OidcIssuer } from './config.ts'
import type { Field, Section } from './field.ts'

const KNOWN =
  'issuer, audience, jwks_uri, user_claim, organization_claim, roles_claim, admin_roles, client_id, client_secret, scopes'
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/
/** The least that a login needs to identify a person. */
const SCOPES = 'openid profile email'

export function readOidc(field: Field | null): OidcIssuer[] {
  const issuers: OidcIssuer[] = []
  for (const entry of field?.list() ?? []) {
    const section = entry.section()
    const issuer = section === null ? null : readIssuer(section)
    section?.finish(new Set(), KNOWN)
    if (issuer === null) continue
    if (issuers.some((other) => other.issuer === issuer.issuer))
      entry.error('two entries have the same issuer', 'write one entry for each issuer')
    else if (issuer.login !== null && issuers.some(({ login }) => login !== null))
      entry.error('two issuers have a client_id, so nobody knows where to log in', 'write client_id for one of them')
    else issuers.push(issuer)
  }
  return issuers
}

function readIssuer(section: Section): OidcIssuer | null {
  const issuer = readUrl(section.take('issuer'), 'https://login.example.com/realms/acme')
  const jwks = section.take('jwks_uri')
  const audience = readTexts(section.take('audience'), 'an audience')
  if (audience.length === 0 && section.take('audience').variableName === null)
    section
      .take('audience')
      .error('missing: without it tokens made for others would be accepted', 'write audience: tollgate')
  const read = {
    audience,
    jwksUri: jwks.empty ? null : readUrl(jwks, 'https://login.example.com/keys'),
    userClaim: section.take('user_claim').text('the name of a claim')?.trim() || 'sub',
    organizationClaim: section.take('organization_claim').text('the name of a claim')?.trim() || null,
    rolesClaim: section.take('roles_claim').text('the name of a claim')?.trim() || null,
    adminRoles: readTexts(section.take('admin_roles'), 'the name of a role'),
    login: readLogin(section),
  }
  if (read.adminRoles.length > 0 && read.rolesClaim === null)
    section
      .take('admin_roles')
      .error('admin_roles has no effect without roles_claim', 'write roles_claim: realm_access.roles')
  return issuer === null || audience.length === 0 ? null : { issuer, ...read }
}

function readLogin(section: Section): OidcIssuer['login'] {
  const clientId = section.take('client_id').text('the id of a client')?.trim() ?? ''
  const clientSecret = section.take('client_secret').text('a secret')?.trim() || null
  const scopes = section.take('scopes').text('scopes with spaces between them')?.trim() || SCOPES
  if (!scopes.split(/\s+/).includes('openid'))
    section.take('scopes').error('without openid nobody says who logged in', `write scopes: ${SCOPES}`)
  return clientId === '' ? null : { clientId, clientSecret, scopes }
}

function readUrl(field: Field, example: string): string | null {
  const text = field.text('a URL')?.trim() ?? ''
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '')
    return field.variableName !== null && text === ''
      ? null
      : field.error('not the URL of an identity provider', `write ${field.label}: ${example}`)
  if (url.protocol === 'http:' && !LOOPBACK.test(url.hostname))
    field.warn('its keys come over plain HTTP: whoever is on the way can sign tokens', 'use https')
  return text
}

/** One text or a list of them. */
function readTexts(field: Field, what: string): string[] {
  if (field.empty) return []
  if (field.rawText() !== null) return field.text(what)?.trim().split(/\s+/).filter(Boolean) ?? []
  return field.list().flatMap((entry) => entry.text(what)?.trim() || [])
}
