/**
 * Names of customers: which subjects and which key belong to whom, since when and until when. A name is one customer's at a time, by a
 * unique key. Rows of which `linked_at` is null are a journal: the objects have not all been told (workers/link-customer.ts).
 */
import { and, asc, eq, isNull, ne, or, sql, type SQL } from "drizzle-orm";
import { insertRows, isAmong } from "./bulk";
import { commit, type Statement, type Store } from "./store";

/** The place of a key that is none of the subjects. */
export const KEY_ONLY = -1;

export interface NameRow {
  namespaceId: string;
  /** A subject's key, or the customer's own. */
  subjectKey: string;
  customerId: string;
  place: number;
  createdAt: number;
  linkedAt: number | null;
  removedAt: number | null;
}

/** What a customer is to be known by. */
export interface Names {
  key: string | null;
  subjectKeys: readonly string[];
}

/** The names of a customer, each once, with its place. */
export function placesOf({ key, subjectKeys }: Names): Map<string, number> {
  const places = new Map([...new Set(subjectKeys)].map((name, place) => [name, place]));
  if (key !== null && !places.has(key)) places.set(key, KEY_ONLY);
  return places;
}

interface Owner {
  namespaceId: string;
  id: string;
}

/** Names that are to be told to the objects. One that somebody else has refuses the batch. */
export const addNames = (store: Store, owner: Owner, places: ReadonlyMap<string, number>, now: number): Statement[] =>
  places.size === 0 ? [] : [insertRows(store, store.tables.customerSubjects, nameRows(owner, places, now, null))];

const nameRows = (
  { namespaceId, id }: Owner,
  places: ReadonlyMap<string, number>,
  createdAt: number,
  removedAt: number | null,
): NameRow[] =>
  // In one order for all: two that take the same names then wait for each other, and never both.
  [...places]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([subjectKey, place]) => ({
      namespaceId,
      subjectKey,
      customerId: id,
      place,
      createdAt,
      linkedAt: null,
      removedAt,
    }));

/**
 * The rows of a customer, or of some. Their keys from the index alone, then each by its key: asked for the rows at once, SQLite, which
 * has no statistics, would rather read the whole namespace.
 */
function rowsOf({ tables: { customerSubjects: t } }: Store, namespaceId: string, isTheirs: SQL): SQL {
  const key = sql`${t.namespaceId}, ${t.subjectKey}, ${t.customerId}, ${t.createdAt}`;
  return sql`(${key}) in (select ${key} from ${t} where ${t.namespaceId} = ${namespaceId} and ${isTheirs})`;
}

const liveNames = (store: Store, { namespaceId, id }: Owner) => {
  const { customerSubjects } = store.tables;
  return and(rowsOf(store, namespaceId, eq(customerSubjects.customerId, id)), isNull(customerSubjects.removedAt));
};

/** All of the customer's names, or the given ones. */
export function removeNames(store: Store, owner: Owner, names: readonly string[] | null, now: number): Statement[] {
  const { customerSubjects } = store.tables;
  if (names?.length === 0) return [];
  return [
    store.db
      .update(customerSubjects)
      .set({ removedAt: now, linkedAt: null })
      .where(
        and(liveNames(store, owner), names === null ? undefined : isAmong(store, customerSubjects.subjectKey, names)),
      ),
  ];
}

/** A key that had no row, because no API call made its customer: its end is journaled like any other. */
export const endName = (store: Store, owner: Owner, name: string, since: number, now: number): Statement =>
  insertRows(store, store.tables.customerSubjects, nameRows(owner, new Map([[name, KEY_ONLY]]), since, now));

/** A key becomes a subject too, or stays the key only. */
export const movePlace = (store: Store, owner: Owner, name: string, place: number): Statement =>
  store.db
    .update(store.tables.customerSubjects)
    .set({ place })
    .where(and(liveNames(store, owner), eq(store.tables.customerSubjects.subjectKey, name)));

/** All of the customer's objects are to be told again. */
export const reopenNames = (store: Store, owner: Owner): Statement =>
  store.db.update(store.tables.customerSubjects).set({ linkedAt: null }).where(liveNames(store, owner));

/** The names a customer has now. */
export const namesOf = (store: Store, owner: Owner): Promise<NameRow[]> =>
  store.db
    .select()
    .from(store.tables.customerSubjects)
    .where(liveNames(store, owner))
    .orderBy(asc(store.tables.customerSubjects.place), asc(store.tables.customerSubjects.subjectKey));

/** The subjects of each customer, in the order of their keys; of a deleted one those that it had to the end. */
export async function subjectsOf(
  store: Store,
  namespaceId: string,
  customerIds: readonly string[],
): Promise<Map<string, string[]>> {
  const { customers, customerSubjects } = store.tables;
  const subjects = new Map<string, string[]>();
  if (customerIds.length === 0) return subjects;
  const rows = await store.db
    .select({ customerId: customerSubjects.customerId, subjectKey: customerSubjects.subjectKey })
    .from(customerSubjects)
    .innerJoin(
      customers,
      and(eq(customers.namespaceId, customerSubjects.namespaceId), eq(customers.id, customerSubjects.customerId)),
    )
    .where(
      and(
        rowsOf(store, namespaceId, isAmong(store, customerSubjects.customerId, customerIds)),
        ne(customerSubjects.place, KEY_ONLY),
        or(isNull(customerSubjects.removedAt), eq(customerSubjects.removedAt, customers.deletedAt)),
      ),
    )
    .orderBy(asc(customerSubjects.subjectKey));
  for (const { customerId, subjectKey } of rows)
    subjects.set(customerId, [...(subjects.get(customerId) ?? []), subjectKey]);
  return subjects;
}

/** Which of these names are whose now. */
export async function ownersOf(
  store: Store,
  namespaceId: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  const { customerSubjects } = store.tables;
  if (names.length === 0) return new Map();
  const rows = await store.db
    .select({ name: customerSubjects.subjectKey, customerId: customerSubjects.customerId })
    .from(customerSubjects)
    .where(
      and(
        eq(customerSubjects.namespaceId, namespaceId),
        isAmong(store, customerSubjects.subjectKey, names),
        isNull(customerSubjects.removedAt),
      ),
    );
  return new Map(rows.map(({ name, customerId }) => [name, customerId]));
}

/** An object, and the id that always leads to it. */
interface Home {
  object: string;
  customerId: string;
}

/**
 * The homes of all customers that these subjects belong to or ever did: where their usage lies beside the objects that they lead to now. A
 * customer that no API call made has a subject by its key alone.
 */
export async function homesOfSubjects(
  store: Store,
  namespaceId: string,
  subjects: readonly string[],
): Promise<Map<string, Home[]>> {
  const { customers, customerSubjects } = store.tables;
  const rows = await store.db
    .selectDistinct({ subject: customerSubjects.subjectKey, object: customers.home, customerId: customers.id })
    .from(customerSubjects)
    .innerJoin(
      customers,
      and(eq(customers.namespaceId, customerSubjects.namespaceId), eq(customers.id, customerSubjects.customerId)),
    )
    .where(and(eq(customerSubjects.namespaceId, namespaceId), isAmong(store, customerSubjects.subjectKey, subjects)));
  return Map.groupBy(rows, ({ subject }) => subject);
}

/** Of one subject. */
export const homesOfSubject = async (store: Store, namespaceId: string, subject: string): Promise<Home[]> =>
  (await homesOfSubjects(store, namespaceId, [subject])).get(subject) ?? [];

// ---- The journal

/** A name's claim, as far as the objects must know of it. */
export interface Claim {
  customerId: string;
  createdAt: number;
  linkedAt: number | null;
  removedAt: number | null;
  /** The customer's home object. */
  home: string;
  customerKey: string | null;
}

/** Who has this name, if anybody, and those who had it and whose objects may not know that they do not any more. */
export async function claimsOn(
  store: Store,
  namespaceId: string,
  name: string,
): Promise<{ owner: Claim | null; former: Claim[] }> {
  const { customers, customerSubjects } = store.tables;
  const claims = await store.db
    .select({
      customerId: customerSubjects.customerId,
      createdAt: customerSubjects.createdAt,
      linkedAt: customerSubjects.linkedAt,
      removedAt: customerSubjects.removedAt,
      home: customers.home,
      customerKey: customers.key,
    })
    .from(customerSubjects)
    .innerJoin(
      customers,
      and(eq(customers.namespaceId, customerSubjects.namespaceId), eq(customers.id, customerSubjects.customerId)),
    )
    .where(
      and(
        eq(customerSubjects.namespaceId, namespaceId),
        eq(customerSubjects.subjectKey, name),
        or(isNull(customerSubjects.removedAt), isNull(customerSubjects.linkedAt)),
      ),
    );
  return {
    owner: claims.find(({ removedAt }) => removedAt === null) ?? null,
    former: claims.filter(({ removedAt }) => removedAt !== null),
  };
}

/** Names that some object may not know the truth about: the oldest first. */
export async function unlinkedNames(
  store: Store,
  namespaceId: string,
  limit: number,
): Promise<{ name: string; createdAt: number }[]> {
  const { customerSubjects } = store.tables;
  return store.db
    .select({ name: customerSubjects.subjectKey, createdAt: customerSubjects.createdAt })
    .from(customerSubjects)
    .where(and(eq(customerSubjects.namespaceId, namespaceId), isNull(customerSubjects.linkedAt)))
    .orderBy(asc(customerSubjects.createdAt))
    .limit(limit);
}

/** Those of one customer's names, and of the names it had. */
export async function unlinkedNamesOf(store: Store, { namespaceId, id }: Owner): Promise<string[]> {
  const { customerSubjects } = store.tables;
  const rows = await store.db
    .selectDistinct({ name: customerSubjects.subjectKey })
    .from(customerSubjects)
    .where(and(rowsOf(store, namespaceId, eq(customerSubjects.customerId, id)), isNull(customerSubjects.linkedAt)));
  return rows.map(({ name }) => name);
}

/** The objects know of these claims. One that ended meanwhile stays open. */
export async function markLinked(
  store: Store,
  namespaceId: string,
  name: string,
  claims: readonly Claim[],
  now: number,
): Promise<void> {
  const { customerSubjects } = store.tables;
  const settled = claims.filter(({ linkedAt }) => linkedAt === null);
  await commit(
    store,
    settled.map(({ customerId, createdAt, removedAt }) =>
      store.db
        .update(customerSubjects)
        .set({ linkedAt: now })
        .where(
          and(
            eq(customerSubjects.namespaceId, namespaceId),
            eq(customerSubjects.subjectKey, name),
            eq(customerSubjects.customerId, customerId),
            eq(customerSubjects.createdAt, createdAt),
            removedAt === null ? isNull(customerSubjects.removedAt) : undefined,
          ),
        ),
    ),
  );
}
