/**
 * Folds: what a customer's meters have counted, by meter, group and minute. A chunk is one meter's UTC hour, so that every
 * running total that leaves the object (a minute, a quarter of an hour) lies within one chunk, and a late event touches one.
 * An event is never refused here: past a bound it counts in a coarser group, or distinct values are forgotten, visibly.
 * Pure; where chunks come from and go to is the caller's (`Folds`).
 */
import type { Cell, Fold, Reading } from "./aggregation";
import type { UsageEvent } from "./event";
import { groupFor, newGroups, type FoldGroup, type FoldGroups } from "./fold-groups";
import { readEvent, type CompiledMeter, type CompiledMeters } from "./meter";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

/**
 * Distinct values (in units of 64 characters) that one meter keeps for one hour, over all its groups and minutes; some 10 MB.
 * Past it UNIQUE_COUNT of that hour is unknown (422), never wrong: a customer with 1,600 users active in every minute.
 */
export const UNIQUE_UNITS_PER_HOUR_MAX = 100_000;

/** One group's minutes within a chunk, ascending. */
export interface FoldRow {
  group: FoldGroup;
  /** The minute of the hour, 0 to 59, of each cell. */
  minutes: number[];
  cells: Cell[];
  /** Minutes whose events were all corrected away: the rollups have a window of them that must become empty. */
  emptied: number[];
  /** Minutes that the rollups do not know yet, as bits: 0–29 and 30–59. */
  unsentLow: number;
  unsentHigh: number;
}

/** One meter's UTC hour. */
export interface FoldChunk {
  meter: CompiledMeter;
  /** Hours since 1970. */
  hour: number;
  groups: FoldGroups;
  /** By group key. */
  rows: Map<string, FoldRow>;
  /** How many cells there are: what a chunk costs in memory. */
  cells: number;
  /** What its cells keep beyond a fixed size; means nothing once forgotten. */
  units: number;
  /** Its distinct values were too many and are forgotten. */
  forgotten: boolean;
  /** Changed since it was last saved. */
  unsaved: boolean;
  /** How many parts it is stored in. */
  parts: number;
  /** Rows that have unsent minutes. */
  unsent: FoldRow[];
}

/** Where chunks are kept. */
export interface Folds {
  /** The chunk, from memory or storage, or a new one. */
  chunk(meter: CompiledMeter, hour: number): FoldChunk;
  /** The chunk has something unsaved, or something unsent, and had not before. */
  touched(chunk: FoldChunk): void;
  /** A group's cells, hour by hour, of all time. Not to be changed. */
  hourCells(meter: CompiledMeter, groupKey: string): Iterable<Cell>;
}

export const newChunk = (meter: CompiledMeter, hour: number, groups: FoldGroups): FoldChunk => ({
  meter,
  hour,
  groups,
  rows: new Map(),
  cells: 0,
  units: 0,
  forgotten: false,
  unsaved: false,
  parts: 0,
  unsent: [],
});

/**
 * Counts a minute again in the meters of one event type, after a correction: `events` are those of the minute that count now. Nothing
 * else finds out what is left of an extreme, a latest value or a set. Cells end as if the corrected log had been folded.
 */
export function recountMinute(
  folds: Folds,
  meters: CompiledMeters,
  of: { type: string; time: number },
  events: Iterable<{ event: UsageEvent; order: number }>,
): void {
  const type = meters.types.get(of.type);
  if (type === undefined) return;
  const hour = Math.floor(of.time / HOUR_MS);
  const minute = Math.floor(of.time / MINUTE_MS) - hour * 60;
  const unknown: { meter: CompiledMeter; group: FoldGroup; groups: FoldGroups }[] = [];
  for (const meter of type.meters) {
    const chunk = folds.chunk(meter, hour);
    const clean = !chunk.unsaved || chunk.unsent.length === 0;
    for (const group of clearMinute(chunk, minute)) unknown.push({ meter, group, groups: chunk.groups });
    if (clean && chunk.unsaved) folds.touched(chunk);
  }
  for (const { event, order } of events) if (event.type === of.type) foldEvent(folds, meters, event, order);
  for (const { meter, group, groups } of unknown) retotal(group, groups, meter.fold, folds.hourCells(meter, group.key));
}

/** Counts an event in every meter of its type. `order` rises with arrival: it decides LATEST between events of one time. */
export function foldEvent(folds: Folds, meters: CompiledMeters, event: UsageEvent, order: number): void {
  const type = meters.types.get(event.type);
  if (type === undefined) return;
  const facts = readEvent(type, event, order);
  const hour = Math.floor(event.time / HOUR_MS);
  const minute = Math.floor(event.time / MINUTE_MS) - hour * 60;
  for (const meter of type.meters) {
    const reading = facts.readings[meter.reading]!;
    if (!isCounted(meter, event, reading)) continue;
    const chunk = folds.chunk(meter, hour);
    const clean = !chunk.unsaved || chunk.unsent.length === 0;
    count(chunk, rowFor(chunk, facts.groups[meter.group]!), minute, reading);
    if (clean) folds.touched(chunk);
  }
}

const isCounted = ({ meter, fold }: CompiledMeter, event: UsageEvent, reading: Reading): boolean =>
  (meter.eventFrom === null || event.time >= meter.eventFrom) &&
  (reading.quantity !== null || fold.reads !== "quantity");

/**
 * Notes an event that was corrected away, where folds are made from the log: the rollups may have a window of it, from when the same
 * meter was folded before, and must hear that it is empty if nothing else is counted in it.
 */
export function uncountEvent(folds: Folds, meters: CompiledMeters, event: UsageEvent): void {
  const type = meters.types.get(event.type);
  if (type === undefined) return;
  const facts = readEvent(type, event, 0);
  const hour = Math.floor(event.time / HOUR_MS);
  const minute = Math.floor(event.time / MINUTE_MS) - hour * 60;
  for (const meter of type.meters) {
    if (!isCounted(meter, event, facts.readings[meter.reading]!)) continue;
    const chunk = folds.chunk(meter, hour);
    const row = rowFor(chunk, facts.groups[meter.group]!);
    if (row.minutes.includes(minute) || row.emptied.includes(minute)) continue;
    row.group.total ??= meter.fold.nothing();
    chunk.groups.unsaved[row.group.page] = true;
    row.emptied.push(minute);
    const clean = !chunk.unsaved || chunk.unsent.length === 0;
    chunk.unsaved = true;
    markUnsent(chunk, row, minute);
    if (clean) folds.touched(chunk);
  }
}

function rowFor(chunk: FoldChunk, groupKey: string): FoldRow {
  if (chunk.groups.coarse === null) {
    const row = chunk.rows.get(groupKey);
    if (row !== undefined) return row;
  }
  const group = groupFor(chunk.groups, groupKey);
  return chunk.rows.get(group.key) ?? addRow(chunk, group);
}

export function addRow(chunk: FoldChunk, group: FoldGroup): FoldRow {
  const row: FoldRow = { group, minutes: [], cells: [], emptied: [], unsentLow: 0, unsentHigh: 0 };
  chunk.rows.set(group.key, row);
  return row;
}

function count(chunk: FoldChunk, row: FoldRow, minute: number, reading: Reading): void {
  const { fold } = chunk.meter;
  const { group } = row;
  if (group.total === null) {
    group.total = fold.init(reading);
    fold.forget(group.total);
  } else fold.add(group.total, reading);
  chunk.groups.unsaved[group.page] = true;

  // Nearly every event falls into the last minute.
  let place = row.minutes.length - 1;
  while (place >= 0 && row.minutes[place]! > minute) place--;
  if (place >= 0 && row.minutes[place] === minute) {
    const cell = row.cells[place]!;
    const before = fold.units(cell);
    fold.add(cell, reading);
    if (fold.units(cell) !== before) keepWithinBound(chunk, cell, fold.units(cell) - before);
  } else {
    const cell = fold.init(reading);
    row.minutes.splice(place + 1, 0, minute);
    row.cells.splice(place + 1, 0, cell);
    if (row.emptied.length > 0) row.emptied = row.emptied.filter((each) => each !== minute);
    chunk.cells++;
    keepWithinBound(chunk, cell, fold.units(cell));
  }
  chunk.unsaved = true;
  markUnsent(chunk, row, minute);
}

/** Counts what a cell keeps beyond its fixed size. Past the bound every cell of the chunk lets go of its values, and later ones do. */
function keepWithinBound(chunk: FoldChunk, cell: Cell, units: number): void {
  const { fold } = chunk.meter;
  chunk.units += units;
  if (chunk.forgotten) fold.forget(cell);
  else if (chunk.units > UNIQUE_UNITS_PER_HOUR_MAX) {
    for (const row of chunk.rows.values()) for (const each of row.cells) fold.forget(each);
    chunk.forgotten = true;
  }
}

/** The rollups need to know the whole chunk (again). */
export function markAllUnsent(chunk: FoldChunk): void {
  for (const row of chunk.rows.values()) {
    for (const minute of row.minutes) markUnsent(chunk, row, minute);
    for (const minute of row.emptied) markUnsent(chunk, row, minute);
  }
}

/**
 * Takes a minute out of a chunk, with what it added to the totals of its groups.
 * Answers the groups whose total cannot be told from what is left: they need `retotal`.
 */
function clearMinute(chunk: FoldChunk, minute: number): FoldGroup[] {
  const { fold } = chunk.meter;
  const unknown: FoldGroup[] = [];
  for (const row of chunk.rows.values()) {
    const place = row.minutes.indexOf(minute);
    if (place < 0) continue;
    const [cell] = row.cells.splice(place, 1);
    row.minutes.splice(place, 1);
    row.emptied.push(minute);
    chunk.cells--;
    chunk.units -= fold.units(cell!);
    const { total } = row.group;
    if (total === null || !fold.takeOut(total, cell!)) unknown.push(row.group);
    chunk.groups.unsaved[row.group.page] = true;
    chunk.unsaved = true;
    markUnsent(chunk, row, minute);
  }
  return unknown;
}

/** A group's total of all time, from the cells of all its hours. */
function retotal(group: FoldGroup, groups: FoldGroups, fold: Fold<Cell>, cells: Iterable<Cell>): void {
  let total: Cell | null = null;
  for (const cell of cells) {
    if (total === null) total = fold.copy(cell);
    else fold.merge(total, cell);
  }
  if (total !== null) fold.forget(total);
  group.total = total ?? fold.nothing();
  groups.unsaved[group.page] = true;
}

function markUnsent(chunk: FoldChunk, row: FoldRow, minute: number): void {
  if ((row.unsentLow | row.unsentHigh) === 0) chunk.unsent.push(row);
  if (minute < 30) row.unsentLow |= 1 << minute;
  else row.unsentHigh |= 1 << (minute - 30);
}

/** The merged cell of some minutes of a row; null when it has none there. Not to be changed: it may be the row's own. */
export function windowCell(
  { meter: { fold } }: FoldChunk,
  { minutes, cells }: FoldRow,
  from: number,
  length: number,
): Cell | null {
  let only: Cell | null = null;
  let merged: Cell | null = null;
  for (const [place, minute] of minutes.entries()) {
    if (minute < from || minute >= from + length) continue;
    const cell = cells[place]!;
    if (only === null) only = cell;
    else fold.merge((merged ??= fold.copy(only)), cell);
  }
  return merged ?? only;
}

/** Folds in memory, without bound: for rebuilding a meter from the log slice by slice, and for tests. */
export class MemoryFolds implements Folds {
  readonly chunks = new Map<string, FoldChunk>();
  readonly groups = new Map<string, FoldGroups>();

  private readonly open: (FoldChunk | undefined)[] = [];

  chunk(meter: CompiledMeter, hour: number): FoldChunk {
    const last = this.open[meter.place];
    if (last !== undefined && last.hour === hour && last.meter === meter) return last;
    const key = `${meter.foldKey} ${hour}`;
    let chunk = this.chunks.get(key);
    if (!chunk) {
      let groups = this.groups.get(meter.foldKey);
      if (!groups) this.groups.set(meter.foldKey, (groups = newGroups()));
      this.chunks.set(key, (chunk = newChunk(meter, hour, groups)));
    }
    this.open[meter.place] = chunk;
    return chunk;
  }

  touched(): void {}

  *hourCells(meter: CompiledMeter, groupKey: string): Generator<Cell> {
    for (const chunk of this.chunks.values()) {
      const row = chunk.meter.foldKey === meter.foldKey ? chunk.rows.get(groupKey) : undefined;
      const cell = row && windowCell(chunk, row, 0, 60);
      if (cell) yield cell;
    }
  }
}
