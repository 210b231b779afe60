/**
 * Filters of texts and times, as OpenMeter writes them (`{"$in": ["a", "b"]}`): plain data that crosses RPC and is stored with features.
 * `readFilter` bounds what comes from outside, and after it `matches` does a bounded amount of work for every value.
 * Not known here: what is filtered.
 */
import { parseInstant } from "./instant";
import { ok, refuse, type Result } from "./result";

/** At most one operator is set; none matches everything. */
export interface FilterString {
  $eq?: string;
  $ne?: string;
  $in?: string[];
  $nin?: string[];
  /** `%` is any text, `_` one character, `\` takes the next one literally. */
  $like?: string;
  $nlike?: string;
  /** Without regard to case. */
  $ilike?: string;
  $nilike?: string;
  /** By Unicode code points. */
  $gt?: string;
  $gte?: string;
  $lt?: string;
  $lte?: string;
  $and?: FilterString[];
  $or?: FilterString[];
}

/** Times are epoch ms. At most one operator is set; none matches everything. */
export interface FilterTime {
  $gt?: number;
  $gte?: number;
  $lt?: number;
  $lte?: number;
  $and?: FilterTime[];
  $or?: FilterTime[];
}

export interface FilterRefusal {
  /** Where in the filter, like `$or[1].$in`; empty for the filter itself. */
  at: string;
  detail: string;
}

/** `$and` and `$or` within each other. People write two. */
export const FILTER_DEPTH_MAX = 8;
/** Operands of a whole filter: values of `$in` lists, and filters. Each costs a comparison per value that is filtered. */
export const FILTER_OPERANDS_MAX = 1_000;
/** A pattern's or operand's length: names have at most 512, group values 256. */
export const FILTER_TEXT_CHARS_MAX = 1_024;

/** Reads a filter of texts. Operators that are null are absent; unknown ones are refused, because ignoring them would match everything. */
export const readFilter = (value: unknown, depthMax = FILTER_DEPTH_MAX): Result<FilterString, FilterRefusal> =>
  read(value, STRING_OPERATORS, depthMax);

/** Reads a filter of times, which come as RFC 3339 text. */
export const readTimeFilter = (value: unknown, depthMax = FILTER_DEPTH_MAX): Result<FilterTime, FilterRefusal> =>
  read(value, TIME_OPERATORS, depthMax);

export const isEmptyFilter = (filter: FilterString | FilterTime): boolean => Object.keys(filter).length === 0;

export function matches(filter: FilterString, value: string): boolean {
  const { $eq, $ne, $in, $nin, $like, $nlike, $ilike, $nilike, $gt, $gte, $lt, $lte, $and, $or } = filter;
  if ($eq !== undefined) return value === $eq;
  if ($ne !== undefined) return value !== $ne;
  if ($in !== undefined) return $in.includes(value);
  if ($nin !== undefined) return !$nin.includes(value);
  if ($like !== undefined) return isLike(value, $like);
  if ($nlike !== undefined) return !isLike(value, $nlike);
  if ($ilike !== undefined) return isLike(value.toLowerCase(), $ilike.toLowerCase());
  if ($nilike !== undefined) return !isLike(value.toLowerCase(), $nilike.toLowerCase());
  if ($gt !== undefined) return compareTexts(value, $gt) > 0;
  if ($gte !== undefined) return compareTexts(value, $gte) >= 0;
  if ($lt !== undefined) return compareTexts(value, $lt) < 0;
  if ($lte !== undefined) return compareTexts(value, $lte) <= 0;
  if ($and !== undefined) return $and.every((each) => matches(each, value));
  if ($or !== undefined) return $or.some((each) => matches(each, value));
  return true;
}

export function matchesTime({ $gt, $gte, $lt, $lte, $and, $or }: FilterTime, at: number): boolean {
  if ($gt !== undefined) return at > $gt;
  if ($gte !== undefined) return at >= $gte;
  if ($lt !== undefined) return at < $lt;
  if ($lte !== undefined) return at <= $lte;
  if ($and !== undefined) return $and.every((each) => matchesTime(each, at));
  if ($or !== undefined) return $or.some((each) => matchesTime(each, at));
  return true;
}

/** Order by code points, which is the order of UTF-8 bytes and so the databases'; `<` compares halves of surrogate pairs. */
export function compareTexts(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a.charCodeAt(i) === b.charCodeAt(i)) continue;
    // Equal so far, so both stand at the same half of a pair; a high half means a code point past every single unit.
    return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
  }
  return a.length - b.length;
}

const rank = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);

type Operand = "text" | "texts" | "time" | "filters";

const STRING_OPERATORS: { readonly [operator: string]: Operand } = {
  $eq: "text",
  $ne: "text",
  $in: "texts",
  $nin: "texts",
  $like: "text",
  $nlike: "text",
  $ilike: "text",
  $nilike: "text",
  $gt: "text",
  $gte: "text",
  $lt: "text",
  $lte: "text",
  $and: "filters",
  $or: "filters",
};

const TIME_OPERATORS: { readonly [operator: string]: Operand } = {
  $gt: "time",
  $gte: "time",
  $lt: "time",
  $lte: "time",
  $and: "filters",
  $or: "filters",
};

function read<F>(value: unknown, operators: typeof STRING_OPERATORS, depthMax: number): Result<F, FilterRefusal> {
  try {
    return ok(new FilterReader(operators).filter(value, "", depthMax) as F);
  } catch (error) {
    if (error instanceof Refused) return refuse({ at: error.at, detail: error.message });
    throw error;
  }
}

/** Ends the reading from any depth; never leaves this file. */
class Refused extends Error {
  constructor(
    readonly at: string,
    detail: string,
  ) {
    super(detail);
  }
}

class FilterReader {
  private operands = 0;

  constructor(private readonly operators: typeof STRING_OPERATORS) {}

  filter(value: unknown, at: string, depthLeft: number): object {
    if (typeof value !== "object" || value === null || Array.isArray(value) || JSON.isRawJSON(value))
      throw new Refused(at, "must be an object with one operator");
    const filter: { [operator: string]: unknown } = {};
    let set = 0;
    for (const [operator, operand] of Object.entries(value)) {
      const kind = Object.hasOwn(this.operators, operator) ? this.operators[operator] : undefined;
      if (kind === undefined) {
        const known = Object.keys(this.operators).join(", ");
        throw new Refused(at, `unknown operator ${JSON.stringify(operator.slice(0, 32))}; there are ${known}`);
      }
      if (operand === null || operand === undefined) continue;
      if (++set > 1) throw new Refused(at, "multiple operators are set; combine them with $and or $or");
      filter[operator] = this.operand(kind, operand, at === "" ? operator : `${at}.${operator}`, depthLeft);
    }
    return filter;
  }

  private operand(kind: Operand, value: unknown, at: string, depthLeft: number): unknown {
    switch (kind) {
      case "text":
        return text(value, at);
      case "texts":
        return this.list(value, at).map((each, place) => text(each, `${at}[${place}]`));
      case "time":
        return time(value, at);
      case "filters": {
        if (depthLeft === 0) throw new Refused(at, "$and and $or are nested too deeply");
        const filters = this.list(value, at);
        if (filters.length === 0) throw new Refused(at, "must hold at least one filter");
        return filters.map((each, place) => this.filter(each, `${at}[${place}]`, depthLeft - 1));
      }
    }
  }

  private list(value: unknown, at: string): unknown[] {
    if (!Array.isArray(value)) throw new Refused(at, "must be a list");
    this.operands += value.length;
    if (this.operands > FILTER_OPERANDS_MAX)
      throw new Refused(at, `a filter has at most ${FILTER_OPERANDS_MAX} values and filters in all`);
    return value;
  }
}

function text(value: unknown, at: string): string {
  if (typeof value !== "string") throw new Refused(at, "must be text");
  if (value.length > FILTER_TEXT_CHARS_MAX)
    throw new Refused(at, `must have at most ${FILTER_TEXT_CHARS_MAX} characters`);
  return value;
}

function time(value: unknown, at: string): number {
  const ms = typeof value === "string" ? parseInstant(value) : null;
  if (ms === null) throw new Refused(at, "must be an RFC 3339 date and time, like 2026-11-21T09:30:00Z");
  return ms;
}

const ANY = Symbol("%");
const ONE = Symbol("_");
type Token = string | typeof ANY | typeof ONE;

/**
 * SQL's LIKE. The last `%` is the only place to come back to: what an earlier one took in addition could never help,
 * so the work is at most text × pattern, whatever the pattern.
 */
export function isLike(value: string, pattern: string): boolean {
  const text = Array.from(value);
  const tokens = tokensOf(pattern);
  let at = 0;
  let token = 0;
  let afterAny = -1;
  let anyEnd = 0;
  while (at < text.length) {
    const wanted = tokens[token];
    if (wanted === ANY) {
      afterAny = ++token;
      anyEnd = at;
    } else if (wanted !== undefined && (wanted === ONE || wanted === text[at])) {
      token++;
      at++;
    } else if (afterAny >= 0) {
      token = afterAny;
      at = ++anyEnd;
    } else return false;
  }
  while (tokens[token] === ANY) token++;
  return token === tokens.length;
}

function tokensOf(pattern: string): Token[] {
  const tokens: Token[] = [];
  const characters = Array.from(pattern);
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    if (character === "%") tokens.push(ANY);
    else if (character === "_") tokens.push(ONE);
    else if (character === "\\" && i + 1 < characters.length) tokens.push(characters[++i]!);
    else tokens.push(character);
  }
  return tokens;
}
