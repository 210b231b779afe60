/**
 * Many rows in one statement and one bound parameter: `insert … select` over a JSON array.
 * D1 binds at most 100 parameters and pays per statement, so this is how projections are written.
 */
import { getTableColumns, sql, type Column, type SQL } from "drizzle-orm";
import type { SQLiteColumn, SQLiteTable } from "drizzle-orm/sqlite-core";
import type { Statement, Store } from "./store";

/** A projection says how new each row is. The epoch is a ULID: a restored or rebuilt object takes a new one, which always wins. */
interface Versioned {
  epoch: string;
  seq: number;
}

export const isNewer = (a: Versioned, b: Versioned): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq);

/** An insert of all rows, or of those of which `only` holds, still open for an `on conflict` clause. */
export function insertRows<T extends SQLiteTable>(
  store: Store,
  table: T,
  rows: readonly T["$inferInsert"][],
  only: (valueOf: (column: keyof T["$inferInsert"] & string) => SQL) => SQL = () => sql`true`,
) {
  const columns = Object.entries<Column>(getTableColumns(table));
  const textAt = (place: number) => sql`r.value ->> ${sql.raw(String(place))}`;
  // What a row does not say is what the column says.
  const stored = (column: Column, value: unknown = column.default ?? null) =>
    value === null ? null : column.mapToDriverValue(value);
  const json = JSON.stringify(
    rows.map((row: Record<string, unknown>) => columns.map(([name, column]) => stored(column, row[name]))),
  );
  const values = columns.map(([, column], place) => {
    const text = textAt(place);
    const type = column.getSQLType();
    return type.startsWith("text") ? text : sql`cast(${text} as ${sql.raw(type)})`;
  });
  const condition = only((name) => textAt(columns.findIndex(([known]) => known === name)));
  // SQLite needs the `where`: without it, it reads `on conflict` as the condition of a join.
  return store.db
    .insert(table)
    .select(sql`select ${sql.join(values, sql`, `)} from ${store.dialect.jsonRows(json)} where ${condition}`);
}

/** `column in (…)` with any number of texts in one bound parameter. */
export const isAmong = (store: Store, column: Column, texts: readonly string[]): SQL =>
  sql`${column} in (select r.value ->> 0 from ${list(store, texts)})`;

/**
 * The same with the namespace, for columns that only a secondary index finds: given one by one, SQLite, which has no statistics, would
 * rather read the whole namespace by the primary key.
 */
export const areAmong = (
  store: Store,
  [namespace, column]: [Column, Column],
  namespaceId: string,
  texts: readonly string[],
): SQL => sql`(${namespace}, ${column}) in (select ${namespaceId}, r.value ->> 0 from ${list(store, texts)})`;

const list = ({ dialect }: Store, texts: readonly string[]): SQL =>
  dialect.jsonRows(JSON.stringify(texts.map((text) => [text])));

interface UpsertOptions {
  key: SQLiteColumn[];
  epoch: SQLiteColumn;
  seq: SQLiteColumn;
  /** Columns that an update leaves as they were first written. */
  keep?: SQLiteColumn[];
}

/**
 * Inserts each row, or replaces the stored one if (epoch, seq) is newer: redelivered, reordered and split messages end the same.
 * The rows must be unique by key and sorted by it: Postgres refuses the first, and locks in order only because of the second.
 */
export function upsertNewer<T extends SQLiteTable>(
  store: Store,
  table: T,
  rows: readonly T["$inferInsert"][],
  { key, epoch, seq, keep = [] }: UpsertOptions,
): Statement {
  const incoming = (column: Column) => sql`excluded.${sql.identifier(column.name)}`;
  const fixed = new Set<Column>([...key, ...keep]);
  const changing = Object.entries<Column>(getTableColumns(table)).filter(([, column]) => !fixed.has(column));
  return insertRows(store, table, rows).onConflictDoUpdate({
    target: key,
    set: Object.fromEntries(changing.map(([name, column]) => [name, incoming(column)])) as never,
    setWhere: sql`${incoming(epoch)} > ${epoch} or (${incoming(epoch)} = ${epoch} and ${incoming(seq)} > ${seq})`,
  });
}
