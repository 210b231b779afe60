/**
 * Keeps the folds of one object: all SQL of the `folds` and `fold_groups` tables is here, every rule is in core/fold.ts.
 * Chunks are read when an event or a query needs them and kept in memory while there is room; changed ones stay until
 * `saveDirty`, which the caller puts in one transaction with the log position that the folds stand for. Synchronous throughout.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Cell, Fold } from "../core/aggregation";
import type { UsageEvent } from "../core/event";
import { foldEvent, markAllUnsent, newChunk, type FoldChunk, type Folds } from "../core/fold";
import { newGroups, type FoldGroups } from "../core/fold-groups";
import { decodeChunk, decodeGroups, encodeChunk, encodeGroups } from "../core/fold-text";
import type { CompiledMeter, CompiledMeters } from "../core/meter";
import { formatQuantity } from "../core/quantity";
import { takeRollups, type RollupRow } from "../core/rollup";

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

const DEFLATED_JSON = 1;
const FAST = { level: 1 } as const;

export interface GroupTotal {
  /** [subject, …values]; null where a dimension has gone coarse. */
  group: (string | null)[];
  /** Events that contributed a value. */
  count: number;
  /** Decimal text; null for UNIQUE_COUNT, whose values do not add up. */
  value: string | null;
}

/** Rollup rows on their way to the store. Exactly one of the two must be called, when their fate is known. */
export interface TakenRollups {
  rows: RollupRow[];
  sent(): void;
  putBack(): void;
}

interface ChunkName {
  foldKey: string;
  hour: number;
}

const nameOf = (foldKey: string, hour: number): string => `${foldKey} ${hour}`;

export class FoldStore implements Folds {
  /** Oldest use first. */
  private chunks = new Map<string, FoldChunk>();
  private groups = new Map<string, { groups: FoldGroups; fold: Fold<Cell> }>();
  /** The chunk each meter used last, by the meter's place: nearly every event finds its chunk here. */
  private open: (FoldChunk | undefined)[] = [];
  private readonly unsaved = new Set<FoldChunk>();
  /** Chunks with windows that the rollups do not know. */
  private readonly unsentChunks = new Map<string, ChunkName>();
  /** Of these, the ones that are not in memory: all their windows count as unsent. */
  private readonly unsentWhole = new Set<string>();
  /** Taken, and neither sent nor put back yet: how often. */
  private readonly inFlight = new Map<string, ChunkName & { times: number }>();
  private loads = 0;

  constructor(private readonly sql: SqlStorage) {}

  /** Counts an event of the log entry `seq` in its meters. */
  fold(meters: CompiledMeters, event: UsageEvent, { seq, index }: { seq: number; index: number }): void {
    foldEvent(this, meters, event, seq * ORDERS_PER_ENTRY + index);
  }

  chunk(meter: CompiledMeter, hour: number): FoldChunk {
    const open = this.open[meter.place];
    if (open !== undefined && open.hour === hour && open.meter === meter) return open;
    const name = nameOf(meter.foldKey, hour);
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
    const { foldKey } = chunk.meter;
    this.unsentChunks.set(nameOf(foldKey, chunk.hour), { foldKey, hour: chunk.hour });
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

  /** Writes the chunks and groups that changed. Within the caller's transaction; if that fails, the caller must `forget`. */
  saveDirty(): void {
    for (const chunk of this.unsaved) this.saveChunk(chunk);
    for (const chunk of this.unsaved) chunk.unsaved = false;
    this.unsaved.clear();
    this.saveGroups();
    this.shrink();
  }

  /** Drops all memory. What was not saved comes back by folding the log again from the last saved position. */
  forget(): void {
    this.chunks = new Map();
    this.groups = new Map();
    this.open = [];
    this.unsaved.clear();
    this.unsentChunks.clear();
    this.unsentWhole.clear();
    this.inFlight.clear();
  }

  /** The chunks whose rollups are not known to be sent, as text to be saved beside them: fold key → [first hour, how many, …]. */
  unsent(): string {
    const hours: Record<string, number[]> = {};
    for (const { foldKey, hour } of [...this.unsentChunks.values(), ...this.inFlight.values()]) (hours[foldKey] ??= []).push(hour);
    for (const key of Object.keys(hours)) hours[key] = runs(hours[key]!);
    return JSON.stringify(hours);
  }

  /** Takes up what `unsent` wrote. Their windows are all sent again: they are running totals, so that changes nothing. */
  restoreUnsent(text: string): void {
    for (const [foldKey, ranges] of Object.entries(JSON.parse(text) as Record<string, number[]>)) {
      for (let i = 0; i < ranges.length; i += 2) {
        const first = ranges[i]!;
        for (let hour = first; hour < first + ranges[i + 1]!; hour++) this.markWhole({ foldKey, hour });
      }
    }
  }

  /** Rollups wait to be taken. */
  get hasUnsent(): boolean {
    return this.unsentChunks.size > 0;
  }

  /** Takes unsent rollups of up to about `bytesMax` as JSON, or null when there are none. */
  takeUnsent(meters: CompiledMeters, bytesMax: number): TakenRollups | null {
    const rows: RollupRow[] = [];
    const taken: ChunkName[] = [];
    let bytes = 0;
    for (const [name, chunkName] of this.unsentChunks) {
      const chunk = this.unsentChunk(name, chunkName, meters);
      if (chunk !== null && chunk.unsent.length > 0) {
        if (bytes >= bytesMax) break;
        taken.push(chunkName);
        while (chunk.unsent.length > 0 && bytes < bytesMax) {
          for (const row of takeRollups(chunk)) {
            bytes += jsonBytes(row);
            rows.push(row);
          }
        }
        if (chunk.unsent.length > 0) break;
      }
      this.unsentChunks.delete(name);
    }
    if (rows.length === 0) return null;
    for (const name of taken) this.takeOff(name);
    return {
      rows,
      sent: () => taken.forEach((name) => this.land(name)),
      putBack: () => {
        for (const name of taken) if (this.land(name)) this.markWhole(name);
      },
    };
  }

  /** A meter's totals of all time, by group. */
  totals(meter: CompiledMeter): GroupTotal[] {
    const totals: GroupTotal[] = [];
    for (const { key, total } of this.groupsOf(meter).byKey.values()) {
      if (total === null) continue;
      const value = meter.fold.value(total);
      totals.push({ group: JSON.parse(key) as GroupTotal["group"], count: total.count, value: value === null ? null : formatQuantity(value) });
    }
    return totals;
  }

  private load(meter: CompiledMeter, hour: number): FoldChunk {
    if (++this.loads >= LOADS_PER_SHRINK) this.shrink();
    const groups = this.groupsOf(meter);
    const stored = this.sql
      .exec<{ minutes: ArrayBuffer }>("SELECT minutes FROM folds WHERE meter = ? AND hour = ? ORDER BY part", meter.foldKey, hour)
      .toArray();
    const unsent = this.unsentWhole.delete(nameOf(meter.foldKey, hour));
    if (stored.length === 0) return newChunk(meter, hour, groups);
    const chunk = decodeChunk(meter, hour, groups, stored.map(({ minutes }) => inflate(minutes)));
    chunk.parts = stored.length;
    if (unsent) markAllUnsent(chunk);
    return chunk;
  }

  private groupsOf({ foldKey, fold }: CompiledMeter): FoldGroups {
    const known = this.groups.get(foldKey);
    if (known !== undefined) return known.groups;
    const pages = this.sql.exec<{ body: ArrayBuffer }>("SELECT body FROM fold_groups WHERE meter = ? ORDER BY page", foldKey).toArray();
    const groups = pages.length === 0 ? newGroups() : decodeGroups(pages.map(({ body }) => inflate(body)), fold);
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
        foldKey, chunk.hour, part, hours, deflate(minutes),
      );
    }
    // It shrinks when its distinct values are forgotten.
    if (chunk.parts > parts.length) this.sql.exec("DELETE FROM folds WHERE meter = ? AND hour = ? AND part >= ?", foldKey, chunk.hour, parts.length);
    chunk.parts = parts.length;
  }

  private saveGroups(): void {
    for (const [foldKey, { groups, fold }] of this.groups) {
      for (const page of groups.unsaved.keys()) {
        if (!groups.unsaved[page]) continue;
        this.sql.exec(
          "INSERT INTO fold_groups (meter, page, body) VALUES (?, ?, ?) ON CONFLICT (meter, page) DO UPDATE SET body = excluded.body",
          foldKey, page, deflate(encodeGroups(groups, page, fold)),
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
    const name = nameOf(chunkName.foldKey, chunkName.hour);
    const chunk = this.chunks.get(name);
    if (chunk === undefined) this.unsentWhole.add(name);
    else markAllUnsent(chunk);
    this.unsentChunks.set(name, chunkName);
  }

  private takeOff(chunkName: ChunkName): void {
    const name = nameOf(chunkName.foldKey, chunkName.hour);
    this.inFlight.set(name, { ...chunkName, times: (this.inFlight.get(name)?.times ?? 0) + 1 });
  }

  /** False when it was not in flight: everything was forgotten meanwhile. */
  private land(chunkName: ChunkName): boolean {
    const name = nameOf(chunkName.foldKey, chunkName.hour);
    const flying = this.inFlight.get(name);
    if (flying === undefined) return false;
    if (--flying.times === 0) this.inFlight.delete(name);
    return true;
  }

  /** Lets go of saved chunks that were not used lately. */
  private shrink(): void {
    this.loads = 0;
    let cells = 0;
    for (const chunk of this.chunks.values()) cells += weightOf(chunk);
    for (const [name, chunk] of this.chunks) {
      if (cells <= CLEAN_CELLS_MAX) return;
      cells -= weightOf(chunk);
      this.chunks.delete(name);
      if (chunk.unsent.length > 0) this.unsentWhole.add(name);
      this.open = [];
    }
  }
}

/** In cells; a chunk without any still weighs something. */
const weightOf = (chunk: FoldChunk): number => 5 + chunk.cells + (chunk.forgotten ? 0 : chunk.units);

/** [first, how many, …] of numbers, in any order and repeated as it may be. */
function runs(numbers: number[]): number[] {
  const found: number[] = [];
  for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
    const last = found.length - 2;
    if (last >= 0 && number === found[last]! + found[last + 1]!) found[last + 1]!++;
    else found.push(number, 1);
  }
  return found;
}

/** No fewer bytes than the row has as JSON. */
function jsonBytes(row: RollupRow): number {
  const text = JSON.stringify(row);
  // eslint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(text) ? text.length : 3 * text.length;
}

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
