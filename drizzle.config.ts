/** Migrations of the shared store on D1: `npm run generate`. The Postgres twin is drizzle.pg.config.ts. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "sqlite",
  schema: "./schema/migrations/sqlite.cjs",
  out: "./schema/migrations/sqlite",
});
