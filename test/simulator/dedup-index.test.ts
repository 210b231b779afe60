/** The dedup index against a Map: under any sequence of entries, steps, failed writes and crashes no key is missed and none invented. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { sipHash } from "../../core/siphash";
import { DEDUP_LIMITS, DedupIndex, type DedupLimits, type DedupRef } from "../../durable-objects/dedup-index";
import { DEDUP_TABLES } from "../../durable-objects/run-store";
import { TestSqlStorage } from "./sql-storage";

/** A hundred keys make runs of several pages and segments, merged in several slices. */
const SMALL: DedupLimits = {
  flushKeys: 6,
  flushEntries: 3,
  flushKeysMax: 10,
  pageRecords: 3,
  segmentPages: 2,
  reapPages: 2,
};

/** The owner: a log in an array, and an index that it fills again after a crash. */
class Owner {
  readonly storage = new TestSqlStorage();
  readonly log: string[][] = [];
  readonly model = new Map<string, DedupRef>();
  index: DedupIndex;

  constructor(private readonly limits: DedupLimits = SMALL) {
    this.storage.exec(DEDUP_TABLES);
    this.index = this.wake();
  }

  append(keys: number): void {
    const seq = this.log.length + 1;
    const entry = Array.from({ length: keys }, (_, index) => `source\u0000${seq}-${index}`);
    this.log.push(entry);
    for (const [index, key] of entry.entries()) {
      this.index.add(key, seq, index);
      this.model.set(key, { seq, index });
    }
  }

  crash(): void {
    this.index = this.wake();
  }

  check(): void {
    const wrong = [...this.model].filter(([key, { seq, index }]) => {
      const found = this.index.find(key);
      return found?.seq !== seq || found.index !== index;
    });
    expect(wrong).toEqual([]);
    for (let i = 0; i < 5; i++) expect(this.index.find(`source\u0000none-${i}`)).toBeNull();
    expect(this.index.keys).toBe(this.model.size);
    expect(this.index.coveredSeq).toBeLessThanOrEqual(this.log.length);
  }

  private wake(): DedupIndex {
    const index = new DedupIndex(this.storage, this.storage.transactionSync, this.limits, () =>
      new Uint8Array(16).fill(3),
    );
    for (let seq = index.coveredSeq + 1; seq <= this.log.length; seq++) {
      for (const [place, key] of this.log[seq - 1]!.entries()) index.add(key, seq, place);
    }
    return index;
  }
}

const stepArb = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 14 }).map((keys) => ({ do: "append" as const, keys })) },
  { weight: 10, arbitrary: fc.integer({ min: 1, max: 4 }).map((times) => ({ do: "step" as const, times })) },
  { weight: 3, arbitrary: fc.constant({ do: "crash" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail" as const), writes: fc.nat(9), crash: fc.boolean() }) },
);

describe("the dedup index", () => {
  let owner: Owner;
  beforeEach(() => {
    owner = new Owner();
  });

  it("finds every key and no other, whatever was flushed, merged, refused or forgotten in between", () => {
    fc.assert(
      fc.property(fc.array(stepArb, { minLength: 20, maxLength: 80, size: "max" }), (steps) => {
        const owner = new Owner();
        for (const step of steps) {
          switch (step.do) {
            case "append":
              owner.append(step.keys);
              break;
            case "step":
              for (let i = 0; i < step.times; i++) owner.index.flushStep();
              break;
            case "crash":
              owner.crash();
              break;
            case "fail": {
              let left = step.writes;
              owner.storage.beforeWrite = () => {
                if (left-- === 0) throw new Error("the disk is full");
              };
              try {
                while (owner.index.flushStep().more);
              } catch (error) {
                expect(String(error)).toContain("the disk is full");
              }
              owner.storage.beforeWrite = () => undefined;
              if (step.crash) owner.crash();
            }
          }
          if (step.do !== "append") owner.check();
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  it("misses nothing when every step is followed by a crash", () => {
    for (let entry = 0; entry < 40; entry++) {
      owner.append(5);
      for (let more = true; more;) {
        ({ more } = owner.index.flushStep());
        owner.check();
        owner.crash();
        owner.check();
      }
    }
    expect(owner.index.runs).toBeLessThanOrEqual(9);
  });

  it("leaves no row of a run that was merged away", () => {
    for (let entry = 0; entry < 200; entry++) owner.append(5);
    while (owner.index.flushStep().more);
    const rows = (table: string) =>
      owner.storage.exec<{ rows: number }>(`SELECT count(*) AS rows FROM ${table}`).one().rows;
    const pages = owner.storage
      .exec<{ pages: number; runs: number }>(
        "SELECT sum(pages) AS pages, count(*) AS runs FROM dedup_run WHERE state = 'live'",
      )
      .one();
    expect([rows("dedup_run"), rows("dedup_page")]).toEqual([pages.runs, pages.pages]);
    expect(rows("dedup_segment")).toBeLessThanOrEqual(pages.runs + pages.pages / SMALL.segmentPages);
  });

  it("begins a merge anew when it was begun with other page sizes, and still reads the runs that have them", () => {
    for (let entry = 0; entry < 40; entry++) owner.append(5);
    const building = () => owner.storage.exec("SELECT id FROM dedup_run WHERE state = 'building'").toArray().length > 0;
    while (!building()) owner.index.flushStep();
    const { storage, log } = owner;
    const updated = new Owner({ ...SMALL, pageRecords: 5, segmentPages: 3 });
    Object.assign(updated, { storage, log: log.slice(), model: owner.model });
    updated.crash();
    updated.check();
    while (updated.index.flushStep().more) updated.check();
    updated.check();
  });

  it("refuses keys that come out of order or twice: they would be lost at the next wake", () => {
    owner.append(8);
    owner.index.flushStep();
    expect(() => owner.index.add("late", 1, 9)).toThrow("in the order of the log");
    owner.append(1);
    expect(() => owner.index.add("source\u00002-0", 2, 0)).toThrow("recorded once");
    expect(() => owner.index.add("far", 3, 65_536)).toThrow("fits its 8 bytes");
  });

  it("reads nothing into being: an object without tables has no keys", () => {
    const storage = new TestSqlStorage();
    const index = new DedupIndex(storage, storage.transactionSync);
    expect([index.find("x"), index.coveredSeq, index.keys, index.flushStep()]).toEqual([null, 0, 0, { more: false }]);
    expect(storage.exec("SELECT * FROM sqlite_master").toArray()).toEqual([]);
  });

  it("finds keys that lie where nobody would guess them in their page", () => {
    const hashKey = new Uint8Array(16).fill(3);
    const hash = sipHash(hashKey);
    const words = new Uint32Array(4);
    // A crowd of hashes at the low end of a page that reaches to the high end.
    const crowded = Array.from({ length: 200_000 }, (_, i) => `source\u0000${i}`).filter((key) => {
      hash(key, words, 0);
      return words[0]! < 2 ** 32 / 100;
    });
    const storage = new TestSqlStorage();
    storage.exec(DEDUP_TABLES);
    const index = new DedupIndex(storage, storage.transactionSync, { ...DEDUP_LIMITS, flushKeys: 1 }, () => hashKey);
    for (const [i, key] of crowded.entries()) index.add(key, i + 1, 0);
    index.flushStep();
    expect(crowded.length).toBeGreaterThan(1_000);
    expect(crowded.filter((key, i) => index.find(key)?.seq !== i + 1)).toEqual([]);
  });

  it("leaves a wake at most 1,024 entries to read again, and about 4,096 keys", () => {
    const afterwards = (entries: number, keysPerEntry: number) => {
      const storage = new TestSqlStorage();
      storage.exec(DEDUP_TABLES);
      const index = new DedupIndex(storage, storage.transactionSync);
      let behind = 0;
      for (let seq = 1; seq <= entries; seq++) {
        for (let i = 0; i < keysPerEntry; i++) index.add(`${seq} ${i}`, seq, i);
        while (index.flushStep().more);
        behind = Math.max(behind, seq - index.coveredSeq);
      }
      return behind;
    };
    expect(afterwards(3_000, 1)).toBe(1_023);
    expect(afterwards(100, 100)).toBe(40);
    expect(afterwards(3, 10_000)).toBe(0);
  });

  it("hashes with a key of the object's own, so that nobody can prepare ids that collide", () => {
    const keys = [1, 2].map(() => {
      const storage = new TestSqlStorage();
      storage.exec(DEDUP_TABLES);
      const index = new DedupIndex(storage, storage.transactionSync, SMALL);
      for (let i = 1; i <= 20; i++) index.add(`${i}`, i, 0);
      index.flushStep();
      return Buffer.from(
        storage.exec<{ hash_key: ArrayBuffer }>("SELECT hash_key FROM dedup_run").one().hash_key,
      ).toString("hex");
    });
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(keys[0]).not.toBe(keys[1]);
  });

  it("holds 100,000 keys in few runs, under 4 bytes of memory and a hundredth of a row write each", () => {
    const storage = new TestSqlStorage();
    storage.exec(DEDUP_TABLES);
    const index = new DedupIndex(storage, storage.transactionSync);
    storage.rowsWritten = 0;
    for (let i = 1; i <= 102_400; i++) {
      index.add(`svc-gateway\u0000${i}`, i, 0);
      if (i % 4_096 === 0) while (index.flushStep().more);
    }
    expect(index.memoryBytes / index.keys).toBeLessThan(4);
    expect(storage.rowsWritten / index.keys).toBeLessThan(0.01);
    expect(index.runs).toBeLessThanOrEqual(9);
    for (let i = 1; i <= 102_400; i += 97) expect(index.find(`svc-gateway\u0000${i}`)).toEqual({ seq: i, index: 0 });
  });
});
