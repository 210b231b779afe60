/**
 * Features: a part of a meter that plans and entitlements speak of, and what a unit of it costs. The rules of a definition that a person
 * sent, field by field. Shapes and lengths are the contract's business; whether a key is taken is the store's.
 */
import type { Aggregation } from "./aggregation";
import type { Meter } from "./meter";

/** What a feature must know of the meter that it is a part of. */
export type MeteredBy = Pick<Meter, "key" | "aggregation" | "groupBy">;

/** As OpenMeter names them; `request` is `input` and `response` is `output`. */
export const TOKEN_TYPES = [
  "input",
  "output",
  "cache_read",
  "cache_write",
  "reasoning",
  "request",
  "response",
] as const;
export type TokenType = (typeof TOKEN_TYPES)[number];

/** US dollars a unit, as canonical text of at least 0. */
export interface ManualUnitCost {
  type: "manual";
  amount: string;
}

/** The published price of a model: of each pair one, the value itself or the meter's dimension that holds it. */
export interface LlmUnitCost {
  type: "llm";
  provider?: string;
  providerProperty?: string;
  model?: string;
  modelProperty?: string;
  tokenType?: string;
  tokenTypeProperty?: string;
}

export type UnitCost = ManualUnitCost | LlmUnitCost;

export interface FeatureDefinition {
  key: string;
  /** By dimension of the meter. */
  filters: { readonly [dimension: string]: unknown };
  unitCost: UnitCost | null;
}

export interface FeatureFault {
  field: string;
  detail: string;
}

/** Those whose usage of a period is one number that a quota can be spent against. */
const AGGREGATIONS: readonly Aggregation[] = ["SUM", "COUNT", "UNIQUE_COUNT", "LATEST"];
/** In either case: an id and a key must never be taken for each other. */
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;

/** What a new feature must change; nothing: it may be made. `meter` is the one that it names; null: none. */
export function featureFaults({ key, filters, unitCost }: FeatureDefinition, meter: MeteredBy | null): FeatureFault[] {
  const faults: FeatureFault[] = [];
  if (ULID.test(key))
    faults.push({ field: "key", detail: "must not look like a ULID, because features are found by either" });
  if (meter !== null && !AGGREGATIONS.includes(meter.aggregation)) {
    const detail = `must be a meter of ${AGGREGATIONS.join(", ")}; ${meter.key} is of ${meter.aggregation}`;
    faults.push({ field: "meterSlug", detail });
  }
  for (const dimension of Object.keys(filters)) {
    const field = `advancedMeterGroupByFilters.${dimension}`;
    if (meter === null) faults.push({ field, detail: "needs a meterSlug: it filters by a dimension of that meter" });
    else if (!Object.hasOwn(meter.groupBy, dimension)) faults.push({ field, detail: notADimension(dimension, meter) });
  }
  if (unitCost?.type === "llm") faults.push(...llmFaults(unitCost, meter));
  return faults;
}

const PAIRS = [
  ["provider", "providerProperty"],
  ["model", "modelProperty"],
  ["tokenType", "tokenTypeProperty"],
] as const;

function llmFaults(unitCost: LlmUnitCost, meter: MeteredBy | null): FeatureFault[] {
  if (meter === null)
    return [{ field: "unitCost", detail: "of type llm needs a meterSlug: it prices what that meter counts" }];
  const faults = PAIRS.flatMap(([value, property]): FeatureFault[] => {
    const dimension = unitCost[property];
    if ((unitCost[value] === undefined) === (dimension === undefined))
      return [{ field: `unitCost.${value}`, detail: `must be given, or ${property} must, and not both` }];
    if (dimension === undefined || Object.hasOwn(meter.groupBy, dimension)) return [];
    return [{ field: `unitCost.${property}`, detail: notADimension(dimension, meter) }];
  });
  const { tokenType } = unitCost;
  if (tokenType !== undefined && !isTokenType(tokenType))
    faults.push({ field: "unitCost.tokenType", detail: `must be one of ${TOKEN_TYPES.join(", ")}` });
  return faults;
}

export const isTokenType = (text: string): text is TokenType => (TOKEN_TYPES as readonly string[]).includes(text);

function notADimension(dimension: string, { key, groupBy }: MeteredBy): string {
  const known = Object.keys(groupBy);
  const has = known.length === 0 ? "has no dimensions" : `has ${known.join(", ")}`;
  return `${JSON.stringify(dimension)} is no dimension of the meter ${key}, which ${has}`;
}

/** The dimensions of its meter without which the feature would mean something else. */
export const dimensionsUsed = ({ filters, unitCost }: Pick<FeatureDefinition, "filters" | "unitCost">): string[] => [
  ...new Set([...Object.keys(filters), ...(unitCost === null ? [] : pricedDimensions(unitCost))]),
];

/** The dimensions that say which published price holds. */
export function pricedDimensions(unitCost: UnitCost): string[] {
  if (unitCost.type === "manual") return [];
  return PAIRS.flatMap(([, property]) => unitCost[property] ?? []);
}
