import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeSegment,
  encodeSegment,
  mergeRecords,
  PAGE_RECORDS,
  planRunMerge,
  readRef,
  RECORD_BYTES,
  RECORD_WORDS,
  RunIndex,
  RunReader,
  searchRecords,
  sortRecords,
  writeRef,
} from "./dedup";
import { sipHash } from "./siphash";

const hash = sipHash(new Uint8Array(16).fill(9));

function recordsOf(keys: readonly string[], firstSeq = 1): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(keys.length * RECORD_WORDS);
  for (const [i, key] of keys.entries()) {
    hash(key, words, i * RECORD_WORDS);
    writeRef(words, i * RECORD_WORDS, { seq: firstSeq + i, index: i % 7 });
  }
  return words;
}

const hashOf = (key: string): Uint32Array => {
  const words = new Uint32Array(4);
  hash(key, words, 0);
  return words;
};

const pagesOf = (sorted: Uint32Array, pageRecords: number) =>
  Array.from({ length: Math.ceil(sorted.length / RECORD_WORDS / pageRecords) }, (_, page) =>
    sorted.slice(page * pageRecords * RECORD_WORDS, (page + 1) * pageRecords * RECORD_WORDS),
  );

const grouped = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, group) => items.slice(group * size, (group + 1) * size));

/** A run in memory: its index and a lookup through it, as durable-objects/dedup-index.ts does it. */
function runOf(keys: readonly string[], pageRecords: number, segmentPages: number) {
  const pages = pagesOf(sortRecords(recordsOf(keys)), pageRecords);
  const segments = grouped(pages, segmentPages).map((some) => decodeSegment(encodeSegment(some, pageRecords).buffer));
  const index = new RunIndex(keys.length, segments);
  let pagesLookedInto = 0;
  const find = (key: string) => {
    for (const { page, from, records } of index.candidates(hashOf(key))) {
      pagesLookedInto++;
      const window = pages[page]!.subarray(from * RECORD_WORDS, (from + records) * RECORD_WORDS);
      const place = searchRecords(window, hashOf(key));
      if (typeof place === "number") return { ...readRef(window, place), inWindow: true };
      const anywhere = searchRecords(pages[page]!, hashOf(key));
      if (typeof anywhere === "number") return { ...readRef(pages[page]!, anywhere), inWindow: false };
    }
    return null;
  };
  return { index, pages, find, lookedInto: () => pagesLookedInto };
}

describe("a dedup record", () => {
  it("carries the log entry and the position in it, up to its bounds", () => {
    const words = new Uint32Array(2 * RECORD_WORDS);
    for (const ref of [
      { seq: 0, index: 0 },
      { seq: 2 ** 48 - 1, index: 65_535 },
      { seq: 2 ** 32, index: 9_999 },
      { seq: 20_000_000, index: 1 },
    ]) {
      writeRef(words, RECORD_WORDS, ref);
      expect(readRef(words, RECORD_WORDS)).toEqual(ref);
    }
    expect(() => writeRef(words, 0, { seq: 2 ** 48, index: 0 })).toThrow("fits its 8 bytes");
    expect(() => writeRef(words, 0, { seq: 1, index: 2 ** 16 })).toThrow("fits its 8 bytes");
  });

  it("keeps its layout: stored runs are read for ever", () => {
    const words = recordsOf(["source\u0000id"], 0x0203_0405_0607);
    expect(Buffer.from(words.buffer).toString("hex")).toMatchInlineSnapshot(
      `"e50173124f838a495f1584c0de9c8e7e0706050403020000"`,
    );
  });
});

describe("a run", () => {
  const keys = Array.from({ length: 5_000 }, (_, i) => `source\u0000${i}`);

  it("finds every key of it and no other", () => {
    const run = runOf(keys, 100, 4);
    for (const [i, key] of keys.entries()) expect(run.find(key)).toMatchObject({ seq: 1 + i, index: i % 7 });
    for (let i = 0; i < 5_000; i++) expect(run.find(`other\u0000${i}`)).toBeNull();
  });

  it("is found whatever the sizes of pages and segments", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        (count, pageRecords, segmentPages) => {
          const some = keys.slice(0, count);
          const run = runOf(some, pageRecords, segmentPages);
          expect(some.map((key) => run.find(key)?.seq)).toEqual(some.map((_, i) => i + 1));
          expect(run.find("never")).toBeNull();
        },
      ),
    );
  });

  it.each([0, 7, 2 ** 32 - 1])(
    "finds hashes that agree in their first 53 bits on both sides of a page's edge (first word %i)",
    (word) => {
      // Two to a page: every fence but the first equals the prefix.
      const words = new Uint32Array(16 * RECORD_WORDS);
      for (let i = 0; i < 16; i++) words.set([word, 7, 0, i], i * RECORD_WORDS);
      const pages = pagesOf(words, 2);
      const index = new RunIndex(16, [decodeSegment(encodeSegment(pages, 2).buffer)]);
      for (let i = 0; i < 16; i++) {
        const hash = Uint32Array.of(word, 7, 0, i);
        const places = index.candidates(hash).map(({ page }) => searchRecords(pages[page]!, hash));
        expect(places.filter((place) => typeof place === "number")).toHaveLength(1);
      }
    },
  );

  it("keeps its layout: stored segments are read for ever", () => {
    const pages = pagesOf(sortRecords(recordsOf(["a", "b", "c"])), 2);
    const bytes = encodeSegment(pages, 2);
    expect(Buffer.from(bytes).toString("hex")).toMatchInlineSnapshot(
      `"01000000020000000200000004000000881fca1e12660443da1b2ca29cd72b43e188d20424841021"`,
    );
    expect(decodeSegment(bytes.buffer)).toMatchObject({ pages: 2, pageRecords: 2, filterBytes: 4 });
  });

  it("looks into a page for fewer than 1 in 400 of absent keys, and almost always at the right place for present ones", () => {
    const many = Array.from({ length: 4 * PAGE_RECORDS }, (_, i) => `k${i}`);
    const run = runOf(many, PAGE_RECORDS, 16);
    for (let i = 0; i < 20_000; i++) run.find(`absent${i}`);
    expect(run.lookedInto()).toBeLessThan(50);
    expect(run.lookedInto()).toBeGreaterThan(10);
    expect(many.filter((key) => run.find(key)!.inWindow).length).toBeGreaterThan(many.length * 0.999);
  });

  it("costs at most 1.76 bytes of memory a key", () => {
    const many = Array.from({ length: 8 * PAGE_RECORDS }, (_, i) => `k${i}`);
    expect(runOf(many, PAGE_RECORDS, 16).index.memoryBytes / many.length).toBeLessThan(1.76);
  });

  it("has pages of at most 64 KB", () => {
    expect(PAGE_RECORDS * RECORD_BYTES).toBeLessThanOrEqual(65_536);
  });
});

describe("merging runs", () => {
  it("gives the sorted union, in whatever slices it is taken and wherever it is taken up again", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 20 }),
        (sizes, pageRecords, slice) => {
          const all = sizes.map((size, run) => Array.from({ length: size }, (_, i) => `${run} ${i}`));
          const runs = all.map((some) => pagesOf(sortRecords(recordsOf(some)), pageRecords));
          const indexes = runs.map(
            (pages, run) => new RunIndex(all[run]!.length, [decodeSegment(encodeSegment(pages, pageRecords).buffer)]),
          );
          const taken: number[] = [];
          for (;;) {
            // Taken up again after each slice, from the last record alone.
            const last = taken.length === 0 ? null : Uint32Array.from(taken.slice(-RECORD_WORDS));
            const readers = runs.map((pages, run) => {
              const reader = new RunReader(
                last ? indexes[run]!.pageBefore(last) : 0,
                pages.length,
                (page) => pages[page]!,
              );
              if (last) reader.skipThrough(last);
              return reader;
            });
            const words = mergeRecords(readers, slice);
            if (words.length === 0) break;
            taken.push(...words);
          }
          expect(Uint32Array.from(taken)).toEqual(
            sortRecords(Uint32Array.from(runs.flatMap((pages) => pages.flatMap((page) => [...page])))),
          );
        },
      ),
    );
  });

  it.each([
    { runs: [], plan: null },
    { runs: [10, 10], plan: null },
    { runs: [10, 10, 10], plan: [0, 1, 2] },
    { runs: [30, 10, 30, 29, 10], plan: [1, 3, 4] },
    { runs: [30, 30, 10, 30, 10], plan: [0, 1, 3] },
    { runs: [90, 30, 10], plan: null },
    { runs: [10, 10, 10, 10, 10], plan: [0, 1, 2] },
  ])("merges the oldest three of the smallest class: $runs → $plan", ({ runs, plan }) => {
    expect(planRunMerge(runs, 10)).toEqual(plan);
  });

  it.each([
    { flushed: 4_096, runsMax: 14, writesMax: 8 },
    { flushed: 1_024, runsMax: 16, writesMax: 9 },
  ])(
    "leaves at most $runsMax runs at 5 million keys, $flushed at a time, and writes a key at most $writesMax times",
    ({ flushed, runsMax, writesMax }) => {
      let runs: number[] = [];
      let most = 0;
      let written = 0;
      for (let keys = 0; keys < 5_000_000; keys += flushed) {
        runs.push(flushed);
        written += flushed;
        for (let plan = planRunMerge(runs, 1_024); plan; plan = planRunMerge(runs, 1_024)) {
          const inputs = plan;
          const merged = inputs.reduce((sum, place) => sum + runs[place]!, 0);
          runs = [...runs.filter((_, place) => !inputs.includes(place)), merged];
          written += merged;
        }
        most = Math.max(most, runs.length);
      }
      expect(most).toBeLessThanOrEqual(runsMax);
      expect(written / 5_000_000).toBeLessThan(writesMax);
    },
  );
});
