/**
 * What OpenTelemetry says of calls to models: which attributes of a span or a log record mean which part of a usage event. The conventions
 * are in development and were renamed more than once, so every name they had is understood; where several are given, the first wins.
 * Only what stands here is read: prompts and completions never get into an event. Not known here: OTLP, HTTP.
 */
import { decimalOf, type Json, type JsonObject, type UsageEvent } from "./event";
import { ok, refuse, type Result } from "./result";

/** Text, or a number (one that a double cannot as `JSON.rawJSON`); null: of a kind that says nothing here. */
export type AttributeValue = string | number | { readonly rawJSON: string } | null;
export type Attributes = ReadonlyMap<string, AttributeValue>;

/** A span or a log record, as much of it as is of interest. */
export interface TelemetryRecord {
  /** Of the service that it comes from. */
  resource: Attributes;
  attributes: Attributes;
  /** Lower-case hex; "": none. */
  traceId: string;
  spanId: string;
  /** Epoch ms; null: it does not say. */
  at: number | null;
}

/** Dimension → the names that its attribute has had. */
const USAGE: readonly (readonly [dimension: string, names: readonly string[]])[] = [
  ["inputTokens", ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]],
  ["outputTokens", ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"]],
  [
    "cacheReadTokens",
    [
      "gen_ai.usage.cache_read.input_tokens",
      "gen_ai.usage.cache_read_input_tokens",
      "gen_ai.usage.input_tokens.cached",
    ],
  ],
  [
    "cacheWriteTokens",
    [
      "gen_ai.usage.cache_write.input_tokens",
      "gen_ai.usage.cache_creation.input_tokens",
      "gen_ai.usage.cache_creation_input_tokens",
      "gen_ai.usage.input_tokens.cache_write",
    ],
  ],
  [
    "reasoningTokens",
    [
      "gen_ai.usage.reasoning.output_tokens",
      "gen_ai.usage.reasoning_output_tokens",
      "gen_ai.usage.reasoning_tokens",
      "gen_ai.usage.output_tokens.reasoning",
    ],
  ],
];

const PROVIDER = ["gen_ai.provider.name", "gen_ai.system"];
/** What answered is what is charged for; an alias such as `-latest` is what was asked for. */
const MODEL = ["gen_ai.response.model", "gen_ai.request.model"];
const OPERATION = ["gen_ai.operation.name"];
const FEATURE = ["tollgate.feature"];
const CUSTOMER = ["tollgate.customer", "user.id", "enduser.id"];
const SERVICE = ["service.name"];

const USAGE_PREFIX = "gen_ai.usage.";
const INTERESTING = new Set([...PROVIDER, ...MODEL, ...OPERATION, ...FEATURE, ...CUSTOMER, ...SERVICE]);

/** Whether the attribute of this name need be read at all. */
export const isInteresting = (name: string): boolean => name.startsWith(USAGE_PREFIX) || INTERESTING.has(name);

export const GEN_AI_EVENT_TYPE = "gen_ai.usage";
/** What the conventions call a service that does not say its name. */
const UNKNOWN_SERVICE = "unknown_service";

const TRACE_ID = /^(?!0{32})[0-9a-f]{32}$/;
const SPAN_ID = /^(?!0{16})[0-9a-f]{16}$/;

/** The event that a record makes; null: it carries no usage. Refused, in words for whoever wrote the exporter's code, when it cannot make one. */
export function usageEventOf(record: TelemetryRecord, nowMs: number): Result<UsageEvent | null, string> {
  const { attributes, resource, traceId, spanId } = record;
  if (!attributes.keys().some((name) => name.startsWith(USAGE_PREFIX))) return ok(null);
  const usage: JsonObject = {};
  for (const [dimension, names] of USAGE) {
    const name = names.find((each) => attributes.has(each));
    if (name === undefined) continue;
    const value = attributes.get(name) ?? null;
    const quantity = decimalOf(value);
    if (!quantity.ok && quantity.refusal.reason === "not_a_number") return refuse(`${name} is no number`);
    usage[dimension] = value as Json;
  }
  if (Object.keys(usage).length === 0)
    return refuse(`of gen_ai.usage.* none is known; there are ${USAGE.map(([, [name]]) => name).join(", ")}`);
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId))
    return refuse("without trace id and span id it cannot be told from its own repetition");
  const subject = textOf(attributes, CUSTOMER) ?? textOf(resource, CUSTOMER);
  if (subject === undefined) return refuse("no customer is named; set the attribute tollgate.customer, or user.id");
  const optional = {
    provider: textOf(attributes, PROVIDER),
    model: textOf(attributes, MODEL),
    operation: textOf(attributes, OPERATION),
    feature: textOf(attributes, FEATURE) ?? textOf(resource, FEATURE),
  };
  const said = Object.entries(optional).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return ok({
    id: `${traceId}:${spanId}`,
    source: textOf(resource, SERVICE) ?? UNKNOWN_SERVICE,
    type: GEN_AI_EVENT_TYPE,
    subject,
    time: record.at ?? nowMs,
    data: { usage, ...Object.fromEntries(said) },
  });
}

function textOf(attributes: Attributes, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = attributes.get(name);
    if (value === undefined || value === null || value === "") continue;
    return typeof value === "object" ? value.rawJSON : String(value);
  }
  return undefined;
}
