/**
 * The newest dedup keys of a customer, exactly, in memory only: what the log says and no sorted run knows yet, in the order of
 * the log. Knows how many keys and entries wait; what becomes of them is dedup-index.ts's business.
 */
import { RECORD_WORDS, writeRef, type DedupRef } from "../core/dedup";
import { assert } from "../core/result";
import type { TextHash } from "../core/siphash";

/** What a Map entry costs beside the characters of its key: table slots, boxed number, string header (measured under Node). */
const ENTRY_BYTES = 80;

/** The oldest keys as unsorted records. Nothing is gone from the tail before `drop`. */
export interface TakenKeys {
  records: Uint32Array<ArrayBuffer>;
  keys: number;
  entries: number;
  /** All keys of log entries up to this one are among them. */
  covered: number;
}

export class DedupTail {
  /** Log entries that the keys are of: what a wake has to read again. */
  entries = 0;
  /** key → seq × 2¹⁶ + index: one number in place of an object halves the memory. */
  private readonly places = new Map<string, number>();
  private chars = 0;
  private lastSeq = 0;

  get keys(): number {
    return this.places.size;
  }

  get memoryBytes(): number {
    return this.places.size * ENTRY_BYTES + this.chars;
  }

  find(key: string): DedupRef | null {
    const place = this.places.get(key);
    return place === undefined ? null : refOf(place);
  }

  add(key: string, seq: number, index: number): void {
    assert(seq >= this.lastSeq, "dedup keys are added in the order of the log");
    assert(seq < 2 ** 37 && index >= 0 && index < 2 ** 16, "a reference fits a number");
    const before = this.places.size;
    this.places.set(key, seq * 2 ** 16 + index);
    assert(this.places.size > before, "a dedup key is recorded once");
    this.chars += key.length;
    if (seq > this.lastSeq) this.entries++;
    this.lastSeq = seq;
  }

  /** About `keysMax` keys, the oldest; an entry's keys stay together. */
  take(keysMax: number, hash: TextHash): TakenKeys {
    const records = new Uint32Array(this.places.size * RECORD_WORDS);
    const taken: TakenKeys = { records, keys: 0, entries: 0, covered: 0 };
    for (const [key, place] of this.places) {
      const ref = refOf(place);
      if (ref.seq !== taken.covered) {
        if (taken.keys >= keysMax) break;
        taken.entries++;
        taken.covered = ref.seq;
      }
      hash(key, records, taken.keys * RECORD_WORDS);
      writeRef(records, taken.keys * RECORD_WORDS, ref);
      taken.keys++;
    }
    return { ...taken, records: records.slice(0, taken.keys * RECORD_WORDS) };
  }

  /** What was taken is in a run now. */
  drop({ keys, entries }: TakenKeys): void {
    this.entries -= entries;
    let left = keys;
    for (const key of this.places.keys()) {
      if (left-- === 0) break;
      this.places.delete(key);
      this.chars -= key.length;
    }
  }

  clear(): void {
    this.places.clear();
    this.entries = 0;
    this.chars = 0;
    this.lastSeq = 0;
  }
}

const refOf = (place: number): DedupRef => ({ seq: Math.floor(place / 2 ** 16), index: place % 2 ** 16 });
