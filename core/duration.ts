/**
 * ISO-8601 durations of fixed length: weeks, days, hours, minutes, seconds. Years and months have no length of their own
 * and are refused; so is anything past DURATION_MS_MAX.
 */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Ten years: no overlap, hold or window that we grant is longer. */
export const DURATION_MS_MAX = 3_650 * DAY_MS;

const DURATION = /^P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?$/;
const UNITS_MS = [7 * DAY_MS, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS];

/** Milliseconds of `P1D`, `PT10M`, …, or null. */
export function parseDuration(text: string): number | null {
  const match = DURATION.exec(text);
  if (!match || text.endsWith("T")) return null;
  const parts = match.slice(1);
  if (parts.every((part) => part === undefined)) return null;
  const ms = parts.reduce((sum, part, i) => sum + Number(part ?? 0) * UNITS_MS[i]!, 0);
  return ms <= DURATION_MS_MAX ? ms : null;
}
