/**
 * Customers as the shared store knows them. A customer that its first event made is a projection: the object chose the id and
 * key, and the row appears with the rating message. It never overwrites a row that is there, nor fails on a key that is taken.
 */
import { and, asc, eq, gt, isNull, or } from "drizzle-orm";
import { insertRows } from "./bulk";
import { pageOf, type Page, type PageRequest } from "./page";
import type { Statement, Store } from "./store";

export interface CustomerRow {
  namespaceId: string;
  id: string;
  key: string | null;
  name: string | null;
  /** The object that holds this customer's data. */
  home: string;
  createdAt: number;
  deletedAt: number | null;
}

/** Adopts customers that objects report; those known already cost no row write. */
export const adoptCustomers = (store: Store, rows: readonly Omit<CustomerRow, "deletedAt">[]): Statement =>
  insertRows(store, store.tables.customers, rows).onConflictDoNothing();

/** By id or by key; deleted ones do not exist. */
export async function findCustomer(store: Store, namespaceId: string, idOrKey: string): Promise<CustomerRow | null> {
  const { customers } = store.tables;
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const inNamespace = and(eq(customers.namespaceId, namespaceId), isNull(customers.deletedAt));
  const found = await store.db
    .select()
    .from(customers)
    .where(or(and(inNamespace, eq(customers.id, idOrKey)), and(inNamespace, eq(customers.key, idOrKey))));
  return found.find((customer) => customer.id === idOrKey) ?? found[0] ?? null;
}

/** By id, which is by age. */
export async function listCustomers(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<CustomerRow>> {
  const { customers } = store.tables;
  const rows = await store.db
    .select()
    .from(customers)
    .where(
      and(
        eq(customers.namespaceId, namespaceId),
        isNull(customers.deletedAt),
        cursor === null ? undefined : gt(customers.id, cursor),
      ),
    )
    .orderBy(asc(customers.id))
    .limit(limit + 1);
  return pageOf(rows, limit, (customer) => customer.id);
}
