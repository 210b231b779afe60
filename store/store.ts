/**
 * The shared database behind one interface: D1, or Neon when DATABASE_URL is set. The query files beside this one are written
 * once and run on both; suite.ts is what each driver must pass.
 *
 * Reads are drizzle queries, awaited. Writes are lists of statements committed together by `batch`: there is no interactive
 * transaction. A race is closed by a unique key or by a guard that makes the batch fail, and then comes back as a value.
 */
import type { DrizzleD1Database } from "drizzle-orm/d1";
import type { Result } from "../core/result";
import type { Tables } from "../schema/tables";
import { openD1 } from "./d1";
import type { Dialect } from "./dialect";
import { openNeon } from "./neon";

/** A write that is not executed yet: any drizzle insert, update or delete. */
export interface Statement {
  toSQL(): { sql: string; params: unknown[] };
}

export interface Committed {
  /** Rows that each statement inserted, changed or deleted, in order. A guarded update that lost says 0. */
  changes: number[];
  /** What D1 bills: index entries included. On Neon the same as the sum of changes. */
  rowsWritten: number;
}

/** A unique key or a NOT NULL refused the batch; nothing of it was written. */
export interface Violation {
  reason: "violation";
  table: string;
  columns: string[];
}

export interface Store {
  readonly db: Pick<DrizzleD1Database, "select" | "selectDistinct" | "insert" | "update" | "delete">;
  readonly tables: Tables;
  readonly dialect: Dialect;
  /** All of it or nothing. An unexpected error is thrown; only a violation of a key is a value. */
  batch(statements: readonly Statement[]): Promise<Result<Committed, Violation>>;
  /** Ends the connections of this request or queue batch. */
  close(): Promise<void>;
}

/** Cheap: connects at the first query. A Neon connection belongs to one request, so open a store per request and close it after. */
export function openStore(env: { DB: D1Database; DATABASE_URL?: string }): Store {
  return env.DATABASE_URL ? openNeon(env.DATABASE_URL) : openD1(env.DB);
}

/** Commits writes that no other writer can contradict: here a violation is a bug, and thrown. */
export async function commit(store: Store, statements: readonly Statement[]): Promise<Committed> {
  const result = await store.batch(statements);
  if (!result.ok)
    throw new Error(`unexpected violation of ${result.refusal.table}(${result.refusal.columns.join(", ")})`);
  return result.value;
}
