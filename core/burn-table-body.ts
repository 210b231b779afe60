/**
 * A burn table as a person writes it: `readBurnTable` turns a request body into a table, or says which field to change and how.
 * What is accepted here can be compiled and rated without any further check. Knows no clock: the caller supplies `now`.
 */
import type { BurnRule, BurnTable, UsageMapping } from "./burn-table";
import { explainDecimal, ONE, type Decimal } from "./decimal";
import { decimalOf } from "./event";
import { parseInstant } from "./instant";
import { parsePath } from "./json-path";
import { ok, refuse, type Result } from "./result";
import { DIMENSION_NAME, DIMENSIONS_MAX, type FieldFault } from "./usage";

/** A namespace's tables travel in a snapshot of at most 1 MB; whoever needs more rules than this wants a price book. */
export const RULES_MAX = 1_000;
export const MAPPINGS_MAX = 100;
export const CONDITIONS_MAX = 16;
/** Features, providers, models, event types, values compared with: longer than any real one. */
export const NAME_CHARS_MAX = 256;

const KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const CURRENCY = /^[A-Z][A-Z0-9_]{1,23}$/;
/** One `*`, and only as the last character. */
const MODEL = /^[^*]*\*?$/;

/**
 * Reads the body of `POST /burn-tables`. `default` may be in it and is left to the caller: it speaks of the namespace.
 *
 * @param given the version that this table would be, and the time from which it holds when the body does not say
 */
export function readBurnTable(input: unknown, given: { version: number; now: number }): Result<BurnTable, FieldFault> {
  try {
    const body = objectAt("", input, [
      "key",
      "currency",
      "effectiveFrom",
      "rules",
      "default",
      "mappings",
      "markup",
      "priceBook",
    ]);
    const table: BurnTable = {
      key: textAt("key", body.key, KEY, `must be 1 to 64 letters, digits, ".", "_" or "-"`),
      version: given.version,
      currency: textAt(
        "currency",
        body.currency,
        CURRENCY,
        "must be 2 to 24 capital letters, digits or underscores, such as CREDITS",
      ),
      effectiveFrom: body.effectiveFrom === undefined ? given.now : timeAt("effectiveFrom", body.effectiveFrom),
      rules: listAt("rules", body.rules, RULES_MAX).map((rule, index) => readRule(`rules[${index}]`, rule)),
      mappings: listAt("mappings", body.mappings ?? [], MAPPINGS_MAX).map((it, index) =>
        readMapping(`mappings[${index}]`, it),
      ),
      markup: body.markup === undefined ? ONE : decimalAt("markup", body.markup, 0n),
      priceBook: priceBookAt("priceBook", body.priceBook ?? null),
    };
    if (body.default !== undefined && typeof body.default !== "boolean") fail("default", "must be true or false");
    refuseSameSelectors(table.rules);
    return ok(table);
  } catch (error) {
    if (error instanceof Fault) return refuse({ field: error.field, detail: error.message });
    throw error;
  }
}

function readRule(at: string, input: unknown): BurnRule {
  const rule = objectAt(at, input, ["feature", "provider", "model", "dimension", "rate", "per", "roundUpTo"]);
  return {
    ...(rule.feature !== undefined && { feature: nameAt(`${at}.feature`, rule.feature) }),
    ...(rule.provider !== undefined && { provider: nameAt(`${at}.provider`, rule.provider) }),
    ...(rule.model !== undefined && {
      model: textAt(`${at}.model`, nameAt(`${at}.model`, rule.model), MODEL, "may have a * only at its end"),
    }),
    dimension: dimensionAt(`${at}.dimension`, rule.dimension),
    rate: decimalAt(`${at}.rate`, rule.rate, 0n),
    per: decimalAt(`${at}.per`, rule.per, 1n),
    ...(rule.roundUpTo !== undefined && { roundUpTo: decimalAt(`${at}.roundUpTo`, rule.roundUpTo, 1n) }),
  };
}

function readMapping(at: string, input: unknown): UsageMapping {
  const mapping = objectAt(at, input, ["eventType", "where", "feature", "provider", "model", "usage"]);
  const usage = entriesAt(`${at}.usage`, mapping.usage, DIMENSIONS_MAX).map(([dimension, path]): [string, string] => [
    dimensionAt(`${at}.usage`, dimension),
    pathAt(`${at}.usage.${dimension}`, path),
  ]);
  if (usage.length === 0) fail(`${at}.usage`, "must have at least one dimension");
  return {
    eventType: nameAt(`${at}.eventType`, mapping.eventType),
    ...(mapping.where !== undefined && { where: conditionsAt(`${at}.where`, mapping.where) }),
    feature: nameOrPathAt(`${at}.feature`, mapping.feature),
    ...(mapping.provider !== undefined && { provider: nameOrPathAt(`${at}.provider`, mapping.provider) }),
    ...(mapping.model !== undefined && { model: nameOrPathAt(`${at}.model`, mapping.model) }),
    usage: Object.fromEntries(usage),
  };
}

/** Two rules of one selector and dimension would leave it to their order which one charges. */
function refuseSameSelectors(rules: readonly BurnRule[]): void {
  const seen = new Map<string, number>();
  for (const [index, { feature, provider, model, dimension }] of rules.entries()) {
    const selector = JSON.stringify([feature ?? null, provider ?? null, model ?? null, dimension]);
    const first = seen.get(selector);
    if (first !== undefined)
      fail(`rules[${index}]`, `has the same feature, provider, model and dimension as rules[${first}]; keep one`);
    seen.set(selector, index);
  }
}

/** A fault on its way to `readBurnTable`, which answers it; it never leaves this module. */
class Fault extends Error {
  constructor(
    readonly field: string,
    detail: string,
  ) {
    super(detail);
  }
}

function fail(field: string, detail: string): never {
  throw new Fault(field, detail);
}

/** Keys as in a dictionary: what is not there is undefined, whatever it is called. */
function entriesAt(at: string, input: unknown, max: number): [string, unknown][] {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return fail(at, "must be an object");
  const entries = Object.entries(input);
  return entries.length > max ? fail(at, `must have at most ${max} entries`) : entries;
}

function objectAt<Name extends string>(at: string, input: unknown, names: readonly Name[]): { [K in Name]?: unknown } {
  const known: { [K in Name]?: unknown } = {};
  for (const [name, value] of entriesAt(at || "body", input, Infinity)) {
    const own = names.find((one) => one === name);
    if (own === undefined)
      fail(at === "" ? shown(name) : `${at}.${shown(name)}`, `is not a field here; the fields are ${names.join(", ")}`);
    else known[own] = value;
  }
  return known;
}

const shown = (name: string): string => (DIMENSION_NAME.test(name) ? name : JSON.stringify(name.slice(0, 64)));

function listAt(at: string, input: unknown, max: number): unknown[] {
  if (!Array.isArray(input)) return fail(at, "must be a list");
  return input.length > max ? fail(at, `must have at most ${max} entries`) : input;
}

const textAt = (at: string, input: unknown, pattern: RegExp, detail: string): string =>
  typeof input === "string" && pattern.test(input) ? input : fail(at, detail);

/** Any text that can be shown in one line. */
const nameAt = (at: string, input: unknown): string =>
  typeof input === "string" &&
  input !== "" &&
  input.length <= NAME_CHARS_MAX &&
  input.isWellFormed() &&
  !/\p{Cc}/u.test(input)
    ? input
    : fail(at, `must be 1 to ${NAME_CHARS_MAX} characters, none of them a control character`);

const dimensionAt = (at: string, input: unknown): string =>
  textAt(at, input, DIMENSION_NAME, `must name a dimension: a letter and up to 63 letters, digits, ".", "_" or "-"`);

function pathAt(at: string, input: unknown): string {
  if (typeof input !== "string") return fail(at, "must be a JSONPath such as $.usage.tokens");
  const path = parsePath(input);
  return path.ok ? input : fail(at, path.refusal);
}

const nameOrPathAt = (at: string, input: unknown): string =>
  typeof input === "string" && input.startsWith("$") ? pathAt(at, input) : nameAt(at, input);

function conditionsAt(at: string, input: unknown): { [jsonPath: string]: string | number | boolean | null } {
  const conditions = entriesAt(at, input, CONDITIONS_MAX).map(
    ([path, value]): [string, string | number | boolean | null] => {
      const field = `${at}[${JSON.stringify(path.slice(0, 64))}]`;
      return [pathAt(field, path), constantAt(field, value)];
    },
  );
  return Object.fromEntries(conditions);
}

function constantAt(at: string, input: unknown): string | number | boolean | null {
  if (typeof input === "string" && input.length <= NAME_CHARS_MAX) return input;
  return typeof input === "number" || typeof input === "boolean" || input === null
    ? input
    : fail(at, `must be a number, true, false, null or text of at most ${NAME_CHARS_MAX} characters`);
}

function decimalAt(at: string, input: unknown, least: Decimal): Decimal {
  if (input === undefined) return fail(at, "is required");
  const read = decimalOf(input);
  if (!read.ok) return fail(at, explainDecimal(read.refusal));
  return read.value < least
    ? fail(at, least === 0n ? "must not be negative" : "must be greater than zero")
    : read.value;
}

function timeAt(at: string, input: unknown): number {
  const time = typeof input === "string" ? parseInstant(input) : null;
  return time ?? fail(at, "must be an RFC 3339 time with an offset, such as 2026-01-01T00:00:00Z");
}

function priceBookAt(at: string, input: unknown): BurnTable["priceBook"] {
  return input === "genai-prices" || input === null ? input : fail(at, `must be "genai-prices" or null`);
}
