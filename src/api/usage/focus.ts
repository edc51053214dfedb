/** Usage as FOCUS 1.1 has it (https://focus.finops.org), the form in which FinOps tools read what clouds and providers bill. */
import type { Dimension, UsageGroup } from '../../reports/usage-by.ts'

/** What a row is grouped by. */
export const FOCUS_GROUPS: readonly Dimension[] = ['day', 'organization', 'user', 'service', 'model', 'provider', 'key']

export const FOCUS_COLUMNS = [
  ...['BilledCost', 'BillingAccountId', 'BillingCurrency', 'BillingPeriodEnd', 'BillingPeriodStart', 'ChargeCategory'],
  ...[
    'ChargeClass',
    'ChargeDescription',
    'ChargeFrequency',
    'ChargePeriodEnd',
    'ChargePeriodStart',
    'ConsumedQuantity',
  ],
  ...[
    'ConsumedUnit',
    'ContractedCost',
    'EffectiveCost',
    'InvoiceIssuerName',
    'ListCost',
    'ProviderName',
    'PublisherName',
  ],
  ...['ResourceId', 'ResourceName', 'ResourceType', 'ServiceCategory', 'ServiceName', 'SubAccountId'],
  ...['x_ApiKeyId', 'x_CachedTokens', 'x_Calls', 'x_Credits', 'x_InputTokens', 'x_OutputTokens', 'x_ProviderCost'],
] as const

type Row = Readonly<Record<(typeof FOCUS_COLUMNS)[number], string | null>>

/** In the order of FOCUS_COLUMNS. */
export function focusRow(group: UsageGroup): (string | null)[] {
  const row = rowOf(group)
  return FOCUS_COLUMNS.map((column) => row[column])
}

function rowOf({
  key,
  cost,
  credits,
  calls,
  input_tokens,
  cached_tokens,
  output_tokens,
  provider_cost,
}: UsageGroup): Row {
  const [day = '', organization = '', user = '', service = '', model = '', provider = '', keyId = ''] = key
  const start = new Date(`${day}T00:00:00Z`)
  const [year, month] = [start.getUTCFullYear(), start.getUTCMonth()]
  return {
    BilledCost: cost,
    BillingAccountId: organization,
    BillingCurrency: 'USD',
    BillingPeriodEnd: instant(new Date(Date.UTC(year, month + 1, 1))),
    BillingPeriodStart: instant(new Date(Date.UTC(year, month, 1))),
    ChargeCategory: 'Usage',
    ChargeClass: null,
    ChargeDescription: `${model === '' ? service : model}: calls of one day`,
    ChargeFrequency: 'Usage-Based',
    ChargePeriodEnd: instant(new Date(Date.UTC(year, month, start.getUTCDate() + 1))),
    ChargePeriodStart: instant(start),
    ConsumedQuantity: String(BigInt(input_tokens) + BigInt(output_tokens)),
    ConsumedUnit: 'Tokens',
    ContractedCost: cost,
    EffectiveCost: cost,
    InvoiceIssuerName: 'Tollgate',
    ListCost: cost,
    ProviderName: provider === '' ? 'Tollgate' : provider,
    PublisherName: provider === '' ? 'Tollgate' : provider,
    ResourceId: model === '' ? null : model,
    ResourceName: model === '' ? null : model,
    ResourceType: model === '' ? null : 'Model',
    ServiceCategory: 'AI and Machine Learning',
    ServiceName: service,
    SubAccountId: user,
    x_ApiKeyId: keyId === '' ? null : keyId,
    x_CachedTokens: cached_tokens,
    x_Calls: calls,
    x_Credits: credits,
    x_InputTokens: input_tokens,
    x_OutputTokens: output_tokens,
    x_ProviderCost: provider_cost,
  }
}

function instant(date: Date): string {
  return date.toISOString().replace('.000Z', 'Z')
}
