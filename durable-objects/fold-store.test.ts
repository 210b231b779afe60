import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AGGREGATIONS } from "../core/aggregation";
import type { UsageEvent } from "../core/event";
import { foldEvent, HOUR_MS, MemoryFolds, MINUTE_MS } from "../core/fold";
import { GROUPS_MAX } from "../core/fold-groups";
import { compileMeters, type CompiledMeter, type CompiledMeters, type Meter } from "../core/meter";
import type { RollupRow } from "../core/rollup";
import { FOLD_TABLES, FoldStore } from "./fold-store";

const ALL = 1_000_000_000;
const HOUR = 500_000;

const meter = (part: Partial<Meter> = {}): Meter => ({
  id: "01JMETER",
  key: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
  ...part,
});
const meters = compileMeters([meter()]);
const [tokens] = [...meters.meters.values()] as [CompiledMeter];

let minted = 0;
const event = (value: number, minute: number, model = "gpt"): UsageEvent => ({
  id: String(++minted),
  source: "test",
  type: "prompt",
  subject: "ada",
  time: HOUR * HOUR_MS + minute * MINUTE_MS,
  data: { tokens: value, model },
});

interface Opened {
  sql: SqlStorage;
  folds: FoldStore;
  /** Saves as a checkpoint does; answers the rows written. */
  save(of?: FoldStore): number;
}

/** Folds on the SQLite of a fresh object. */
const withFolds = (work: (opened: Opened) => void): Promise<void> =>
  runInDurableObject(env.CUSTOMER.get(env.CUSTOMER.newUniqueId()), (_object, { storage }) => {
    const { sql } = storage;
    sql.exec(FOLD_TABLES);
    const folds = new FoldStore(sql);
    const save = (of = folds): number => {
      const before = writtenBy(sql);
      storage.transactionSync(() => of.saveDirty());
      return writtenBy(sql) - before;
    };
    work({ sql, folds, save });
  });

/** Rows that statements changed since the database was opened. */
const writtenBy = (sql: SqlStorage): number => sql.exec<{ rows: number }>("SELECT total_changes() AS rows").one().rows;

let arrived = 0;
const count = (folds: FoldStore, events: UsageEvent[], of = meters): void =>
  events.forEach((each, index) => folds.fold(of, each, { seq: ++arrived, index }));

const totals = (folds: FoldStore, of: CompiledMeter = tokens) =>
  folds.totals(of).map(({ group, count: events, sum }) => [(JSON.parse(group) as string[]).join("/"), events, sum]);

const short = (rows: readonly RollupRow[]) =>
  rows
    .map(
      ({ resolution, windowStart, group, sum }) =>
        `${resolution} ${(windowStart - HOUR * HOUR_MS) / MINUTE_MS} ${JSON.parse(group).join("/")} ${sum}`,
    )
    .sort();

const takeAll = (folds: FoldStore, of: CompiledMeters = meters, bytesMax = ALL): RollupRow[][] => {
  const portions: RollupRow[][] = [];
  for (let taken = folds.takeUnsent(of, bytesMax); taken; taken = folds.takeUnsent(of, bytesMax)) {
    portions.push(taken.rows);
    taken.sent();
  }
  return portions;
};

describe("saved folds", () => {
  it("are what one pass over the log gives, wherever it was saved and however often the object woke up anew", () =>
    withFolds(({ sql, save }) => {
      const all = compileMeters(
        AGGREGATIONS.map((aggregation) =>
          meter({ id: `01J${aggregation}`, aggregation, valueProperty: aggregation === "COUNT" ? null : "$.tokens" }),
        ),
      );
      const value = fc.oneof(fc.integer({ min: -9, max: 9 }), fc.double({ min: 0, max: 1, noNaN: true }));
      const step = fc.tuple(
        value,
        fc.integer({ min: -70, max: 130 }),
        fc.constantFrom("gpt", "claude"),
        fc.constantFrom("save", "wake", ...Array<"">(8).fill("")),
      );
      const log = fc
        .sample(step, { numRuns: 500, seed: 7 })
        .map(([tokensUsed, minute, model, then]) => ({ event: event(tokensUsed, minute, model), then }));

      let folds = new FoldStore(sql);
      let saved = 0;
      for (const [seq, { event: each, then }] of log.entries()) {
        folds.fold(all, each, { seq, index: 0 });
        if (then === "save") {
          save(folds);
          saved = seq + 1;
        }
        if (then === "wake") {
          folds = new FoldStore(sql);
          for (let again = saved; again <= seq; again++) folds.fold(all, log[again]!.event, { seq: again, index: 0 });
        }
      }
      save(folds);

      const onePass = new MemoryFolds();
      for (const [seq, { event: each }] of log.entries()) foldEvent(onePass, all, each, seq * 65_536);
      const stored = new FoldStore(sql);
      expect(onePass.chunks.size).toBeGreaterThan(AGGREGATIONS.length);
      for (const { meter: each, hour, rows } of onePass.chunks.values()) {
        const again = stored.chunk(each, hour);
        expect(again.rows.size).toBe(rows.size);
        for (const [key, { minutes, cells, group }] of rows)
          expect(again.rows.get(key)).toMatchObject({ minutes, cells, group: { key, total: group.total } });
      }
    }));

  it("cost a row for each hour of each meter that changed and one for its groups, whatever the number of events", () =>
    withFolds(({ folds, save }) => {
      count(
        folds,
        Array.from({ length: 1_000 }, (_, i) => event(1, i % 120, `m${i % 8}`)),
      );
      expect([folds.dirtyChunks, save()]).toEqual([2, 3]);
      expect([folds.dirtyChunks, save()]).toEqual([0, 0]);
      count(folds, [event(1, 5)]);
      expect(save()).toBe(2);
    }));

  it("read and write one hour for an event that comes a year late", () =>
    withFolds(({ sql, folds, save }) => {
      for (let hour = 0; hour < 50; hour++) count(folds, [event(1, -60 * hour)]);
      save();
      const woken = new FoldStore(sql);
      count(woken, [event(1, -60 * 40 + 1)]);
      expect([woken.dirtyChunks, save(woken)]).toEqual([1, 2]);
      expect(totals(woken)).toEqual([["ada/gpt", 51, "51"]]);
    }));

  it("leave memory when they were not used lately, and come back from storage", () =>
    withFolds(({ sql, folds, save }) => {
      // 1,000 groups of an hour weigh 1,000 cells; 50,000 may stay.
      for (let hour = 0; hour < 80; hour++)
        count(
          folds,
          Array.from({ length: 1_000 }, (_, i) => event(1, 60 * hour, `m${i}`)),
        );
      save();
      sql.exec("DELETE FROM folds");
      const left = (hour: number) => folds.chunk(tokens, HOUR + hour).rows.size;
      expect([left(79), left(40), left(20), left(0)]).toEqual([1_000, 1_000, 0, 0]);
    }));

  it("stay in memory until they are saved, and say when they are many", () =>
    withFolds(({ sql, folds, save }) => {
      const hours = 4_200;
      for (let hour = 0; hour < hours; hour++) {
        expect(folds.pressed).toBe(hour > 4_096);
        // More cells in all than saved chunks may keep.
        count(
          folds,
          Array.from({ length: 15 }, (_, i) => event(1, 60 * hour, `m${i}`)),
        );
      }
      for (let hour = 0; hour < hours; hour += 100) count(folds, [event(1, 60 * hour, "m0")]);
      save();
      const woken = new FoldStore(sql);
      expect([folds.pressed, totals(woken)]).toEqual([
        false,
        Array.from({ length: 15 }, (_, i) => [`ada/m${i}`, hours + (i ? 0 : 42), String(hours + (i ? 0 : 42))]),
      ]);
      for (let hour = 0; hour < hours; hour += 100) {
        expect([...woken.chunk(tokens, HOUR + hour).rows.values()].map(({ cells }) => cells[0]!.count)).toEqual([
          2,
          ...Array<number>(14).fill(1),
        ]);
      }
    }));

  it("take several rows when they are too large for one, and fewer again when values are forgotten", () =>
    withFolds(({ sql, folds, save }) => {
      const of = compileMeters([meter({ aggregation: "UNIQUE_COUNT", valueProperty: "$.user" })]);
      const user = (i: number): UsageEvent => ({
        ...event(0, 0),
        data: { user: `${i}`.padEnd(4_032, "x"), model: "gpt" },
      });
      const parts = () => sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM folds").one().rows;
      count(
        folds,
        Array.from({ length: 300 }, (_, i) => user(i)),
        of,
      );
      save();
      expect(parts()).toBeGreaterThan(1);
      const woken = new FoldStore(sql);
      count(
        woken,
        Array.from({ length: 1_300 }, (_, i) => user(1_000 + i)),
        of,
      );
      save(woken);
      expect(parts()).toBe(1);
    }));

  it("remember which dimension went coarse", () =>
    withFolds(({ sql, folds, save }) => {
      count(
        folds,
        Array.from({ length: GROUPS_MAX }, (_, i) => event(1, 0, `m${i}`)),
      );
      save();
      count(folds, [event(1, 0, "one more")]);
      save();
      const woken = new FoldStore(sql);
      count(woken, [event(1, 0, "m0")]);
      expect(totals(woken).filter(([group]) => group === "ada/m0" || group === "ada/")).toEqual([
        ["ada/m0", 1, "1"],
        ["ada/", 2, "2"],
      ]);
    }));

  it("of a meter with another definition are others; the old ones stay untouched", () =>
    withFolds(({ sql, folds, save }) => {
      const changed = compileMeters([meter({ groupBy: {} })]);
      const [plain] = [...changed.meters.values()] as [CompiledMeter];
      count(folds, [event(1, 0)]);
      count(folds, [event(2, 0)], changed);
      count(folds, [event(4, 0)], compileMeters([meter()]));
      save();
      const woken = new FoldStore(sql);
      expect([totals(woken), totals(woken, plain)]).toEqual([[["ada/gpt", 2, "5"]], [["ada", 1, "2"]]]);
    }));

  it("in an unknown format are refused, not misread", () =>
    withFolds(({ sql, folds, save }) => {
      count(folds, [event(1, 0)]);
      save();
      sql.exec("UPDATE folds SET minutes = ?", new Uint8Array([9, 1, 2]));
      expect(() => new FoldStore(sql).chunk(tokens, HOUR)).toThrow("unknown format 9");
    }));

  it("keep the totals of an hour apart from its minutes, for queries that need no more", () =>
    withFolds(({ sql, folds, save }) => {
      count(folds, [event(1, 0), event(2, 59), event(4, 59, "claude")]);
      save();
      const [row] = sql.exec<{ hours: string }>("SELECT hours FROM folds").toArray();
      expect(JSON.parse(row!.hours)).toEqual({
        v: 2,
        rows: [
          ['["ada","gpt"]', [2, 3], 0, 59],
          ['["ada","claude"]', [1, 4], 59, 59],
        ],
      });
    }));
});

describe("unsent rollups", () => {
  it("are taken once, and again as running totals when their window changes", () =>
    withFolds(({ folds }) => {
      expect([folds.hasUnsent, folds.takeUnsent(meters, ALL)]).toEqual([false, null]);
      count(folds, [event(1, 0), event(2, 1, "claude")]);
      expect(folds.hasUnsent).toBe(true);
      expect(short(takeAll(folds).flat())).toEqual([
        "minute 0 ada/gpt 1",
        "minute 1 ada/claude 2",
        "quarter 0 ada/claude 2",
        "quarter 0 ada/gpt 1",
      ]);
      expect([folds.hasUnsent, folds.takeUnsent(meters, ALL)]).toEqual([false, null]);
      count(folds, [event(4, 14)]);
      expect(short(takeAll(folds).flat())).toEqual(["minute 14 ada/gpt 4", "quarter 0 ada/gpt 5"]);
    }));

  it("come in portions of about the size asked for, each window in one of them", () =>
    withFolds(({ folds }) => {
      count(
        folds,
        Array.from({ length: 2_000 }, (_, i) => event(1, i % 120, `m${i % 50}`)),
      );
      const portions = takeAll(folds, meters, 10_000);
      const windows = portions
        .flat()
        .map(({ resolution, windowStart, group }) => `${resolution} ${windowStart} ${group}`);
      expect(portions.length).toBeGreaterThan(5);
      for (const portion of portions) expect(JSON.stringify(portion).length).toBeLessThan(10_000 + 64 * 250);
      expect(new Set(windows).size).toBe(windows.length);
      expect(new Set(windows)).toEqual(new Set(takeAllAgain(folds)));
    }));

  it("that could not be sent are taken again, with what came meanwhile", () =>
    withFolds(({ folds }) => {
      count(folds, [event(1, 0)]);
      const taken = folds.takeUnsent(meters, ALL)!;
      count(folds, [event(2, 0)]);
      taken.putBack();
      expect(short(takeAll(folds).flat())).toEqual(["minute 0 ada/gpt 3", "quarter 0 ada/gpt 3"]);
    }));

  it("survive a wake-up: those never taken, and those on their way at the checkpoint", () =>
    withFolds(({ sql, folds, save }) => {
      count(folds, [event(1, 0), event(2, 60)]);
      takeAll(folds);
      count(folds, [event(4, 1)]);
      const onTheirWay = folds.takeUnsent(meters, ALL)!;
      count(folds, [event(8, 125), event(16, 185)]);
      save();
      const unsent = folds.unsent();
      onTheirWay.sent();

      const woken = new FoldStore(sql);
      woken.restoreUnsent(unsent);
      expect(woken.hasUnsent).toBe(true);
      count(woken, [event(32, 126)]);
      expect(short(takeAll(woken).flat())).toEqual(
        [
          "minute 0 ada/gpt 1",
          "minute 1 ada/gpt 4",
          "quarter 0 ada/gpt 5",
          "minute 125 ada/gpt 8",
          "minute 126 ada/gpt 32",
          "quarter 120 ada/gpt 40",
          "minute 185 ada/gpt 16",
          "quarter 180 ada/gpt 16",
        ].sort(),
      );
      expect(JSON.parse(woken.unsent())).toEqual({});
    }));

  it("survive leaving memory", () =>
    withFolds(({ folds, save }) => {
      for (let hour = 0; hour < 80; hour++)
        count(
          folds,
          Array.from({ length: 1_000 }, (_, i) => event(1, 60 * hour, `m${i}`)),
        );
      save();
      expect(takeAll(folds, meters, 1_000_000).flat().length).toBe(2 * 80_000);
    }));

  it("of hours in a row are remembered as one run, so a year of them is short", () =>
    withFolds(({ folds }) => {
      for (let hour = 0; hour < 200; hour++) count(folds, [event(1, 60 * (199 - hour))]);
      count(folds, [event(1, 60 * 300)]);
      expect(JSON.parse(folds.unsent())).toEqual({ [tokens.foldKey]: [HOUR, 200, HOUR + 300, 1] });
    }));

  it("of a meter that is gone are dropped when they are not in memory", () =>
    withFolds(({ sql, folds, save }) => {
      count(folds, [event(1, 0)]);
      save();
      const woken = new FoldStore(sql);
      woken.restoreUnsent(folds.unsent());
      expect([woken.takeUnsent(compileMeters([]), ALL), woken.hasUnsent]).toEqual([null, false]);
    }));

  it("on their way are not put back once everything was forgotten", () =>
    withFolds(({ folds }) => {
      count(folds, [event(1, 0)]);
      const taken = folds.takeUnsent(meters, ALL)!;
      folds.forget();
      taken.putBack();
      taken.sent();
      expect([folds.hasUnsent, folds.unsent()]).toEqual([false, "{}"]);
    }));
});

/** Every window once more, in one portion. */
function takeAllAgain(folds: FoldStore): string[] {
  for (const hour of [HOUR, HOUR + 1]) folds.restoreUnsent(JSON.stringify({ [tokens.foldKey]: [hour, 1] }));
  return takeAll(folds)
    .flat()
    .map(({ resolution, windowStart, group }) => `${resolution} ${windowStart} ${group}`);
}
