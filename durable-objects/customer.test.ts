import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { UsageEvent } from "../core/event";
import { objectName } from "../core/object-name";
import type { Customer } from "./customer";
import type { Call, ConfigSnapshot, CustomerRpc } from "./rpc";
import { sha256 } from "./sha256";

const NAMESPACE = "01JD0000000000000000000000";

const snapshot = (version = 1, rate = "2"): ConfigSnapshot => ({
  version,
  defaults: [{ key: "credits", from: 0 }],
  burnTables: [
    {
      key: "credits",
      version: 1,
      currency: "CREDITS",
      effectiveFrom: 0,
      markup: "1",
      priceBook: null,
      mappings: [],
      rules: [{ dimension: "tokens", rate, per: "1000" }],
    },
  ],
  meters: [
    {
      id: "m1",
      key: "tokens_total",
      eventType: "prompt",
      aggregation: "SUM",
      valueProperty: "$.tokens",
      groupBy: { model: "$.model" },
      eventFrom: null,
      createdAt: 0,
    },
  ],
});

let names = 0;
/** A customer nobody has used, configured. */
async function customer(name = `customer-${++names}`, config = snapshot()) {
  const stub = env.CUSTOMER.getByName(objectName(NAMESPACE, name, sha256));
  const rpc = stub as unknown as CustomerRpc;
  const call: Call = { namespaceId: NAMESPACE, name, configVersion: config.version };
  await rpc.configure(call, config);
  return {
    stub,
    rpc,
    call,
    name,
    /** Storage is the truth: after this nothing is in memory. */
    evict: () => evictDurableObject(stub),
    ring: () => runDurableObjectAlarm(stub),
    rows: (table: string) =>
      runInDurableObject(stub, (_object: Customer, state) => {
        const exists = state.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", table).toArray().length > 0;
        return exists
          ? state.storage.sql.exec<{ rows: number }>(`SELECT count(*) AS rows FROM ${table}`).one().rows
          : null;
      }),
    grant: (amount: string, opId = crypto.randomUUID(), bodyHash = "b") =>
      rpc.grant(call, {
        id: null,
        opId,
        bodyHash,
        amount,
        currency: null,
        kind: "paid",
        priority: 0,
        effectiveAt: null,
        expiresAt: null,
        reason: "top up",
      }),
    track: (id: string, tokens: number | string, enforce = false) =>
      rpc.track(call, { eventJson: JSON.stringify(event(name, id, { usage: { tokens } })), enforce }),
    record: (events: UsageEvent[]) => rpc.record(call, JSON.stringify(events), false),
    balance: async () => {
      const answer = await rpc.wallet(call);
      return answer.ok ? answer.wallet.balance : answer.reason;
    },
  };
}

const event = (subject: string, id: string, data: UsageEvent["data"], over: Partial<UsageEvent> = {}): UsageEvent => ({
  id,
  source: "test",
  type: "chat",
  subject,
  time: 1_700_000_000_000,
  data,
  ...over,
});

describe("reads of a name that was never written", () => {
  it("answer an empty wallet and store nothing, tables included", async () => {
    const c = await customer();
    expect(await c.rpc.wallet(c.call)).toMatchObject({
      ok: true,
      wallet: { customerId: null, userId: c.name, balance: "0", status: "EXHAUSTED", lastTransaction: null },
    });
    expect(await c.rpc.check(c.call, JSON.stringify({ feature: "chat", usage: { tokens: 1 } }))).toMatchObject({
      ok: true,
      allowed: false,
      denial: "insufficient-credits",
    });
    expect(await c.rpc.transactions(c.call, { cursor: null, limit: 10 })).toEqual({
      ok: true,
      items: [],
      nextCursor: null,
    });
    expect(await c.rpc.verify(c.call, null)).toMatchObject({ ok: true, valid: true, entries: 0 });
    expect(await c.track("1", 5, true)).toMatchObject({ ok: false, reason: "insufficient_credits" });
    expect(await c.rows("migrations")).toBe(null);
  });
});

describe("an acknowledged event", () => {
  it("is counted at once, once, and answers a repeat with the original outcome, even after eviction", async () => {
    const c = await customer();
    await c.grant("10");
    const first = await c.track("e1", 1_000);
    expect(first).toMatchObject({ ok: true, duplicate: false, cost: { amount: "2" }, wallet: { balance: "8" } });
    await c.track("e2", 500);
    await c.evict();
    expect(await c.track("e1", 1_000)).toEqual({ ...first, duplicate: true });
    expect(await c.balance()).toBe("7");
    expect(await c.track("e1", 999)).toMatchObject({ ok: false, reason: "idempotency_conflict" });
  });

  it("is debited alike by a batch, whose repeats inside and across batches count for nothing", async () => {
    const c = await customer();
    const batch = ["a", "b", "a"].map((id) => event(c.name, id, { usage: { tokens: "0.1" } }));
    expect(await c.record(batch)).toEqual({ ok: true, recorded: 2, duplicates: 1 });
    await c.evict();
    expect(await c.record([...batch, event(c.name, "c", { usage: { tokens: "0.1" } })])).toEqual({
      ok: true,
      recorded: 1,
      duplicates: 3,
    });
    expect(await c.balance()).toBe("-0.0006");
    expect(await c.track("a", "0.1")).toMatchObject({ ok: true, duplicate: true, cost: { amount: "0.0002" } });
  });

  it("survives merging, flushing and checkpoints, with its numbers exact", async () => {
    const c = await customer();
    const big = "9007199254740993";
    await c.record([event(c.name, "big", { usage: { tokens: JSON.rawJSON(big) as never } })]);
    for (let batch = 0; batch < 6; batch++) {
      await c.record(Array.from({ length: 1_000 }, (_, i) => event(c.name, `${batch}.${i}`, { usage: { tokens: 1 } })));
    }
    for (let single = 0; single < 80; single++) await c.track(`single ${single}`, 1);
    const before = await c.balance();
    await c.ring();
    await c.evict();
    expect(await c.balance()).toBe(before);
    expect(
      await c.record([event(c.name, "big", null), event(c.name, "3.77", null), event(c.name, "5.999", null)]),
    ).toEqual({ ok: true, recorded: 0, duplicates: 3 });
    expect(await c.track("big", big)).toMatchObject({
      ok: true,
      duplicate: true,
      cost: { lines: [{ quantity: big }] },
    });
    expect(await c.rows("log")).toBeLessThan(40);
    expect(await c.rpc.verify(c.call, null)).toMatchObject({ valid: true, entries: 6_081, balance: before });
  });
});

describe("a grant", () => {
  it("is applied once per operation id, and another body under that id is a conflict", async () => {
    const c = await customer();
    const [first, second] = [await c.grant("10", "op"), await c.grant("10", "op")];
    expect(first).toMatchObject({ ok: true, duplicate: false });
    expect(second).toEqual({ ...first, duplicate: true });
    expect(await c.grant("10", "op", "other")).toMatchObject({ ok: false, reason: "idempotency_conflict" });
    expect(await c.balance()).toBe("10");
  });

  it("of thirty made at once makes one customer with all of them", async () => {
    const c = await customer();
    await Promise.all(Array.from({ length: 30 }, () => c.grant("10")));
    expect(await c.balance()).toBe("300");
  });

  it("expires on time when the alarm rings, though nobody calls", async () => {
    const c = await customer();
    const expiresAt = Date.now() + 50;
    await c.rpc.grant(c.call, {
      id: "short",
      opId: "o",
      bodyHash: "b",
      amount: "5",
      currency: null,
      kind: "promo",
      priority: 0,
      effectiveAt: null,
      expiresAt,
      reason: "trial",
    });
    await expect
      .poll(async () => {
        await c.ring();
        const page = await c.rpc.transactions(c.call, { cursor: null, limit: 1 });
        return page.ok && page.items[0];
      })
      .toMatchObject({ type: "expire", amount: "-5", balanceAfter: "0", grantId: "short", timestamp: expiresAt });
  });
});

describe("sixty consumes of 10 at once on a balance of 100", () => {
  it("ten succeed, fifty are refused, nothing is left", async () => {
    const c = await customer();
    await c.grant("100");
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => c.track(`t${i}`, 5_000, true)));
    expect(answers.filter((answer) => answer.ok)).toHaveLength(10);
    expect(answers.filter((answer) => !answer.ok && answer.reason === "insufficient_credits")).toHaveLength(50);
    expect(await c.balance()).toBe("0");
  });
});

describe("transactions", () => {
  it("page backwards without gaps or repeats, across merged pages, and chain", async () => {
    const c = await customer();
    for (let i = 0; i < 90; i++) await c.track(`s${i}`, 1_000);
    await c.record(Array.from({ length: 30 }, (_, i) => event(c.name, `b${i}`, { usage: { tokens: 1_000 } })));
    await c.ring();
    await c.evict();
    const seen: { id: string; balanceAfter: string; eventId?: string }[] = [];
    for (let cursor: string | null = null; ;) {
      const page: Awaited<ReturnType<typeof c.rpc.transactions>> = await c.rpc.transactions(c.call, {
        cursor,
        limit: 7,
      });
      if (!page.ok) throw new Error(page.reason);
      seen.push(...page.items);
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(seen).toHaveLength(120);
    expect(seen.map(({ id }) => id)).toEqual(
      seen
        .map(({ id }) => id)
        .toSorted()
        .toReversed(),
    );
    expect(seen.map(({ balanceAfter }) => balanceAfter)).toEqual(seen.map((_, i) => String(-2 * (120 - i))));
    expect(seen[0]?.eventId).toBe("b29");
    expect(await c.rpc.transactions(c.call, { cursor: "01JD0000000000000000000000", limit: 7 })).toMatchObject({
      ok: false,
      reason: "invalid",
    });
  });

  it("that somebody changed in storage are found by verify", async () => {
    const c = await customer();
    await c.grant("10");
    await c.track("e", 1_000);
    await runInDurableObject(c.stub, (_object: Customer, state) => {
      const { body } = state.storage.sql.exec<{ body: string }>("SELECT body FROM log WHERE seq = 1").one();
      const forged = body.replace('["grant","10"', '["grant","90"');
      expect(forged).not.toBe(body);
      state.storage.sql.exec("UPDATE log SET body = ? WHERE seq = 1", forged);
    });
    expect(await c.rpc.verify(c.call, null)).toMatchObject({ ok: true, valid: false });
  });
});

describe("configuration", () => {
  it("that is older than the call's is asked for, and an older one never replaces a newer", async () => {
    const c = await customer(undefined, snapshot(5, "3"));
    await c.track("1", 1_000);
    expect(await c.rpc.wallet({ ...c.call, configVersion: 6 })).toEqual({ ok: false, reason: "stale_config", have: 5 });
    await c.rpc.configure(c.call, snapshot(4, "100"));
    await c.evict();
    expect(await c.track("2", 1_000)).toMatchObject({ cost: { amount: "3" } });
  });

  it("of a table made later prices what had no price, at its own time", async () => {
    const c = await customer(undefined, { ...snapshot(), burnTables: [], defaults: [] });
    expect(await c.track("1", 1_000)).toMatchObject({ ok: true, cost: null, wallet: { unrated: 1 } });
    await c.rpc.configure(c.call, snapshot(2));
    expect(await c.rpc.rateUnrated(c.call, { from: null, to: null, after: null })).toEqual({
      ok: true,
      rated: 1,
      remaining: 0,
      next: null,
    });
    await c.evict();
    expect(await c.balance()).toBe("-2");
    expect(await c.rpc.rateUnrated(c.call, { from: null, to: null, after: null })).toMatchObject({ rated: 0 });
  });
});

describe("the alarm", () => {
  it("that was lost is set again by any request, and what waits is shipped then", async () => {
    const c = await customer();
    await c.grant("10");
    await runInDurableObject(c.stub, (_object: Customer, state) => state.storage.deleteAlarm());
    await c.evict();
    expect(await c.balance()).toBe("10");
    const alarm = () => runInDurableObject(c.stub, (_object: Customer, state) => state.storage.getAlarm());
    await expect.poll(alarm).not.toBe(null);
    await c.ring();
    expect(await c.rpc.outbox(c.call)).toEqual({ unsentSince: null });
  });

  it("rings for a deadline although the object lost its memory before its chores", async () => {
    const c = await customer();
    const expiresAt = Date.now() + 3_600_000;
    await c.rpc.grant(c.call, {
      id: "g",
      opId: "o",
      bodyHash: "b",
      amount: "5",
      currency: null,
      kind: "promo",
      priority: 0,
      effectiveAt: null,
      expiresAt,
      reason: "trial",
    });
    await c.evict();
    await c.ring();
    expect(await runInDurableObject(c.stub, (_object: Customer, state) => state.storage.getAlarm())).toBe(expiresAt);
  });

  it("never rings for a sandbox's deadline, which is its clock's to run", async () => {
    const c = await customer();
    const clockMs = Date.now() - 3_600_000;
    await c.rpc.grant(
      { ...c.call, clockMs },
      {
        id: "g",
        opId: "o",
        bodyHash: "b",
        amount: "5",
        currency: null,
        kind: "promo",
        priority: 0,
        effectiveAt: null,
        expiresAt: Date.now() + 3_600_000,
        reason: "trial",
      },
    );
    await c.evict();
    await c.ring();
    expect(await runInDurableObject(c.stub, (_object: Customer, state) => state.storage.getAlarm())).toBe(null);
  });

  it("ships what waits, and the object says since when it waits until then", async () => {
    const c = await customer();
    const before = Date.now();
    await c.track("1", 1);
    const { unsentSince } = await c.rpc.outbox(c.call);
    expect(unsentSince).toBeGreaterThanOrEqual(before);
    await c.ring();
    expect(await c.rpc.outbox(c.call)).toEqual({ unsentSince: null });
  });
});

describe("names", () => {
  it("a customer's id finds its object as soon as the first call is answered", async () => {
    const c = await customer();
    const tracked = await c.track("1", 1);
    const id = tracked.ok && tracked.wallet.customerId;
    const byId = env.CUSTOMER.getByName(objectName(NAMESPACE, String(id), sha256)) as unknown as CustomerRpc;
    expect(await byId.wallet({ ...c.call, name: String(id) })).toEqual({
      ok: false,
      reason: "moved",
      home: objectName(NAMESPACE, c.name, sha256),
    });
  });

  it("an empty object becomes a stub for ever, one with data does not", async () => {
    const c = await customer();
    expect(await c.rpc.linkTo(c.call, "home")).toEqual({ ok: true });
    await c.evict();
    expect(await c.track("1", 1)).toEqual({ ok: false, reason: "moved", home: "home" });
    const used = await customer();
    await used.track("1", 1);
    expect(await used.rpc.linkTo(used.call, "home")).toEqual({ ok: false, reason: "has_data" });
  });

  it("of another namespace are a bug, not an answer", async () => {
    const c = await customer();
    await runInDurableObject(c.stub, async (object: Customer) => {
      await expect(object.wallet({ ...c.call, namespaceId: "other" })).rejects.toThrow(/another namespace/);
    });
  });
});

describe("a row that cannot be stored", () => {
  it("is as if the call had never been made", async () => {
    const c = await customer();
    await c.grant("10");
    await runInDurableObject(c.stub, async (object: Customer, state) => {
      state.storage.sql.exec("CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'disk full'); END");
      await expect(
        object.track(c.call, {
          eventJson: JSON.stringify(event(c.name, "e", { usage: { tokens: 1_000 } })),
          enforce: true,
        }),
      ).rejects.toThrow(/disk full/);
      state.storage.sql.exec("DROP TRIGGER full");
    });
    expect(await c.balance()).toBe("10");
    expect(await c.track("e", 1_000, true)).toMatchObject({ ok: true, duplicate: false, wallet: { balance: "8" } });
  });
});

describe("a batch whose decision fails half-way", () => {
  it("leaves nothing of itself: sent again, all of it is new", async () => {
    const c = await customer();
    await c.record([event(c.name, "before", { usage: { tokens: 1 } })]);
    const batch = [event(c.name, "a", { usage: { tokens: 2 } }), event(c.name, "b", { usage: { tokens: 3 } })];
    await runInDurableObject(c.stub, async (object: Customer) => {
      const { configuration } = object as unknown as { configuration: { rating: object } };
      const { rating } = configuration;
      configuration.rating = {
        get defaults(): never {
          throw new Error("a bug in rating");
        },
      };
      await expect(object.record(c.call, JSON.stringify(batch), true)).rejects.toThrow("a bug in rating");
      configuration.rating = rating;
    });
    expect(await c.record(batch)).toEqual({ ok: true, recorded: 2, duplicates: 0 });
    expect(await c.record(batch)).toEqual({ ok: true, recorded: 0, duplicates: 2 });
  });
});

describe("a customer with as many events as one object holds", () => {
  it("takes no further ones, says what to do, and still answers for those it has", async () => {
    const c = await customer();
    const first = await c.track("e1", 1_000);
    await runInDurableObject(c.stub, (object: Customer) => {
      Object.defineProperty((object as unknown as { store: object }).store, "room", { value: 0 });
    });
    const refused = { ok: false, reason: "at_bound", detail: expect.stringContaining("another subject") };
    expect(await c.track("e2", 1_000)).toEqual(refused);
    expect(await c.record([event(c.name, "e3", { usage: { tokens: 1_000 } })])).toEqual(refused);
    expect(await c.track("e1", 1_000)).toEqual({ ...first, duplicate: true });
    expect(await c.record([event(c.name, "e1", null)])).toEqual({ ok: true, recorded: 0, duplicates: 1 });
    expect(await c.balance()).toBe("-2");
  });
});
