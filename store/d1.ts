/** The D1 driver: a batch is D1's own, which is one transaction. */
import { drizzle } from "drizzle-orm/d1";
import { ok, refuse } from "../core/result";
import { sqliteTables } from "../schema/tables";
import { sqliteDialect } from "./dialect";
import type { Store, Violation } from "./store";

/** D1 reports a violation in the text of the error only. */
const VIOLATION = /(?:UNIQUE|NOT NULL) constraint failed: ([^:]+)/;

function violationOf(error: unknown): Violation | null {
  const columns = VIOLATION.exec(error instanceof Error ? error.message : "")?.[1]?.split(", ") ?? [];
  const table = columns[0]?.split(".")[0];
  if (!table) return null;
  return { reason: "violation", table, columns: columns.map((column) => column.slice(table.length + 1)) };
}

export function openD1(database: D1Database): Store {
  return {
    db: drizzle(database),
    tables: sqliteTables,
    dialect: sqliteDialect,
    async batch(statements) {
      if (statements.length === 0) return ok({ changes: [], rowsWritten: 0 });
      const prepared = statements.map((statement) => {
        const { sql, params } = statement.toSQL();
        return database.prepare(sql).bind(...params);
      });
      try {
        const results = await database.batch(prepared);
        return ok({
          changes: results.map((result) => result.meta.changes),
          rowsWritten: results.reduce((rows, result) => rows + result.meta.rows_written, 0),
        });
      } catch (error) {
        const violation = violationOf(error);
        if (violation) return refuse(violation);
        throw error;
      }
    },
    async close() {},
  };
}
