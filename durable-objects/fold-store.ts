/**
 * Keeps the folds of one object: all SQL of the `folds` and `fold_groups` tables is here, every rule is in core/fold.ts.
 * Chunks are read when an event or a query needs them and kept in memory while there is room; changed ones stay until
 * `saveDirty`, which the caller puts in one transaction with the log position that the folds stand for. Synchronous throughout.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Cell, Fold } from "../core/aggregation";
import type { UsageEvent } from "../core/event";
import {
  foldEvent,
  markAllUnsent,
  newChunk,
  recountMinute,
  uncountEvent,
  windowCell,
  type FoldChunk,
  type Folds,
} from "../core/fold";
import type { FoldGroups } from "../core/fold-groups";
import {
  decodeChunk,
  decodeGroups,
  encodeChunk,
  encodeGroups,
  hourRow,
  readHours,
  type HourRow,
} from "../core/fold-text";
import type { CompiledMeter, CompiledMeters } from "../core/meter";
import { allTimeTotals, takeRollups, type RollupRow, type RollupTotal } from "../core/rollup";
import { nameOf, UnsentChunks, unsentIn, type ChunkName } from "./unsent-chunks";

export const FOLD_TABLES = `
  CREATE TABLE folds (meter TEXT NOT NULL, hour INTEGER NOT NULL, part INTEGER NOT NULL, hours TEXT NOT NULL, minutes BLOB NOT NULL,
    PRIMARY KEY (meter, hour, part)) WITHOUT ROWID;
  CREATE TABLE fold_groups (meter TEXT NOT NULL, page INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (meter, page)) WITHOUT ROWID;
`;

/** Cells and kept values of saved chunks that stay in memory, at some 100 bytes each. */
const CLEAN_CELLS_MAX = 50_000;
/** How many chunks may be read before old ones are let go. */
const LOADS_PER_SHRINK = 256;
/** Unsaved chunks cannot be let go. Past this many a checkpoint should not wait: some 4 MB of them. */
const UNSAVED_CHUNKS_MAX = 4_096;
/** A log entry carries fewer events than this, so (seq, index) is one ascending number below 2⁵³ for 10¹¹ entries. */
const ORDERS_PER_ENTRY = 65_536;

/** A rollup row as JSON without its group, about; who makes messages of them counts exactly. */
const ROW_BYTES = 220;

/** Later than any event. */
const HOUR_END = 2 ** 32;

const DEFLATED_JSON = 1;
const FAST = { level: 1 } as const;

/** Some of the meters. */
export type FoldKeys = (foldKey: string) => boolean;
const ALL: FoldKeys = () => true;

/** Rollup rows on their way to the store. Exactly one of the two must be called, when their fate is known. */
export interface TakenRollups {
  rows: RollupRow[];
  sent(): void;
  putBack(): void;
}

export class FoldStore implements Folds {
  /** Oldest use first. */
  private chunks = new Map<string, FoldChunk>();
  private groups = new Map<string, { groups: FoldGroups; fold: Fold<Cell> }>();
  /** The chunk each meter used last, by the meter's place: nearly every event finds its chunk here. */
  private open: (FoldChunk | undefined)[] = [];
  private readonly unsaved = new Set<FoldChunk>();
  private readonly unsentChunks = new UnsentChunks();
  private loads = 0;

  constructor(private readonly sql: SqlStorage) {}

  /** Counts an event of the log entry `seq` in its meters. */
  fold(meters: CompiledMeters, event: UsageEvent, { seq, index }: { seq: number; index: number }): void {
    foldEvent(this, meters, event, orderOf(seq, index));
  }

  /** Notes an event of the log that counts no more, where folds are made from the log. */
  unfold(meters: CompiledMeters, event: UsageEvent): void {
    uncountEvent(this, meters, event);
  }

  /** Counts a minute again after a correction; `events` are those of its that count now. */
  recount(
    meters: CompiledMeters,
    of: { type: string; time: number },
    events: Iterable<{ event: UsageEvent; seq: number; index: number }>,
  ): void {
    recountMinute(this, meters, of, ordered(events));
  }

  /** Stored hours tell what they add up to; of those in memory the cells do, because they may have changed. */
  *hourCells({ foldKey, fold }: CompiledMeter, groupKey: string): Generator<Cell> {
    for (const { hour, hours } of this.sql.exec<{ hour: number; hours: string }>(
      "SELECT hour, hours FROM folds WHERE meter = ?",
      foldKey,
    )) {
      if (this.chunks.has(nameOf({ foldKey, hour }))) continue;
      for (const [key, cell] of readHours(hours)) if (key === groupKey) yield fold.fromJSON(cell);
    }
    for (const chunk of this.chunks.values()) {
      const row = chunk.meter.foldKey === foldKey ? chunk.rows.get(groupKey) : undefined;
      const cell = row && windowCell(chunk, row, 0, 60);
      if (cell) yield cell;
    }
  }

  chunk(meter: CompiledMeter, hour: number): FoldChunk {
    const open = this.open[meter.place];
    if (open !== undefined && open.hour === hour && open.meter === meter) return open;
    const name = nameOf({ foldKey: meter.foldKey, hour });
    let chunk = this.chunks.get(name);
    if (chunk === undefined) chunk = this.load(meter, hour);
    else this.chunks.delete(name);
    chunk.meter = meter;
    this.chunks.set(name, chunk);
    this.open[meter.place] = chunk;
    return chunk;
  }

  touched(chunk: FoldChunk): void {
    this.unsaved.add(chunk);
    this.unsentChunks.add({ foldKey: chunk.meter.foldKey, hour: chunk.hour });
  }

  /** Chunks that the next `saveDirty` writes. */
  get dirtyChunks(): number {
    return this.unsaved.size;
  }

  /** So much is unsaved (a backfill over many hours) that the caller should save before it goes on. */
  get pressed(): boolean {
    return this.unsaved.size > UNSAVED_CHUNKS_MAX;
  }

  /** Is there anything that `takeUnsent` would take? */
  get hasUnsent(): boolean {
    return this.unsentChunks.size > 0;
  }

  hasUnsentOf(isWanted: FoldKeys): boolean {
    for (const [, { foldKey }] of this.unsentChunks.entries()) if (isWanted(foldKey)) return true;
    return false;
  }

  /** Writes the chunks and groups that changed. Within the caller's transaction; if that fails, the caller must `forget`. */
  saveDirty(): void {
    for (const chunk of this.unsaved) this.saveChunk(chunk);
    for (const chunk of this.unsaved) chunk.unsaved = false;
    this.unsaved.clear();
    this.saveGroups();
    this.shrink();
  }

  /** Deletes a fold key's folds, saved or not. Within the caller's transaction; if that fails, the caller must `forget`. */
  drop(foldKey: string): void {
    for (const [name, chunk] of this.chunks) {
      if (chunk.meter.foldKey !== foldKey) continue;
      this.chunks.delete(name);
      this.unsaved.delete(chunk);
    }
    this.open = [];
    this.groups.delete(foldKey);
    this.unsentChunks.drop(foldKey);
    this.sql.exec("DELETE FROM folds WHERE meter = ?", foldKey);
    this.sql.exec("DELETE FROM fold_groups WHERE meter = ?", foldKey);
  }

  /** Drops all memory. What was not saved comes back by folding the log again from the last saved position. */
  forget(): void {
    this.chunks = new Map();
    this.groups = new Map();
    this.open = [];
    this.unsaved.clear();
    this.unsentChunks.clear();
  }

  /** The chunks whose rollups are not known to be sent, as text to be saved beside them. */
  unsent(): string {
    return this.unsentChunks.toText();
  }

  /** Takes up what `unsent` wrote. Their windows are all sent again: they are running totals, so that changes nothing. */
  restoreUnsent(text: string): void {
    for (const chunk of unsentIn(text)) this.markWhole(chunk);
  }

  /** Takes unsent rollups of up to about `bytesMax` as JSON, or null when there are none. */
  takeUnsent(
    meters: CompiledMeters,
    bytesMax: number,
    isWanted: FoldKeys = ALL,
    minutesFrom = -Infinity,
  ): TakenRollups | null {
    const rows: RollupRow[] = [];
    const taken: ChunkName[] = [];
    let bytes = 0;
    for (const [name, chunkName] of this.unsentChunks.entries()) {
      if (!isWanted(chunkName.foldKey)) continue;
      const chunk = this.unsentChunk(name, chunkName, meters);
      if (chunk !== null && chunk.unsent.length > 0) {
        taken.push(chunkName);
        while (chunk.unsent.length > 0 && bytes < bytesMax) {
          for (const row of takeRollups(chunk, minutesFrom)) {
            bytes += ROW_BYTES + row.group.length;
            rows.push(row);
          }
        }
        if (chunk.unsent.length > 0) break;
      }
      this.unsentChunks.delete(name);
    }
    if (rows.length === 0) return null;
    for (const each of taken) this.unsentChunks.takeOff(each);
    return {
      rows,
      sent: () => taken.forEach((each) => this.unsentChunks.land(each)),
      putBack: () => {
        for (const each of taken) if (this.unsentChunks.land(each)) this.markWhole(each);
      },
    };
  }

  /** A meter's totals of all time, group by group: what the rollups of all windows add up to. */
  totals(meter: CompiledMeter): RollupTotal[] {
    return allTimeTotals(meter, this.groupsOf(meter));
  }

  /** What each hour of a meter adds up to, ascending, from hour to hour; of unsaved chunks as memory has them. For queries. */
  *hours({ foldKey }: CompiledMeter, from: number, to: number): Generator<{ hour: number; rows: readonly HourRow[] }> {
    const unsaved = [...this.unsaved]
      .filter(({ meter, hour }) => meter.foldKey === foldKey && hour >= from && hour < to)
      .sort((a, b) => b.hour - a.hour);
    for (const stored of this.savedHours(foldKey, from, to)) {
      while (unsaved.length > 0 && unsaved.at(-1)!.hour < stored.hour) yield hourOf(unsaved.pop()!);
      yield unsaved.at(-1)?.hour === stored.hour ? hourOf(unsaved.pop()!) : stored;
    }
    while (unsaved.length > 0) yield hourOf(unsaved.pop()!);
  }

  /** An hour's minutes; null when it has none. Not to be changed: it may be in use, and what is read for it is not kept. */
  minutes(meter: CompiledMeter, hour: number): FoldChunk | null {
    return this.chunks.get(nameOf({ foldKey: meter.foldKey, hour })) ?? this.stored(meter, hour);
  }

  private *savedHours(foldKey: string, from: number, to: number): Generator<{ hour: number; rows: HourRow[] }> {
    const parts = this.sql.exec<{ hour: number; hours: string }>(
      "SELECT hour, hours FROM folds WHERE meter = ? AND hour >= ? AND hour < ? ORDER BY hour, part",
      foldKey,
      Math.max(from, 0),
      Math.min(to, HOUR_END),
    );
    let open = null as { hour: number; rows: HourRow[] } | null;
    for (const { hour, hours } of parts) {
      const rows = readHours(hours);
      if (open?.hour === hour) open.rows.push(...rows);
      else {
        if (open !== null) yield open;
        open = { hour, rows };
      }
    }
    if (open !== null) yield open;
  }

  private load(meter: CompiledMeter, hour: number): FoldChunk {
    if (++this.loads >= LOADS_PER_SHRINK) this.shrink();
    const unsent = this.unsentChunks.takeWhole(nameOf({ foldKey: meter.foldKey, hour }));
    const chunk = this.stored(meter, hour);
    if (chunk === null) return newChunk(meter, hour, this.groupsOf(meter));
    if (unsent) markAllUnsent(chunk);
    return chunk;
  }

  private stored(meter: CompiledMeter, hour: number): FoldChunk | null {
    const parts = this.sql
      .exec<{ minutes: ArrayBuffer }>(
        "SELECT minutes FROM folds WHERE meter = ? AND hour = ? ORDER BY part",
        meter.foldKey,
        hour,
      )
      .toArray();
    if (parts.length === 0) return null;
    const texts = parts.map(({ minutes }) => inflate(minutes));
    const chunk = decodeChunk(meter, hour, this.groupsOf(meter), texts);
    chunk.parts = parts.length;
    return chunk;
  }

  /** Not to be changed. */
  groupsOf({ foldKey, fold }: CompiledMeter): FoldGroups {
    const known = this.groups.get(foldKey);
    if (known !== undefined) return known.groups;
    const pages = this.sql
      .exec<{ body: ArrayBuffer }>("SELECT body FROM fold_groups WHERE meter = ? ORDER BY page", foldKey)
      .toArray();
    const texts = pages.map(({ body }) => inflate(body));
    const groups = decodeGroups(texts, fold);
    this.groups.set(foldKey, { groups, fold });
    return groups;
  }

  private saveChunk(chunk: FoldChunk): void {
    const { foldKey } = chunk.meter;
    const parts = encodeChunk(chunk);
    for (const [part, { hours, minutes }] of parts.entries()) {
      this.sql.exec(
        `INSERT INTO folds (meter, hour, part, hours, minutes) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (meter, hour, part) DO UPDATE SET hours = excluded.hours, minutes = excluded.minutes`,
        foldKey,
        chunk.hour,
        part,
        hours,
        deflate(minutes),
      );
    }
    // It shrinks when its distinct values are forgotten.
    if (chunk.parts > parts.length)
      this.sql.exec("DELETE FROM folds WHERE meter = ? AND hour = ? AND part >= ?", foldKey, chunk.hour, parts.length);
    chunk.parts = parts.length;
  }

  private saveGroups(): void {
    for (const [foldKey, { groups, fold }] of this.groups) {
      for (const page of groups.unsaved.keys()) {
        if (!groups.unsaved[page]) continue;
        this.sql.exec(
          "INSERT INTO fold_groups (meter, page, body) VALUES (?, ?, ?) ON CONFLICT (meter, page) DO UPDATE SET body = excluded.body",
          foldKey,
          page,
          deflate(encodeGroups(groups, page, fold)),
        );
        groups.unsaved[page] = false;
      }
    }
  }

  /** The chunk of an unsent name; null when its meter is gone and nobody can ask for it any more. */
  private unsentChunk(name: string, { foldKey, hour }: ChunkName, meters: CompiledMeters): FoldChunk | null {
    const known = this.chunks.get(name);
    if (known !== undefined) return known;
    const meter = meters.meters.get(foldKey);
    return meter === undefined ? null : this.chunk(meter, hour);
  }

  private markWhole(chunkName: ChunkName): void {
    const chunk = this.chunks.get(nameOf(chunkName));
    if (chunk === undefined) this.unsentChunks.addWhole(chunkName);
    else {
      this.unsentChunks.add(chunkName);
      markAllUnsent(chunk);
    }
  }

  /** Lets go of saved chunks that were not used lately. */
  private shrink(): void {
    this.loads = 0;
    let cells = 0;
    for (const chunk of this.chunks.values()) cells += weightOf(chunk);
    for (const [name, chunk] of this.chunks) {
      if (cells <= CLEAN_CELLS_MAX) return;
      if (chunk.unsaved) continue;
      cells -= weightOf(chunk);
      this.chunks.delete(name);
      if (chunk.unsent.length > 0) this.unsentChunks.addWhole({ foldKey: chunk.meter.foldKey, hour: chunk.hour });
      this.open = [];
    }
  }
}

/** Rises with arrival. */
export const orderOf = (seq: number, index: number): number => seq * ORDERS_PER_ENTRY + index;

function* ordered(
  events: Iterable<{ event: UsageEvent; seq: number; index: number }>,
): Generator<{ event: UsageEvent; order: number }> {
  for (const { event, seq, index } of events) yield { event, order: orderOf(seq, index) };
}

/** What a chunk in memory adds up to, as its `hours` will say. */
function hourOf(chunk: FoldChunk): { hour: number; rows: HourRow[] } {
  const rows = [...chunk.rows.values()].map((row) => hourRow(chunk, row));
  return { hour: chunk.hour, rows: rows.filter((row) => row !== null) };
}

/** In cells; a chunk without any still weighs something. */
const weightOf = (chunk: FoldChunk): number => 5 + chunk.cells + (chunk.forgotten ? 0 : chunk.units);

function deflate(text: string): Uint8Array {
  const deflated = deflateRawSync(text, FAST);
  const body = new Uint8Array(1 + deflated.byteLength);
  body[0] = DEFLATED_JSON;
  body.set(deflated, 1);
  return body;
}

function inflate(body: ArrayBuffer): string {
  const bytes = new Uint8Array(body);
  if (bytes[0] !== DEFLATED_JSON) throw new Error(`folds have the unknown format ${bytes[0]}`);
  return inflateRawSync(bytes.subarray(1)).toString("utf8");
}
