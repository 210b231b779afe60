/**
 * Rollups: what leaves the object for the shared store. Running totals of whole windows, never deltas: the sender adds a
 * version (epoch, seq), the store keeps the newer, and so sending twice, late or in another order changes nothing.
 */
import type { Cell } from "./aggregation";
import { HOUR_MS, MINUTE_MS, windowCell, type FoldChunk, type FoldRow } from "./fold";
import type { FoldGroups } from "./fold-groups";
import type { CompiledMeter } from "./meter";

export type Resolution = "minute" | "quarter";

const QUARTER_MINUTES = 15;

/** So long the store keeps minutes; quarters of an hour for ever. */
export const MINUTE_RETENTION_MS = 35 * 24 * HOUR_MS;

/** What one group of one meter adds up to. Quantities are decimal text (core/quantity.ts). */
export interface RollupTotal {
  /** The meter's fold key (core/meter.ts): its id and its definition. */
  meter: string;
  /** Canonical JSON of [subject, …values in the order of the dimensions' names]; null where a dimension has gone coarse. */
  group: string;
  /** Events that contributed a value. */
  count: number;
  /** "0", and the others null, where the aggregation does not keep it. */
  sum: string;
  min: string | null;
  max: string | null;
  latest: string | null;
  latestAt: number | null;
}

/** One window of it, as of now. */
export interface RollupRow extends RollupTotal {
  resolution: Resolution;
  /** Epoch ms, UTC. */
  windowStart: number;
}

/** A meter's totals of all time. Of UNIQUE_COUNT they have the events only. */
export function allTimeTotals(meter: CompiledMeter, groups: FoldGroups): RollupTotal[] {
  const totals: RollupTotal[] = [];
  for (const { key, total } of groups.byKey.values()) {
    const isEmptied = total?.count === 0 && meter.fold.reads !== "text";
    if (total !== null && !isEmptied) totals.push(totalOf(meter, key, total));
  }
  return totals;
}

function totalOf({ foldKey, fold }: CompiledMeter, group: string, cell: Cell | null): RollupTotal {
  const none = { sum: "0", min: null, max: null, latest: null, latestAt: null };
  return { meter: foldKey, group, count: cell?.count ?? 0, ...none, ...(cell && fold.rollup(cell)) };
}

/**
 * Takes the next row's unsent windows out of a chunk: each changed minute, and each quarter of an hour that has one. Minutes before
 * `minutesFrom` (epoch ms) are not told of: the store would not keep them.
 */
export function takeRollups(chunk: FoldChunk, minutesFrom = -Infinity): RollupRow[] {
  const row = chunk.unsent.pop();
  if (row === undefined) return [];
  const changed = (minute: number): boolean =>
    ((minute < 30 ? row.unsentLow >> minute : row.unsentHigh >> (minute - 30)) & 1) === 1;
  const rows: RollupRow[] = [];
  const quarters = new Set<number>();
  const take = (minute: number, cell: Cell | null): void => {
    if (!changed(minute)) return;
    if (chunk.hour * HOUR_MS + minute * MINUTE_MS >= minutesFrom)
      rows.push(rollupRow(chunk, row, "minute", minute, cell));
    quarters.add(Math.floor(minute / QUARTER_MINUTES) * QUARTER_MINUTES);
  };
  for (const [place, minute] of row.minutes.entries()) take(minute, row.cells[place]!);
  for (const minute of row.emptied) take(minute, null);
  for (const quarter of quarters) {
    rows.push(rollupRow(chunk, row, "quarter", quarter, windowCell(chunk, row, quarter, QUARTER_MINUTES)));
  }
  row.unsentLow = 0;
  row.unsentHigh = 0;
  return rows;
}

/** Every window that the store may have of a chunk, as an empty one: its events are another object's now. */
export function* emptyRollups(chunk: FoldChunk, minutesFrom = -Infinity): Generator<RollupRow> {
  for (const row of chunk.rows.values()) {
    const minutes = [...row.minutes, ...row.emptied];
    const quarters = new Set(minutes.map((minute) => Math.floor(minute / QUARTER_MINUTES) * QUARTER_MINUTES));
    for (const minute of minutes) {
      if (chunk.hour * HOUR_MS + minute * MINUTE_MS >= minutesFrom) yield rollupRow(chunk, row, "minute", minute, null);
    }
    for (const quarter of quarters) yield rollupRow(chunk, row, "quarter", quarter, null);
  }
}

/** Without a cell, the window that corrections have emptied. */
function rollupRow(
  chunk: FoldChunk,
  row: FoldRow,
  resolution: Resolution,
  minute: number,
  cell: Cell | null,
): RollupRow {
  const windowStart = chunk.hour * HOUR_MS + minute * MINUTE_MS;
  return { ...totalOf(chunk.meter, row.group.key, cell), resolution, windowStart };
}
