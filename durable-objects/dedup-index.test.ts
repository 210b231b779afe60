/** The dedup index inside workerd: real blobs, real evictions. Its whole behaviour: test/simulator/dedup-index.test.ts. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { DEDUP_LIMITS, DedupIndex, type DedupLimits } from "./dedup-index";
import { DEDUP_TABLES } from "./run-store";

const open = (storage: DurableObjectStorage, limits: DedupLimits = DEDUP_LIMITS) =>
  new DedupIndex(storage.sql, (work) => storage.transactionSync(work), limits);

const key = (seq: number) => `svc-gateway\u0000${seq}`;

/** What the owner does when it wakes. */
function replay(index: DedupIndex, head: number): DedupIndex {
  for (let seq = index.coveredSeq + 1; seq <= head; seq++) index.add(key(seq), seq, seq % 100);
  return index;
}

const wrong = (index: DedupIndex, head: number) => {
  const misplaced = [];
  for (let seq = 1; seq <= head; seq++) {
    const found = index.find(key(seq));
    if (found?.seq !== seq || found.index !== seq % 100 || index.find(key(seq + head)) !== null) misplaced.push(seq);
  }
  return misplaced;
};

describe("the dedup index in workerd", () => {
  it("misses no key and invents none when it is made anew from storage after every step", async () => {
    const limits = { flushKeys: 20, flushEntries: 15, flushKeysMax: 30, pageRecords: 8, segmentPages: 2, reapPages: 3 };
    await runInDurableObject(env.CUSTOMER.getByName("test/dedup-steps"), (_, { storage }) => {
      storage.sql.exec(DEDUP_TABLES);
      for (let head = 25; head <= 400; head += 25) {
        for (let more = true; more;) {
          const index = replay(open(storage, limits), head);
          ({ more } = index.flushStep());
          expect(wrong(index, head)).toEqual([]);
          expect(wrong(replay(open(storage, limits), head), head)).toEqual([]);
        }
      }
    });
  });

  it("remembers across an eviction, in runs of real size", async () => {
    const stub = env.CUSTOMER.getByName("test/dedup-eviction");
    const head = 30_000;
    await runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec(DEDUP_TABLES);
      const index = open(storage);
      for (let seq = 1; seq <= head; seq++) {
        index.add(key(seq), seq, seq % 100);
        if (seq % 5_000 === 0) while (index.flushStep().more);
      }
    });
    await evictDurableObject(stub);
    await runInDurableObject(stub, (_, { storage }) => {
      const index = replay(open(storage), head);
      expect(index.coveredSeq).toBeGreaterThan(head - 2 * DEDUP_LIMITS.flushKeys);
      expect(wrong(index, head)).toEqual([]);
      expect(index.memoryBytes / head).toBeLessThan(30);
    });
  });
});
