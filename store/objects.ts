/** The registry of customer objects: which exist and how far the store has followed each. A projection, written by apply-rating.ts. */
import { and, asc, count, eq, gt, sum } from "drizzle-orm";
import { upsertNewer } from "./bulk";
import { pageOf, type Page, type PageRequest } from "./page";
import type { Statement, Store } from "./store";

export interface ObjectRow {
  namespaceId: string;
  name: string;
  epoch: string;
  customerId: string;
  customerKey: string;
  firstSeenAt: number;
  lastSeq: number;
  eventCount: number;
  updatedAt: number;
}

export function upsertObjects(store: Store, rows: readonly ObjectRow[]): Statement {
  const { objects } = store.tables;
  return upsertNewer(store, objects, rows, {
    key: [objects.namespaceId, objects.name],
    epoch: objects.epoch,
    seq: objects.lastSeq,
    keep: [objects.firstSeenAt],
  });
}

export async function findObject(store: Store, namespaceId: string, name: string): Promise<ObjectRow | null> {
  const { objects } = store.tables;
  const [row] = await store.db
    .select()
    .from(objects)
    .where(and(eq(objects.namespaceId, namespaceId), eq(objects.name, name)));
  return row ?? null;
}

/** By name. */
export async function listObjects(
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

/** What the store has heard of so far. */
export async function countObjects(store: Store, namespaceId: string): Promise<{ objects: number; events: number }> {
  const { objects } = store.tables;
  const [totals] = await store.db
    .select({ objects: count(), events: sum(objects.eventCount).mapWith(Number) })
    .from(objects)
    .where(eq(objects.namespaceId, namespaceId));
  return { objects: totals?.objects ?? 0, events: totals?.events ?? 0 };
}
