/**
 * The suites, by what they need to run. `npm test` (scripts/test.ts) fails when one of them ran no test.
 * A test file belongs to the suite of its folder; see `include` of each.
 */
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { unstable_readConfig } from "wrangler";

const d1Migrations = await readD1Migrations("schema/migrations/sqlite").catch(() => []);

/** The Worker of wrangler.toml with the launcher's bindings, in the pinned workerd; each test file has storage of its own. */
const workerd = () =>
  cloudflareTest({
    wrangler: { configPath: "./wrangler.toml" },
    miniflare: {
      bindings: {
        TOLLGATE_LOCAL: "1",
        TOLLGATE_SEED_TOKEN: "seed-token-of-the-tests",
        TOLLGATE_ADMIN_KEY: "tg_admin_test",
        PORTAL_SECRET: "a-secret-of-the-tests-and-of-nobody-else",
        TEST_D1_MIGRATIONS: d1Migrations,
      },
    },
  });

/** The same runtime with a database and nothing else: whether the store works does not depend on the rest of the Worker. */
const databaseOnly = () => {
  const { compatibility_date, compatibility_flags } = unstable_readConfig({ config: "wrangler.toml" });
  return cloudflareTest({
    miniflare: {
      compatibilityDate: compatibility_date,
      compatibilityFlags: compatibility_flags,
      d1Databases: ["DB"],
      bindings: { TEST_D1_MIGRATIONS: d1Migrations },
    },
  });
};

/** Applies the D1 migrations to `env.DB` before the tests of each file. */
const migrated = ["./test/setup.ts"];

/** The files of /docs, which the Worker imports. */
const built = ["./scripts/docs-ui.ts"];

export default defineConfig({
  test: {
    // What a passing test logged is noise; a failing one shows it.
    silent: "passed-only",
    experimental: { diagnostics: false },
    projects: [
      {
        test: {
          name: "core",
          include: ["{core,providers,schema,sdk,examples,test/simulator}/**/*.test.ts"],
        },
      },
      {
        plugins: [workerd()],
        test: {
          name: "workerd",
          include: ["{durable-objects,workers,test}/**/*.test.ts"],
          exclude: ["test/{process,simulator,openmeter}/**"],
          globalSetup: built,
          setupFiles: migrated,
        },
      },
      {
        plugins: [databaseOnly()],
        test: {
          name: "store",
          include: ["store/**/*.test.ts"],
          exclude: ["store/**/*postgres*.test.ts"],
          setupFiles: migrated,
        },
      },
      {
        plugins: [databaseOnly()],
        test: {
          name: "store-postgres",
          include: ["store/**/*postgres*.test.ts"],
          // Starts a real Postgres and the WebSocket proxy that the Neon driver dials.
          globalSetup: ["./store/postgres.setup.ts"],
        },
      },
      {
        // What only whole processes can show: the launcher, kill -9 and restart, the built bundle.
        test: {
          name: "process",
          include: ["{test/process,scripts,bench}/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // OpenMeter's own client, unmodified, against one running server; every answer is checked against its document.
        test: {
          name: "openmeter",
          include: ["test/openmeter/**/*.test.ts"],
          globalSetup: ["./test/openmeter/server.setup.ts"],
          // They mostly wait: for the server, and for whole namespaces to show what each subject showed at once.
          maxWorkers: 4,
          // A number of workers of its own takes a turn of its own.
          sequence: { groupOrder: 1 },
          testTimeout: 30_000,
        },
      },
    ],
  },
});
