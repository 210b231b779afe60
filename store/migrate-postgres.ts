/**
 * Brings a Postgres database to the schema of this version, from Node: `npm run migrate:neon` before a deploy, and the tests.
 * Applied migrations are recorded in drizzle.__drizzle_migrations; running it again changes nothing. (D1's are wrangler's business.)
 */
import { Pool } from "@neondatabase/serverless";
import { drizzle } from "drizzle-orm/neon-serverless";
import { migrate } from "drizzle-orm/neon-serverless/migrator";

/** Where drizzle-kit writes them, from the root of the repository. */
const MIGRATIONS = "schema/migrations/pg";

export async function migratePostgres(connectionString: string): Promise<void> {
  const pool = new Pool({ connectionString, max: 1 });
  try {
    await migrate(drizzle(pool), { migrationsFolder: MIGRATIONS });
  } finally {
    await pool.end();
  }
}
