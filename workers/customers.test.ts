/** The way to an object, with objects that answer as told. */
import { describe, expect, it } from "vitest";
import { objectName } from "../core/object-name";
import type { Answer, Call, CustomerRpc, WalletView } from "../durable-objects/rpc";
import { askCustomer, requireCustomer, type Tenant } from "./customers";
import { newTenant, startWorker } from "./harness";

const tenant: Tenant = { namespaceId: "ns", kind: "live", configVersion: 3 };
const wallet = (customerId: string | null, userId: string) => ({ customerId, userId }) as WalletView;
type Told = (objectName: string, call: Call) => Answer<{ wallet: WalletView }>;

/** Objects that answer `wallet` as told; what they were asked is written down. */
function objects(told: Told, options: { clockNow?: number | null } = {}) {
  const asked: string[] = [];
  const calls: Call[] = [];
  const configured: [objectName: string, version: number][] = [];
  const pauses: number[] = [];
  const worker = startWorker({
    override: (context) => ({
      customer: (name) =>
        ({
          async wallet(call: Call) {
            asked.push(name);
            calls.push(call);
            return told(name, call);
          },
          async configure(_: Call, { version }: { version: number }) {
            configured.push([name, version]);
            return { ok: true };
          },
        }) as unknown as CustomerRpc,
      ...(options.clockNow !== undefined && { clock: () => ({ now: async () => options.clockNow }) as never }),
      caches: context.caches,
      wait: async (ms) => void pauses.push(ms),
    }),
  });
  const nameOf = (name: string, namespaceId = tenant.namespaceId) =>
    objectName(namespaceId, name, worker.context().sha256);
  const ask = (name: string, on = tenant) =>
    askCustomer(worker.context(), on, name, (object, call) => object.wallet(call));
  const require = (name: string) =>
    requireCustomer(worker.context(), tenant, name, (object, call) => object.wallet(call));
  return { worker, asked, calls, configured, pauses, nameOf, ask, require };
}

describe("askCustomer", () => {
  it("asks the object named by the name, with namespace, name and configuration version", async () => {
    const { asked, calls, nameOf, ask } = objects(() => ({ ok: true, wallet: wallet("id", "u") }));
    expect(await ask("u")).toMatchObject({ ok: true });
    expect(asked).toEqual([nameOf("u")]);
    expect(calls).toEqual([{ namespaceId: "ns", name: "u", configVersion: 3 }]);
  });

  it("follows a name that has moved, once, and goes there directly the next time", async () => {
    const { asked, nameOf, ask } = objects((name) =>
      name.endsWith("home") ? { ok: true, wallet: wallet("id", "u") } : { ok: false, reason: "moved", home: "ns/home" },
    );
    await ask("u");
    await ask("u");
    expect(asked).toEqual([nameOf("u"), "ns/home", "ns/home"]);
  });

  it("takes a remembered home for a hint, which the object may correct", async () => {
    let home = "ns/home1";
    const { asked, nameOf, ask } = objects((name) =>
      name === home ? { ok: true, wallet: wallet("id", "u") } : { ok: false, reason: "moved", home },
    );
    await ask("u");
    home = "ns/home2";
    await ask("u");
    await ask("u");
    expect(asked).toEqual([nameOf("u"), "ns/home1", "ns/home1", "ns/home2", "ns/home2"]);
  });

  it("follows a name that was given on from object to object, and heals what it remembered of it", async () => {
    const way = ["ns/first", "ns/second", "ns/third", "ns/fourth"];
    const next = (name: string) => way[way.indexOf(name) + 1];
    const { asked, nameOf, ask } = objects((name) => {
      const home = next(name);
      return home === undefined ? { ok: true, wallet: wallet("id", "u") } : { ok: false, reason: "moved", home };
    });
    expect(await ask("u")).toMatchObject({ ok: true });
    expect(asked).toEqual([nameOf("u"), ...way]);
    way.push("ns/fifth");
    expect(await ask("u")).toMatchObject({ ok: true });
    expect(await ask("u")).toMatchObject({ ok: true });
    expect(asked.slice(5)).toEqual(["ns/fourth", "ns/fifth", "ns/fifth"]);
  });

  it("never leaves the namespace", async () => {
    const { ask } = objects(() => ({ ok: false, reason: "moved", home: "ns2/home" }));
    await expect(ask("u")).rejects.toThrow("out of its namespace");
  });

  it("answers 503 when objects send it around in circles", async () => {
    const { ask, asked } = objects((name) => ({ ok: false, reason: "moved", home: name === "ns/a" ? "ns/b" : "ns/a" }));
    await expect(ask("u")).rejects.toMatchObject({ status: 503 });
    expect(asked.length).toBeLessThanOrEqual(8);
  });

  it("waits while the customer's data moves, longer each time, follows it, and answers 503 when it takes too long", async () => {
    let left = 3;
    const moving = objects((name) =>
      name.endsWith("home")
        ? { ok: true, wallet: wallet("id", "u") }
        : { ok: false, reason: left-- > 0 ? "merging" : "moved", home: "ns/home" },
    );
    expect(await moving.ask("u")).toMatchObject({ ok: true });
    expect(moving.asked.map((name) => name.split("/")[1])).toEqual(["dQ", "dQ", "dQ", "dQ", "home"]);
    expect(moving.pauses).toEqual(moving.pauses.toSorted((a, b) => a - b));
    expect(moving.pauses).toHaveLength(3);
    const stuck = objects(() => ({ ok: false, reason: "merging", home: "ns/home" }));
    await expect(stuck.ask("u")).rejects.toMatchObject({ status: 503, code: "try-again" });
    expect(stuck.pauses.reduce((sum, pause) => sum + pause, 0)).toBeGreaterThan(2_000);
  });

  it("brings an object the configuration that it lacks, reading it once, and asks again", async () => {
    const known = new Set<string>();
    const made = objects((name) =>
      known.has(name)
        ? { ok: true, wallet: wallet("id", "u") }
        : (known.add(name), { ok: false, reason: "stale_config", have: 0 }),
    );
    const { worker, configured, nameOf } = made;
    const { id, apiKey: key } = await newTenant(worker);
    await worker.call("POST", "/api/v1/burn-tables", { key, body: { key: "t", currency: "CREDITS", rules: [] } });
    const on: Tenant = { namespaceId: id, kind: "live", configVersion: 1 };
    const before = worker.queries();
    expect(await made.ask("u", on)).toMatchObject({ ok: true });
    expect(await made.ask("v", on)).toMatchObject({ ok: true });
    expect(configured).toEqual([
      [nameOf("u", id), 1],
      [nameOf("v", id), 1],
    ]);
    expect(worker.queries() - before).toBeLessThanOrEqual(1);
  });

  it("gives live calls no time, and sandbox calls the test clock's, or the wall clock's until that is set", async () => {
    const sandbox: Tenant = { ...tenant, kind: "sandbox" };
    const frozen = objects(() => ({ ok: true, wallet: wallet("id", "u") }), { clockNow: 1_900_000_000_000 });
    await frozen.ask("u", sandbox);
    await frozen.ask("u", { ...sandbox, clockMs: 7 });
    expect(frozen.calls.map(({ clockMs }) => clockMs)).toEqual([1_900_000_000_000, 7]);
    const running = objects(() => ({ ok: true, wallet: wallet("id", "u") }), { clockNow: null });
    await running.ask("u", sandbox);
    expect(Math.abs(running.calls[0]!.clockMs! - Date.now())).toBeLessThan(5_000);
  });

  it.each([
    [{ retryable: true }, 1, "answers"],
    [{ retryable: true }, 9, "throws"],
    [{ retryable: true, overloaded: true }, 1, "throws"],
    [{}, 1, "throws"],
  ])("with errors marked %j, %i of them, %s", async (marks, failures, outcome) => {
    let left = failures;
    const { ask, asked } = objects(() => {
      if (left-- > 0) throw Object.assign(new Error("platform"), marks);
      return { ok: true, wallet: wallet("id", "u") };
    });
    if (outcome === "answers") expect(await ask("u")).toMatchObject({ ok: true });
    else await expect(ask("u")).rejects.toThrow("platform");
    expect(asked.length).toBeLessThanOrEqual(8);
  });
});

describe("requireCustomer", () => {
  const ID = "01JD8ZQ6M5T9W3XK2V7B4C1N0R";

  it("refuses an unknown name that looks like an id, and takes any other", async () => {
    const { require } = objects((_, { name }) => ({ ok: true, wallet: wallet(null, name) }));
    await expect(require(ID)).rejects.toMatchObject({ status: 404, code: "unknown-customer" });
    expect(await require("u")).toMatchObject({ wallet: { customerId: null } });
  });

  it("asks the customer of an id by the id, and remembers that it exists", async () => {
    const { require, asked, nameOf } = objects(() => ({ ok: true, wallet: wallet(ID, "key") }));
    await require(ID);
    await require(ID);
    expect(asked).toEqual([nameOf(ID), nameOf(ID), nameOf(ID)]);
  });

  it("throws refusals as problems, and says when to try again", async () => {
    await expect(objects(() => ({ ok: false, reason: "wallet_frozen" })).require("u")).rejects.toMatchObject({
      status: 403,
      code: "wallet-frozen",
    });
    const overloaded = objects(() => {
      throw Object.assign(new Error("busy"), { overloaded: true });
    });
    await expect(overloaded.require("u")).rejects.toMatchObject({
      status: 503,
      headers: { "retry-after": expect.any(String) },
    });
  });
});
