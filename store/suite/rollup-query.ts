/** Queries of the whole namespace, and what decides whether the rollups can answer them. */
import * as fc from "fast-check";
import { ulid } from "ulid";
import { expect, it } from "vitest";
import { AGGREGATIONS, type Aggregation } from "../../core/aggregation";
import { formatQuantity, ONE_QUANTITY, quantity } from "../../core/quantity";
import type { Rollup } from "../../schema/messages";
import { applyRating } from "../apply-rating";
import {
  foldProgress,
  listBehind,
  markFolded,
  noteFolded,
  UNFOLDED_MS_MIN,
  unfoldedNamespaces,
} from "../fold-progress";
import { insertMeter, findMeter, listMeters, updateMeter } from "../meters";
import { findProgress, PROGRESS_MS, purgeProgress, saveProgress } from "../progress";
import { purgeKeys, rollupKeys } from "../rollups";
import { daysWithRollups, objectsWithRollups, readRollups, type RollupGroup, type RollupQuery } from "../rollup-query";
import { commit, type Store } from "../store";
import { ALL_METERS, DAY_MS, HOUR_MS, meter, MINUTE_MS, newNamespace, NOW, rating, rollup } from "./builders";

const METER = "01JMETER.1x";
const QUARTER_MS = 15 * MINUTE_MS;

/** A row of one object. */
interface Row extends Rollup {
  object: string;
}

function totalsOf(row: Row): Rollup {
  const { object: _, ...totals } = row;
  return totals;
}

async function write(store: Store, namespaceId: string, rows: readonly Row[]): Promise<void> {
  const objects = [...new Set(rows.map(({ object }) => object))];
  await applyRating(
    store,
    objects.map((object) =>
      rating({
        namespaceId,
        object: `${namespaceId}/${object}`,
        rollups: rows.filter((each) => each.object === object).map(totalsOf),
        customer: { ...rating({ namespaceId }).customer, id: `customer of ${object}`, key: object },
      }),
    ),
  );
}

/** What one pass over the rows makes of the query. */
function naive(rows: readonly Row[], { meterKey, aggregation, ranges, dimensions }: Omit<RollupQuery, "rowsMax">) {
  const groups = new Map<string, RollupGroup>();
  for (const { window, resolution, from, to } of ranges) {
    for (const row of rows) {
      if (row.meter !== meterKey || row.resolution !== resolution || row.count === 0) continue;
      if (row.windowStart < from || row.windowStart >= to) continue;
      const values = JSON.parse(row.group) as (string | null)[];
      const group = dimensions.map((place) => values[place]!);
      const key = JSON.stringify([window, group]);
      const known = groups.get(key);
      const into = known ?? {
        window,
        group,
        count: 0,
        sum: 0n,
        min: null,
        max: null,
        latest: null,
        first: Infinity,
        last: 0,
      };
      groups.set(key, into);
      into.count += row.count;
      into.first = Math.min(into.first, row.windowStart);
      into.last = Math.max(into.last, row.windowStart);
      const [min, max] = [quantity(row.min!), quantity(row.max!)];
      if (aggregation === "SUM" || aggregation === "AVG") into.sum += quantity(row.sum);
      if (aggregation === "MIN") into.min = into.min === null || min < into.min ? min : into.min;
      if (aggregation === "MAX") into.max = into.max === null || max > into.max ? max : into.max;
      if (aggregation === "LATEST" && row.latestAt! >= (into.latest?.at ?? 0))
        into.latest = { value: quantity(row.latest!), at: row.latestAt! };
    }
  }
  return inOrder([...groups.values()]);
}

const inOrder = (groups: RollupGroup[]): RollupGroup[] =>
  groups.sort((a, b) => (JSON.stringify([a.window, a.group]) < JSON.stringify([b.window, b.group]) ? -1 : 1));

const START = Date.UTC(2026, 9, 24);
const value = fc.bigInt({ min: -5n * ONE_QUANTITY, max: 5n * ONE_QUANTITY }).map(formatQuantity);
/** Texts that JSON writes with escapes, and one that looks like an escape. */
const nasty = ['ä"', "\\", "\\u0000", "\0", "\\\0\\", "\ud800", "\n", "'; --"];
const dimension = fc.constantFrom("a", "b", "", "null", ...nasty, null);
const row: fc.Arbitrary<Row> = fc
  .record({
    object: fc.constantFrom("x", "y", "z"),
    meter: fc.constantFrom(METER, METER, METER, "another"),
    resolution: fc.constantFrom("minute" as const, "quarter" as const),
    place: fc.integer({ min: 0, max: 12 }),
    group: fc.tuple(fc.constantFrom("s1", "s2"), dimension, dimension).map((values) => JSON.stringify(values)),
    count: fc.integer({ min: 0, max: 3 }),
    sum: value,
    min: value,
    max: value,
    latest: value,
  })
  .map(({ place, ...fields }) => ({
    ...fields,
    windowStart: START + place * (fields.resolution === "quarter" ? QUARTER_MS : MINUTE_MS),
    latestAt: 0,
  }));
const ranges = fc.array(
  fc
    .record({
      window: fc.constantFrom(1, 2, 3),
      resolution: fc.constantFrom("minute" as const, "quarter" as const),
      from: fc.integer({ min: 0, max: 13 }),
      length: fc.integer({ min: 0, max: 13 }),
    })
    .map(({ window, resolution, from, length }) => {
      const unit = resolution === "quarter" ? QUARTER_MS : MINUTE_MS;
      return { window, resolution, from: START + from * unit, to: START + (from + length) * unit };
    }),
  { maxLength: 4 },
);

export function rollupQuerySuite(open: () => Store): void {
  it("adds up what one pass over the rows does, whatever the windows and the dimensions", async () => {
    const store = open();
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(row, {
          maxLength: 40,
          selector: ({ object, meter: key, resolution, windowStart, group }) =>
            [object, key, resolution, windowStart, group].join(),
        }),
        ranges,
        fc.subarray([0, 1, 2]),
        fc.constantFrom(...AGGREGATIONS),
        async (drawn, windows, dimensions, aggregation) => {
          // Each has a time of its own: of two of one time any is the latest.
          const rows = drawn.map((each, n) => ({ ...each, latestAt: each.windowStart + n }));
          const namespaceId = await newNamespace(store);
          await write(store, namespaceId, rows);
          const query = { meterKey: METER, aggregation, ranges: windows, dimensions };
          const answer = await readRollups(store, namespaceId, { ...query, rowsMax: 1_000 });
          expect(inOrder(answer!)).toEqual(naive(rows, query));
        },
      ),
      { numRuns: 40, seed: 20261121 },
    );
  });

  it("reads more windows than one statement joins", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const minutes = Array.from({ length: 10_500 }, (_, n) => START + n * MINUTE_MS);
    const counted = minutes.filter((_, n) => n % 3_000 === 0);
    const rows = counted.map((windowStart) => ({
      ...rollup({ meter: METER, windowStart, group: '["s"]' }),
      object: "x",
    }));
    await write(store, namespaceId, rows);
    const windows = minutes.map((from) => ({
      window: from,
      resolution: "minute" as const,
      from,
      to: from + MINUTE_MS,
    }));
    const query = { meterKey: METER, aggregation: "SUM" as Aggregation, ranges: windows, dimensions: [] };
    const answer = await readRollups(store, namespaceId, { ...query, rowsMax: 100 });
    expect(inOrder(answer!)).toEqual(naive(rows, query));
    expect(answer!.map(({ window }) => window)).toEqual(counted);
    expect(await readRollups(store, namespaceId, { ...query, rowsMax: counted.length })).toHaveLength(counted.length);
  });

  it("answers nothing rather than a part, when there are more rows than asked for", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    await write(
      store,
      namespaceId,
      ["a", "b", "c"].map((subject) => ({
        ...rollup({ meter: METER, windowStart: START, group: JSON.stringify([subject]) }),
        object: "x",
      })),
    );
    const query = (rowsMax: number, dimensions: number[]) =>
      readRollups(store, namespaceId, {
        meterKey: METER,
        aggregation: "COUNT",
        ranges: [{ window: 0, resolution: "minute", from: START, to: START + 1 }],
        dimensions,
        rowsMax,
      });
    expect(await query(2, [0])).toBe(null);
    expect(await query(3, [0])).toHaveLength(3);
    expect(await query(1, [])).toMatchObject([{ count: 3, group: [] }]);
  });

  it("finds the days with usage and the objects that have it, and sees no other meter, namespace or resolution", async () => {
    const store = open();
    const [namespaceId, other] = [await newNamespace(store), await newNamespace(store)];
    const at = (days: number, of: Partial<Row> = {}): Row => ({
      ...rollup({ meter: METER, resolution: "quarter", windowStart: START + days * DAY_MS + QUARTER_MS }),
      object: "x",
      ...of,
    });
    const rows = [at(-4_000), at(0), at(0, { object: "y" }), at(3, { object: "z", group: '["g"]' }), at(3)];
    await write(store, namespaceId, [...rows, at(1, { meter: "another" }), at(2, { resolution: "minute" })]);
    await write(store, other, [at(5)]);
    const days = (from: number, to: number, limit = 10) =>
      daysWithRollups(store, namespaceId, { meterKey: METER, from, to, limit });
    expect(await days(0, START + 10 * DAY_MS)).toEqual([START - 4_000 * DAY_MS, START, START + 3 * DAY_MS]);
    expect(await days(0, START + 10 * DAY_MS, 2)).toHaveLength(2);
    expect(await days(START, START + 3 * DAY_MS)).toEqual([START]);
    expect(await days(START + QUARTER_MS + 1, START + 3 * DAY_MS)).toEqual([]);
    const objects = async (from: number, to: number, limit = 10) => {
      const found = await objectsWithRollups(store, namespaceId, {
        meterKey: METER,
        resolution: "quarter",
        from,
        to,
        limit,
      });
      return found.map(({ object, customerId }) => [object.split("/")[1], customerId]);
    };
    expect(await objects(START, START + DAY_MS)).toEqual([
      ["x", "customer of x"],
      ["y", "customer of y"],
    ]);
    expect(await objects(0, START + 4 * DAY_MS)).toHaveLength(3);
    expect(await objects(0, START + 4 * DAY_MS, 2)).toHaveLength(2);
    expect(await objects(START + DAY_MS, START + 3 * DAY_MS)).toEqual([]);
  });

  it("knows which objects are behind a meter's definition, and marks it folded once none can be", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const [old, young] = [meter({ key: "old", configVersion: 3 }), meter({ key: "young", configVersion: 5 })];
    await commit(
      store,
      [old, young].map((each) => insertMeter(store, namespaceId, each)),
    );
    await write(
      store,
      namespaceId,
      ["x", "y"].map((object) => ({ ...rollup(), object })),
    );
    const foldedAt = async () =>
      (await listMeters(store, namespaceId, ALL_METERS)).map(({ key, foldedAt: at }) => [key, at]);
    const done = NOW + UNFOLDED_MS_MIN + 1;
    const unfoldedVersion = async () =>
      (await unfoldedNamespaces(store, 10_000)).find((each) => each.namespaceId === namespaceId)?.version ?? null;

    expect(await unfoldedVersion()).toBe(5);
    expect(await foldProgress(store, namespaceId, 5)).toEqual({ done: 0, total: 2 });
    await noteFolded(store, namespaceId, `${namespaceId}/x`, 5);
    await noteFolded(store, namespaceId, `${namespaceId}/y`, 3);
    await noteFolded(store, namespaceId, `${namespaceId}/x`, 4);
    expect(await foldProgress(store, namespaceId, 5)).toEqual({ done: 1, total: 2 });
    expect(await foldProgress(store, namespaceId, 3)).toEqual({ done: 2, total: 2 });
    const behind = (after: string | null, limit = 10) => listBehind(store, namespaceId, { version: 5, after, limit });
    expect(await behind(null)).toEqual([{ name: `${namespaceId}/y`, customerId: "customer of y" }]);
    expect(await behind(`${namespaceId}/y`)).toEqual([]);

    expect(
      await markFolded(store, namespaceId, NOW + UNFOLDED_MS_MIN),
      "somebody may still write by an older one",
    ).toBe(0);
    expect(await markFolded(store, namespaceId, done)).toBe(1);
    expect(await foldedAt()).toEqual([
      ["old", done],
      ["young", null],
    ]);
    await noteFolded(store, namespaceId, `${namespaceId}/y`, 5);
    expect(await markFolded(store, namespaceId, done)).toBe(1);
    expect(await unfoldedVersion()).toBe(null);

    await commit(store, [updateMeter(store, namespaceId, old.id, { name: "renamed" }, done)]);
    expect(await unfoldedVersion(), "a name is no definition").toBe(null);
    await commit(store, [updateMeter(store, namespaceId, old.id, { groupBy: {}, configVersion: 7 }, done)]);
    expect(await unfoldedVersion()).toBe(7);
    expect(await findMeter(store, namespaceId, "old")).toMatchObject({ configVersion: 7, foldedAt: null });
  });

  it("deletes the rollups of given definitions, a bounded number at a time, and none when the configuration has changed", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const rows = ["gone", METER, "old", "zz"].flatMap((key) =>
      Array.from({ length: 3 }, (_, n) => ({
        ...rollup({ meter: key, windowStart: START + n * MINUTE_MS }),
        object: "x",
      })),
    );
    await write(store, namespaceId, rows);
    expect(await rollupKeys(store, namespaceId)).toEqual([METER, "gone", "old", "zz"]);
    const purge = (keys: string[], rowsMax: number, configVersion = 0) =>
      purgeKeys(store, namespaceId, { keys, rowsMax, configVersion });
    expect(await purge(["gone", "old"], 4, 1)).toBe(0);
    expect(await purge(["gone", "old"], 4)).toBe(4);
    expect(await purge(["gone", "old"], 4)).toBe(2);
    expect(await purge(["gone", "old"], 4)).toBe(0);
    expect(await rollupKeys(store, namespaceId)).toEqual([METER, "zz"]);
    expect(await purge([], 4)).toBe(0);
    expect(await rollupKeys(store, await newNamespace(store))).toEqual([]);
  });

  it("shows and takes nothing of one namespace to another", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    await commit(store, [insertMeter(store, ours, meter({ configVersion: 5 }))]);
    const rows = (["minute", "quarter"] as const).map((resolution) => ({
      ...rollup({ meter: METER, resolution, windowStart: START }),
      object: "x",
    }));
    await write(store, ours, rows);
    const name = `${ours}/x`;
    const range = { meterKey: METER, from: 0, to: NOW, limit: 10 };
    const seen = async (namespaceId: string) => [
      await readRollups(store, namespaceId, {
        meterKey: METER,
        aggregation: "SUM",
        ranges: [{ window: 0, resolution: "quarter", from: 0, to: NOW }],
        dimensions: [],
        rowsMax: 10,
      }),
      await daysWithRollups(store, namespaceId, range),
      await objectsWithRollups(store, namespaceId, { ...range, resolution: "quarter" }),
      await rollupKeys(store, namespaceId),
      await listBehind(store, namespaceId, { version: 5, after: null, limit: 10 }),
    ];
    const before = await seen(ours);
    expect(before.map((list) => list!.length)).toEqual([1, 1, 1, 1, 1]);
    expect(await seen(theirs)).toEqual([[], [], [], [], []]);
    expect(await foldProgress(store, theirs, 5)).toEqual({ done: 0, total: 0 });
    await noteFolded(store, theirs, name, 5);
    expect(await markFolded(store, theirs, NOW + HOUR_MS)).toBe(0);
    expect(await purgeKeys(store, theirs, { keys: [METER], configVersion: 0, rowsMax: 10 })).toBe(0);
    expect(await seen(ours)).toEqual(before);
    expect(await foldProgress(store, ours, 5)).toEqual({ done: 0, total: 1 });
  });

  it("remembers a query's newest step for five minutes", async () => {
    const store = open();
    const [namespaceId, other] = [await newNamespace(store), await newNamespace(store)];
    const step = (success: number, updatedAt: number) =>
      commit(store, [saveProgress(store, namespaceId, "q", { success, failed: 0, total: 5, updatedAt })]);
    const known = async (now: number, namespace = namespaceId, id = "q") =>
      (await findProgress(store, namespace, id, now))?.success ?? null;
    expect(await known(NOW)).toBe(null);
    await step(1, NOW);
    await step(3, NOW + 2);
    await step(2, NOW + 1);
    await step(2, NOW + 2);
    expect(await known(NOW + 10)).toBe(3);
    expect(await known(NOW + 10, other)).toBe(null);
    expect(await known(NOW + 10, namespaceId, ulid())).toBe(null);
    expect(await known(NOW + 2 + PROGRESS_MS)).toBe(null);
    await commit(store, [purgeProgress(store, namespaceId, NOW + HOUR_MS)]);
    expect(await known(NOW + 10)).toBe(null);
  });
}
