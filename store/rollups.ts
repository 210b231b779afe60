/**
 * Rollups: what each object counted per meter, window and group. A projection made of running totals, so writing one is
 * replacing it by a newer one. Minutes are kept for 35 days, quarter hours for ever; totals are exact to the last digit.
 */
import { and, asc, eq, gte, inArray, lt, sql, sum } from "drizzle-orm";
import { quantity, type Quantity } from "../core/quantity";
import { MINUTE_RETENTION_MS } from "../core/rollup";
import type { Resolution } from "../schema/tables";
import { isAmong, upsertNewer } from "./bulk";
import { commit, type Statement, type Store } from "./store";

export { MINUTE_RETENTION_MS };

export interface RollupRow {
  namespaceId: string;
  /** The meter's fold key (core/meter.ts): its id and a fingerprint of its definition. */
  meterKey: string;
  resolution: Resolution;
  windowStart: number;
  object: string;
  /** Canonical JSON of [subject, …values in the order of the dimensions' names]; null where a dimension has gone coarse. */
  groupKey: string;
  count: number;
  /** Canonical quantities (core/quantity.ts). "0", and the others null, where the aggregation does not keep it. */
  sum: string;
  min: string | null;
  max: string | null;
  latest: string | null;
  latestAt: number | null;
  epoch: string;
  seq: number;
}

export function upsertRollups(store: Store, rows: readonly RollupRow[]): Statement {
  const { rollups } = store.tables;
  return upsertNewer(store, rollups, rows, {
    key: [
      rollups.namespaceId,
      rollups.meterKey,
      rollups.resolution,
      rollups.windowStart,
      rollups.object,
      rollups.groupKey,
    ],
    epoch: rollups.epoch,
    seq: rollups.seq,
  });
}

/** Every fold key that has rollups, found by one seek of the primary key each instead of a scan. */
const meterKeysOf = (namespaceId: string) => sql`(
  with recursive keys(meter_key) as (
    select min(meter_key) from rollups where namespace_id = ${namespaceId}
    union all
    select (select min(r.meter_key) from rollups r where r.namespace_id = ${namespaceId} and r.meter_key > keys.meter_key)
    from keys where keys.meter_key is not null
  )
  select meter_key from keys where meter_key is not null
)`;

/** Windows that start in [from, to). */
export interface RollupRange {
  resolution: Resolution;
  from: number;
  to: number;
  /** A fold key: the rollups of one definition of a meter. */
  meterKey?: string;
}

interface Latest {
  value: Quantity;
  /** Its event's time, epoch ms. */
  at: number;
}

/** What one definition of a meter adds up to. */
export interface MeterTotal {
  meterKey: string;
  count: number;
  sum: Quantity;
  min: Quantity | null;
  max: Quantity | null;
  /** The value with the latest event time; between equal times any one, but always the same. */
  latest: Latest | null;
}

/** Added to a time so that it sorts as text; the value follows it. Both dialects spell this alike. */
const LATEST_BIAS_MS = 1_000_000_000_000_000;

const readLatest = (text: string): Latest => {
  const [at = "", value = ""] = text.split(":");
  return { at: Number(at) - LATEST_BIAS_MS, value: quantity(value) };
};

/** Each meter's total over all customers and groups, by fold key. A meter without a window in the range is not listed. */
export async function totalByMeter(
  store: Store,
  namespaceId: string,
  { resolution, from, to, meterKey }: RollupRange,
): Promise<MeterTotal[]> {
  const { rollups } = store.tables;
  const bias = sql.raw(String(LATEST_BIAS_MS));
  return store.db
    .select({
      meterKey: rollups.meterKey,
      count: sum(rollups.count).mapWith(Number),
      sum: store.dialect.sum(rollups.sum),
      min: store.dialect.min(rollups.min),
      max: store.dialect.max(rollups.max),
      latest: sql<Latest | null>`max((${rollups.latestAt} + ${bias}) || ':' || ${rollups.latest})`.mapWith(readLatest),
    })
    .from(rollups)
    .where(
      and(
        eq(rollups.namespaceId, namespaceId),
        meterKey === undefined ? inArray(rollups.meterKey, meterKeysOf(namespaceId)) : eq(rollups.meterKey, meterKey),
        eq(rollups.resolution, resolution),
        gte(rollups.windowStart, from),
        lt(rollups.windowStart, to),
      ),
    )
    .groupBy(rollups.meterKey)
    .orderBy(asc(rollups.meterKey));
}

/** Every fold key that the namespace has rollups of, ascending. */
export async function rollupKeys(store: Store, namespaceId: string): Promise<string[]> {
  const rows = await store.db
    .select({ meterKey: sql<string>`meter_key` })
    .from(sql`${meterKeysOf(namespaceId)} as known` as never)
    .orderBy(sql`meter_key`);
  return rows.map(({ meterKey }) => meterKey);
}

/**
 * Deletes rows of these fold keys, at most `rowsMax` of them; answers how many. None once the configuration is another than
 * `configVersion`: it may have brought one of them back.
 */
export async function purgeKeys(
  store: Store,
  namespaceId: string,
  { keys, configVersion, rowsMax }: { keys: readonly string[]; configVersion: number; rowsMax: number },
): Promise<number> {
  const { rollups } = store.tables;
  const key = sql`(namespace_id, meter_key, resolution, window_start, object, group_key)`;
  const rows = sql`(
    select namespace_id, meter_key, resolution, window_start, object, group_key from rollups
    where namespace_id = ${namespaceId} and ${isAmong(store, rollups.meterKey, keys)}
      and exists (select 1 from namespaces where id = ${namespaceId} and config_version = ${configVersion})
    limit ${rowsMax}
  )`;
  const { changes } = await commit(store, [store.db.delete(rollups).where(sql`${key} in ${rows}`)]);
  return changes[0] ?? 0;
}

/** Deletes minute rows older than 35 days, at most `rowsMax` of them; answers how many. Fewer than `rowsMax`: none is left. */
export async function purgeMinutes(store: Store, namespaceId: string, now: number, rowsMax: number): Promise<number> {
  const { rollups } = store.tables;
  const key = sql`(namespace_id, meter_key, resolution, window_start, object, group_key)`;
  const expired = sql`(
    select namespace_id, meter_key, resolution, window_start, object, group_key from rollups
    where namespace_id = ${namespaceId} and meter_key in ${meterKeysOf(namespaceId)}
      and resolution = 'minute' and window_start < ${now - MINUTE_RETENTION_MS}
    limit ${rowsMax}
  )`;
  const { changes } = await commit(store, [store.db.delete(rollups).where(sql`${key} in ${expired}`)]);
  return changes[0] ?? 0;
}
