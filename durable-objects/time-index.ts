/**
 * Finds the log entries that hold events of a time, whatever meters there are. New entries wait in memory; `save` adds them to the
 * rows of their hours, within the transaction that says up to which entry they are saved, and after a wake the owner adds those
 * behind it again. So adding never reads. All SQL of the `time_index` table is here; what a range is: core/time-index.ts.
 */
import type { UsageEvent } from "../core/event";
import { HOUR_MS, MINUTE_MS } from "../core/fold";
import { INSTANT_MS_MAX } from "../core/instant";
import {
  addSeq,
  decodeHour,
  encodeHour,
  joinAll,
  joinHours,
  MINUTES_PER_HOUR,
  type HourRanges,
  type SeqRanges,
} from "../core/time-index";

export const TIME_INDEX_TABLES = `CREATE TABLE time_index (hour INTEGER PRIMARY KEY, body TEXT NOT NULL);`;

/** Hours that wait to be saved. Past so many a checkpoint should not wait: some 4 MB of them. */
const UNSAVED_HOURS_MAX = 4_096;
/** Later than any event. */
const HOUR_MAX = Math.ceil(INSTANT_MS_MAX / HOUR_MS);
/** Hours read by one query of a walk. */
const WALK_HOURS = 24;

/** A minute (since 1970) and the entries that may hold events of it. */
export interface MinuteRanges {
  minute: number;
  ranges: SeqRanges;
}

export class TimeIndex {
  private unsaved = new Map<number, HourRanges>();
  /** Where the last event fell: nearly every next one falls there too. */
  private minuteFrom = NaN;
  private open: SeqRanges = [];
  private openSeq = 0;

  constructor(private readonly sql: SqlStorage) {}

  /** Remembers when the events of a log entry were. Entries may come again and in any order. */
  add(seq: number, events: readonly UsageEvent[]): void {
    for (let i = 0; i < events.length; i++) {
      const { time } = events[i]!;
      const since = time - this.minuteFrom;
      if (since >= 0 && since < MINUTE_MS) {
        if (seq === this.openSeq) continue;
      } else {
        const minute = Math.floor(time / MINUTE_MS);
        const hour = Math.floor(minute / MINUTES_PER_HOUR);
        let minutes = this.unsaved.get(hour);
        if (minutes === undefined) this.unsaved.set(hour, (minutes = []));
        this.open = minutes[minute - hour * MINUTES_PER_HOUR] ??= [];
        this.minuteFrom = minute * MINUTE_MS;
      }
      this.openSeq = seq;
      addSeq(this.open, seq);
    }
  }

  /** So much is unsaved (events of many hours) that the caller should save before it goes on. */
  get pressed(): boolean {
    return this.unsaved.size > UNSAVED_HOURS_MAX;
  }

  /** The entries that may hold events of a time in [fromMs, toMs). */
  ranges(fromMs: number, toMs: number): SeqRanges {
    if (fromMs >= toMs) return [];
    const first = Math.floor(fromMs / MINUTE_MS);
    const found: SeqRanges[] = [];
    for (const { minute, ranges } of this.walk(Math.ceil(toMs / MINUTE_MS) - 1)) {
      if (minute < first) break;
      found.push(ranges);
    }
    return joinAll(found);
  }

  /** The minutes that have events, newest first, from this one on. Nothing may be added or saved while it runs. */
  *walk(fromMinute: number): Generator<MinuteRanges> {
    for (const [hour, minutes] of this.hours(Math.floor(fromMinute / MINUTES_PER_HOUR))) {
      for (let place = MINUTES_PER_HOUR - 1; place >= 0; place--) {
        const minute = hour * MINUTES_PER_HOUR + place;
        const ranges = minutes[place];
        if (ranges !== undefined && minute <= fromMinute) yield { minute, ranges };
      }
    }
  }

  /** The ranges of one hour. */
  hour(hour: number): HourRanges {
    for (const [found, minutes] of this.hours(hour)) return found === hour ? minutes : [];
    return [];
  }

  /** Writes what is unsaved. Within the caller's transaction; if that fails, the caller must `forget`. */
  save(): void {
    for (const [hour, minutes] of this.unsaved) {
      const stored = this.sql.exec<{ body: string }>("SELECT body FROM time_index WHERE hour = ?", hour).toArray()[0];
      const joined = stored === undefined ? minutes : joinHours(decodeHour(stored.body), minutes);
      this.sql.exec(
        "INSERT INTO time_index (hour, body) VALUES (?, ?) ON CONFLICT (hour) DO UPDATE SET body = excluded.body",
        hour,
        encodeHour(joined),
      );
    }
    this.forget();
  }

  /** Drops all memory. What was not saved comes back by adding the log again from the last saved position. */
  forget(): void {
    this.unsaved = new Map();
    this.minuteFrom = NaN;
    this.open = [];
    this.openSeq = 0;
  }

  /** Forgets everything, to be made again from the log. */
  clear(): void {
    this.forget();
    this.sql.exec("DELETE FROM time_index");
  }

  /** The hours that have events, newest first, saved and unsaved ones together. */
  private *hours(from: number): Generator<[number, HourRanges]> {
    const unsaved = [...this.unsaved].filter(([hour]) => hour <= from).sort(([a], [b]) => a - b);
    for (const [hour, body] of this.savedHours(Math.min(from, HOUR_MAX))) {
      while (unsaved.length > 0 && unsaved.at(-1)![0] > hour) yield unsaved.pop()!;
      const saved = decodeHour(body);
      yield [hour, unsaved.at(-1)?.[0] === hour ? joinHours(saved, unsaved.pop()![1]) : saved];
    }
    while (unsaved.length > 0) yield unsaved.pop()!;
  }

  private *savedHours(from: number): Generator<[number, string]> {
    const query = "SELECT hour, body FROM time_index WHERE hour <= ? ORDER BY hour DESC LIMIT ?";
    for (let next = from; ;) {
      const rows = this.sql.exec<{ hour: number; body: string }>(query, next, WALK_HOURS).toArray();
      for (const { hour, body } of rows) yield [hour, body];
      if (rows.length < WALK_HOURS) return;
      next = rows.at(-1)!.hour - 1;
    }
  }
}
