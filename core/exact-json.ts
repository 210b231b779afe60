/**
 * JSON whose numbers stay exact. A number that a double carries (its digits come back out of it) is a plain number; any
 * other becomes a `JSON.rawJSON` value, which `JSON.stringify` writes back as its source text and `decimalOf` reads.
 * Keys are always own properties ("__proto__" too), and nesting past JSON_DEPTH_MAX is refused. Bad text throws SyntaxError.
 */

/** A number that no double carries, held by its source text. Made by JSON.rawJSON; it has no prototype and is frozen. */
export interface RawNumber {
  readonly rawJSON: string;
}

declare global {
  interface JSON {
    rawJSON(text: string): RawNumber;
    isRawJSON(value: unknown): value is RawNumber;
    parse(
      text: string,
      reviver: (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown,
    ): unknown;
  }
}

/** Containers within containers. Usage data is two or three deep; JSON.stringify overflows the stack at some thousands. */
export const JSON_DEPTH_MAX = 64;

/** Any decimal of this many significant digits survives the way into a double and back, unless its exponent is extreme. */
const DOUBLE_DIGITS = 15;

/**
 * Parses text as JSON.parse does, numbers exact. Throws SyntaxError for malformed or too deep text. The survey for
 * inexact numbers and depth costs an eighth of JSON.parse; only text that has an inexact number is parsed twice.
 */
export const parseExact = (text: string): unknown => readExact(text).value;

/** `parseExact`, and whether it is plain: JSON.parse alone reads what JSON.stringify makes of it. */
export function readExact(text: string): { value: unknown; plain: boolean } {
  const value: unknown = JSON.parse(text);
  const extreme =
    typeof value === "object" && value !== null
      ? survey(value, JSON_DEPTH_MAX)
      : typeof value === "number" && isExtreme(value);
  if (!hasInexactRun(text) && !(extreme && hasInexactExponent(text))) return { value, plain: true };
  return { value: JSON.parse(text, reviveExactly), plain: false };
}

function reviveExactly(this: unknown, _key: string, value: unknown, context: { source?: string }): unknown {
  if (typeof value !== "number" || context.source === undefined || carries(value, context.source)) return value;
  return JSON.rawJSON(context.source);
}

/** Past 10^±80 a number of 15 digits or fewer may have lost some, or have become 0 or Infinity. */
const isExtreme = (value: number): boolean =>
  value === 0 || value > 1e80 || value < -1e80 || (value < 1e-80 && value > -1e-80);

/** Whether any number inside is extreme. Throws when containers nest deeper than `depthLeft`. */
function survey(container: object, depthLeft: number): boolean {
  if (depthLeft === 0) throw new SyntaxError(`JSON nests deeper than ${JSON_DEPTH_MAX} levels`);
  let extreme = false;
  if (Array.isArray(container)) {
    for (let i = 0; i < container.length; i++) {
      const item: unknown = container[i];
      if (typeof item === "number") extreme ||= isExtreme(item);
      else if (typeof item === "object" && item !== null && survey(item, depthLeft - 1)) extreme = true;
    }
    return extreme;
  }
  // JSON.parse makes plain objects only, and Object.prototype has no enumerable property, so `in` sees own keys alone.
  for (const key in container) {
    const item: unknown = (container as Record<string, unknown>)[key];
    if (typeof item === "number") extreme ||= isExtreme(item);
    else if (typeof item === "object" && item !== null && survey(item, depthLeft - 1)) extreme = true;
  }
  return extreme;
}

const isDigitOrPoint = (code: number): boolean => code <= 57 && code >= 46 && code !== 47;

/** Whether a number of 16 or more digits is inexact. So long a run covers one of every 16 places: only those are looked at. */
function hasInexactRun(text: string): boolean {
  const step = DOUBLE_DIGITS + 1;
  for (let i = step - 1; i < text.length; i += step) {
    if (!isDigitOrPoint(text.charCodeAt(i))) continue;
    let start = i;
    while (start > 0 && isDigitOrPoint(text.charCodeAt(start - 1))) start--;
    let end = i + 1;
    while (end < text.length && isDigitOrPoint(text.charCodeAt(end))) end++;
    if (end - start >= step && isInexactAt(text, i)) return true;
    if (end - 1 > i) i = end - 1;
  }
  return false;
}

/** Whether a number with an exponent of three digits is inexact: 1e400, 1e-400, 1.2345e-320. */
function hasInexactExponent(text: string): boolean {
  const exponent = /[eE][+-]?\d{3}/g;
  while (exponent.test(text)) {
    if (isInexactAt(text, exponent.lastIndex - 1)) return true;
  }
  return false;
}

const NUMBER_PART = /[0-9eE.+-]/;

/** Whether a double would lose the number around this place. Text within a string may pass for a number: that costs time, no more. */
function isInexactAt(text: string, place: number): boolean {
  let start = place;
  while (start > 0 && NUMBER_PART.test(text.charAt(start - 1))) start--;
  if (start > 0 && !/[\s:,[]/.test(text.charAt(start - 1))) return false;
  let end = place + 1;
  while (end < text.length && NUMBER_PART.test(text.charAt(end))) end++;
  const source = text.slice(start, end);
  return !carries(Number(source), source);
}

/** Whether the shortest text of the double `value` says the same number as `source`. */
function carries(value: number, source: string): boolean {
  const shortest = String(value);
  return shortest === source || (Number.isFinite(value) && significant(shortest) === significant(source));
}

/** One text per number: its digits without zeros at either end, and the power of ten of the last. */
function significant(text: string): string {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const sign = whole.startsWith("-") ? "-" : "";
  const digits = (whole + fraction).replace(/^-?0*/, "");
  const trimmed = digits.replace(/0+$/, "");
  return trimmed === ""
    ? "0"
    : `${sign}${trimmed}e${Number(exponent) - fraction.length + digits.length - trimmed.length}`;
}
