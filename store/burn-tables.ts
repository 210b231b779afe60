/**
 * Burn tables: every version is a row, for ever. Rows are written through `publishConfig`, whose snapshot is what prices
 * usage; these queries are for the people who manage them. Which version is in force at a time is core/burn-table's question.
 */
import { and, asc, desc, eq, gt, lt, ne, sql } from "drizzle-orm";
import { pageOf, type Page, type PageRequest } from "./page";
import type { Statement, Store } from "./store";

export interface BurnTableRow {
  key: string;
  version: number;
  currency: string;
  effectiveFrom: number;
  /** Its table is the namespace's default. */
  isDefault: boolean;
  /** JSON of rules, mappings, markup and price book. */
  body: string;
  createdAt: number;
}

/** For `publishConfig`. A version that exists already refuses the batch; a default table takes the flag from every other. */
export function insertBurnTable(store: Store, namespaceId: string, row: BurnTableRow): Statement[] {
  const { burnTables } = store.tables;
  const insert = store.db.insert(burnTables).values({ ...row, namespaceId });
  if (!row.isDefault) return [insert];
  const others = and(
    eq(burnTables.namespaceId, namespaceId),
    eq(burnTables.isDefault, true),
    ne(burnTables.key, row.key),
  );
  return [store.db.update(burnTables).set({ isDefault: false }).where(others), insert];
}

/** The newest version of each, by key. */
export async function listBurnTables(
  store: Store,
  namespaceId: string,
  { cursor, limit }: PageRequest,
): Promise<Page<BurnTableRow>> {
  const { burnTables } = store.tables;
  const newest = sql`(select max(newer.version) from burn_tables newer where newer.namespace_id = ${burnTables.namespaceId} and newer.key = ${burnTables.key})`;
  const rows = await store.db
    .select()
    .from(burnTables)
    .where(
      and(
        eq(burnTables.namespaceId, namespaceId),
        eq(burnTables.version, newest),
        cursor === null ? undefined : gt(burnTables.key, cursor),
      ),
    )
    .orderBy(asc(burnTables.key))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => row.key);
}

/** The newest version. */
export async function findBurnTable(store: Store, namespaceId: string, key: string): Promise<BurnTableRow | null> {
  const { items } = await listBurnTableVersions(store, namespaceId, key, { cursor: null, limit: 1 });
  return items[0] ?? null;
}

/** Newest first. */
export async function listBurnTableVersions(
  store: Store,
  namespaceId: string,
  key: string,
  { cursor, limit }: PageRequest,
): Promise<Page<BurnTableRow>> {
  const { burnTables } = store.tables;
  const before = cursor === null ? null : Number(cursor);
  // A cursor that no page gave out has nothing behind it.
  if (before !== null && !Number.isSafeInteger(before)) return { items: [], nextCursor: null };
  const rows = await store.db
    .select()
    .from(burnTables)
    .where(
      and(
        eq(burnTables.namespaceId, namespaceId),
        eq(burnTables.key, key),
        before === null ? undefined : lt(burnTables.version, before),
      ),
    )
    .orderBy(desc(burnTables.version))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => String(row.version));
}
