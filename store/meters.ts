/**
 * Meters: what of an event is counted, and by which dimensions. Rows are written through `publishConfig`, whose snapshot is
 * what objects fold by; these queries are for the people who manage them. A deleted meter's key is free again.
 */
import { and, asc, eq, gt, isNull, or } from "drizzle-orm";
import { pageOf, type Page, type PageRequest } from "./page";
import type { Store } from "./store";

export interface MeterRow {
  id: string;
  key: string;
  eventType: string;
  aggregation: string;
  valueProperty: string | null;
  /** Dimension → JSONPath. */
  groupBy: Record<string, string>;
  eventFrom: number | null;
  name: string | null;
  description: string | null;
  metadata: Record<string, string> | null;
  createdAt: number;
  updatedAt: number;
  deletedAt: number | null;
}

export type MeterChange = Partial<Pick<MeterRow, "name" | "description" | "metadata" | "groupBy">>;

/** For `publishConfig`. A key that a meter has already refuses the batch. */
export const insertMeter = (store: Store, namespaceId: string, meter: Omit<MeterRow, "deletedAt">) =>
  store.db.insert(store.tables.meters).values({ ...meter, namespaceId });

const live = ({ tables: { meters } }: Store, namespaceId: string, id: string) =>
  and(eq(meters.namespaceId, namespaceId), eq(meters.id, id), isNull(meters.deletedAt));

/** For `publishConfig`. */
export const updateMeter = (store: Store, namespaceId: string, id: string, change: MeterChange, now: number) =>
  store.db
    .update(store.tables.meters)
    .set({ ...change, updatedAt: now })
    .where(live(store, namespaceId, id));

/** For `publishConfig`. */
export const deleteMeter = (store: Store, namespaceId: string, id: string, now: number) =>
  store.db
    .update(store.tables.meters)
    .set({ deletedAt: now, updatedAt: now })
    .where(live(store, namespaceId, id));

/** By id or by key; deleted ones do not exist. */
export async function findMeter(store: Store, namespaceId: string, idOrKey: string): Promise<MeterRow | null> {
  const { meters } = store.tables;
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const inNamespace = and(eq(meters.namespaceId, namespaceId), isNull(meters.deletedAt));
  const found = await store.db
    .select()
    .from(meters)
    .where(or(and(inNamespace, eq(meters.id, idOrKey)), and(inNamespace, eq(meters.key, idOrKey))));
  return found.find((meter) => meter.id === idOrKey) ?? found[0] ?? null;
}

/** By key. */
export async function listMeters(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<MeterRow>> {
  const { meters } = store.tables;
  const rows = await store.db
    .select()
    .from(meters)
    .where(
      and(
        eq(meters.namespaceId, namespaceId),
        isNull(meters.deletedAt),
        cursor === null ? undefined : gt(meters.key, cursor),
      ),
    )
    .orderBy(asc(meters.key))
    .limit(limit + 1);
  return pageOf(rows, limit, (meter) => meter.key);
}
