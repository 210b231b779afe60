/**
 * What somebody should look at: usage that nothing prices, and customers near what one object may hold. Read from the projections,
 * so it is as old as they are: some seconds.
 */
import { and, asc, desc, eq, gt, sql, sum, type SQL } from "drizzle-orm";
import type { Store } from "./store";

/** A literal, not a parameter: the planner must see that the partial index `wallets_unrated` covers it. */
const isUnrated = ({ tables: { wallets } }: Store): SQL => sql`${wallets.unrated} > 0`;

/** Customers with unrated events, by id, those after `afterId`. */
export async function listUnrated(
  store: Store,
  namespaceId: string,
  { afterId, limit }: { afterId: string | null; limit: number },
): Promise<{ customerId: string; unrated: number }[]> {
  const { wallets } = store.tables;
  return store.db
    .select({ customerId: wallets.customerId, unrated: wallets.unrated })
    .from(wallets)
    .where(
      and(
        eq(wallets.namespaceId, namespaceId),
        isUnrated(store),
        afterId === null ? undefined : gt(wallets.customerId, afterId),
      ),
    )
    .orderBy(asc(wallets.customerId))
    .limit(limit);
}

export async function countUnrated(store: Store, namespaceId: string): Promise<number> {
  const { wallets } = store.tables;
  const [row] = await store.db
    .select({ unrated: sum(wallets.unrated).mapWith(Number) })
    .from(wallets)
    .where(and(eq(wallets.namespaceId, namespaceId), isUnrated(store)));
  return row?.unrated ?? 0;
}

/** The objects that the store heard of last, newest first. */
export async function listLatest(store: Store, namespaceId: string, limit: number): Promise<{ name: string }[]> {
  const { objects } = store.tables;
  return store.db
    .select({ name: objects.name })
    .from(objects)
    .where(eq(objects.namespaceId, namespaceId))
    .orderBy(desc(objects.updatedAt))
    .limit(limit);
}

/** Customers whose objects hold more than `eventsMin` events, the fullest first. */
export async function listFullest(
  store: Store,
  namespaceId: string,
  { eventsMin, limit }: { eventsMin: number; limit: number },
): Promise<{ customerKey: string; events: number }[]> {
  const { objects } = store.tables;
  return store.db
    .select({ customerKey: objects.customerKey, events: objects.eventCount })
    .from(objects)
    .where(and(eq(objects.namespaceId, namespaceId), gt(objects.eventCount, eventsMin)))
    .orderBy(desc(objects.eventCount))
    .limit(limit);
}
