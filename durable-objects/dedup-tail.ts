/**
 * The newest dedup keys of a customer, in memory only: what the log says and no sorted run knows yet, in the order of the log.
 * Kept as the records that a run is made of (core/dedup.ts), so that a key is hashed once in its life, and found by an open-addressed
 * table over them; the hash is keyed, so nobody can make its chains long. What becomes of the keys is dedup-index.ts's business.
 */
import { HASH_WORDS, readRef, RECORD_WORDS, writeRef, type DedupRef } from "../core/dedup";
import { assert } from "../core/result";

/** The oldest keys as unsorted records. Nothing is gone from the tail before `drop`. */
export interface TakenKeys {
  records: Uint32Array<ArrayBuffer>;
  keys: number;
  entries: number;
  /** All keys of log entries up to this one are among them. */
  covered: number;
}

/** Most objects are small, and there are many of them: room for so many keys at first, doubled when it gets full. */
const ROOM = 64;
/** Places of the table for each record there is room for. */
const SPREAD = 2;

export class DedupTail {
  /** Log entries that the keys are of: what a wake has to read again. */
  entries = 0;
  keys = 0;
  private records = new Uint32Array(ROOM * RECORD_WORDS);
  /** Number of the record + 1; 0: free. */
  private table = new Int32Array(ROOM * SPREAD);
  private lastSeq = 0;

  get memoryBytes(): number {
    return this.records.byteLength + this.table.byteLength;
  }

  find(hash: Uint32Array): DedupRef | null {
    const record = this.table[this.placeOf(hash, 0)]! - 1;
    return record < 0 ? null : readRef(this.records, record * RECORD_WORDS);
  }

  add(hash: Uint32Array, seq: number, index: number): void {
    assert(seq >= this.lastSeq, "dedup keys are added in the order of the log");
    if ((this.keys + 1) * RECORD_WORDS > this.records.length) this.grow();
    const place = this.placeOf(hash, 0);
    assert(this.table[place] === 0, "a dedup key is recorded once");
    const at = this.keys * RECORD_WORDS;
    for (let word = 0; word < HASH_WORDS; word++) this.records[at + word] = hash[word]!;
    writeRef(this.records, at, { seq, index });
    this.table[place] = ++this.keys;
    if (seq > this.lastSeq) this.entries++;
    this.lastSeq = seq;
  }

  /** About `keysMax` keys, the oldest; an entry's keys stay together. */
  take(keysMax: number): TakenKeys {
    let [keys, entries, covered] = [0, 0, 0];
    for (; keys < this.keys; keys++) {
      const { seq } = readRef(this.records, keys * RECORD_WORDS);
      if (seq === covered) continue;
      if (keys >= keysMax) break;
      entries++;
      covered = seq;
    }
    return { records: this.records.slice(0, keys * RECORD_WORDS), keys, entries, covered };
  }

  /** What was taken is in a run now. */
  drop({ keys, entries }: TakenKeys): void {
    this.entries -= entries;
    this.records.copyWithin(0, keys * RECORD_WORDS, this.keys * RECORD_WORDS);
    this.keys -= keys;
    this.refill();
  }

  clear(): void {
    this.keys = 0;
    this.entries = 0;
    this.lastSeq = 0;
    this.records = new Uint32Array(ROOM * RECORD_WORDS);
    this.table = new Int32Array(ROOM * SPREAD);
  }

  /** Where the hash at `at` is in the table, or would be. */
  private placeOf(hash: Uint32Array, at: number): number {
    const { table, records } = this;
    const mask = table.length - 1;
    let place = hash[at]! & mask;
    for (let record = table[place]!; record !== 0; record = table[place]!) {
      const known = (record - 1) * RECORD_WORDS;
      if (
        records[known] === hash[at] &&
        records[known + 1] === hash[at + 1] &&
        records[known + 2] === hash[at + 2] &&
        records[known + 3] === hash[at + 3]
      )
        break;
      place = (place + 1) & mask;
    }
    return place;
  }

  private grow(): void {
    const records = new Uint32Array(2 * this.records.length);
    records.set(this.records);
    this.records = records;
    this.table = new Int32Array(2 * this.table.length);
    this.refill();
  }

  private refill(): void {
    this.table.fill(0);
    for (let record = 0; record < this.keys; record++) {
      this.table[this.placeOf(this.records, record * RECORD_WORDS)] = record + 1;
    }
  }
}
