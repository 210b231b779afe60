/**
 * What a meter adds up: exact decimals of 10⁻²⁴ held as bigint. Finer than money (core/decimal.ts), because meters are fed
 * floats: every double of at least 10⁻⁷ has its shortest digits within 24 places, so 0.1 + 0.2 sums to 0.3 and
 * "0.4567890123456789" + 123 loses nothing. Digits past the 24th place are rounded half-even, never refused.
 */
import { refuse, ok, type Result } from "./result";

/** A number of 10⁻²⁴ units. */
export type Quantity = bigint;

export const QUANTITY_PLACES = 24;
/** 10²⁴. One whole unit. */
export const ONE_QUANTITY: Quantity = 10n ** 24n;
/** As for money: past any usage, and bounds the work per number. */
export const QUANTITY_INTEGER_DIGITS_MAX = 26;

export type QuantityRefusal = { reason: "not_a_number" | "out_of_range" };

const NOT_A_NUMBER = refuse<QuantityRefusal>({ reason: "not_a_number" });
const OUT_OF_RANGE = refuse<QuantityRefusal>({ reason: "out_of_range" });

const NUMBER = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** A longer text is not a measurement. */
const TEXT_CHARS_MAX = 128;

const MILLIONTH: Quantity = 10n ** 18n;

/** The quantity in a JSON value: a number by its source text, or a numeric string. Anything else is not a number. */
export function quantityOf(value: unknown): Result<Quantity, QuantityRefusal> {
  if (typeof value === "number") {
    if (Number.isSafeInteger(value)) return ok(BigInt(value) * ONE_QUANTITY);
    // Few decimals: when n ÷ 10⁶ is this double and n has at most 15 digits, its shortest text is that of n × 10⁻⁶.
    const millionths = Math.round(value * 1e6);
    if (millionths < 1e15 && millionths > -1e15 && millionths / 1e6 === value)
      return ok(BigInt(millionths) * MILLIONTH);
    return parseQuantity(String(value));
  }
  if (typeof value === "string") return parseQuantity(value);
  return JSON.isRawJSON(value) ? parseQuantity(value.rawJSON) : NOT_A_NUMBER;
}

/** Reads decimal text ("0.1", "-12", "2.5e-6"). NaN, Infinity, hex, blanks and "+1" are no numbers. */
export function parseQuantity(text: string): Result<Quantity, QuantityRefusal> {
  if (text.length > TEXT_CHARS_MAX || !NUMBER.test(text)) return NOT_A_NUMBER;
  const negative = text.startsWith("-");
  const e = text.search(/[eE]/);
  const mantissa = text.slice(negative ? 1 : 0, e < 0 ? text.length : e);
  const point = mantissa.indexOf(".");
  const places = point < 0 ? 0 : mantissa.length - point - 1;
  const digits = (point < 0 ? mantissa : mantissa.slice(0, point) + mantissa.slice(point + 1)).replace(/^0+/, "");
  if (digits === "") return ok(0n);
  // The value is digits × 10^shift in units.
  const shift = QUANTITY_PLACES - places + (e < 0 ? 0 : Number(text.slice(e + 1)));
  if (digits.length + shift > QUANTITY_INTEGER_DIGITS_MAX + QUANTITY_PLACES) return OUT_OF_RANGE;
  const units = shift >= 0 ? BigInt(digits) * powerOfTen(shift) : halfEven(digits, -shift);
  return ok(negative ? -units : units);
}

const POWERS_OF_TEN = Array.from(
  { length: QUANTITY_INTEGER_DIGITS_MAX + QUANTITY_PLACES + 1 },
  (_, power) => 10n ** BigInt(power),
);
const powerOfTen = (power: number): bigint => POWERS_OF_TEN[power] ?? 10n ** BigInt(power);

/** Drops the last `places` digits and rounds, ties to even. */
function halfEven(digits: string, places: number): bigint {
  // Fewer digits than places to drop: less than a tenth of a unit.
  if (digits.length < places) return 0n;
  const kept = BigInt(digits.slice(0, -places) || "0");
  const dropped = digits.slice(-places);
  const tie = /^50*$/.test(dropped);
  return (tie ? kept % 2n === 1n : dropped >= "5") ? kept + 1n : kept;
}

const CANONICAL = /^(-?)(\d+)(?:\.(\d{1,24}))?$/;

/** Reads text that `formatQuantity` wrote. A total may be larger than any input, so its size is not bounded. */
export function quantity(text: string): Quantity {
  const match = CANONICAL.exec(text);
  if (!match) throw new Error("not a stored quantity");
  const [, sign, whole, fraction = ""] = match;
  const units = BigInt(whole + fraction.padEnd(QUANTITY_PLACES, "0"));
  return sign === "-" ? -units : units;
}

/** Canonical text: no exponent, no trailing zeros, no "-0". `parseQuantity(formatQuantity(q))` is `q`. */
export function formatQuantity(units: Quantity): string {
  // Most quantities are whole, and a division of bigints costs more than the rest of this function.
  const whole = wholeOf(units);
  if (whole !== null) return String(whole);
  const negative = units < 0n;
  const magnitude = negative ? -units : units;
  const rest = magnitude % ONE_QUANTITY;
  const fraction = rest === 0n ? "" : `.${rest.toString().padStart(QUANTITY_PLACES, "0").replace(/0+$/, "")}`;
  return `${negative ? "-" : ""}${(magnitude / ONE_QUANTITY).toString()}${fraction}`;
}

/** The quantity as a number when it is a whole one that a double carries, else null. */
export function wholeOf(units: Quantity): number | null {
  const whole = Math.round(Number(units) / 1e24);
  return Number.isSafeInteger(whole) && BigInt(whole) * ONE_QUANTITY === units ? whole : null;
}
