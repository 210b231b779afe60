/**
 * What is known of a subject beside its usage: a display name and metadata, no data of any customer. A subject that only sent events has
 * no row. A deleted subject's key is free again.
 */
import { and, asc, eq, gt, isNull, or } from "drizzle-orm";
import type { Result } from "../core/result";
import { areAmong, insertRows } from "./bulk";
import { commit, type Committed, type Statement, type Store, type Violation } from "./store";

export interface SubjectRow {
  namespaceId: string;
  id: string;
  key: string;
  displayName: string | null;
  metadata: Record<string, unknown> | null;
  stripeCustomerId: string | null;
  currentPeriodStart: number | null;
  currentPeriodEnd: number | null;
  createdAt: number;
  updatedAt: number;
  deletedAt: number | null;
}

/** Changes of a subject; what is not there stays. */
export type SubjectChange = Partial<
  Pick<SubjectRow, "displayName" | "metadata" | "stripeCustomerId" | "currentPeriodStart" | "currentPeriodEnd">
>;

const NOTHING_KNOWN = {
  displayName: null,
  metadata: null,
  stripeCustomerId: null,
  currentPeriodStart: null,
  currentPeriodEnd: null,
  deletedAt: null,
} as const;

export const newSubject = (
  namespaceId: string,
  id: string,
  key: string,
  now: number,
  change: SubjectChange = {},
): SubjectRow => ({ ...NOTHING_KNOWN, ...change, namespaceId, id, key, createdAt: now, updatedAt: now });

/** Subjects that must be there, with or without anything known of them. */
export function provideSubjects(
  store: Store,
  namespaceId: string,
  keys: readonly string[],
  newId: () => string,
  now: number,
): Statement[] {
  if (keys.length === 0) return [];
  const rows = [...new Set(keys)].sort().map((key) => newSubject(namespaceId, newId(), key, now));
  return [insertRows(store, store.tables.subjects, rows).onConflictDoNothing()];
}

/** By id or by key. A deleted one is found by its id only. */
export async function findSubject(store: Store, namespaceId: string, idOrKey: string): Promise<SubjectRow | null> {
  const { subjects } = store.tables;
  const inNamespace = eq(subjects.namespaceId, namespaceId);
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const found = await store.db
    .select()
    .from(subjects)
    .where(
      or(
        and(inNamespace, eq(subjects.id, idOrKey)),
        and(inNamespace, eq(subjects.key, idOrKey), isNull(subjects.deletedAt)),
      ),
    );
  return found.find((subject) => subject.id === idOrKey) ?? found[0] ?? null;
}

/** The live ones of these keys. */
export async function subjectsAmong(
  store: Store,
  namespaceId: string,
  keys: readonly string[],
): Promise<Map<string, SubjectRow>> {
  const { subjects } = store.tables;
  const rows = await store.db
    .select()
    .from(subjects)
    .where(and(areAmong(store, [subjects.namespaceId, subjects.key], namespaceId, keys), isNull(subjects.deletedAt)));
  return new Map(rows.map((row) => [row.key, row]));
}

/** By id, which is by age. */
export const listSubjects = (
  store: Store,
  namespaceId: string,
  { afterId, limit }: { afterId: string | null; limit: number },
): Promise<SubjectRow[]> =>
  store.db
    .select()
    .from(store.tables.subjects)
    .where(
      and(
        eq(store.tables.subjects.namespaceId, namespaceId),
        isNull(store.tables.subjects.deletedAt),
        afterId === null ? undefined : gt(store.tables.subjects.id, afterId),
      ),
    )
    .orderBy(asc(store.tables.subjects.id))
    .limit(limit);

/** All of it or nothing. A key that somebody else has just taken refuses the batch. */
export const saveSubjects = (
  store: Store,
  namespaceId: string,
  made: readonly SubjectRow[],
  changed: readonly { id: string; change: SubjectChange }[],
  now: number,
  statements: readonly Statement[] = [],
): Promise<Result<Committed, Violation>> =>
  store.batch([
    ...(made.length === 0 ? [] : [insertRows(store, store.tables.subjects, made)]),
    ...changed.map(({ id, change }) =>
      store.db
        .update(store.tables.subjects)
        .set({ ...change, updatedAt: now })
        .where(and(eq(store.tables.subjects.namespaceId, namespaceId), eq(store.tables.subjects.id, id))),
    ),
    ...statements,
  ]);

/** Deleting it again changes nothing. */
export async function deleteSubject(store: Store, namespaceId: string, id: string, now: number): Promise<void> {
  const { subjects } = store.tables;
  await commit(store, [
    store.db
      .update(subjects)
      .set({ deletedAt: now, updatedAt: now })
      .where(and(eq(subjects.namespaceId, namespaceId), eq(subjects.id, id), isNull(subjects.deletedAt))),
  ]);
}
