/**
 * What the rollups know of one meter in a namespace, added up in the database by window and by the dimensions that a query needs, over
 * all objects. The caller says which windows are read at which resolution; an answer is bounded, and past the bound there is none.
 */
import { and, asc, eq, gte, gt, lt, sql, sum, type SQL } from "drizzle-orm";
import type { Aggregation } from "../core/aggregation";
import { quantity, type Quantity } from "../core/quantity";
import type { Resolution } from "../schema/tables";
import type { Store } from "./store";

/** Rows of one resolution that start in [from, to), under the label of their window. */
export interface RollupRange {
  window: number;
  resolution: Resolution;
  from: number;
  to: number;
}

export interface RollupQuery {
  /** The fold key. */
  meterKey: string;
  aggregation: Aggregation;
  ranges: readonly RollupRange[];
  /** Places in the group: 0 is the subject, then the dimensions by name. */
  dimensions: readonly number[];
  /** More rows than these are none. */
  rowsMax: number;
}

export interface RollupGroup {
  window: number;
  /** Of the dimensions asked for; null where one has gone coarse. */
  group: (string | null)[];
  count: number;
  /** Those that the aggregation keeps; the others are "0" or null. */
  sum: Quantity;
  min: Quantity | null;
  max: Quantity | null;
  latest: { value: Quantity; at: number } | null;
  /** The starts of the first and the last row. */
  first: number;
  last: number;
}

/** Ranges that one statement joins: some 60 bytes each as JSON, and D1 binds values up to 2 MB. */
const RANGES_PER_STATEMENT_MAX = 10_000;

/** Added to a time so that it sorts as text; the value follows it. Both dialects spell this alike. */
const LATEST_BIAS_MS = 1_000_000_000_000_000;

/** null: more than `rowsMax` rows. */
export async function readRollups(
  store: Store,
  namespaceId: string,
  query: RollupQuery,
): Promise<RollupGroup[] | null> {
  const groups: RollupGroup[] = [];
  for (let start = 0; start < query.ranges.length; start += RANGES_PER_STATEMENT_MAX) {
    const ranges = query.ranges.slice(start, start + RANGES_PER_STATEMENT_MAX);
    groups.push(...(await readRanges(store, namespaceId, { ...query, ranges }, query.rowsMax - groups.length + 1)));
    if (groups.length > query.rowsMax) return null;
  }
  return groups;
}

async function readRanges(
  store: Store,
  namespaceId: string,
  { meterKey, aggregation, ranges, dimensions }: RollupQuery,
  limit: number,
): Promise<RollupGroup[]> {
  const { rollups } = store.tables;
  const json = JSON.stringify(ranges.map(({ window, resolution, from, to }) => [window, resolution, from, to]));
  const ms = (place: number): SQL<number> => sql<number>`cast(r.value ->> ${sql.raw(String(place))} as bigint)`;
  const values = dimensions.map((place) => [`d${place}`, store.dialect.jsonItem(rollups.groupKey, place)]);
  const rows = (await store.db
    .select({
      window: ms(0).mapWith(Number),
      ...(Object.fromEntries(values) as { [dimension: string]: SQL }),
      count: sum(rollups.count).mapWith(Number),
      first: sql<number>`min(${rollups.windowStart})`.mapWith(Number),
      last: sql<number>`max(${rollups.windowStart})`.mapWith(Number),
      ...aggregates(store, aggregation),
    })
    // The ranges first: SQLite takes a cross join in the order it is written, and seeks each of them.
    .from(sql`${store.dialect.jsonRows(json)} cross join rollups` as never)
    .where(
      and(
        eq(rollups.namespaceId, namespaceId),
        eq(rollups.meterKey, meterKey),
        sql`${rollups.resolution} = r.value ->> 1`,
        gte(rollups.windowStart, ms(2)),
        lt(rollups.windowStart, ms(3)),
        // A correction left nothing of it.
        gt(rollups.count, 0),
      ),
    )
    // By place: an expression with a parameter in it is another one for Postgres.
    .groupBy(sql.raw(["1", ...dimensions.map((_, n) => String(n + 2))].join(", ")))
    .limit(limit)) as ReadRow[];
  return rows.map(({ window, count, first, last, sum: total = 0n, min = null, max = null, latest = null, ...row }) => {
    const group = dimensions.map((place) => JSON.parse(row[`d${place}`] as string) as string | null);
    return { window, group, count, first, last, sum: total, min, max, latest };
  });
}

type ReadRow = Omit<RollupGroup, "group" | "sum" | "min" | "max" | "latest"> &
  Partial<Pick<RollupGroup, "sum" | "min" | "max" | "latest">> & { [dimension: `d${number}`]: unknown };

/** Only what is needed: each exact sum or extreme is some string work a row. */
function aggregates({ tables: { rollups }, dialect }: Store, aggregation: Aggregation): { [column: string]: SQL } {
  switch (aggregation) {
    case "COUNT":
    case "UNIQUE_COUNT":
      return {};
    case "SUM":
    case "AVG":
      return { sum: dialect.sum(rollups.sum) };
    case "MIN":
      return { min: dialect.min(rollups.min) };
    case "MAX":
      return { max: dialect.max(rollups.max) };
    case "LATEST": {
      const bias = sql.raw(String(LATEST_BIAS_MS));
      const latest = sql<string>`max((${rollups.latestAt} + ${bias}) || ':' || ${rollups.latest})`;
      return { latest: latest.mapWith(readLatest) };
    }
  }
}

function readLatest(text: string): { value: Quantity; at: number } {
  const [at = "", value = ""] = text.split(":");
  return { at: Number(at) - LATEST_BIAS_MS, value: quantity(value) };
}

/** The UTC days in [from, to) that have a row, ascending, at most `limit`: found by one seek each instead of a scan. */
export async function daysWithRollups(
  store: Store,
  namespaceId: string,
  { meterKey, from, to, limit }: { meterKey: string; from: number; to: number; limit: number },
): Promise<number[]> {
  const next = (start: SQL) => sql`(select min(window_start) from rollups
    where namespace_id = ${namespaceId} and meter_key = ${meterKey} and resolution = 'quarter'
      and window_start >= ${start} and window_start < ${to})`;
  const day = sql.raw(String(DAY_MS));
  const rows = await store.db.select({ at: sql<number>`at`.mapWith(Number) }).from(
    sql`(
        with recursive days(at) as (
          select ${next(sql`${from}`)}
          union all
          select ${next(sql`(days.at / ${day} + 1) * ${day}`)} from days where days.at is not null
        )
        select at from days where at is not null limit ${limit}
      ) as found` as never,
  );
  return rows.map(({ at }) => Math.floor(at / DAY_MS) * DAY_MS);
}

const DAY_MS = 86_400_000;

/** Which objects have rows of a resolution that start in [from, to), by name, at most `limit`. */
export async function objectsWithRollups(
  store: Store,
  namespaceId: string,
  {
    meterKey,
    resolution,
    from,
    to,
    limit,
  }: { meterKey: string; resolution: Resolution; from: number; to: number; limit: number },
): Promise<{ object: string; customerId: string }[]> {
  const { rollups, objects } = store.tables;
  const found = store.db
    .selectDistinct({ object: rollups.object })
    .from(rollups)
    .where(
      and(
        eq(rollups.namespaceId, namespaceId),
        eq(rollups.meterKey, meterKey),
        eq(rollups.resolution, resolution),
        gte(rollups.windowStart, from),
        lt(rollups.windowStart, to),
      ),
    )
    .limit(limit)
    .as("found");
  return store.db
    .select({ object: objects.name, customerId: objects.customerId })
    .from(found)
    .innerJoin(objects, and(eq(objects.namespaceId, namespaceId), eq(objects.name, found.object)))
    .orderBy(asc(objects.name));
}
