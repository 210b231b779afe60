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
  /** The newest configuration version by whose meters the whole log is folded and sent (fold-progress.ts). */
  foldedVersion: number;
  /** Log entries up to this one are in the archive (archive.ts). */
  archivedSeq: number;
  /** The UTC day on which it accepted events last, days since 1970, and how many then. */
  today: number;
  todayCounts: [subject: string, count: number][] | null;
  /** All that was here has moved into another object. */
  closed: boolean;
  updatedAt: number;
}

/** What an object says of itself; how far it is archived its archive says. */
export function upsertObjects(store: Store, rows: readonly Omit<ObjectRow, "archivedSeq">[]): Statement {
  const { objects } = store.tables;
  const unarchived = rows.map((row) => ({ ...row, archivedSeq: 0 }));
  return upsertNewer(store, objects, unarchived, {
    key: [objects.namespaceId, objects.name],
    epoch: objects.epoch,
    seq: objects.lastSeq,
    keep: [objects.firstSeenAt, objects.archivedSeq],
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

/** Those that hold data, by name. */
export async function listObjects(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<ObjectRow>> {
  const { objects } = store.tables;
  const rows = await store.db
    .select()
    .from(objects)
    .where(
      and(
        eq(objects.namespaceId, namespaceId),
        eq(objects.closed, false),
        cursor === null ? undefined : gt(objects.name, cursor),
      ),
    )
    .orderBy(asc(objects.name))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => row.name);
}

/** What objects accepted on this UTC day, by subject, a page of objects at a time. */
export async function listToday(
  store: Store,
  namespaceId: string,
  day: number,
  { cursor, limit }: PageRequest,
): Promise<Page<{ name: string; todayCounts: ObjectRow["todayCounts"] }>> {
  const { objects } = store.tables;
  const rows = await store.db
    .select({ name: objects.name, todayCounts: objects.todayCounts })
    .from(objects)
    .where(
      and(
        eq(objects.namespaceId, namespaceId),
        eq(objects.today, day),
        cursor === null ? undefined : gt(objects.name, cursor),
      ),
    )
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
    .where(and(eq(objects.namespaceId, namespaceId), eq(objects.closed, false)));
  return { objects: totals?.objects ?? 0, events: totals?.events ?? 0 };
}
