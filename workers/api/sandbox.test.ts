/** The test clock from outside: what a sandbox does as its time moves. */
import { describe, expect, it } from "vitest";
import { newTenant, someEvent, startWorker } from "../harness";

interface Wallet {
  balance: string;
  lastTransaction: { amount: string; timestamp: string } | null;
}

async function sandbox() {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker, "sandbox");
  const setClock = (now: string) => worker.call("PUT", "/api/v1/clock", { key, body: { now } });
  const wallet = async (name: string) => (await worker.call<Wallet>("GET", `/api/v1/wallets/${name}`, { key })).body;
  const grant = (name: string, body: Record<string, unknown>) =>
    worker.call("POST", `/api/v1/wallets/${name}/grants`, { key, body: { kind: "paid", ...body } });
  return { worker, key, setClock, wallet, grant };
}

describe("a sandbox namespace", () => {
  it("shows the wall clock until its clock is set", async () => {
    const { worker, key, setClock } = await sandbox();
    const before = (await worker.call<{ now: string; frozen: boolean }>("GET", "/api/v1/clock", { key })).body;
    expect(before.frozen).toBe(false);
    expect(Math.abs(Date.parse(before.now) - Date.now())).toBeLessThan(5_000);
    expect(await setClock("2030-01-01T00:00:00+01:00")).toMatchObject({
      status: 200,
      body: { now: "2029-12-31T23:00:00.000Z", frozen: true },
    });
    expect((await worker.call("GET", "/api/v1/clock", { key })).body).toEqual({
      now: "2029-12-31T23:00:00.000Z",
      frozen: true,
    });
  });

  it("has let credits expire and take effect by the time the clock's answer is there", async () => {
    const { setClock, wallet, grant, worker, key } = await sandbox();
    await setClock("2030-01-01T00:00:00Z");
    await grant("a", { amount: 10, expiresAt: "2030-02-01T00:00:00Z" });
    await grant("b", { amount: 7, effectiveAt: "2030-01-15T00:00:00Z", expiresAt: "2030-03-01T00:00:00Z" });
    expect([await wallet("a"), await wallet("b")]).toMatchObject([{ balance: "10" }, { balance: "0" }]);
    await setClock("2030-02-10T00:00:00Z");
    expect([await wallet("a"), await wallet("b")]).toMatchObject([
      { balance: "0", lastTransaction: { amount: "-10", timestamp: "2030-02-01T00:00:00.000Z" } },
      { balance: "7", lastTransaction: { amount: "7", timestamp: "2030-01-15T00:00:00.000Z" } },
    ]);
    for (const name of ["a", "b"]) {
      expect((await worker.call("GET", `/api/v1/wallets/${name}/transactions/verify`, { key })).body).toMatchObject({
        valid: true,
      });
    }
  });

  it("stamps what has no time with the clock's", async () => {
    const { setClock, worker, key, wallet } = await sandbox();
    await setClock("2030-01-01T00:00:00Z");
    const rules = [{ dimension: "tokens", rate: 1, per: 1 }];
    await worker.call("POST", "/api/v1/burn-tables", { key, body: { key: "t", currency: "CREDITS", rules } });
    await setClock("2030-06-01T00:00:00Z");
    await worker.call("POST", "/api/v1/burn-tables", {
      key,
      body: { key: "t", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 5, per: 1 }] },
    });
    const usage = { data: { usage: { tokens: 1 } } };
    await worker.call("POST", "/api/v1/events", {
      key,
      body: [
        someEvent({ subject: "a", ...usage }),
        someEvent({ subject: "a", time: "2030-05-31T23:59:59Z", ...usage }),
      ],
    });
    expect(await wallet("a")).toMatchObject({
      balance: "-6",
      lastTransaction: { timestamp: "2030-06-01T00:00:00.000Z" },
    });
  });

  it("takes a new version of a table at once, where a live one wants 60 s of notice", async () => {
    const { worker, key, setClock } = await sandbox();
    await setClock("2030-01-01T00:00:00Z");
    const body = { key: "t", currency: "CREDITS", rules: [] };
    for (const version of [1, 2])
      expect((await worker.call("POST", "/api/v1/burn-tables", { key, body })).body).toMatchObject({
        version,
        effectiveFrom: "2030-01-01T00:00:00.000Z",
      });
  });
});
