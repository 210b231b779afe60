/** The store on Postgres, through the Neon serverless driver, inside workerd; and what only Postgres could get wrong. */
import { env } from "cloudflare:workers";
import { sql } from "drizzle-orm";
import { afterEach, beforeEach, describe, expect, inject, it } from "vitest";
import { dialThrough } from "./neon-proxy";
import { openStore, type Store } from "./store";
import { storeSuite } from "./suite";

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
});
