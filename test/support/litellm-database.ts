/**
 * A database as LiteLLM makes one: the columns that the newest versions have of the tables that are read, in our own words; `old`: as
 * versions of 2024 had them. Times have no zone, amounts are doubles.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, inject } from 'vitest'
import { queryOnce } from './empty-database.ts'
import { urlOfDatabase } from './global-database.ts'

export interface LitellmDatabase {
  readonly url: string
  query(statement: string, values?: unknown[]): Promise<Record<string, unknown>[]>
}

/** Call it at the top of a test file. */
export function useLitellmDatabase(fill: () => string, { old = false } = {}): LitellmDatabase {
  const server = inject('databaseServer').url
  const name = `litellm_${randomUUID().replaceAll('-', '')}`
  const url = urlOfDatabase(server, name)
  beforeAll(async () => {
    await queryOnce(server, `create database ${name}`)
    await queryOnce(url, old ? OLD : NEW)
    await queryOnce(url, fill())
  })
  afterAll(() => queryOnce(server, `drop database if exists ${name} with (force)`))
  return { url, query: (statement, values) => queryOnce(url, statement, values) }
}

/** `2026-01-01 00:00:00` of UTC, in so many hours. */
export const inHours = (hours: number) => `(now() at time zone 'UTC' + interval '${hours} hours')`

const TIMES =
  'created_at timestamp(3) not null default current_timestamp, updated_at timestamp(3) not null default current_timestamp'
const BY = "created_by text not null default 'admin', updated_by text not null default 'admin'"
const BUDGET = 'max_budget double precision, budget_duration text, budget_reset_at timestamp(3)'
const RATES = 'max_parallel_requests integer, tpm_limit bigint, rpm_limit bigint'
const SPEND = 'spend double precision not null default 0'

const NEW = `
create table "LiteLLM_BudgetTable" (budget_id text primary key, soft_budget double precision, ${BUDGET}, ${RATES}, tpd_limit bigint,
  model_max_budget jsonb, allowed_models text[] default '{}', ${TIMES}, ${BY});
create table "LiteLLM_OrganizationTable" (organization_id text primary key, organization_alias text not null, budget_id text not null,
  metadata jsonb not null default '{}', models text[], ${SPEND}, model_spend jsonb not null default '{}', object_permission_id text, ${TIMES}, ${BY});
create table "LiteLLM_OrganizationMembership" (user_id text, organization_id text, user_role text, spend double precision default 0, budget_id text,
  created_at timestamp(3), updated_at timestamp(3), primary key (user_id, organization_id));
create table "LiteLLM_ModelTable" (id serial primary key, aliases jsonb, ${TIMES}, ${BY});
create table "LiteLLM_TeamTable" (team_id text primary key, team_alias text, organization_id text, object_permission_id text, admins text[],
  members text[], members_with_roles jsonb not null default '{}', metadata jsonb not null default '{}', soft_budget double precision, ${BUDGET},
  ${RATES}, tpd_limit bigint, ${SPEND}, models text[], blocked boolean not null default false, model_max_budget jsonb not null default '{}',
  policies text[] default '{}', access_group_ids text[] default '{}', budget_limits jsonb, model_id integer unique, ${TIMES});
create table "LiteLLM_TeamMembership" (user_id text, team_id text, ${SPEND}, total_spend double precision not null default 0, budget_id text,
  primary key (user_id, team_id));
create table "LiteLLM_UserTable" (user_id text primary key, user_alias text, team_id text, organization_id text, object_permission_id text,
  teams text[] default '{}', user_role text, ${SPEND}, user_email text, models text[], metadata jsonb not null default '{}', ${BUDGET}, ${RATES},
  policies text[] default '{}', model_max_budget jsonb not null default '{}', created_at timestamp(3), updated_at timestamp(3));
create table "LiteLLM_VerificationToken" (token text primary key, key_name text, key_alias text, ${SPEND},
  total_spend double precision not null default 0, expires timestamp(3), models text[], aliases jsonb not null default '{}', user_id text,
  team_id text, project_id text, permissions jsonb not null default '{}', metadata jsonb not null default '{}', blocked boolean, ${BUDGET}, ${RATES},
  tpd_limit bigint, allowed_cache_controls text[] default '{}', allowed_routes text[] default '{}', policies text[] default '{}',
  access_group_ids text[] default '{}', model_spend jsonb not null default '{}', model_max_budget jsonb not null default '{}',
  budget_fallbacks jsonb not null default '{}', budget_id text, organization_id text, object_permission_id text, auto_rotate boolean default false,
  budget_limits jsonb, created_at timestamp(3), updated_at timestamp(3));
create table "LiteLLM_DeprecatedVerificationToken" (id text primary key, token text unique, active_token_id text, revoke_at timestamp(3));
create table "LiteLLM_EndUserTable" (user_id text primary key, alias text, ${SPEND}, allowed_model_region text, default_model text,
  models text[] default '{}', budget_id text, object_permission_id text, blocked boolean not null default false);
create table "LiteLLM_TagTable" (tag_name text primary key, models text[], ${SPEND}, budget_id text);
create table "LiteLLM_Config" (param_name text primary key, param_value jsonb);
create table "LiteLLM_CredentialsTable" (credential_id text primary key, credential_name text unique, credential_values jsonb not null);
create table "LiteLLM_ProxyModelTable" (model_id text primary key, model_name text not null, litellm_params jsonb not null, model_info jsonb,
  blocked boolean not null default false, ${TIMES}, ${BY});
create table "LiteLLM_SpendLogs" (request_id text primary key, call_type text not null, api_key text not null default '', ${SPEND},
  total_tokens integer not null default 0, prompt_tokens integer not null default 0, completion_tokens integer not null default 0,
  "startTime" timestamp(3) not null, "endTime" timestamp(3) not null, model text not null default '', model_id text default '',
  model_group text default '', custom_llm_provider text default '', api_base text default '', "user" text default '', metadata jsonb default '{}',
  cache_hit text default '', cache_key text default '', request_tags jsonb default '[]', team_id text, organization_id text, end_user text,
  messages jsonb default '{}', response jsonb default '{}', session_id text, status text, litellm_call_id text);
create index on "LiteLLM_SpendLogs" ("startTime");`

const OLD = `
create table "LiteLLM_BudgetTable" (budget_id text primary key, soft_budget double precision, ${BUDGET}, ${RATES}, model_max_budget jsonb, ${TIMES}, ${BY});
create table "LiteLLM_TeamTable" (team_id text primary key, team_alias text, organization_id text, admins text[], members text[],
  members_with_roles jsonb not null default '{}', metadata jsonb not null default '{}', ${BUDGET}, ${RATES}, ${SPEND}, models text[],
  blocked boolean not null default false, ${TIMES});
create table "LiteLLM_UserTable" (user_id text primary key, team_id text, teams text[] default '{}', user_role text, ${SPEND}, user_email text,
  models text[], ${BUDGET}, ${RATES});
create table "LiteLLM_VerificationToken" (token text primary key, key_name text, key_alias text, ${SPEND}, expires timestamp(3), models text[],
  aliases jsonb not null default '{}', config jsonb not null default '{}', user_id text, team_id text, permissions jsonb not null default '{}',
  metadata jsonb not null default '{}', ${BUDGET}, ${RATES}, allowed_cache_controls text[] default '{}', model_spend jsonb not null default '{}',
  model_max_budget jsonb not null default '{}');
create table "LiteLLM_SpendLogs" (request_id text primary key, call_type text not null, api_key text not null default '', ${SPEND},
  total_tokens integer not null default 0, prompt_tokens integer not null default 0, completion_tokens integer not null default 0,
  "startTime" timestamp(3) not null, "endTime" timestamp(3) not null, model text not null default '', api_base text default '',
  "user" text default '', metadata jsonb default '{}', cache_hit text default '', cache_key text default '');`
