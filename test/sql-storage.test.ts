/** The reference for the simulator's storage: every case, in workerd. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { SQL_CASES } from "./simulator/sql-storage.suite";

describe("workerd's storage", () => {
  it.each(SQL_CASES)("$name", async ({ name, run, gives }) => {
    const answer = await runInDurableObject(env.CUSTOMER.getByName(`test/sql ${name}`), (_, { storage }) => {
      const transactionSync = <T>(work: () => T): T => storage.transactionSync(work);
      return JSON.stringify({ gave: run({ sql: storage.sql, transactionSync }) });
    });
    expect(JSON.parse(answer)).toEqual(JSON.parse(JSON.stringify({ gave: gives })));
  });
});
