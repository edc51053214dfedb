/**
 * Differences that are meant, by the name of the recording or price case. Each has to survive a second reading: why the facts leave
 * no better answer. An exception that meets no difference is one too many, and fails the run.
 */
export interface Exception {
  /** What the difference begins with. */
  about: string
  reason: string
}

const ONE_CHOICE = {
  about: 'what reached the provider',
  reason:
    'it answers with one choice whatever n says (the recording shows it), so n is dropped, or refused without drop_params',
}

export const EXCEPTIONS: Readonly<Record<string, readonly Exception[]>> = {
  'anthropic/err_400_schema_top_level_anyof': [
    {
      about: 'the provider was not called once: 400',
      reason:
        'the provider refuses such a schema; Tollgate says so before it calls, with the same status and the place',
    },
  ],
  'openrouter/ns_n2_ignored': [ONE_CHOICE],
  'openrouter/st_n2_ignored': [ONE_CHOICE],
  'openrouter-billed-079': [
    {
      about: 'charge',
      reason:
        "is_byok: OpenRouter's own bill is 0 because the operator's key at the upstream provider paid, and the same answer says how much (cost_details.upstream_inference_cost, $0.0003253). That is what the call cost the operator, and what is charged",
    },
  ],
}

export function exceptionFor(name: string, difference: string): Exception | null {
  const known = Object.hasOwn(EXCEPTIONS, name) ? (EXCEPTIONS[name] ?? []) : []
  return known.find(({ about }) => difference.startsWith(about)) ?? null
}
