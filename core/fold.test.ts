import { Decimal as Oracle } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Aggregation } from "./aggregation";
import { AGGREGATIONS } from "./aggregation";
import type { UsageEvent } from "./event";
import {
  foldEvent,
  HOUR_MS,
  markAllUnsent,
  MemoryFolds,
  MINUTE_MS,
  recountMinute,
  UNIQUE_UNITS_PER_HOUR_MAX,
} from "./fold";
import { GROUPS_MAX } from "./fold-groups";
import { decodeChunk, decodeGroups, encodeChunk, encodeGroups } from "./fold-text";
import { compileMeters, type CompiledMeters, type Meter } from "./meter";
import { formatQuantity } from "./quantity";
import { takeRollups } from "./rollup";

const BASE_HOUR = 500_000;
const meter = (aggregation: Aggregation, part: Partial<Meter> = {}): Meter => ({
  id: `01J${aggregation}`,
  key: aggregation.toLowerCase(),
  eventType: "prompt",
  aggregation,
  valueProperty: aggregation === "COUNT" ? null : aggregation === "UNIQUE_COUNT" ? "$.user" : "$.tokens",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
  ...part,
});
const event = (data: UsageEvent["data"], time = BASE_HOUR * HOUR_MS, part: Partial<UsageEvent> = {}): UsageEvent => ({
  id: "1",
  source: "test",
  type: "prompt",
  subject: "ada",
  time,
  data,
  ...part,
});
const all = compileMeters(AGGREGATIONS.map((aggregation) => meter(aggregation)));

interface Arrived {
  event: UsageEvent;
  order: number;
}

const fold = (events: readonly Arrived[], meters: CompiledMeters = all, folds = new MemoryFolds()): MemoryFolds => {
  for (const each of events) foldEvent(folds, meters, each.event, each.order);
  return folds;
};

/** Every cell, and every total, by name: what two ways of folding must agree on. */
const view = (folds: MemoryFolds) => ({
  cells: new Map(
    [...folds.chunks].flatMap(([chunk, { rows }]) =>
      [...rows].flatMap(([group, row]) =>
        row.minutes.map((minute, i) => [`${chunk} ${group} ${minute}`, row.cells[i]] as const),
      ),
    ),
  ),
  totals: new Map(
    [...folds.groups].flatMap(([meterKey, { byKey }]) =>
      [...byKey].map(([group, { total }]) => [`${meterKey} ${group}`, total] as const),
    ),
  ),
});

const arrivals = fc
  .array(
    fc.record({
      tokens: fc.oneof(fc.integer({ min: -50, max: 50 }), fc.constantFrom("0.1", "7", "none", null, 0.3, 1e-9)),
      model: fc.constantFrom("gpt", "claude", undefined),
      user: fc.constantFrom("u1", "u2", "u3", null, ""),
      subject: fc.constantFrom("ada", "bob"),
      // Two hours, few distinct times: many ties, all four quarters, minutes below and above 30.
      time: fc.constantFrom(
        0,
        1,
        59_999,
        14 * MINUTE_MS,
        15 * MINUTE_MS,
        29 * MINUTE_MS,
        31 * MINUTE_MS,
        59 * MINUTE_MS,
        60 * MINUTE_MS,
        95 * MINUTE_MS,
      ),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((rows) =>
    rows.map(({ subject, time, ...data }, order): Arrived => ({
      order,
      event: event(JSON.parse(JSON.stringify(data)) as UsageEvent["data"], BASE_HOUR * HOUR_MS + time, {
        id: String(order),
        subject,
      }),
    })),
  );

describe("folds", () => {
  it("are the same for any order of the events, saved and read back at any point", () => {
    fc.assert(
      fc.property(arrivals, fc.infiniteStream(fc.nat()), (events, random) => {
        const shuffled = events
          .map((each) => ({ each, by: random.next().value }))
          .sort((a, b) => a.by - b.by)
          .map(({ each }) => each);
        let folds = new MemoryFolds();
        for (const each of shuffled) {
          fold([each], all, folds);
          if (random.next().value % 4 === 0) folds = saveAndLoad(folds);
        }
        expect(view(folds)).toEqual(view(fold(events)));
      }),
    );
  });

  it("agree, in every minute and in total, with a plain recomputation in another number system", () => {
    fc.assert(
      fc.property(arrivals, (events) => {
        const folds = fold(events);
        for (const [key, compiled] of all.meters) {
          for (const [group, { total }] of folds.groups.get(key)?.byKey ?? []) {
            const mine = events.filter((each) => groupOf(each) === group);
            const { aggregation } = compiled.meter;
            expect(total!.count).toBe(recount(aggregation, mine));
            if (aggregation !== "UNIQUE_COUNT")
              expect(formatQuantity(compiled.fold.value(total!)!)).toBe(recompute(aggregation, mine));
          }
          for (const chunk of [...folds.chunks.values()].filter((each) => each.meter === compiled)) {
            for (const [group, row] of chunk.rows) {
              for (const [place, minute] of row.minutes.entries()) {
                const from = chunk.hour * HOUR_MS + minute * MINUTE_MS;
                const mine = events.filter(
                  (each) => groupOf(each) === group && each.event.time >= from && each.event.time < from + MINUTE_MS,
                );
                expect(formatQuantity(compiled.fold.value(row.cells[place]!)!)).toBe(
                  recompute(compiled.meter.aggregation, mine),
                );
              }
            }
          }
        }
      }),
    );
  });

  it("count only events of the meter's type, from its eventFrom on", () => {
    const from = BASE_HOUR * HOUR_MS + 30_000;
    const meters = compileMeters([meter("COUNT", { eventFrom: from, groupBy: {} })]);
    const folds = fold(
      [event({}, from - 1), event({}, from), event({}, from, { type: "other" })].map((each, order) => ({
        event: each,
        order,
      })),
      meters,
    );
    expect([...view(folds).cells.values()]).toEqual([{ count: 1 }]);
  });

  it("do not see an event whose value is no number, but COUNT does", () => {
    const folds = fold([{ event: event({ tokens: "many" }), order: 0 }]);
    expect([...view(folds).cells].map(([name, cell]) => [name.split(" ")[0]!.split(".")[0], cell])).toEqual([
      ["01JCOUNT", { count: 1 }],
      ["01JUNIQUE_COUNT", { count: 0, values: new Set(), units: 0 }],
    ]);
  });

  it("take times before 1970", () => {
    const folds = fold([{ event: event({ tokens: 1 }, -1), order: 0 }]);
    expect(
      [...folds.chunks.values()].map(({ hour, rows }) => [hour, [...rows.values()].map(({ minutes }) => minutes)]),
    ).toContainEqual([-1, [[59]]]);
  });
});

describe("the bound on groups", () => {
  const meters = compileMeters([meter("SUM", { groupBy: { model: "$.model", request: "$.request" } })]);
  const exploding = (count: number): Arrived[] =>
    Array.from({ length: count }, (_, order) => ({
      order,
      event: event({ tokens: 1, model: `m${order % 3}`, request: `r${order}` }),
    }));

  it("makes the dimension with the most values coarse; the others and every total stay exact", () => {
    const folds = fold(exploding(2 * GROUPS_MAX), meters);
    const groups = [...folds.groups.values()][0]!;
    expect(groups.coarse).toEqual([false, false, true]);
    const byModel = new Map<string, number>();
    for (const [key, { total }] of groups.byKey) {
      const [, model] = JSON.parse(key) as string[];
      byModel.set(model!, (byModel.get(model!) ?? 0) + total!.count);
    }
    expect([...byModel].sort()).toEqual([
      ["m0", 3_334],
      ["m1", 3_333],
      ["m2", 3_333],
    ]);
    expect([...groups.byKey.keys()].slice(-3)).toEqual(['["ada","m2",null]', '["ada","m0",null]', '["ada","m1",null]']);
  });

  it("holds at twice GROUPS_MAX, whatever explodes, and still refuses nothing", () => {
    const hostile = Array.from({ length: 5 * GROUPS_MAX }, (_, order) => ({
      order,
      event: event({ tokens: 1, model: `m${order}`, request: `r${order}` }, undefined, { subject: `s${order}` }),
    }));
    const [groups] = fold(hostile, meters).groups.values();
    expect(groups!.byKey.size).toBeLessThanOrEqual(2 * GROUPS_MAX);
    expect(groups!.coarse).toEqual([true, true, true]);
    expect([...groups!.byKey.values()].reduce((sum, { total }) => sum + total!.count, 0)).toBe(5 * GROUPS_MAX);
  });

  it("survives being saved and read back", () => {
    const events = exploding(GROUPS_MAX + 10);
    const folds = saveAndLoad(fold(events, meters));
    fold(
      events.map((each) => ({ ...each, order: each.order + events.length })),
      meters,
      folds,
    );
    expect([...folds.groups.values()][0]!.coarse).toEqual([false, false, true]);
    expect(view(folds).totals.size).toBe(GROUPS_MAX + 3);
  });
});

describe("the bound on distinct values", () => {
  const meters = compileMeters([meter("UNIQUE_COUNT")]);
  /** Each of 64 units. */
  const users = (count: number, time?: number): Arrived[] =>
    Array.from({ length: count }, (_, i) => ({
      order: i,
      event: event({ user: `user-${i}`.padEnd(4_032, "x"), model: `m${i % 2}` }, time),
    }));
  const usersMax = Math.floor(UNIQUE_UNITS_PER_HOUR_MAX / 64);

  it("forgets an hour's values past it, for good and whatever the order; other hours keep theirs", () => {
    const next = users(10, (BASE_HOUR + 1) * HOUR_MS);
    const over = users(usersMax + 1);
    for (const events of [
      [...over, ...next, ...users(5, BASE_HOUR * HOUR_MS + MINUTE_MS)],
      [...next, ...over.toReversed()],
    ]) {
      const folds = fold(users(3, BASE_HOUR * HOUR_MS + 2 * MINUTE_MS), meters, saveAndLoad(fold(events, meters)));
      const known = [...folds.chunks.values()].map(({ hour, forgotten, rows, meter: each }) => [
        hour - BASE_HOUR,
        forgotten,
        [...rows.values()].flatMap(({ cells }) => cells).every((cell) => each.fold.value(cell) === null),
      ]);
      expect(known.sort()).toEqual([
        [0, true, true],
        [1, false, false],
      ]);
    }
    expect([...fold(users(usersMax), meters).chunks.values()][0]!.forgotten).toBe(false);
  });

  it("counts a long value by its length, and one that is no identifier as too many", () => {
    const long = (length: number) =>
      [...fold([{ order: 0, event: event({ user: "x".repeat(length) }) }], meters).chunks.values()][0]!;
    expect([long(10).units, long(640).units, long(4_096).forgotten, long(4_097).forgotten]).toEqual([
      1,
      11,
      false,
      true,
    ]);
  });
});

function saveAndLoad(folds: MemoryFolds): MemoryFolds {
  const loaded = new MemoryFolds();
  const meterOf = new Map([...folds.chunks.values()].map(({ meter: each }) => [each.foldKey, each]));
  for (const [key, groups] of folds.groups) {
    const { fold: aggregation } = meterOf.get(key)!;
    const pages = Math.max(...[...groups.byKey.values()].map(({ page }) => page)) + 1;
    loaded.groups.set(
      key,
      decodeGroups(
        Array.from({ length: pages }, (_, page) => encodeGroups(groups, page, aggregation)),
        aggregation,
      ),
    );
  }
  for (const [key, chunk] of folds.chunks) {
    loaded.chunks.set(
      key,
      decodeChunk(
        chunk.meter,
        chunk.hour,
        loaded.groups.get(chunk.meter.foldKey)!,
        encodeChunk(chunk).map(({ minutes }) => minutes),
      ),
    );
  }
  return loaded;
}

const groupOf = ({ event: { subject, data } }: Arrived): string =>
  JSON.stringify([subject, (data as { model?: string }).model ?? ""]);

const numbersOf = (events: readonly Arrived[]) =>
  events.flatMap(({ event: { data, time }, order }) => {
    const { tokens } = data as { tokens: number | string | null };
    return tokens === null || tokens === "none" ? [] : [{ value: new Oracle(tokens), time, order }];
  });
const usersOf = (events: readonly Arrived[]) =>
  events.map(({ event: { data } }) => (data as { user: string | null }).user).filter((user) => user !== null);

function recount(aggregation: Aggregation, events: readonly Arrived[]): number {
  if (aggregation === "COUNT") return events.length;
  return aggregation === "UNIQUE_COUNT" ? usersOf(events).length : numbersOf(events).length;
}

function recompute(aggregation: Aggregation, events: readonly Arrived[]): string {
  const numbers = numbersOf(events);
  const sum = () => numbers.reduce((total, { value }) => total.plus(value), new Oracle(0));
  const text = (value: Oracle) => value.toDecimalPlaces(24, Oracle.ROUND_HALF_EVEN).toFixed();
  switch (aggregation) {
    case "COUNT":
      return String(events.length);
    case "UNIQUE_COUNT":
      return String(new Set(usersOf(events)).size);
    case "SUM":
      return text(sum());
    case "AVG":
      return text(new (Oracle.clone({ precision: 60 }))(sum()).div(numbers.length));
    case "MIN":
      return text(Oracle.min(...numbers.map(({ value }) => value)));
    case "MAX":
      return text(Oracle.max(...numbers.map(({ value }) => value)));
    case "LATEST":
      return text(numbers.toSorted((a, b) => a.time - b.time || a.order - b.order).at(-1)!.value);
  }
}

describe("corrections of any events", () => {
  const value = fc.integer({ min: -3, max: 3 });
  const recorded = fc.record({
    minute: fc.integer({ min: 0, max: 2 }),
    hour: fc.integer({ min: 0, max: 1 }),
    value: fc.option(value),
    user: fc.constantFrom("a", "b", null),
    model: fc.constantFrom("x", "y"),
  });
  type Version = typeof recorded extends fc.Arbitrary<infer T> ? T : never;
  const versionOf = ({ minute, hour, value: tokens, user, model }: Version): UsageEvent =>
    event({ tokens, user, model }, (BASE_HOUR + hour) * HOUR_MS + minute * MINUTE_MS);

  it("leave the folds of one pass over the corrected log, for every aggregation", () => {
    fc.assert(
      fc.property(
        fc.array(recorded, { minLength: 1, maxLength: 12 }),
        fc.array(fc.tuple(fc.nat(), fc.option(recorded)), { maxLength: 12 }),
        (first, corrections) => {
          const folds = new MemoryFolds();
          let present: Arrived[] = first.map((version, order) => ({ event: versionOf(version), order }));
          fold(present, all, folds);
          for (const [place, [which, version]] of corrections.entries()) {
            const corrected = present[which % Math.max(1, present.length)];
            if (!corrected) break;
            present = present.filter((each) => each !== corrected);
            const { type, time } = corrected.event;
            const minuteOf = (at: number) => Math.floor(at / MINUTE_MS);
            recountMinute(
              folds,
              all,
              { type, time },
              present.filter((each) => minuteOf(each.event.time) === minuteOf(time)),
            );
            if (!version) continue;
            const replacement: Arrived = { event: versionOf(version), order: first.length + place };
            present.push(replacement);
            fold([replacement], all, folds);
          }
          const once = view(fold(present));
          const found = view(folds);
          expect(found.cells).toEqual(once.cells);
          // A group that lost all its events keeps its name, with nothing in it.
          for (const [name, total] of found.totals)
            if (total?.count === 0 && !once.totals.has(name)) found.totals.delete(name);
          expect(found.totals).toEqual(once.totals);
        },
      ),
    );
  });

  it("are stored and read as they are, emptied minutes included, and empty their rollups", () => {
    const folds = fold([{ event: event({ tokens: 1, user: "a", model: "x" }), order: 1 }]);
    for (const chunk of folds.chunks.values()) while (chunk.unsent.length > 0) takeRollups(chunk);
    recountMinute(folds, all, { type: "prompt", time: BASE_HOUR * HOUR_MS }, []);
    for (const chunk of folds.chunks.values()) {
      const read = decodeChunk(
        chunk.meter,
        chunk.hour,
        chunk.groups,
        encodeChunk(chunk).map(({ minutes }) => minutes),
      );
      expect([...read.rows.values()].map(({ minutes, emptied }) => [minutes, emptied])).toEqual([[[], [0]]]);
      const rows = takeRollups(chunk);
      expect(
        rows.map(({ resolution, count, sum, min, max, latest }) => [resolution, count, sum, min, max, latest]),
      ).toEqual([
        ["minute", 0, "0", null, null, null],
        ["quarter", 0, "0", null, null, null],
      ]);
      markAllUnsent(read);
      expect(takeRollups(read)).toEqual(rows);
    }
  });
});
