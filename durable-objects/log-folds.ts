/**
 * What is counted from the log: the meters' folds and the time index. Live entries are counted as they come; a meter that came
 * after the entries has them counted in steps, each bounded, and until then it is not whole and nobody may ask it. Folds, index and how
 * far the steps are go into one transaction (`save`), so a crash at any point counts nothing twice and loses nothing: memory is made
 * again from the last save and the log behind it. Synchronous throughout. The rules are in core/fold.ts, time-index.ts and refold.ts.
 */
import { isPresent, type Corrections } from "../core/correction";
import type { UsageEvent } from "../core/event";
import { parseExact } from "../core/exact-json";
import { MINUTE_MS } from "../core/fold";
import { originOf } from "../core/imported";
import { decodeEntry, entryAt, eventsText, parseEvents, type EventsText, type LogEntry } from "../core/log-entry";
import { compileMeters, type CompiledMeter, type CompiledMeters } from "../core/meter";
import {
  adoptKeys,
  foldsLeft,
  isFolded,
  isWhole,
  nextSlice,
  noFolds,
  restart,
  restoreRefolds,
  sliceDone,
  storeRefolds,
  tell,
  TIME_INDEX,
  wholeFolds,
  type FoldProgress,
  type Refolds,
  type Slice,
  type StoredRefolds,
} from "../core/refold";
import { FoldStore, type FoldKeys } from "./fold-store";
import type { Log } from "./log";
import { TimeIndex } from "./time-index";

/** Sizes that are chosen, not stored. Tests choose small ones. */
export interface FoldLimits {
  /** Events that one step counts, or those of one log entry: some 30 ms. */
  stepEvents: number;
  /** A save is due after so many: a crash repeats less than a second of work, and what changed is written a few times, not with each step. */
  saveEvents: number;
  /** Characters of events that are parsed together. */
  batchChars: number;
}

export const FOLD_LIMITS: FoldLimits = { stepEvents: 10_000, saveEvents: 250_000, batchChars: 65_536 };

/** The configuration that folds are of. */
export interface FoldedBy {
  meters: CompiledMeters;
  version: number;
}

/** An event of the log that counts, and where it is. */
export interface LoggedEvent {
  event: UsageEvent;
  seq: number;
  index: number;
  /** When it was accepted, epoch ms. */
  storedAt: number;
}

export interface StoredFolds {
  unsent: string;
  /** Absent: written before folds were made from the log, so nobody knows what they hold. */
  refolds?: StoredRefolds;
}

export class LogFolds {
  readonly folds: FoldStore;
  readonly index: TimeIndex;
  private refolds: Refolds = noFolds();
  /** Events that steps have counted since the last save; null: `refolds` is as saved. */
  private counted: number | null = null;
  /** The meters of the last step: the next one has nearly always the same. */
  private some: { of: CompiledMeters; keys: string; meters: CompiledMeters } | null = null;

  constructor(
    sql: SqlStorage,
    private readonly log: Log,
    private readonly limits: FoldLimits = FOLD_LIMITS,
  ) {
    this.folds = new FoldStore(sql);
    this.index = new TimeIndex(sql);
  }

  // ---- Waking and configuring

  /** An object whose whole log will be counted by these meters: an empty one, or one that never saved. */
  begin({ meters, version }: FoldedBy): void {
    this.refolds = wholeFolds(meters.meters.keys(), version);
  }

  /** Takes up what `stored` answered, when the log had `seq` entries. */
  restore({ unsent, refolds }: StoredFolds, seq: number, by: FoldedBy): void {
    this.folds.restoreUnsent(unsent);
    this.refolds = refolds ? restoreRefolds(refolds) : noFolds();
    // Nothing to adopt, unless it was saved by a program that knew less; the store has what that one sent.
    this.adopt(by, seq, refolds !== undefined);
  }

  /** From now on entries are counted by these meters; those behind `seq` wait for `step`. Within the caller's transaction. */
  adopt({ meters, version }: FoldedBy, seq: number, tell = true): void {
    for (const key of adoptKeys(this.refolds, meters.meters.keys(), { seq, version, tell })) {
      if (seq > 0) this.drop(key);
      this.counted ??= 0;
    }
  }

  /** Everything is to be made again from a log of `seq` entries. Within the caller's transaction. */
  restart(seq: number): void {
    restart(this.refolds, seq);
    for (const key of this.refolds.keys.keys()) this.drop(key);
    this.counted ??= 0;
  }

  private drop(key: string): void {
    if (key === TIME_INDEX) this.index.clear();
    else this.folds.drop(key);
  }

  forget(): void {
    this.folds.forget();
    this.index.forget();
    this.refolds = noFolds();
    this.counted = null;
    this.some = null;
  }

  // ---- Saving

  /** Within the caller's transaction, with the log's position that it stands for; if that fails, the caller must `forget`. */
  save(): Required<StoredFolds> {
    this.folds.saveDirty();
    this.index.save();
    this.counted = null;
    return { unsent: this.folds.unsent(), refolds: storeRefolds(this.refolds) };
  }

  /** Something changed that no log entry will bring back. */
  get isAhead(): boolean {
    return this.counted !== null;
  }

  /** The caller should save before it goes on: memory fills, or much work would be lost. */
  get pressed(): boolean {
    return this.folds.pressed || this.index.pressed || (this.counted ?? 0) >= this.limits.saveEvents;
  }

  // ---- Counting

  /** Counts the next entry. */
  add(entry: LogEntry, meters: CompiledMeters, corrections: Corrections): void {
    this.index.add(entry.seq, entry.events);
    const { seq, events } = entry;
    const isCorrected = corrections.superseded.size > 0;
    for (let index = 0; index < events.length; index++) {
      // Of events that moved in, some were corrected before.
      if (!isCorrected || isPresent(corrections, { seq, index }))
        this.folds.fold(meters, events[index]!, { seq, index });
    }
    // What they replaced has never been counted here.
    if (entry.imported) return;
    for (const { was } of entry.corrections ?? []) this.recount(was, meters, corrections);
  }

  /** Counts the minute of an event again that no longer counts, each meter what it has counted of it. */
  private recount(was: { type: string; time: number }, meters: CompiledMeters, corrections: Corrections): void {
    const type = meters.types.get(was.type);
    if (type === undefined) return;
    const alike = Map.groupBy(type.meters, ({ foldKey }) => JSON.stringify(this.refolds.keys.get(foldKey)));
    for (const some of alike.values()) {
      const { foldKey } = some[0]!;
      this.folds.recount(only(meters, some), was, this.minuteOf(was.time, foldKey, corrections));
    }
  }

  private *minuteOf(time: number, foldKey: string, corrections: Corrections): Generator<LoggedEvent> {
    const from = Math.floor(time / MINUTE_MS) * MINUTE_MS;
    for (const logged of this.events(from, from + MINUTE_MS, corrections))
      if (isFolded(this.refolds, foldKey, logged.seq)) yield logged;
  }

  /** Counts a slice of the log where folds are pending. False: nothing is left. */
  step(meters: CompiledMeters, corrections: Corrections): boolean {
    const slice = nextSlice(this.refolds);
    if (slice === null) return false;
    const { done, events } = this.count(slice, this.pendingMeters(meters, slice), corrections);
    sliceDone(this.refolds, slice, done);
    this.counted = (this.counted ?? 0) + events;
    return foldsLeft(this.refolds) !== null;
  }

  private count(
    { keys, from, to }: Slice,
    meters: CompiledMeters,
    corrections: Corrections,
  ): { done: number; events: number } {
    const indexed = keys.includes(TIME_INDEX);
    const isCorrected = corrections.superseded.size > 0;
    const fold = (seq: number, events: readonly UsageEvent[]): void => {
      if (indexed) this.index.add(seq, events);
      for (let index = 0; index < events.length; index++) {
        if (isCorrected && !isPresent(corrections, { seq, index })) this.folds.unfold(meters, events[index]!);
        else this.folds.fold(meters, events[index]!, { seq, index });
      }
    };
    const types = [...meters.types.keys()].map((type) => JSON.stringify(type));
    const batch = new EventsBatch();
    let counted = 0;
    for (const { seq, json, events } of this.log.forward(from, { eventsOnly: true, to })) {
      const stored = eventsText(json);
      if (indexed || types.some((type) => stored.text.includes(type))) batch.add(seq, stored);
      if (batch.chars >= this.limits.batchChars) batch.drain(fold);
      counted += events;
      if (counted < this.limits.stepEvents && !this.folds.pressed && !this.index.pressed) continue;
      batch.drain(fold);
      return { done: seq, events: counted };
    }
    batch.drain(fold);
    return { done: to, events: counted };
  }

  private pendingMeters(meters: CompiledMeters, slice: Slice): CompiledMeters {
    const keys = slice.keys.join(" ");
    if (this.some?.of !== meters || this.some.keys !== keys) {
      const pending = slice.keys.flatMap((key) => meters.meters.get(key)?.meter ?? []);
      this.some = { of: meters, keys, meters: compileMeters(pending) };
    }
    return this.some.meters;
  }

  // ---- Asking

  isWhole(key: string): boolean {
    return isWhole(this.refolds, key);
  }

  /** How far the steps are; null: nothing is left. */
  get left(): FoldProgress | null {
    return foldsLeft(this.refolds);
  }

  /** The newest configuration version that the shared store may believe the rollups to be whole for, whatever order they come in. */
  get toldVersion(): number {
    return this.refolds.toldVersion;
  }

  /** Whether the rollups of a meter may go through the queue: it is whole, and the store has what it missed. */
  readonly isTold: FoldKeys = (foldKey) => isWhole(this.refolds, foldKey) && !this.refolds.untold.has(foldKey);

  /** Whether the store must be told first what the meter had missed. */
  readonly isUntold: FoldKeys = (foldKey) => this.refolds.untold.has(foldKey);

  /** The store has all rollups of what was untold. */
  told(version: number): void {
    if (tell(this.refolds, version)) this.counted ??= 0;
  }

  /** What is unsent has become less, which the next save should remember. */
  sent(): void {
    this.counted ??= 0;
  }

  /** The events of times in [fromMs, toMs) that count, in the order of the log. The time index must be whole. */
  *events(
    fromMs: number,
    toMs: number,
    corrections: Corrections,
    upToSeq = Number.MAX_SAFE_INTEGER,
  ): Generator<LoggedEvent> {
    for (const logged of this.eventsIn(this.index.ranges(fromMs, toMs), corrections, upToSeq)) {
      const { time } = logged.event;
      if (time >= fromMs && time < toMs) yield logged;
    }
  }

  /** The events of these log entries that count, in their order. */
  *eventsIn(
    ranges: readonly number[],
    corrections: Corrections,
    upToSeq = Number.MAX_SAFE_INTEGER,
  ): Generator<LoggedEvent> {
    for (let i = 0; i < ranges.length; i += 2) {
      const to = Math.min(ranges[i + 1]!, upToSeq);
      for (const { seq, json } of this.log.forward(ranges[i]!, { eventsOnly: true, to })) {
        const stored = eventsText(json);
        const storedAt = storedTimes(json);
        for (const [index, event] of parseEvents(stored, parseExact).entries()) {
          if (isPresent(corrections, { seq, index })) yield { event, seq, index, storedAt: storedAt(index) };
        }
      }
    }
  }
}

/** Events of many entries, parsed together: of small ones that takes half as long. */
class EventsBatch {
  /** Without events: they are the next of `texts`. */
  private entries: { seq: number; events: UsageEvent[] | null }[] = [];
  private texts: string[] = [];
  chars = 0;

  add(seq: number, stored: EventsText): void {
    const { text, plain } = stored;
    this.entries.push({ seq, events: plain ? null : parseEvents(stored, parseExact) });
    if (plain) this.texts.push(text);
    this.chars += text.length;
  }

  drain(take: (seq: number, events: readonly UsageEvent[]) => void): void {
    const parsed = JSON.parse(`[${this.texts.join()}]`) as UsageEvent[][];
    let next = 0;
    for (const { seq, events } of this.entries) take(seq, events ?? parsed[next++]!);
    this.entries = [];
    this.texts = [];
    this.chars = 0;
  }
}

/** When each event of an entry was accepted: those that moved in were before. */
function storedTimes(json: string): (index: number) => number {
  const at = entryAt(json);
  if (!json.includes(IMPORTED)) return () => at;
  const entry = decodeEntry(json, parseExact);
  return (index) => originOf(entry, index, "").at;
}

const IMPORTED = ',"imported":{';

/** Some meters of one type. */
const only = ({ types }: CompiledMeters, some: readonly CompiledMeter[]): CompiledMeters => {
  const { eventType } = some[0]!.meter;
  return {
    types: new Map([[eventType, { ...types.get(eventType)!, meters: some }]]),
    meters: new Map(some.map((meter) => [meter.foldKey, meter])),
  };
};
