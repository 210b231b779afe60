/**
 * Reads usage: quantities by dimension, from a request's `usage` or from an event. Every number is read by its source text.
 * An event carries usage when its `data.usage` is an object of numbers, or when a mapping of the burn table in force matches it; any
 * other event is metered only. No prices here; `rate` in price.ts prices what this reads.
 */
import { tableInForce, type CompiledMapping, type CompiledTable, type Usage } from "./burn-table";
import { explainDecimal, type Decimal } from "./decimal";
import { DIMENSIONS } from "./dimension";
import { decimalOf, type Json, type UsageEvent } from "./event";
import { valueAt, type JsonPath } from "./json-path";
import { ok, refuse, type Result } from "./result";

/** More dimensions than any provider reports; bounds the lines of a debit. */
export const DIMENSIONS_MAX = 32;
export const DIMENSION_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;

/** Which field is wrong and what to change. */
export type FieldFault = { field: string; detail: string };

/** Reads `usage` of a track, check or quote: dimension → number or numeric string, ≥ 0. */
export function readUsage(json: unknown): Result<Map<string, Decimal>, FieldFault> {
  if (!isObject(json)) return refuse({ field: "usage", detail: "must be an object of dimensions and numbers" });
  const names = Object.keys(json);
  if (names.length === 0) return refuse({ field: "usage", detail: "must have at least one dimension" });
  if (names.length > DIMENSIONS_MAX)
    return refuse({ field: "usage", detail: `must have at most ${DIMENSIONS_MAX} dimensions` });
  const quantities = new Map<string, Decimal>();
  for (const name of names) {
    if (!DIMENSION_NAME.test(name)) {
      const detail = `the name of a dimension is a letter and up to 63 letters, digits, ".", "_" or "-"`;
      return refuse({ field: `usage[${JSON.stringify(name.slice(0, 64))}]`, detail });
    }
    const quantity = readQuantity(json[name]);
    if (!quantity.ok) return refuse({ field: `usage.${name}`, detail: quantity.refusal });
    quantities.set(name, quantity.value);
  }
  return ok(quantities);
}

function readQuantity(value: unknown): Result<Decimal, string> {
  const quantity = decimalOf(value);
  if (!quantity.ok) return refuse(explainDecimal(quantity.refusal));
  return quantity.value < 0n ? refuse("must not be negative") : quantity;
}

/**
 * The usage that an event carries, or null when it is metered only. `data.usage` is taken when the table prices any of its
 * dimensions; else the first mapping that matches; else `data.usage` all the same, to be listed as unpriced.
 * Quantities that cannot be used make it `unreadable` rather than null: such an event was meant to be debited.
 *
 * @param versions all versions of the customer's burn table; the one in force at the event's time has the mappings
 */
export function eventUsage(event: UsageEvent, versions: readonly CompiledTable[]): Usage | null {
  const native = nativeUsage(event);
  const compiled = tableInForce(versions, event.time);
  if (!compiled || compiled.mappings.length === 0 || (native && pricesAny(compiled, native))) return native;
  for (const mapping of compiled.mappings) {
    const mapped = mapping.eventType === event.type ? mappedUsage(event, mapping) : null;
    if (mapped) return mapped;
  }
  return native;
}

function nativeUsage(event: UsageEvent): Usage | null {
  const { data } = event;
  if (!data || !Object.hasOwn(data, "usage")) return null;
  const { usage, feature, provider, model } = data;
  if (!isObject(usage)) return null;
  const values = Object.values(usage);
  if (values.length === 0 || !values.every(isNumeric)) return null;
  const read = readUsage(usage);
  const name = { feature: nameOf(feature) ?? event.type, ...named("provider", provider), ...named("model", model) };
  return read.ok
    ? { ...name, quantities: read.value }
    : { ...name, quantities: new Map(), unreadable: `${read.refusal.field} ${read.refusal.detail}` };
}

/** A number, or text that is one but may be outside our range: numbers that a double cannot carry are objects (`JSON.rawJSON`). */
function isNumeric(value: unknown): boolean {
  if (typeof value === "number") return true;
  const read = decimalOf(value);
  return read.ok || read.refusal.reason !== "not_a_number";
}

/** A rule matches a dimension, or the price book may. */
function pricesAny(compiled: CompiledTable, usage: Usage): boolean {
  const rules = compiled.rulesFor(usage);
  const isPublished = compiled.table.priceBook !== null && usage.model !== undefined;
  return usage.quantities
    .keys()
    .some((dimension) => rules.has(dimension) || (isPublished && DIMENSIONS.has(dimension)));
}

/** A mapping matches when the type and every `where` do, and at least one of its usage paths finds a value. */
function mappedUsage(event: UsageEvent, mapping: CompiledMapping): Usage | null {
  const { data } = event;
  if (!data) return null;
  for (const [path, value] of mapping.where) if (!isSame(valueAt(path, data), value)) return null;
  const quantities = new Map<string, Decimal>();
  let unreadable: string | null = null;
  for (const [dimension, path] of mapping.usage) {
    const value = valueAt(path, data);
    if (value === undefined || value === null) continue;
    const quantity = readQuantity(value);
    if (quantity.ok) quantities.set(dimension, quantity.value);
    else unreadable ??= `${dimension} ${quantity.refusal}`;
  }
  if (quantities.size === 0 && unreadable === null) return null;
  return {
    feature: nameOf(resolve(mapping.feature, data)) ?? event.type,
    ...named("provider", resolve(mapping.provider, data)),
    ...named("model", resolve(mapping.model, data)),
    quantities: unreadable === null ? quantities : new Map(),
    ...(unreadable !== null && { unreadable }),
  };
}

const resolve = (source: string | JsonPath | undefined, data: Json): Json | undefined =>
  source === undefined || typeof source === "string" ? source : valueAt(source, data);

const nameOf = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

function named<Key extends "provider" | "model">(key: Key, value: Json | undefined): { [K in Key]?: string } {
  const name = nameOf(value);
  return name === undefined ? {} : ({ [key]: name } as { [K in Key]?: string });
}

/** Equal as JSON values; numbers by value, so 1 and 1.0 are the same. */
function isSame(found: Json | undefined, expected: string | number | boolean | null): boolean {
  if (found === expected) return true;
  if (typeof expected !== "number" || typeof found === "string" || found === undefined) return false;
  const [a, b] = [decimalOf(found), decimalOf(expected)];
  return a.ok && b.ok && a.value === b.value;
}

/** A plain object: not a list, and not a number held by its source text (exact-json.ts). */
const isObject = (value: unknown): value is { [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);
