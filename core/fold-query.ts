/**
 * A query of one customer's folds. Whole hours are read as one cell a group, however many events they had; minutes only where the range
 * begins or ends within an hour, where a window does, and where distinct values must be told apart; single events only where the
 * range begins or ends within a minute. Pure; folds and events are the caller's (`FoldSource`).
 */
import { HOUR_MS, MemoryFolds, MINUTE_MS, foldEvent, type FoldChunk } from "./fold";
import type { UsageEvent } from "./event";
import type { HourRow } from "./fold-text";
import type { CompiledMeter, CompiledMeters } from "./meter";
import { rangeOf, type MeterQuery } from "./meter-query";
import { PartBuilder, type PartOptions, type QueryPart, type QueryRefusal } from "./query-part";
import type { Result } from "./result";

/** Where folds and events are kept. */
export interface FoldSource {
  /** What each hour adds up to, ascending, from hour to hour (since 1970; infinite where there is no end). */
  hours(meter: CompiledMeter, from: number, to: number): Iterable<{ hour: number; rows: readonly HourRow[] }>;
  /** The hour's minutes; null when it has none. Not to be changed. */
  minutes(meter: CompiledMeter, hour: number): FoldChunk | null;
  /** The events that count, from time to time, in any order; `order` as they were folded. */
  events(fromMs: number, toMs: number): Iterable<{ event: UsageEvent; order: number }>;
}

/** Whether a query begins or ends within a minute, so that `events` will be asked. */
export function needsEvents(query: MeterQuery): boolean {
  const { from, to } = rangeOf(query);
  return [from, to].some((ms) => Number.isFinite(ms) && ms % MINUTE_MS !== 0);
}

/** Asks a meter of the compiled ones. */
export function queryFolds(
  source: FoldSource,
  meters: CompiledMeters,
  meter: CompiledMeter,
  query: MeterQuery,
  options: PartOptions,
): Result<QueryPart, QueryRefusal> {
  const part = new PartBuilder(meter, query, options);
  const { from, to } = rangeOf(query);
  const firstMinute = ceilTo(from, MINUTE_MS);
  const firstHour = ceilTo(from, HOUR_MS);
  const lastHour = floorTo(to, HOUR_MS);
  const lastMinute = floorTo(to, MINUTE_MS);
  if (firstMinute > lastMinute) addEvents(from, to);
  else {
    // In the order of time, so that the windows of a part that stands alone can be closed one after the other.
    addEvents(from, firstMinute);
    addMinutes(firstMinute, Math.min(firstHour, lastMinute));
    addHours(firstHour, lastHour);
    addMinutes(Math.max(firstHour, lastHour), lastMinute);
    addEvents(lastMinute, to);
  }
  return part.part();

  function addHours(fromMs: number, toMs: number): void {
    if (fromMs >= toMs) return;
    for (const { hour, rows } of source.hours(meter, fromMs / HOUR_MS, toMs / HOUR_MS)) {
      const start = hour * HOUR_MS;
      if (part.refused) return;
      if (!suffices(start, rows)) addMinutes(start, start + HOUR_MS);
      else {
        for (const [group, cell, first = 0, last = 59] of rows)
          part.add(group, meter.fold.fromJSON(cell), start + first * MINUTE_MS, start + last * MINUTE_MS);
      }
    }
  }

  /** Whether the cells of a whole hour say all that its windows need. */
  function suffices(start: number, rows: readonly HourRow[]): boolean {
    if (part.window(start).end < start + HOUR_MS) return false;
    if (rows.some(([, , first]) => first === undefined)) return false;
    // Of distinct values an hour's cell has the number, which is the answer for a window that has no other cell.
    if (meter.fold.reads !== "text" || query.namesOnly) return true;
    return options.alone && query.windowSize === "HOUR" && !part.meet(rows.map(([group]) => group));
  }

  function addMinutes(fromMs: number, toMs: number): void {
    if (fromMs >= toMs) return;
    const chunk = source.minutes(meter, Math.floor(fromMs / HOUR_MS));
    if (chunk !== null) addChunk(chunk, fromMs, toMs);
  }

  function addChunk(chunk: FoldChunk, fromMs: number, toMs: number): void {
    const start = chunk.hour * HOUR_MS;
    const found: { at: number; group: string; place: number }[] = [];
    for (const [group, { minutes }] of chunk.rows) {
      for (const [place, minute] of minutes.entries()) {
        const at = start + minute * MINUTE_MS;
        if (at >= fromMs && at < toMs) found.push({ at, group, place });
      }
    }
    found.sort((a, b) => a.at - b.at);
    for (const { at, group, place } of found) part.add(group, chunk.rows.get(group)!.cells[place]!, at, at);
  }

  function addEvents(fromMs: number, toMs: number): void {
    if (fromMs >= toMs) return;
    const folds = new MemoryFolds();
    const only = onlyMeter(meters, meter);
    for (const { event, order } of source.events(fromMs, toMs)) foldEvent(folds, only, event, order);
    for (const chunk of folds.chunks.values()) addChunk(chunk, -Infinity, Infinity);
  }
}

/** The meter without the others of its event type. */
function onlyMeter({ types }: CompiledMeters, compiled: CompiledMeter): CompiledMeters {
  const { eventType } = compiled.meter;
  const type = types.get(eventType);
  return {
    types: new Map(type && [[eventType, { ...type, meters: [compiled] }]]),
    meters: new Map([[compiled.foldKey, compiled]]),
  };
}

const floorTo = (ms: number, unit: number): number => Math.floor(ms / unit) * unit;
const ceilTo = (ms: number, unit: number): number => Math.ceil(ms / unit) * unit;
