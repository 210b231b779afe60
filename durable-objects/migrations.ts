/**
 * The tables of a customer's object: an append-only list. An object runs what it has not run yet when it first wakes after
 * an update; reads of an object that never wrote make no table. Never edit or reorder a migration that was released.
 */
import { FOLD_TABLES } from "./fold-store";
import { LOG_TABLES } from "./log";
import { DEDUP_TABLES } from "./run-store";
import { TIME_INDEX_TABLES } from "./time-index";

export interface Migration {
  id: number;
  sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  { id: 1, sql: LOG_TABLES },
  { id: 2, sql: DEDUP_TABLES },
  { id: 3, sql: FOLD_TABLES },
  { id: 4, sql: "CREATE TABLE state (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID" },
  { id: 5, sql: TIME_INDEX_TABLES },
];

/** Has this object ever written anything? Reads only. */
export function isEmpty(sql: SqlStorage): boolean {
  return sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").toArray().length === 0;
}

/** Of an object that has written: is there a migration that it has not run? */
export function isBehind(sql: SqlStorage): boolean {
  const { newest } = sql.exec<{ newest: number | null }>("SELECT max(id) AS newest FROM migrations").one();
  return newest !== MIGRATIONS.at(-1)?.id;
}

/** Brings the tables up to date. The caller wraps it, with its own first write, in one transaction. */
export function migrate(sql: SqlStorage, upTo = Infinity): void {
  sql.exec("CREATE TABLE IF NOT EXISTS migrations (id INTEGER PRIMARY KEY)");
  const applied = sql.exec<{ id: number }>("SELECT id FROM migrations ORDER BY id").toArray();
  for (const [place, { id }] of applied.entries()) {
    if (MIGRATIONS[place]?.id !== id)
      throw new Error(`migration ${id} was applied but is not in the list: it is append-only`);
  }
  for (const migration of MIGRATIONS.slice(applied.length)) {
    if (migration.id > upTo) return;
    sql.exec(migration.sql);
    sql.exec("INSERT INTO migrations (id) VALUES (?)", migration.id);
  }
}
