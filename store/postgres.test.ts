/** The store on Postgres, through the Neon serverless driver, inside workerd; and what only Postgres could get wrong. */
import { env } from "cloudflare:workers";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { dialThrough } from "./neon-proxy";
import { openStore, type Store } from "./store";
import { storeSuite } from "./suite";
import { newNamespace } from "./suite/builders";
import { findNamespace } from "./namespaces";

const { url, wsProxy } = inject("postgres");
dialThrough(wsProxy);
const open = () => openStore({ DB: env.DB, DATABASE_URL: url });

storeSuite("Postgres", open);

describe("what the shared store relies on in Postgres", () => {
  let store: Store;
  beforeEach(() => {
    store = open();
  });
  afterEach(() => store.close());

  it("compares every text bytewise, as SQLite does, whatever the database's locale", async () => {
    const columns = await store.db
      .select({ table: sql<string>`table_name`, collation: sql<string | null>`collation_name` })
      .from(sql`information_schema.columns` as never)
      .where(sql`table_schema = 'public' and data_type = 'text'`);
    expect(new Set(columns.map(({ table }) => table)).size).toBe(Object.keys(store.tables).length);
    expect(columns.filter(({ collation }) => collation !== "C")).toEqual([]);
  });

  it("goes on with a new connection when one dies", async () => {
    const namespaceId = await newNamespace(store);
    const other = open();
    const killed = await other.db
      .select({ done: sql<boolean>`pg_terminate_backend(pid)` })
      .from(sql`pg_stat_activity` as never)
      .where(sql`pid <> pg_backend_pid() and backend_type = 'client backend'`);
    expect(killed.length).toBeGreaterThan(0);
    await other.close();
    // The next query may still be sent down the dead connection; the one after it is not.
    const found = await findNamespace(store, namespaceId).catch(() => findNamespace(store, namespaceId));
    expect(found).toMatchObject({ id: namespaceId });
  });
});
