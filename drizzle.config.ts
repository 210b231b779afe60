/** Migrations of the shared store on D1: `npm run generate`. The Postgres twin is drizzle.pg.config.ts. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "sqlite",
  schema: "./schema/migrations/sqlite.cjs",
  // scripts/generate.ts --check writes to a copy.
  out: process.env.MIGRATIONS_OUT ?? "./schema/migrations/sqlite",
});
