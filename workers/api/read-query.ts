/**
 * Reads a URL's query as a route's contract writes it: texts, repeated names, `name[key]=value` maps and JSON.
 * What a parameter may hold is the schema's business.
 */
import type { QueryStyle } from "../../schema/contract/route";
import { invalid } from "./problem";
import { parseJson } from "./read-body";

type Styles = { readonly [parameter: string]: QueryStyle };
interface Texts {
  [key: string]: string | string[] | Texts;
}

/** `name`, or `name[key]` with more keys behind it. */
const BRACKETS = /^([^[\]]+)((?:\[[^[\]]*\])+)$/;
/** A filter has an operator below its field, and no more. */
const MAP_DEPTH_MAX = 2;

export function readQuery(url: string, styles: Styles = {}): Record<string, unknown> {
  const query = new Map<string, unknown>();
  for (const [key, value] of new URL(url).searchParams) {
    const inBrackets = BRACKETS.exec(key);
    const name = inBrackets?.[1] ?? key;
    const style = Object.hasOwn(styles, name) ? styles[name] : undefined;
    if (inBrackets && (style === "map" || style === "json")) {
      const map = query.get(name) ?? Object.create(null);
      query.set(name, map);
      put(map as Texts, keysIn(inBrackets[2]!), value, key);
    } else if (style === "list" && !inBrackets) {
      const list = (query.get(key) ?? []) as string[];
      list.push(value);
      query.set(key, list);
    } else if (query.has(key)) {
      throw invalid([{ field: key, message: "must be given only once" }]);
    } else if (style === "json" && !inBrackets) {
      query.set(key, jsonOf(key, value));
    } else {
      query.set(key, value);
    }
  }
  return Object.fromEntries(query);
}

const keysIn = (brackets: string): string[] => brackets.slice(1, -1).split("][");

/** A key that comes twice makes a list of its values. */
function put(map: Texts, keys: string[], value: string, parameter: string): void {
  const [key = "", ...below] = keys;
  const known = map[key];
  if (keys.length > MAP_DEPTH_MAX || key === "") throw misplaced(parameter);
  if (below.length === 0) {
    if (known === undefined) map[key] = value;
    else if (typeof known === "string") map[key] = [known, value];
    else if (Array.isArray(known)) known.push(value);
    else throw misplaced(parameter);
    return;
  }
  if (typeof known === "string" || Array.isArray(known)) throw misplaced(parameter);
  put((map[key] = known ?? (Object.create(null) as Texts)), below, value, parameter);
}

const misplaced = (field: string) => invalid([{ field, message: "must be written as name[key]=value" }]);

function jsonOf(field: string, text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    throw invalid([{ field, message: "must be JSON text" }]);
  }
}
