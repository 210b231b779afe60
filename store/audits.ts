/**
 * What `npm run verify` and `npm run replay` read and tidy of the rollups: all rows of one definition of a meter, in order and page by page,
 * and the rows that a rebuilt object did not write again. Nothing here adds anything up.
 */
import { and, asc, eq, gt, sql } from "drizzle-orm";
import type { Resolution } from "../schema/tables";
import { isAmong } from "./bulk";
import type { ObjectRow } from "./objects";
import { pageOf, type Page, type PageRequest } from "./page";
import type { RollupRow } from "./rollups";
import { commit, type Store } from "./store";

/** Every object by name, those too that have moved into others and hold nothing. */
export async function pageRegistry(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<ObjectRow>> {
  const { objects } = store.tables;
  const rows = await store.db
    .select()
    .from(objects)
    .where(and(eq(objects.namespaceId, namespaceId), cursor === null ? undefined : gt(objects.name, cursor)))
    .orderBy(asc(objects.name))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => row.name);
}

export type AuditedRollup = Omit<RollupRow, "namespaceId" | "meterKey" | "resolution">;

/** By window, object and group; the cursor is the JSON of the three. */
export async function pageRollups(
  store: Store,
  namespaceId: string,
  { meterKey, resolution }: { meterKey: string; resolution: Resolution },
  { cursor, limit }: PageRequest,
): Promise<Page<AuditedRollup>> {
  const { rollups } = store.tables;
  const [windowStart, object, groupKey] = cursor === null ? [] : (JSON.parse(cursor) as [number, string, string]);
  const {
    windowStart: start,
    object: name,
    groupKey: group,
    count,
    sum,
    min,
    max,
    latest,
    latestAt,
    epoch,
    seq,
  } = rollups;
  const rows = await store.db
    .select({ windowStart: start, object: name, groupKey: group, count, sum, min, max, latest, latestAt, epoch, seq })
    .from(rollups)
    .where(
      and(
        eq(rollups.namespaceId, namespaceId),
        eq(rollups.meterKey, meterKey),
        eq(rollups.resolution, resolution),
        windowStart === undefined
          ? undefined
          : sql`(${start}, ${name}, ${group}) > (${windowStart}, ${object}, ${groupKey})`,
      ),
    )
    .orderBy(asc(start), asc(name), asc(group))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => JSON.stringify([row.windowStart, row.object, row.groupKey]));
}

/**
 * Deletes rows of these objects from before they were rebuilt: windows that their logs no longer have. Only of objects whose rebuilding
 * is through. Answers how many, at most `rowsMax`; fewer: none is left.
 */
export async function purgeOutdated(
  store: Store,
  namespaceId: string,
  { meterKey, objects: names, rowsMax }: { meterKey: string; objects: readonly string[]; rowsMax: number },
): Promise<number> {
  const { rollups, objects } = store.tables;
  const outdated = store.db
    .select({
      namespaceId: rollups.namespaceId,
      meterKey: rollups.meterKey,
      resolution: rollups.resolution,
      windowStart: rollups.windowStart,
      object: rollups.object,
      groupKey: rollups.groupKey,
    })
    .from(rollups)
    .innerJoin(objects, and(eq(objects.namespaceId, rollups.namespaceId), eq(objects.name, rollups.object)))
    .where(
      and(
        eq(rollups.namespaceId, namespaceId),
        eq(rollups.meterKey, meterKey),
        isAmong(store, rollups.object, names),
        sql`${rollups.epoch} < ${objects.epoch}`,
      ),
    )
    .limit(rowsMax);
  const key = sql`(namespace_id, meter_key, resolution, window_start, object, group_key)`;
  const { changes } = await commit(store, [store.db.delete(rollups).where(sql`${key} in ${outdated}`)]);
  return changes[0] ?? 0;
}
