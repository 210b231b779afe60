/**
 * The Neon driver: Postgres over a WebSocket, from inside a Worker. A batch is one transaction.
 * Connections are made at the first query and belong to the request that made them: `close` ends them.
 */
import { Pool } from "@neondatabase/serverless";
import { drizzle } from "drizzle-orm/neon-serverless";
import { ok, refuse } from "../core/result";
import { pgTables } from "../schema/tables";
import { pgDialect } from "./dialect";
import type { Store, Violation } from "./store";

/** A Worker may hold six connections at once; this leaves room for what else the request does. */
const CONNECTIONS_MAX = 3;

const UNIQUE_VIOLATION = "23505";
const NOT_NULL_VIOLATION = "23502";

interface PgError {
  code?: string;
  table?: string;
  column?: string;
  /** `Key (namespace_id, key)=(…) already exists.` */
  detail?: string;
}

function violationOf(error: PgError): Violation | null {
  const { code, table = "" } = error;
  if (code === NOT_NULL_VIOLATION) return { reason: "violation", table, columns: [error.column ?? ""] };
  if (code !== UNIQUE_VIOLATION) return null;
  return { reason: "violation", table, columns: /^Key \(([^)]*)\)=/.exec(error.detail ?? "")?.[1]?.split(", ") ?? [] };
}

export function openNeon(connectionString: string): Store {
  const pool = new Pool({ connectionString, max: CONNECTIONS_MAX });
  // An idle connection that dies is replaced at the next query; without a listener it would be an uncaught exception.
  pool.on("error", () => {});
  return {
    // The cast of the column kit, once more: the same builder calls, whose types are SQLite's.
    db: drizzle(pool) as unknown as Store["db"],
    tables: pgTables,
    dialect: pgDialect,
    async batch(statements) {
      if (statements.length === 0) return ok({ changes: [], rowsWritten: 0 });
      const client = await pool.connect();
      try {
        const changes: number[] = [];
        await client.query("begin");
        for (const statement of statements) {
          const { sql, params } = statement.toSQL();
          changes.push((await client.query(sql, params)).rowCount ?? 0);
        }
        await client.query("commit");
        client.release();
        return ok({ changes, rowsWritten: changes.reduce((rows, count) => rows + count, 0) });
      } catch (error) {
        const broken = await client.query("rollback").then(
          () => undefined,
          (reason: Error) => reason,
        );
        client.release(broken);
        const violation = violationOf(error as PgError);
        if (violation) return refuse(violation);
        throw error;
      }
    },
    close: () => pool.end(),
  };
}
