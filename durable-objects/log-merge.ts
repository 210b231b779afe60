/**
 * Which rows of the log to merge next. Small rows become pages, pages become larger pages, and a page that is full is sealed:
 * never read for merging again. So a byte is rewritten about three times, and a million entries lie in some 100 rows.
 * Pure; the rows are those behind the last sealed one, in order.
 */
import type { LogLimits } from "./log-format";

export interface RowHead {
  seq: number;
  last: number;
  /** 0: one entry; higher: a page, merged so many times; SEALED. */
  level: number;
  /** Size of its body and directory. */
  bytes: number;
  /** The body is plain JSON and will shrink when it is merged. */
  plain: boolean;
}

export const SEALED = 9;

/** From this share of a row's limit on a page is full: what would still fit is not worth reading and writing it again. */
const FULL = 0.85;
/** Plain JSON deflates to about a sixth; this is on the safe side. */
const SHRINKS_BY = 4;
/** What an entry's line in the page's directory costs. */
const DIRECTORY_LINE_BYTES = 64;

export interface MergePlan {
  /** Rows [from, to) of those given become one row of this level. */
  from: number;
  to: number;
  level: number;
}

export function planMerge(rows: readonly RowHead[], limits: LogLimits): MergePlan | null {
  const fullBytes = FULL * limits.rowBytesMax;
  // Levels only fall from the oldest row to the newest, so each level is one stretch; the newest is merged first.
  let to = rows.length;
  while (to > 0) {
    const { level } = rows[to - 1]!;
    let from = to;
    let weight = 0;
    while (from > 0 && rows[from - 1]!.level === level) weight += weightOf(rows[--from]!);
    if (to - from >= (level === 0 ? limits.entryRows : limits.levelPages) || weight >= fullBytes) {
      const end = fitting(rows, from, to, limits);
      const full = weightBetween(rows, from, end) >= fullBytes || end - from === 1;
      if (!full) return { from, to: end, level: level + 1 };
      // All before it goes first, or into it: what is behind a sealed row is never merged with what is before.
      return { from: 0, to: fitting(rows, 0, to, limits), level: SEALED };
    }
    to = from;
  }
  return null;
}

/** The end of the longest stretch from `from` that one step can merge into one row; at least one row. */
function fitting(
  rows: readonly RowHead[],
  from: number,
  to: number,
  { stepRows, stepPlainBytes, rowBytesMax }: LogLimits,
): number {
  let bytes = 0;
  let plainBytes = 0;
  let end = from;
  for (; end < to && end - from < stepRows; end++) {
    const row = rows[end]!;
    bytes += row.bytes + DIRECTORY_LINE_BYTES;
    if (row.plain) plainBytes += row.bytes;
    if (end > from && (bytes > rowBytesMax || plainBytes > stepPlainBytes)) break;
  }
  return end;
}

function weightOf({ bytes, plain }: RowHead): number {
  return plain ? bytes / SHRINKS_BY : bytes;
}

function weightBetween(rows: readonly RowHead[], from: number, to: number): number {
  let weight = 0;
  for (let row = from; row < to; row++) weight += weightOf(rows[row]!);
  return weight;
}
