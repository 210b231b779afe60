/**
 * Moments as they cross the wire: RFC 3339 text to epoch milliseconds and back. Digits past the millisecond are dropped.
 * Known moments run from 1970 to the end of 9999; a date that no calendar has is refused, never rolled over. Called for
 * every event, so it reads character codes and builds no intermediate strings.
 */

/** 9999-12-31T23:59:59.999Z */
export const INSTANT_MS_MAX = 253_402_300_799_999;

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Epoch ms of RFC 3339 text with seconds and an upper-case `T` and `Z` (or an offset), or null. */
export function parseInstant(text: string): number | null {
  const { length } = text;
  if (length < 20 || length > 64) return null;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  const second = digits(text, 17, 2);
  if (text[4] !== "-" || text[7] !== "-" || text[10] !== "T" || text[13] !== ":" || text[16] !== ":") return null;
  // A group that is no number is NaN, and fails its comparison.
  if (!(year >= 1969 && month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 && second <= 59))
    return null;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  if (day > DAYS[month - 1]! && !(isLeap && month === 2 && day === 29)) return null;

  let at = 19;
  let millisecond = 0;
  if (text[at] === ".") {
    at++;
    const start = at;
    for (let unit = 100; at < length && isDigit(text.charCodeAt(at)); at++, unit /= 10) {
      if (unit >= 1) millisecond += (text.charCodeAt(at) - 48) * unit;
    }
    if (at === start) return null;
  }

  let offsetMinutes = 0;
  const sign = text[at];
  if (sign === "Z") {
    if (length !== at + 1) return null;
  } else {
    if ((sign !== "+" && sign !== "-") || length !== at + 6 || text[at + 3] !== ":") return null;
    const hours = digits(text, at + 1, 2);
    const minutes = digits(text, at + 4, 2);
    if (!(hours <= 23 && minutes <= 59)) return null;
    offsetMinutes = (hours * 60 + minutes) * (sign === "-" ? -1 : 1);
  }
  const minutes = (daysBefore(year, month, day, isLeap) * 24 + hour) * 60 + minute - offsetMinutes;
  const ms = (minutes * 60 + second) * 1_000 + millisecond;
  return ms >= 0 && ms <= INSTANT_MS_MAX ? ms : null;
}

export const formatInstant = (ms: number): string => new Date(ms).toISOString();

/** Days of a common year before each month. */
const DAYS_BEFORE = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/** Days from 1970-01-01 to a date. */
function daysBefore(year: number, month: number, day: number, isLeap: boolean): number {
  const past = year - 1;
  // 477 leap days lie before 1970.
  const leapDays = Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400) - 477;
  return (year - 1970) * 365 + leapDays + DAYS_BEFORE[month - 1]! + (isLeap && month > 2 ? 1 : 0) + day - 1;
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;

function digits(text: string, start: number, count: number): number {
  let value = 0;
  for (let i = start; i < start + count; i++) {
    const code = text.charCodeAt(i);
    if (!isDigit(code)) return NaN;
    value = value * 10 + code - 48;
  }
  return value;
}
