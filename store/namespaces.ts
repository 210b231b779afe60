/** Namespaces: one per tenant of a deployment. The operator's, so the only table that no namespace owns. */
import { and, desc, eq, isNull, lt, or } from "drizzle-orm";
import { ok, refuse, type Result } from "../core/result";
import type { NamespaceKind } from "../schema/tables";
import { pageOf, type Page, type PageRequest } from "./page";
import { commit, type Statement, type Store } from "./store";

export interface Namespace {
  id: string;
  key: string;
  kind: NamespaceKind;
  /** 0: nothing was published yet. */
  configVersion: number;
  createdAt: number;
  closedAt: number | null;
}

export interface NewNamespace {
  id: string;
  key: string;
  kind: NamespaceKind;
  createdAt: number;
}

export const insertNamespace = (store: Store, namespace: NewNamespace) =>
  store.db.insert(store.tables.namespaces).values({ ...namespace, configVersion: 0 });

/** Makes the namespace and what must come with it (its first key), or neither. A key once used stays taken. */
export async function createNamespace(
  store: Store,
  namespace: NewNamespace,
  statements: readonly Statement[] = [],
): Promise<Result<null, { reason: "key_taken" }>> {
  const result = await store.batch([insertNamespace(store, namespace), ...statements]);
  if (result.ok) return ok(null);
  const { table, columns } = result.refusal;
  if (table === "namespaces" && columns.includes("key")) return refuse({ reason: "key_taken" });
  throw new Error(`a new namespace collided on ${table}(${columns.join(", ")})`);
}

/** By id or by key, closed ones included. */
export async function findNamespace(store: Store, idOrKey: string): Promise<Namespace | null> {
  const { namespaces } = store.tables;
  const found = await store.db
    .select()
    .from(namespaces)
    .where(or(eq(namespaces.id, idOrKey), eq(namespaces.key, idOrKey)));
  // An id and another one's key may be spelled alike; the id was there first.
  return found.find((namespace) => namespace.id === idOrKey) ?? found[0] ?? null;
}

/** Open ones, newest first. */
export async function listNamespaces(store: Store, { cursor, limit }: PageRequest): Promise<Page<Namespace>> {
  const { namespaces } = store.tables;
  const rows = await store.db
    .select()
    .from(namespaces)
    .where(and(isNull(namespaces.closedAt), cursor === null ? undefined : lt(namespaces.id, cursor)))
    .orderBy(desc(namespaces.id))
    .limit(limit + 1);
  return pageOf(rows, limit, (namespace) => namespace.id);
}

/** Its keys stop with it; its data stays. false: there is no such open namespace. */
export async function closeNamespace(store: Store, namespaceId: string, at: number): Promise<boolean> {
  const { namespaces } = store.tables;
  const { changes } = await commit(store, [
    store.db
      .update(namespaces)
      .set({ closedAt: at })
      .where(and(eq(namespaces.id, namespaceId), isNull(namespaces.closedAt))),
  ]);
  return changes[0] === 1;
}
