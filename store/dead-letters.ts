/** Queue messages that were given up: kept with the reason, listed, and marked when they were applied after all. */
import { and, count, desc, eq, isNull, lt } from "drizzle-orm";
import { insertRows } from "./bulk";
import { pageOf, type Page, type PageRequest } from "./page";
import { commit, type Store } from "./store";

export interface NewDeadLetter {
  /** A ULID made from the message's own time and id, so that a redelivered message is recorded once. */
  id: string;
  /** null: the message did not say. Only the operator sees those. */
  namespaceId: string | null;
  queue: string;
  body: string;
  reason: string;
  attempts: number;
  createdAt: number;
}

export interface DeadLetter extends NewDeadLetter {
  replayedAt: number | null;
}

/** A record that is there already stays as it is. */
export async function recordDeadLetters(store: Store, letters: readonly NewDeadLetter[]): Promise<void> {
  // One statement each: bodies are up to 128 kB, and a bound value has to stay under D1's 2 MB.
  await commit(
    store,
    letters.map((letter) => insertRows(store, store.tables.deadLetters, [letter]).onConflictDoNothing()),
  );
}

async function page(
  store: Store,
  namespaceId: string | undefined,
  { cursor, limit }: PageRequest,
): Promise<Page<DeadLetter>> {
  const { deadLetters } = store.tables;
  const rows = await store.db
    .select()
    .from(deadLetters)
    .where(
      and(
        namespaceId === undefined ? undefined : eq(deadLetters.namespaceId, namespaceId),
        cursor === null ? undefined : lt(deadLetters.id, cursor),
      ),
    )
    .orderBy(desc(deadLetters.id))
    .limit(limit + 1);
  return pageOf(rows, limit, (letter) => letter.id);
}

/** Newest first, replayed ones included. */
export const listDeadLetters = (store: Store, namespaceId: string, request: PageRequest) =>
  page(store, namespaceId, request);

/** The operator's view: of every namespace and of none. Newest first. */
export const listAllDeadLetters = (store: Store, request: PageRequest) => page(store, undefined, request);

/** `namespaceId` null: the operator asks, any record will do. */
export async function findDeadLetter(store: Store, namespaceId: string | null, id: string): Promise<DeadLetter | null> {
  const { deadLetters } = store.tables;
  const [letter] = await store.db
    .select()
    .from(deadLetters)
    .where(and(eq(deadLetters.id, id), namespaceId === null ? undefined : eq(deadLetters.namespaceId, namespaceId)));
  return letter ?? null;
}

/** Keeps the time of the first replay. */
export async function markReplayed(store: Store, namespaceId: string | null, id: string, at: number): Promise<void> {
  const { deadLetters } = store.tables;
  await commit(store, [
    store.db
      .update(deadLetters)
      .set({ replayedAt: at })
      .where(
        and(
          eq(deadLetters.id, id),
          namespaceId === null ? undefined : eq(deadLetters.namespaceId, namespaceId),
          isNull(deadLetters.replayedAt),
        ),
      ),
  ]);
}

/** For the status page: how many wait to be replayed. */
export async function countUnreplayed(store: Store, namespaceId: string): Promise<number> {
  const { deadLetters } = store.tables;
  const [row] = await store.db
    .select({ waiting: count() })
    .from(deadLetters)
    .where(and(eq(deadLetters.namespaceId, namespaceId), isNull(deadLetters.replayedAt)));
  return row?.waiting ?? 0;
}
