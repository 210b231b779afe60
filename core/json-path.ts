/**
 * JSONPath as configuration may use it: singular queries (RFC 9535: names and indexes only), parsed once by json-p3 and then walked
 * as a list of steps. No wildcard, descent, slice or filter, so a path costs its length and finds at most one value, whatever the data.
 */
import { jsonpath } from "json-p3";
import type { Json } from "./event";
import { assert, ok, refuse, type Result } from "./result";

/** Names are object keys, numbers are array indexes (negative ones count from the end). */
export type JsonPath = readonly (string | number)[];

/** A path is typed by a person; past this it is an attack on the parser. */
export const PATH_CHARS_MAX = 256;
/** No deeper than a usage event may nest. */
export const PATH_STEPS_MAX = 16;

const { NameSelector, IndexSelector } = jsonpath.selectors;

/** Reads a path such as `$.usage.tokens`, `$.items[0].n` or `$['a b']`. A refusal says what to change. */
export function parsePath(text: string): Result<JsonPath, string> {
  if (text.length > PATH_CHARS_MAX) return refuse(`must be at most ${PATH_CHARS_MAX} characters`);
  let query: jsonpath.JSONPathQuery;
  try {
    query = jsonpath.compile(text);
  } catch {
    return refuse("must be a JSONPath such as $.usage.tokens");
  }
  if (!query.singularQuery())
    return refuse("must name one value: only names and indexes, no wildcard, slice, descent or filter");
  const steps: (string | number)[] = [];
  for (const { selectors } of query.segments) {
    const selector = selectors[0];
    assert(
      selector instanceof NameSelector || selector instanceof IndexSelector,
      "a singular query has only names and indexes",
    );
    steps.push(selector instanceof NameSelector ? selector.name : selector.index);
  }
  if (steps.length === 0) return refuse("must name a value inside the data, such as $.usage.tokens");
  if (steps.length > PATH_STEPS_MAX) return refuse(`must have at most ${PATH_STEPS_MAX} steps`);
  return ok(steps);
}

/** The value at a path, or undefined. Only own properties are seen, so no path reaches `__proto__` or `constructor` of an object. */
export function valueAt(path: JsonPath, data: Json | undefined): Json | undefined {
  let value = data;
  for (const step of path) {
    if (typeof value !== "object" || value === null || JSON.isRawJSON(value)) return undefined;
    if (typeof step === "number") {
      if (!Array.isArray(value)) return undefined;
      value = value.at(step);
    } else {
      if (Array.isArray(value) || !Object.hasOwn(value, step)) return undefined;
      value = value[step];
    }
  }
  return value;
}
