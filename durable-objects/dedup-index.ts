/**
 * Remembers every dedup key of a customer for the life of its data: `find` says where a key was recorded, exactly, whatever
 * was flushed, merged or lost from memory since. New keys wait in memory (the tail), which the owner fills again from the log
 * after a wake; `flushStep` moves them into sorted runs and merges runs, one bounded, atomic step a call. A crash between two
 * steps costs nothing but the tail. Synchronous. What a run is: core/dedup.ts; its rows: run-store.ts.
 */
import { randomBytes } from "node:crypto";
import {
  HASH_WORDS,
  mergeRecords,
  PAGE_RECORDS,
  planRunMerge,
  readRef,
  RECORD_WORDS,
  RunIndex,
  RunReader,
  searchRecords,
  SEGMENT_PAGES,
  sortRecords,
  type DedupRef,
  type Segment,
} from "../core/dedup";
import { assert } from "../core/result";
import { SIPHASH_KEY_BYTES, sipHash, type TextHash } from "../core/siphash";
import { DedupTail } from "./dedup-tail";
import { RunStore, type RunRow } from "./run-store";

export type { DedupRef };

/** Documented bound (docs/limits.md): 36 MB of filters, twice that while the largest runs merge, in an isolate of 128 MB. */
export const DEDUP_KEYS_MAX = 20_000_000;

export interface DedupLimits {
  /** The tail is flushed when it holds so many keys: enough to fill a page … */
  flushKeys: number;
  /** … or keys of so many entries, because a wake reads those again: about 25 ms. */
  flushEntries: number;
  /** About so many keys leave the tail in one step at most; an entry's keys stay together. */
  flushKeysMax: number;
  pageRecords: number;
  segmentPages: number;
  /** Pages of a dead run that one step deletes. */
  reapPages: number;
}

export const DEDUP_LIMITS: DedupLimits = {
  flushKeys: 4_096,
  flushEntries: 1_024,
  flushKeysMax: 16_384,
  pageRecords: PAGE_RECORDS,
  segmentPages: SEGMENT_PAGES,
  reapPages: 64,
};

interface Run {
  id: number;
  keys: number;
  pages: number;
  covered: number;
  /** Read at the first lookup that gets past the tail. */
  index: RunIndex | null;
}

/** A run that is being merged out of others, segment by segment. */
interface Building {
  id: number;
  inputs: Run[];
  /** null: to be read from what is stored of it. */
  progress: { readers: RunReader[]; segments: Segment[]; pages: number; keys: number } | null;
}

/** What memory knows of storage. */
interface Known {
  live: Run[];
  building: Building | null;
  /** Ids of runs whose rows are going. */
  dead: number[];
  coveredSeq: number;
  nextId: number;
  /** Made with the first key, stored with the first flush: until then nothing stored depends on it. */
  hash: { key: ArrayBuffer; of: TextHash } | null;
}

export class DedupIndex {
  private readonly tail = new DedupTail();
  private known: Known | null = null;
  private readonly store: RunStore;
  /** The hash of the key asked for last, and the key: whoever finds nothing adds it next. */
  private readonly probe = new Uint32Array(HASH_WORDS);
  private probed: string | null = null;

  constructor(
    sql: SqlStorage,
    private readonly transaction: <T>(work: () => T) => T,
    private readonly limits: DedupLimits = DEDUP_LIMITS,
    private readonly newHashKey: () => Uint8Array = () => randomBytes(SIPHASH_KEY_BYTES),
  ) {
    this.store = new RunStore(sql);
  }

  /** Where the key was recorded, or null: it never was. */
  find(key: string): DedupRef | null {
    const known = this.load();
    // Nothing was ever added.
    if (known.hash === null) return null;
    const hash = this.hashOf(key, known);
    const waiting = this.tail.find(hash);
    if (waiting) return waiting;
    for (const run of known.live) {
      const found = this.findIn(run, hash);
      if (found) return found;
    }
    return null;
  }

  /** Remembers a key that `find` does not know. Call it once the log entry is stored, for entries in their order. */
  add(key: string, seq: number, index: number): void {
    const known = this.load();
    assert(seq > known.coveredSeq, "dedup keys are added in the order of the log");
    this.tail.add(this.hashOf(key, known), seq, index);
  }

  private hashOf(key: string, known: Known): Uint32Array {
    if (key === this.probed) return this.probe;
    known.hash ??= this.newHash();
    known.hash.of(key, this.probe, 0);
    this.probed = key;
    return this.probe;
  }

  /** The keys of all log entries up to this one are in runs; after a wake the owner adds those of the entries behind it. */
  get coveredSeq(): number {
    return this.load().coveredSeq;
  }

  get keys(): number {
    return this.load().live.reduce((sum, { keys }) => sum + keys, this.tail.keys);
  }

  get runs(): number {
    return this.load().live.length;
  }

  /** Of fences, filters and the tail. */
  get memoryBytes(): number {
    const { live, building } = this.load();
    const indexed = live.reduce((sum, { index }) => sum + (index?.memoryBytes ?? 0), 0);
    const built = building?.progress?.segments.reduce((sum, { filters }) => sum + filters.byteLength, 0) ?? 0;
    return indexed + built + this.tail.memoryBytes;
  }

  /** Forgets what memory holds. Storage is the truth; the owner adds the tail again. */
  forget(): void {
    this.tail.clear();
    this.known = null;
    // The next hash key may be another.
    this.probed = null;
  }

  /** Does one step of background work, if any is due; `more`: another is due now. */
  flushStep(): { more: boolean } {
    const known = this.load();
    if (this.flushDue) this.flush(known);
    else if (known.dead.length > 0) this.reap(known);
    else if (known.building) this.build(known, known.building);
    else {
      const inputs = this.mergeDue(known);
      if (inputs) this.build(known, { id: known.nextId, inputs, progress: null });
    }
    return { more: this.flushDue || known.dead.length > 0 || known.building !== null || this.mergeDue(known) !== null };
  }

  private get flushDue(): boolean {
    return this.tail.keys >= this.limits.flushKeys || this.tail.entries >= this.limits.flushEntries;
  }

  private mergeDue({ live }: Known): Run[] | null {
    const plan = planRunMerge(
      live.map(({ keys }) => keys),
      Math.min(this.limits.flushKeys, this.limits.flushEntries),
    );
    return plan && plan.map((place) => live[place]!);
  }

  private load(): Known {
    if (this.known) return this.known;
    const rows = this.store.runs();
    const key = rows[0]?.hash_key;
    const inState = (state: RunRow["state"]) => rows.filter((row) => row.state === state);
    const live = inState("live").map(({ id, keys, pages, covered }): Run => ({
      id,
      keys,
      pages,
      covered,
      index: null,
    }));
    const [building] = inState("building").map(({ id, inputs }): Building => {
      const ids = JSON.parse(inputs ?? "[]") as number[];
      return { id, inputs: live.filter((run) => ids.includes(run.id)), progress: null };
    });
    this.known = {
      live,
      building: building ?? null,
      dead: inState("dead").map(({ id }) => id),
      coveredSeq: Math.max(0, ...live.map(({ covered }) => covered)),
      nextId: (rows.at(-1)?.id ?? 0) + 1,
      hash: key ? { key, of: sipHash(new Uint8Array(key)) } : null,
    };
    return this.known;
  }

  private findIn(run: Run, hash: Uint32Array): DedupRef | null {
    for (const { page, from, records } of this.indexOf(run).candidates(hash)) {
      let words = this.store.records(run.id, page, from, records);
      let found = searchRecords(words, hash);
      // The window was a guess: beside it only the whole page says no.
      if (found === "after" || (found === "before" && from > 0)) {
        words = this.store.page(run.id, page);
        found = searchRecords(words, hash);
      }
      if (typeof found === "number") return readRef(words, found);
    }
    return null;
  }

  private indexOf(run: Run): RunIndex {
    return (run.index ??= new RunIndex(run.keys, this.store.segments(run.id)));
  }

  // ---- The tail becomes a run

  private flush(known: Known): void {
    const { hash } = known;
    assert(hash, "whoever has keys has hashed them");
    const taken = this.tail.take(this.limits.flushKeysMax);
    const { keys, covered } = taken;
    const pages = cut(sortRecords(taken.records), this.limits.pageRecords * RECORD_WORDS);
    const id = known.nextId;
    const segments = this.transaction(() => {
      this.store.writeRun({ id, state: "live", keys, pages: pages.length, covered, inputs: null, hash_key: hash.key });
      const written: Segment[] = [];
      for (let page = 0; page < pages.length; page += this.limits.segmentPages) {
        const some = pages.slice(page, page + this.limits.segmentPages);
        written.push(this.store.writeSegment(id, written.length, page, some, this.limits.pageRecords));
      }
      return written;
    });

    known.live.push({ id, keys, pages: pages.length, covered, index: new RunIndex(keys, segments) });
    known.coveredSeq = covered;
    known.nextId = id + 1;
    this.tail.drop(taken);
  }

  private newHash(): NonNullable<Known["hash"]> {
    const key = Uint8Array.from(this.newHashKey());
    return { key: key.buffer, of: sipHash(key) };
  }

  // ---- Runs become one run

  /** Writes the next segment of a run that is being built; with the last one it takes the place of its inputs. */
  private build(known: Known, building: Building): void {
    const { id, inputs } = building;
    const { pageRecords, segmentPages } = this.limits;
    const progress = building.progress ?? this.resume(building);
    if (progress.segments.some((segment) => segment.pageRecords !== pageRecords || segment.pages !== segmentPages)) {
      // Begun by an older version with other constants: begin again.
      this.store.kill(id);
      known.building = null;
      known.dead.push(id);
      return;
    }
    building.progress = null;
    const pages: Uint32Array[] = [];
    while (pages.length < segmentPages && progress.readers.some(({ done }) => !done)) {
      pages.push(mergeRecords(progress.readers, pageRecords));
    }
    const finished = progress.readers.every(({ done }) => done);
    const keys = pages.reduce((sum, page) => sum + page.length / RECORD_WORDS, progress.keys);
    const run: Run = {
      id,
      keys,
      pages: progress.pages + pages.length,
      covered: Math.max(...inputs.map(({ covered }) => covered)),
      index: null,
    };
    const segment = this.transaction(() => {
      const row = { ...run, hash_key: known.hash!.key };
      if (finished) {
        this.store.writeRun({ ...row, state: "live", inputs: null });
        for (const input of inputs) this.store.kill(input.id);
      } else if (progress.pages === 0) {
        this.store.writeRun({ ...row, state: "building", inputs: JSON.stringify(inputs.map((input) => input.id)) });
      }
      return this.store.writeSegment(id, progress.segments.length, progress.pages, pages, pageRecords);
    });

    progress.segments.push(segment);
    known.nextId = Math.max(known.nextId, id + 1);
    if (!finished) {
      building.progress = { ...progress, pages: run.pages, keys };
      known.building = building;
      return;
    }
    known.building = null;
    run.index = new RunIndex(keys, progress.segments);
    known.live = known.live.filter((other) => !inputs.includes(other));
    known.live.push(run);
    known.dead.push(...inputs.map((input) => input.id));
  }

  /** Where the merge stands, by what is stored of its result; nothing is when it has not begun. */
  private resume({ id, inputs }: Building): NonNullable<Building["progress"]> {
    const segments = this.store.segments(id);
    const pages = segments.reduce((sum, segment) => sum + segment.pages, 0);
    const last = pages === 0 ? null : this.store.lastRecord(id, pages - 1);
    const readers = inputs.map((run) => {
      const start = last ? this.indexOf(run).pageBefore(last) : 0;
      const reader = new RunReader(start, run.pages, (page) => this.store.page(run.id, page));
      if (last) reader.skipThrough(last);
      return reader;
    });
    // Every segment but a run's last is full.
    return { readers, segments, pages, keys: pages * this.limits.pageRecords };
  }

  private reap({ dead }: Known): void {
    const gone = this.transaction(() => this.store.reap(dead[0]!, this.limits.reapPages));
    if (gone) dead.shift();
  }
}

function cut(words: Uint32Array, pageWords: number): Uint32Array[] {
  return Array.from({ length: Math.ceil(words.length / pageWords) }, (_, page) =>
    words.slice(page * pageWords, (page + 1) * pageWords),
  );
}
