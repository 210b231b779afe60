import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LOG_LIMITS } from "./log-format";
import { planMerge, SEALED, type RowHead } from "./log-merge";

/** The log's rows without the log: appends rows and carries plans out, counting what the database would. */
class Rows {
  sealed: RowHead[] = [];
  open: RowHead[] = [];
  rowsWritten = 0;
  bytesWritten = 0;
  private seq = 0;

  append(bytes: number, plain: boolean): void {
    this.seq++;
    this.open.push({ seq: this.seq, last: this.seq, level: 0, bytes, plain });
  }

  /** One step; checks what every plan promises. */
  merge(): boolean {
    const plan = planMerge(this.open, LOG_LIMITS);
    if (!plan) return false;
    const { from, to, level } = plan;
    const sources = this.open.slice(from, to);
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(
      sources.length === 1 ? Infinity : LOG_LIMITS.rowBytesMax,
    );
    const plain = sources.filter((row) => row.plain);
    expect(plain.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(LOG_LIMITS.stepPlainBytes);
    const bytes = sources.reduce((sum, row) => sum + (row.plain ? row.bytes / 6 : row.bytes) + 30, 0);
    const page: RowHead = { seq: sources[0]!.seq, last: sources.at(-1)!.last, level, bytes, plain: false };
    this.rowsWritten += sources.length;
    this.bytesWritten += bytes;
    if (level === SEALED) {
      expect(from).toBe(0);
      this.sealed.push(page);
      this.open.splice(0, to);
    } else {
      expect(new Set(sources.map((row) => row.level))).toEqual(new Set([level - 1]));
      this.open.splice(from, sources.length, page);
    }
    const levels = this.open.map((row) => row.level);
    expect(levels).toEqual(levels.toSorted((a, b) => b - a));
    return true;
  }

  get count(): number {
    return this.sealed.length + this.open.length;
  }

  get bytes(): number {
    return [...this.sealed, ...this.open].reduce((sum, row) => sum + row.bytes, 0);
  }
}

describe("merging the log's rows", () => {
  it("leaves a million single-event entries in at most 200 rows, for one row write and little more each", () => {
    const rows = new Rows();
    let most = 0;
    for (let entry = 0; entry < 1_000_000; entry++) {
      rows.append(900, true);
      if (entry % 500 === 0) while (rows.merge());
      if (entry % 100_000 === 0) most = Math.max(most, rows.count);
    }
    while (rows.merge());
    expect(Math.max(most, rows.count)).toBeLessThanOrEqual(200);
    expect(rows.rowsWritten / 1_000_000).toBeLessThan(1.1);
    expect(rows.bytesWritten / rows.bytes).toBeLessThan(3.5);
  });

  it("merges what piled up while nothing was merged, in bounded steps", () => {
    const rows = new Rows();
    for (let entry = 0; entry < 50_000; entry++) rows.append(900, true);
    let steps = 0;
    while (rows.merge()) steps++;
    expect(steps).toBeLessThan(60);
    expect(rows.count).toBeLessThan(100);
  });

  it("waits for 64 entry rows: an object that was called a few times is left alone", () => {
    const rows = new Rows();
    for (let entry = 0; entry < 63; entry++) rows.append(900, true);
    expect(planMerge(rows.open, LOG_LIMITS)).toBeNull();
    rows.append(900, true);
    expect(planMerge(rows.open, LOG_LIMITS)).toEqual({ from: 0, to: 64, level: 1 });
  });

  it("makes pages that are rather full, however entries of all sizes follow each other", () => {
    const sizes = fc.array(
      fc.oneof(
        fc.integer({ min: 50, max: 4_096 }),
        fc.integer({ min: 600, max: 60_000 }),
        fc.integer({ min: 60_000, max: 1_750_000 }),
      ),
      {
        minLength: 50,
        maxLength: 1_500,
        size: "max",
      },
    );
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 200 }), (bytes, every) => {
        const rows = new Rows();
        for (const [entry, size] of bytes.entries()) {
          rows.append(size, size <= 4_096);
          if (entry % every === 0) while (rows.merge());
        }
        while (rows.merge());
        // A page may stay small where a large one follows; two neighbours never fit into one.
        expect(rows.count).toBeLessThanOrEqual(64 + 16 * 4 + (2 * 2 * rows.bytes) / LOG_LIMITS.rowBytesMax);
        expect(rows.open.length).toBeLessThan(64 + 16 * 4);
      }),
      { numRuns: 60 },
    );
  }, 30_000);
});
