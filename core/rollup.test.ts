import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AGGREGATIONS } from "./aggregation";
import { foldEvent, HOUR_MS, markAllUnsent, MemoryFolds, MINUTE_MS } from "./fold";
import { compileMeters, type Meter } from "./meter";
import { quantity } from "./quantity";
import { takeRollups, type RollupRow } from "./rollup";

const meter = (part: Partial<Meter>): Meter => ({
  id: "01JMETER",
  key: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.v",
  groupBy: {},
  eventFrom: null,
  createdAt: 0,
  ...part,
});
const meters = compileMeters([meter({})]);

const HOUR = 500_000;
const fold = (folds: MemoryFolds, v: number, minute: number, of = meters, order = 0): void =>
  foldEvent(
    folds,
    of,
    { id: "1", source: "test", type: "prompt", subject: "ada", time: HOUR * HOUR_MS + minute * MINUTE_MS, data: { v } },
    order,
  );

function takeAll(folds: MemoryFolds): RollupRow[] {
  const rows: RollupRow[] = [];
  for (const chunk of folds.chunks.values()) while (chunk.unsent.length > 0) rows.push(...takeRollups(chunk));
  return rows;
}
const short = (rows: RollupRow[]) =>
  rows.map(({ resolution, windowStart, count, sum }) => [
    resolution,
    (windowStart - HOUR * HOUR_MS) / MINUTE_MS,
    count,
    sum,
  ]);

describe("rollups", () => {
  it("are running totals of the minutes that changed and of their quarters", () => {
    const folds = new MemoryFolds();
    for (const [v, minute] of [
      [1, 0],
      [2, 14],
      [4, 15],
      [8, 59],
    ] as const)
      fold(folds, v, minute);
    expect(short(takeAll(folds))).toEqual([
      ["minute", 0, 1, "1"],
      ["minute", 14, 1, "2"],
      ["minute", 15, 1, "4"],
      ["minute", 59, 1, "8"],
      ["quarter", 0, 2, "3"],
      ["quarter", 15, 1, "4"],
      ["quarter", 45, 1, "8"],
    ]);
    expect(takeAll(folds)).toEqual([]);
    fold(folds, 16, 14);
    expect(short(takeAll(folds))).toEqual([
      ["minute", 14, 2, "18"],
      ["quarter", 0, 3, "19"],
    ]);
  });

  it("leave the folds as they were, however often they are taken", () => {
    const folds = new MemoryFolds();
    for (const minute of [0, 1, 2, 29, 30, 31]) fold(folds, 1, minute);
    const first = takeAll(folds);
    for (const chunk of folds.chunks.values()) markAllUnsent(chunk);
    expect(takeAll(folds)).toEqual(first);
  });

  it("sum to the same over minutes and over quarters as the totals, whenever they are taken and however often they are sent", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -9, max: 9 }), fc.integer({ min: -70, max: 130 }), fc.boolean()), {
          minLength: 1,
        }),
        (events) => {
          const folds = new MemoryFolds();
          const store = new Map<string, RollupRow>();
          const send = (): void =>
            takeAll(folds).forEach((row) => store.set(`${row.resolution} ${row.windowStart} ${row.group}`, row));
          for (const [v, minute, sendNow] of events) {
            fold(folds, v, minute);
            if (sendNow) send();
          }
          send();
          const sumOf = (resolution: string) =>
            [...store.values()]
              .filter((row) => row.resolution === resolution)
              .reduce((sum, row) => sum + quantity(row.sum), 0n);
          const total = [...folds.groups.values()].flatMap(({ byKey }) => [...byKey.values()])[0]!.total!;
          const expected = [...meters.meters.values()][0]!.fold.value(total);
          expect([sumOf("minute"), sumOf("quarter")]).toEqual([expected, expected]);
        },
      ),
    );
  });

  it("name meter, group and window, and fill the columns of their aggregation", () => {
    const columns = AGGREGATIONS.map((aggregation) => {
      const of = compileMeters([meter({ aggregation })]);
      const folds = new MemoryFolds();
      fold(folds, 3, 7, of, 1);
      fold(folds, 2, 7, of, 2);
      const [minute] = takeAll(folds);
      expect(minute).toMatchObject({
        meter: [...of.meters.keys()][0],
        resolution: "minute",
        windowStart: HOUR * HOUR_MS + 7 * MINUTE_MS,
        group: '["ada"]',
      });
      return [aggregation, minute!.count, minute!.sum, minute!.min, minute!.max, minute!.latest, minute!.latestAt];
    });
    expect(columns).toEqual([
      ["COUNT", 2, "0", null, null, null, null],
      ["SUM", 2, "5", null, null, null, null],
      ["AVG", 2, "5", null, null, null, null],
      ["MIN", 2, "0", "2", null, null, null],
      ["MAX", 2, "0", null, "3", null, null],
      ["UNIQUE_COUNT", 2, "0", null, null, null, null],
      ["LATEST", 2, "0", null, null, "2", HOUR * HOUR_MS + 7 * MINUTE_MS],
    ]);
  });
});
