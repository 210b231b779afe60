/** Migrations of the shared store on Neon: `npm run generate`. The D1 twin is drizzle.config.ts. */
import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./schema/migrations/pg.cjs",
  // scripts/generate.ts --check writes to a copy.
  out: process.env.MIGRATIONS_OUT ?? "./schema/migrations/pg",
});
