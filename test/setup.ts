/** Gives every test file of the workerd suites a migrated D1; vitest.config.ts reads the migrations and binds them. */
import { applyD1Migrations, type D1Migration } from "cloudflare:test";
import { env } from "cloudflare:workers";

declare global {
  namespace Cloudflare {
    interface Env {
      TEST_D1_MIGRATIONS?: D1Migration[];
    }
  }
}

await applyD1Migrations(env.DB, env.TEST_D1_MIGRATIONS ?? []);
