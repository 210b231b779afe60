/**
 * Exact decimals: integers of 10⁻¹² held as bigint. Every quantity, rate, price and credit in Tollgate is one.
 * Nothing here rounds except `mulDiv` (half-even, once, at the end of a line) and nothing here knows a currency.
 * Input is decimal text: at most 12 places and 26 integer digits; anything else is refused, never approximated.
 * Sums of inputs may grow past that bound: `formatDecimal` writes and `decimal` reads back any size.
 */
import { refuse, ok, type Result } from "./result";

/** A number of 10⁻¹² units. `1_500_000_000_000n` is 1.5. */
export type Decimal = bigint;

export const DECIMAL_PLACES = 12;
/** 10¹². One whole unit. */
export const ONE: Decimal = 1_000_000_000_000n;
/** Larger inputs are refused: 26 digits before the point is past any usage or money, and bounds the work per number. */
export const INTEGER_DIGITS_MAX = 26;
/** The largest input, and the largest amount a debit may have. */
export const DECIMAL_MAX: Decimal = 10n ** BigInt(INTEGER_DIGITS_MAX + DECIMAL_PLACES) - 1n;
/** Bounds the work on hostile text before anything is parsed: sign, 26 digits, point, 12 places, exponent, and slack for zeros. */
const TEXT_CHARS_MAX = 128;

export type DecimalRefusal = { reason: "not_a_number" | "too_many_places" | "out_of_range"; text: string };

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** What nearly every usage quantity looks like; read without the general machinery. */
const SMALL_INTEGER = /^\d{1,15}$/;
/** What `formatDecimal` writes. */
const STORED = /^(-?)(\d+)(?:\.(\d{1,12}))?$/;

/**
 * Reads a decimal from its source text ("0.1", "-12", "2.5e-6"). Trailing zeros past 12 places are fine; other digits
 * there are `too_many_places`. NaN, Infinity, hex, blanks and "+1" are `not_a_number`.
 */
export function parseDecimal(text: string): Result<Decimal, DecimalRefusal> {
  if (SMALL_INTEGER.test(text)) return ok(BigInt(text) * ONE);
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text;
  if (text.length > TEXT_CHARS_MAX) return refuse({ reason: "out_of_range", text: shown });
  const match = NUMBER.exec(text);
  if (!match) return refuse({ reason: "not_a_number", text: shown });
  const [, sign, whole = "", fraction = "", exponent] = match;
  // The value is digits × 10^(places to shift − 12).
  const digits = (whole + fraction).replace(/^0+/, "");
  if (digits === "") return ok(0n);
  const shift = DECIMAL_PLACES - fraction.length + (exponent === undefined ? 0 : Number(exponent));
  if (digits.length + shift > INTEGER_DIGITS_MAX + DECIMAL_PLACES)
    return refuse({ reason: "out_of_range", text: shown });
  let units: bigint;
  if (shift >= 0) units = BigInt(digits) * 10n ** BigInt(shift);
  else {
    const kept = digits.slice(0, shift);
    if (!/^0*$/.test(digits.slice(shift))) return refuse({ reason: "too_many_places", text: shown });
    units = kept === "" ? 0n : BigInt(kept);
  }
  return ok(sign === "-" ? -units : units);
}

/** Reads back what `formatDecimal` wrote: storage, constants. Throws on anything else: that is a bug, not input. */
export function decimal(text: string): Decimal {
  const match = STORED.exec(text);
  if (!match) throw new Error(`not a stored decimal: ${text.slice(0, 64)}`);
  const [, sign, whole = "", fraction = ""] = match;
  const units = BigInt(whole + fraction.padEnd(DECIMAL_PLACES, "0"));
  return sign === "-" ? -units : units;
}

/** Tells a client what to change. */
export function explainDecimal(refusal: DecimalRefusal): string {
  switch (refusal.reason) {
    case "not_a_number":
      return "must be a number or decimal text";
    case "too_many_places":
      return `must have at most ${DECIMAL_PLACES} digits after the decimal point`;
    case "out_of_range":
      return `must have at most ${INTEGER_DIGITS_MAX} digits before the decimal point`;
  }
}

/** Canonical text: no exponent, no trailing zeros, no "-0". `parseDecimal(formatDecimal(d))` is `d`. */
export function formatDecimal(units: Decimal): string {
  const negative = units < 0n;
  const text = (negative ? -units : units).toString();
  const whole = text.length > DECIMAL_PLACES ? text.slice(0, -DECIMAL_PLACES) : "0";
  const fraction = text.padStart(DECIMAL_PLACES, "0").slice(-DECIMAL_PLACES).replace(/0+$/, "");
  return `${negative ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** a × b ÷ c as an exact rational, rounded once to the nearest integer, ties to even. `c` must be positive. */
export function mulDiv(a: bigint, b: bigint, c: bigint): bigint {
  if (c <= 0n) throw new Error("mulDiv needs a positive divisor");
  const product = a * b;
  const quotient = product / c;
  const remainder = product - quotient * c;
  const twice = 2n * (remainder < 0n ? -remainder : remainder);
  const roundAway = twice > c || (twice === c && quotient % 2n !== 0n);
  return roundAway ? quotient + (product < 0n ? -1n : 1n) : quotient;
}

/** The smallest multiple of `step` that is at least `value`. Both at least zero; `step` positive. */
export function ceilTo(value: Decimal, step: Decimal): Decimal {
  return ((value + step - 1n) / step) * step;
}

export const minDecimal = (a: Decimal, b: Decimal): Decimal => (a < b ? a : b);
export const maxDecimal = (a: Decimal, b: Decimal): Decimal => (a > b ? a : b);

/** The same shape with every bigint as its canonical decimal string: how values are stored and sent. */
export type Stored<T> = T extends bigint
  ? string
  : T extends (infer U)[]
    ? Stored<U>[]
    : T extends object
      ? { [K in keyof T]: Stored<T[K]> }
      : T;
