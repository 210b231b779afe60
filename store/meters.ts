/**
 * Meters: what of an event is counted, and by which dimensions. Definitions are written through `publishConfig`, whose snapshot is
 * what objects fold by; these queries are for the people who manage them. A deleted meter's key is free again, its row stays.
 */
import { and, asc, desc, eq, isNull, or } from "drizzle-orm";
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
  /** The configuration version that brought its present definition. */
  configVersion: number;
  /** null: objects may not have folded their logs by it yet (fold-progress.ts). */
  foldedAt: number | null;
  createdAt: number;
  updatedAt: number;
  deletedAt: number | null;
}

export type NewMeter = Omit<MeterRow, "foldedAt" | "deletedAt">;

/** What people may change of a meter. Other dimensions are another definition, so they come with the version that brings it. */
export type MeterChange = Partial<Pick<MeterRow, "name" | "description" | "metadata">> &
  (Pick<MeterRow, "groupBy" | "configVersion"> | { groupBy?: never; configVersion?: never });

/** For `publishConfig`. A key that a meter has already refuses the batch. */
export const insertMeter = (store: Store, namespaceId: string, meter: NewMeter) =>
  store.db.insert(store.tables.meters).values({ ...meter, namespaceId });

const live = ({ tables: { meters } }: Store, namespaceId: string, id: string) =>
  and(eq(meters.namespaceId, namespaceId), eq(meters.id, id), isNull(meters.deletedAt));

/** For `publishConfig` when the definition changes, which makes it unfolded; else a write of its own. */
export const updateMeter = (store: Store, namespaceId: string, id: string, change: MeterChange, now: number) =>
  store.db
    .update(store.tables.meters)
    .set({ ...change, ...(change.groupBy && { foldedAt: null }), updatedAt: now })
    .where(live(store, namespaceId, id));

/** For `publishConfig`. */
export const deleteMeter = (store: Store, namespaceId: string, id: string, now: number) =>
  store.db
    .update(store.tables.meters)
    .set({ deletedAt: now, updatedAt: now })
    .where(live(store, namespaceId, id));

/** By id or by key. A deleted one is found by its id only, and only by who asks for it. */
export async function findMeter(
  store: Store,
  namespaceId: string,
  idOrKey: string,
  { deleted = false }: { deleted?: boolean } = {},
): Promise<MeterRow | null> {
  const { meters } = store.tables;
  const isLive = isNull(meters.deletedAt);
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const inNamespace = eq(meters.namespaceId, namespaceId);
  const found = await store.db
    .select()
    .from(meters)
    .where(
      or(
        and(inNamespace, eq(meters.id, idOrKey), deleted ? undefined : isLive),
        and(inNamespace, isLive, eq(meters.key, idOrKey)),
      ),
    );
  return found.find((meter) => meter.id === idOrKey) ?? found[0] ?? null;
}

export interface MeterList {
  orderBy: "key" | "name" | "aggregation" | "createdAt" | "updatedAt";
  order: "ASC" | "DESC";
  includeDeleted: boolean;
  offset: number;
  limit: number;
}

/** In any order that people like: a namespace has as many meters as fit its configuration, so they are sorted as they are read. */
export async function listMeters(
  store: Store,
  namespaceId: string,
  { orderBy, order, includeDeleted, offset, limit }: MeterList,
): Promise<MeterRow[]> {
  const { meters } = store.tables;
  const direction = order === "ASC" ? asc : desc;
  return store.db
    .select()
    .from(meters)
    .where(and(eq(meters.namespaceId, namespaceId), includeDeleted ? undefined : isNull(meters.deletedAt)))
    .orderBy(direction(meters[orderBy]), asc(meters.id))
    .limit(limit)
    .offset(offset);
}
