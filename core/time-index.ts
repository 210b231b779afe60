/**
 * Which log entries hold events of which minute, as ranges of entry numbers: few a minute, so a range may name entries that hold
 * none of it (its reader looks at each event's time), but no entry that holds one is ever missing. Order and repetition of what
 * is added do not matter. Pure; rows and memory are the caller's (durable-objects/time-index.ts).
 */
import { HOUR_MS, MINUTE_MS } from "./fold";
import { assert } from "./result";

/** First and last entry of each range, one after the other: ascending, and no two ranges touch. */
export type SeqRanges = number[];

/** Past so many ranges the two that lie closest become one. Nearly every minute has one. */
export const RANGES_PER_MINUTE_MAX = 16;
/** An hour that has more is of a backfill without any order: its minutes keep fewer, because their row is written again and again. */
const RANGES_PER_HOUR_MAX = 256;
const RANGES_PER_MINUTE_FEW = 4;
export const MINUTES_PER_HOUR = HOUR_MS / MINUTE_MS;

/** The ranges of an hour by minute, 0 to 59. */
export type HourRanges = (SeqRanges | undefined)[];

/** Adds one entry. Nearly always it is the last one, or the one after it. */
export function addSeq(ranges: SeqRanges, seq: number): void {
  const { length } = ranges;
  const last = length === 0 ? -1 : ranges[length - 1]!;
  if (length > 0 && seq <= last && seq >= ranges[length - 2]!) return;
  if (length > 0 && seq === last + 1) {
    ranges[length - 1] = seq;
    return;
  }
  if (seq > last) ranges.push(seq, seq);
  else replace(ranges, joinRanges(ranges, [seq, seq]));
  boundRanges(ranges, RANGES_PER_MINUTE_MAX);
}

/** All entries of all of them; ranges that touch become one. */
export function joinAll(lists: readonly (readonly number[])[]): SeqRanges {
  let round = lists;
  while (round.length > 1) {
    round = Array.from({ length: Math.ceil(round.length / 2) }, (_, pair) =>
      joinRanges(round[2 * pair]!, round[2 * pair + 1] ?? []),
    );
  }
  return [...(round[0] ?? [])];
}

export function joinRanges(a: readonly number[], b: readonly number[]): SeqRanges {
  const joined: SeqRanges = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const fromA = j >= b.length || (i < a.length && a[i]! <= b[j]!);
    const first = fromA ? a[i]! : b[j]!;
    const last = fromA ? a[i + 1]! : b[j + 1]!;
    if (fromA) i += 2;
    else j += 2;
    const end = joined.length - 1;
    if (end >= 0 && first <= joined[end]! + 1) joined[end] = Math.max(joined[end]!, last);
    else joined.push(first, last);
  }
  return joined;
}

/** Closes the narrowest gaps until there are at most `max` ranges. */
export function boundRanges(ranges: SeqRanges, max: number): void {
  while (ranges.length > 2 * max) {
    let narrowest = 1;
    for (let gap = 3; gap < ranges.length - 1; gap += 2) {
      if (ranges[gap + 1]! - ranges[gap]! < ranges[narrowest + 1]! - ranges[narrowest]!) narrowest = gap;
    }
    ranges.splice(narrowest, 2);
  }
}

export function hasSeq(ranges: readonly number[], seq: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (seq >= ranges[i]! && seq <= ranges[i + 1]!) return true;
  return false;
}

/** How many entries the ranges name. */
export function entriesIn(ranges: readonly number[]): number {
  let entries = 0;
  for (let i = 0; i < ranges.length; i += 2) entries += ranges[i + 1]! - ranges[i]! + 1;
  return entries;
}

/** The entries of the ranges from one number to another. */
export function clipRanges(ranges: readonly number[], from: number, to: number): SeqRanges {
  const clipped: SeqRanges = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const first = Math.max(ranges[i]!, from);
    const last = Math.min(ranges[i + 1]!, to);
    if (first <= last) clipped.push(first, last);
  }
  return clipped;
}

/** Both hours' ranges, minute by minute. */
export function joinHours(a: HourRanges, b: HourRanges): HourRanges {
  const joined: HourRanges = [];
  let count = 0;
  for (let minute = 0; minute < MINUTES_PER_HOUR; minute++) {
    const [one, other] = [a[minute], b[minute]];
    const ranges = one && other ? joinRanges(one, other) : [...(one ?? other ?? [])];
    if (ranges.length === 0) continue;
    joined[minute] = ranges;
    count += ranges.length / 2;
  }
  const max = count > RANGES_PER_HOUR_MAX ? RANGES_PER_MINUTE_FEW : RANGES_PER_MINUTE_MAX;
  for (const ranges of joined) if (ranges !== undefined) boundRanges(ranges, max);
  return joined;
}

/** [minute, first, how many more, gap, how many more, …]: differences, which are short. */
type StoredMinute = [minute: number, ...differences: number[]];

interface HourFormat1 {
  v: 1;
  minutes: StoredMinute[];
}

export function encodeHour(hour: HourRanges): string {
  const minutes: StoredMinute[] = [];
  for (let minute = 0; minute < MINUTES_PER_HOUR; minute++) {
    const ranges = hour[minute];
    if (ranges === undefined) continue;
    minutes.push([minute, ...ranges.map((seq, place) => seq - (ranges[place - 1] ?? 0))]);
  }
  const stored: HourFormat1 = { v: 1, minutes };
  return JSON.stringify(stored);
}

/** Reads what `encodeHour` wrote. */
export function decodeHour(text: string): HourRanges {
  const stored = JSON.parse(text) as HourFormat1;
  assert(
    stored.v === 1,
    `an hour of the time index of format ${String(stored.v)} needs a later version of this program`,
  );
  const hour: HourRanges = [];
  for (const [minute, ...differences] of stored.minutes) {
    let seq = 0;
    hour[minute] = differences.map((difference) => (seq += difference));
  }
  return hour;
}

function replace(ranges: SeqRanges, by: SeqRanges): void {
  ranges.length = 0;
  for (const seq of by) ranges.push(seq);
}
