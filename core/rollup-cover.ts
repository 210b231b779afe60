/**
 * Which rollups make up a range of time, and what of it only the objects know. Quarters of an hour cover all but the ends, minutes the
 * ends, as long as they are kept; what is finer than a minute, or older than the minutes, is nobody's but the objects'.
 */
import { assert } from "./result";
import type { Window, WindowSize } from "./window";

const MINUTE_MS = 60_000;
const QUARTER_MS = 15 * MINUTE_MS;
const DAY_MS = 86_400_000;

export type Source = "quarter" | "minute" | "objects";

/** Events of [from, to), epoch ms. */
export interface Piece {
  source: Source;
  from: number;
  to: number;
}

/** The pieces of [from, to), in order and without gaps. Minute rows are complete from `minutesSince` on, which is a whole quarter. */
export function coverOf(
  { from, to }: { from: number; to: number },
  windowSize: WindowSize | null,
  minutesSince: number,
): Piece[] {
  const pieces: Piece[] = [];
  const add = (source: Source, start: number, end: number): void => {
    if (start < end) pieces.push({ source, from: start, to: end });
  };
  const addFine = (start: number, end: number): void => {
    const minutesFrom = Math.max(ceilTo(start, MINUTE_MS), minutesSince);
    const minutesTo = floorTo(end, MINUTE_MS);
    if (minutesFrom >= minutesTo) return add("objects", start, end);
    add("objects", start, minutesFrom);
    add("minute", minutesFrom, minutesTo);
    add("objects", minutesTo, end);
  };
  const quartersFrom = ceilTo(from, QUARTER_MS);
  const quartersTo = floorTo(to, QUARTER_MS);
  // A window of a minute is part of a quarter; all others are made of whole ones (window.ts).
  if (windowSize === "MINUTE" || quartersFrom >= quartersTo) addFine(from, to);
  else {
    addFine(from, quartersFrom);
    add("quarter", quartersFrom, quartersTo);
    addFine(quartersTo, to);
  }
  return pieces;
}

/** A piece's share of a window. */
export interface Share {
  /** Where the window starts. */
  window: number;
  from: number;
  to: number;
}

/** Cuts [from, to) at the windows' borders; with `days`, only what touches one of these UTC days (ascending). */
export function* sharesOf(
  { from, to }: { from: number; to: number },
  windowOf: (at: number) => Window,
  days: readonly number[] | null,
): Generator<Share> {
  let at = from;
  for (const [start, end] of days === null ? [[from, to] as const] : days.map((day) => [day, day + DAY_MS] as const)) {
    at = Math.max(at, start);
    while (at < Math.min(end, to)) {
      const window = windowOf(at);
      assert(window.end > at, "a window ends after each of its moments");
      yield { window: window.start, from: at, to: Math.min(window.end, to) };
      at = window.end;
    }
  }
}

export const floorToQuarter = (ms: number): number => floorTo(ms, QUARTER_MS);
export const ceilToQuarter = (ms: number): number => ceilTo(ms, QUARTER_MS);

const floorTo = (ms: number, unit: number): number => Math.floor(ms / unit) * unit;
const ceilTo = (ms: number, unit: number): number => Math.ceil(ms / unit) * unit;
