/**
 * Customers as the shared store knows them. One that a track, a grant or a wallet's settings made is a projection, without a name: the
 * object chose id and key, the row appears with the rating message, and never overwrites one that is there. The API's own have a name,
 * and their key and subjects are names of theirs alone (customer-subjects.ts); it takes over a projection that it meets.
 */
import { and, asc, count, desc, eq, isNull, ne, or, sql } from "drizzle-orm";
import { refuse, ok, type Result } from "../core/result";
import { areAmong, insertRows, isAmong } from "./bulk";
import {
  addNames,
  endName,
  KEY_ONLY,
  movePlace,
  namesOf,
  placesOf,
  removeNames,
  reopenNames,
  type Names,
} from "./customer-subjects";
import type { Statement, Store, Violation } from "./store";
import { provideSubjects } from "./subjects";

/** What people say of a customer, beside its names. */
export interface CustomerDetails {
  name: string;
  description: string | null;
  primaryEmail: string | null;
  /** ISO 4217. */
  currency: string | null;
  billingAddress: Record<string, string> | null;
  metadata: Record<string, string> | null;
}

export interface CustomerRow extends Omit<CustomerDetails, "name"> {
  namespaceId: string;
  id: string;
  key: string | null;
  /** null: no API call made or changed it. */
  name: string | null;
  /** The object that holds this customer's data, for the customer's life. */
  home: string;
  createdAt: number;
  /** Later with every change, also of the same moment. */
  updatedAt: number;
  deletedAt: number | null;
}

/** What an object says of its customer. */
export type Projected = Pick<CustomerRow, "namespaceId" | "id" | "key" | "name" | "home" | "createdAt">;

/** Customers that objects report; those known already cost no row write, and a key that is a customer's name by now makes none. */
export function adoptCustomers(store: Store, rows: readonly Projected[]): Statement {
  const { customers, customerSubjects } = store.tables;
  return insertRows(
    store,
    customers,
    rows.map(({ namespaceId, id, key, name, home, createdAt }) => ({
      namespaceId,
      id,
      key,
      name,
      home,
      createdAt,
      updatedAt: createdAt,
    })),
    (valueOf) => sql`not exists (
      select 1 from ${customerSubjects} where ${customerSubjects.namespaceId} = ${valueOf("namespaceId")}
      and ${customerSubjects.subjectKey} = ${valueOf("key")} and ${customerSubjects.removedAt} is null)`,
  ).onConflictDoNothing();
}

/** The customer of an object whose data has moved into another customer's. */
export type ClosedCustomer = Projected & { deletedAt: number };

/**
 * They end, unless the API made them. A row of one that was never heard of is made all the same, so that an older message that comes late
 * does not bring it back.
 */
export function closeCustomers(store: Store, rows: readonly ClosedCustomer[]): Statement[] {
  const { customers } = store.tables;
  const unique = [...new Map(rows.map((row) => [JSON.stringify([row.namespaceId, row.id]), row])).values()];
  const ended = JSON.stringify(unique.map(({ namespaceId, id }) => [namespaceId, id]));
  return [
    insertRows(
      store,
      customers,
      unique.map((row) => ({ ...row, updatedAt: row.createdAt })),
    ).onConflictDoNothing(),
    store.db
      .update(customers)
      .set({ deletedAt: Math.max(...unique.map(({ deletedAt }) => deletedAt)) })
      .where(
        and(
          sql`(${customers.namespaceId}, ${customers.id}) in (select r.value ->> 0, r.value ->> 1 from ${store.dialect.jsonRows(ended)})`,
          isNull(customers.name),
          isNull(customers.deletedAt),
        ),
      ),
  ];
}

/** By id or by key. A deleted one is found by its id only, and only by who asks for it. */
export async function findCustomer(
  store: Store,
  namespaceId: string,
  idOrKey: string,
  { deleted = false }: { deleted?: boolean } = {},
): Promise<CustomerRow | null> {
  const { customers } = store.tables;
  const inNamespace = eq(customers.namespaceId, namespaceId);
  const live = isNull(customers.deletedAt);
  // The namespace in both halves: SQLite then seeks two keys; factored out, it would read the whole namespace.
  const found = await store.db
    .select()
    .from(customers)
    .where(
      or(
        and(inNamespace, eq(customers.id, idOrKey), deleted ? undefined : live),
        and(inNamespace, eq(customers.key, idOrKey), live),
      ),
    );
  return found.find((customer) => customer.id === idOrKey) ?? found[0] ?? null;
}

/** Which of these texts are ids of customers, deleted ones included. */
export async function customerIdsAmong(store: Store, namespaceId: string, texts: readonly string[]): Promise<string[]> {
  const { customers } = store.tables;
  const rows = await store.db
    .select({ id: customers.id })
    .from(customers)
    .where(and(eq(customers.namespaceId, namespaceId), isAmong(store, customers.id, texts)));
  return rows.map(({ id }) => id);
}

export interface CustomerList {
  /** Parts of what the customer has there. */
  key?: string | undefined;
  name?: string | undefined;
  primaryEmail?: string | undefined;
  /** Part of one of its subjects. */
  subject?: string | undefined;
  includeDeleted: boolean;
  orderBy: "id" | "name" | "createdAt";
  order: "ASC" | "DESC";
  offset: number;
  limit: number;
}

/** One page, and how many there are on all. Whatever is asked for, the whole namespace is looked through to count. */
export async function listCustomers(
  store: Store,
  namespaceId: string,
  list: CustomerList,
): Promise<{ items: CustomerRow[]; totalCount: number }> {
  const { customers, customerSubjects } = store.tables;
  const { dialect } = store;
  /** What the API shows as the name. */
  const shownName = sql`coalesce(${customers.name}, ${customers.key})`;
  const where = and(
    eq(customers.namespaceId, namespaceId),
    list.includeDeleted ? undefined : isNull(customers.deletedAt),
    list.key === undefined ? undefined : dialect.contains(customers.key, list.key),
    list.name === undefined ? undefined : dialect.contains(shownName, list.name),
    list.primaryEmail === undefined ? undefined : dialect.contains(customers.primaryEmail, list.primaryEmail),
    list.subject === undefined
      ? undefined
      : sql`${customers.id} in (
          select ${customerSubjects.customerId} from ${customerSubjects}
          where ${customerSubjects.namespaceId} = ${namespaceId} and ${customerSubjects.removedAt} is null
          and ${customerSubjects.place} <> ${KEY_ONLY} and ${dialect.contains(customerSubjects.subjectKey, list.subject)})`,
  );
  const directed = list.order === "ASC" ? asc : desc;
  const by = { id: customers.id, name: shownName, createdAt: customers.createdAt }[list.orderBy];
  const [items, totals] = await Promise.all([
    store.db
      .select()
      .from(customers)
      .where(where)
      .orderBy(...(list.orderBy === "id" ? [directed(customers.id)] : [directed(by), directed(customers.id)]))
      .limit(list.limit)
      .offset(list.offset),
    store.db.select({ totalCount: count() }).from(customers).where(where),
  ]);
  return { items, totalCount: totals[0]?.totalCount ?? 0 };
}

/** A key or an id that is in use, or a name that is another customer's; or what `statements` met. */
export type CustomerRefusal = { reason: "id_taken" } | { reason: "name_taken" } | Violation;

function refusalOf(violation: Violation): CustomerRefusal {
  const { table, columns } = violation;
  if (table === "customer_subjects" || (table === "customers" && columns.includes("key")))
    return { reason: "name_taken" };
  return table === "customers" && columns.includes("id") ? { reason: "id_taken" } : violation;
}

/**
 * A new customer with its names, which its objects do not know yet. It takes the place of the projection that has its id, and those that
 * have one of its names are deleted: what they are is its own now. `id_taken`: another call made that customer meanwhile.
 */
export async function createCustomer(
  store: Store,
  customer: CustomerRow,
  subjectKeys: readonly string[],
  newId: () => string,
  statements: readonly Statement[] = [],
): Promise<Result<null, CustomerRefusal>> {
  const { customers } = store.tables;
  const { namespaceId, id, key, createdAt } = customer;
  const places = placesOf({ key, subjectKeys });
  const result = await store.batch([
    store.db
      .delete(customers)
      .where(
        and(
          eq(customers.namespaceId, namespaceId),
          eq(customers.id, id),
          isNull(customers.name),
          isNull(customers.deletedAt),
        ),
      ),
    absorb(store, customer, [...places.keys()], createdAt),
    store.db.insert(customers).values(customer),
    ...addNames(store, customer, places, createdAt),
    ...provideSubjects(store, namespaceId, subjectKeys, newId, createdAt),
    ...statements,
  ]);
  return result.ok ? ok(null) : refuse(refusalOf(result.refusal));
}

/** Projections that have one of these names are no customers of their own any more. */
export function absorb(
  store: Store,
  { namespaceId, id }: Pick<CustomerRow, "namespaceId" | "id">,
  names: readonly string[],
  now: number,
): Statement {
  const { customers } = store.tables;
  return store.db
    .update(customers)
    .set({ deletedAt: now, updatedAt: now })
    .where(
      and(
        areAmong(store, [customers.namespaceId, customers.key], namespaceId, names),
        isNull(customers.deletedAt),
        isNull(customers.name),
        ne(customers.id, id),
      ),
    );
}

/**
 * Replaces what a customer is and what it is called, as it was when it was read. `changed`: somebody else was faster, and nothing was
 * written. Answers the row as it is now.
 */
export async function updateCustomer(
  store: Store,
  before: CustomerRow,
  after: CustomerDetails & Names,
  newId: () => string,
  now: number,
): Promise<Result<CustomerRow, CustomerRefusal | { reason: "changed" }>> {
  const { key, subjectKeys, ...details } = after;
  const known = new Map((await namesOf(store, before)).map(({ subjectKey, place }) => [subjectKey, place]));
  const wanted = placesOf(after);
  const at = Math.max(now, before.updatedAt + 1);
  const row: CustomerRow = { ...before, ...details, key, updatedAt: at };
  const added = new Map([...wanted].filter(([name]) => !known.has(name)));
  const removed = [...known.keys()].filter((name) => !wanted.has(name));
  // The place of a subject among the others is nobody's concern; whether it is one at all is.
  const moved = [...wanted].filter(
    ([name, place]) => known.has(name) && (known.get(name) === KEY_ONLY) !== (place === KEY_ONLY),
  );
  const result = await store.batch([
    guarded(store, before, { ...details, key, updatedAt: at }),
    absorb(store, before, [...added.keys()], at),
    ...removeNames(store, before, removed, at),
    ...endOfUnnamed(store, before, known, wanted, at),
    ...addNames(store, before, added, at),
    ...moved.map(([name, place]) => movePlace(store, before, name, place)),
    // Only the home knows the key, and any of its names leads there.
    ...(key === before.key ? [] : [reopenNames(store, before)]),
    ...provideSubjects(store, before.namespaceId, subjectKeys, newId, at),
  ]);
  return result.ok ? ok(row) : refuse(changedOr(result.refusal));
}

/** From now on it is found by its id only, and its names are free. */
export async function deleteCustomer(
  store: Store,
  before: CustomerRow,
  now: number,
): Promise<Result<CustomerRow, CustomerRefusal | { reason: "changed" }>> {
  const known = new Map((await namesOf(store, before)).map(({ subjectKey, place }) => [subjectKey, place]));
  const at = Math.max(now, before.updatedAt + 1);
  const result = await store.batch([
    guarded(store, before, { deletedAt: at, updatedAt: at }),
    ...removeNames(store, before, null, at),
    ...endOfUnnamed(store, before, known, new Map(), at),
  ]);
  return result.ok ? ok({ ...before, deletedAt: at, updatedAt: at }) : refuse(changedOr(result.refusal));
}

/** The key of a projection is a name without a row: where it ends, its end needs one. */
const endOfUnnamed = (
  store: Store,
  before: CustomerRow,
  known: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, number>,
  at: number,
): Statement[] =>
  before.key === null || known.has(before.key) || wanted.has(before.key)
    ? []
    : [endName(store, before, before.key, before.createdAt, at)];

const changedOr = (violation: Violation): CustomerRefusal | { reason: "changed" } =>
  violation.table === "customers" && violation.columns.includes("created_at")
    ? { reason: "changed" }
    : refusalOf(violation);

/** Where the row is not as it was read, this finds no `created_at`, NOT NULL fails, and the batch with it. */
function guarded(
  { db, tables: { customers } }: Store,
  before: CustomerRow,
  change: Partial<CustomerRow> & { updatedAt: number },
): Statement {
  return db
    .update(customers)
    .set({
      ...change,
      createdAt: sql<number>`case when ${customers.updatedAt} = ${before.updatedAt} and ${customers.deletedAt} is null then ${customers.createdAt} end`,
    })
    .where(and(eq(customers.namespaceId, before.namespaceId), eq(customers.id, before.id)));
}
