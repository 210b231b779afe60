/**
 * Many rows in one statement and one bound parameter: `insert … select` over a JSON array.
 * D1 binds at most 100 parameters and pays per statement, so this is how projections are written.
 */
import { getTableColumns, sql, type Column } from "drizzle-orm";
import type { SQLiteColumn, SQLiteTable } from "drizzle-orm/sqlite-core";
import type { Statement, Store } from "./store";

/** A projection says how new each row is. The epoch is a ULID: a restored or rebuilt object takes a new one, which always wins. */
interface Versioned {
  epoch: string;
  seq: number;
}

export const isNewer = (a: Versioned, b: Versioned): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.seq > b.seq);

/** An insert of all rows, still open for an `on conflict` clause. */
export function insertRows<T extends SQLiteTable>(store: Store, table: T, rows: readonly T["$inferInsert"][]) {
  const columns = Object.entries<Column>(getTableColumns(table));
  const stored = (column: Column, value: unknown) => (value === null ? null : column.mapToDriverValue(value));
  const json = JSON.stringify(
    rows.map((row: Record<string, unknown>) => columns.map(([name, column]) => stored(column, row[name] ?? null))),
  );
  const values = columns.map(([, column], place) => {
    const text = sql`r.value ->> ${sql.raw(String(place))}`;
    const type = column.getSQLType();
    return type.startsWith("text") ? text : sql`cast(${text} as ${sql.raw(type)})`;
  });
  // SQLite needs the `where`: without it, it reads `on conflict` as the condition of a join.
  return store.db
    .insert(table)
    .select(sql`select ${sql.join(values, sql`, `)} from ${store.dialect.jsonRows(json)} where true`);
}

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
