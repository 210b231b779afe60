/** Corrections over HTTP: what was recorded is voided or replaced, and meters, wallet and lists end as if it had always been so. */
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { objectName } from "../../core/object-name";
import { AGGREGATIONS } from "../../core/aggregation";
import { sha256 } from "../../durable-objects/sha256";
import { newTenant, someEvent, startWorker, type Answer } from "../harness";

const BATCH = "application/cloudevents-batch+json";
const CUSTOMER = "customer-1";
const TABLE = {
  key: "standard",
  currency: "CREDITS",
  effectiveFrom: "1970-01-01T00:00:00Z",
  rules: [{ dimension: "tokens", rate: 1, per: 1 }],
};
const HOUR = Date.parse("2026-11-20T10:00:00Z");
const at = (minute: number): string => new Date(HOUR + minute * 60_000).toISOString();
const usage = (id: string, tokens: unknown, over: Record<string, unknown> = {}) =>
  someEvent({ id, type: "prompt", time: at(0), data: { usage: { tokens }, user: id, tokens }, ...over });

const worker = startWorker();

async function priced() {
  const tenant = await newTenant(worker);
  const { apiKey: key, id: namespaceId } = tenant;
  const call = <T = Record<string, unknown>>(method: string, path: string, body?: unknown, headers = {}) =>
    worker.call<T>(method, `/api/v1${path}`, { key, body, headers });
  await call("POST", "/burn-tables", TABLE);
  for (const aggregation of AGGREGATIONS) {
    const slug = aggregation.toLowerCase();
    const valueProperty = aggregation === "COUNT" ? undefined : aggregation === "UNIQUE_COUNT" ? "$.user" : "$.tokens";
    const { status } = await call("POST", "/meters", { slug, eventType: "prompt", aggregation, valueProperty });
    expect(status).toBe(200);
  }
  const send = async (events: unknown[]) =>
    expect((await worker.call("POST", "/api/v1/events", { key, body: events, type: BATCH })).status).toBe(204);
  const value = async (aggregation: string, query = "") => {
    const { body } = await call<{ data: { value: number }[] }>(
      "GET",
      `/meters/${aggregation.toLowerCase()}/query?subject=${CUSTOMER}${query}`,
    );
    return body.data[0]?.value ?? null;
  };
  const values = async () => Object.fromEntries(await Promise.all(AGGREGATIONS.map(async (a) => [a, await value(a)])));
  const correct = (how: "void" | "amend", id: string, over: Record<string, unknown> = {}, headers = {}) =>
    call("POST", `/events/${how}`, { subject: CUSTOMER, source: "test", id, reason: "wrong", ...over }, headers);
  const evict = () => evictDurableObject(env.CUSTOMER.getByName(objectName(namespaceId, CUSTOMER, sha256)) as never);
  const balance = async () => (await call<{ balance: string }>("GET", `/wallets/${CUSTOMER}`)).body.balance;
  return { call, send, values, value, correct, evict, balance, key };
}

const codeOf = ({ status, body }: Answer) => [status, String(body.type).split("/").at(-1)];

describe("voiding an event", () => {
  it("takes it out of every aggregation and gives its credits back", async () => {
    const { call, send, values, correct, evict, balance } = await priced();
    await call("POST", `/wallets/${CUSTOMER}/grants`, { amount: 100, kind: "paid" });
    await send([usage("a", 5), usage("b", 40), usage("c", 3, { time: at(1) })]);
    const { status, body } = await correct("void", "b");
    expect(status).toBe(200);
    expect(body).toMatchObject({
      subject: CUSTOMER,
      source: "test",
      id: "b",
      status: "voided",
      cost: { before: "40", after: "0" },
      adjustment: "40",
      unrated: false,
      wallet: { balance: "92" },
    });
    const without = { COUNT: 2, SUM: 8, AVG: 4, MIN: 3, MAX: 5, UNIQUE_COUNT: 2, LATEST: 3 };
    expect(await values()).toEqual(without);
    await evict();
    expect(await values()).toEqual(without);
    expect(await balance()).toBe("92");
  });

  it("leaves its id taken: sent again it is a duplicate, and counts nothing", async () => {
    const { send, value, correct } = await priced();
    await send([usage("a", 5)]);
    await correct("void", "a");
    await send([usage("a", 5), usage("b", 1)]);
    expect(await value("SUM")).toBe(1);
  });

  it("is refused for an event that is not there, and for one that is voided already", async () => {
    const { send, correct } = await priced();
    expect(codeOf(await correct("void", "a"))).toEqual([404, "unknown-event"]);
    await send([usage("a", 5)]);
    expect((await correct("void", "a")).status).toBe(200);
    expect(codeOf(await correct("void", "a"))).toEqual([409, "already-voided"]);
    expect(codeOf(await correct("amend", "a", { data: {} }))).toEqual([409, "already-voided"]);
  });

  it("answers the same again under the same Idempotency-Key, also after eviction, and nothing else under it", async () => {
    const { send, correct, evict, balance } = await priced();
    await send([usage("a", 5), usage("b", 7)]);
    const headers = { "idempotency-key": "once" };
    const first = await correct("void", "a", {}, headers);
    await evict();
    expect((await correct("void", "a", {}, headers)).body).toEqual(first.body);
    expect(codeOf(await correct("void", "b", {}, headers))).toEqual([409, "idempotency-conflict"]);
    expect(await balance()).toBe("-7");
  });
});

describe("amending an event", () => {
  it("replaces data and time, and debits the difference in one entry", async () => {
    const { call, send, value, correct } = await priced();
    await send([usage("a", 5)]);
    const { body } = await correct("amend", "a", { data: { usage: { tokens: 9 }, tokens: 9 }, time: at(61) });
    expect(body).toMatchObject({ status: "amended", cost: { before: "5", after: "9" }, adjustment: "-4" });
    expect(await value("SUM", `&from=${at(0)}&to=${at(60)}`)).toBe(null);
    expect(await value("SUM", `&from=${at(60)}&to=${at(120)}`)).toBe(9);
    const transactions = await call<{ items: { type: string; amount: string; eventId: string }[] }>(
      "GET",
      `/wallets/${CUSTOMER}/transactions`,
    );
    expect(transactions.body.items.map(({ type, amount, eventId }) => [type, amount, eventId])).toEqual([
      ["adjust", "-4", "a"],
      ["shortfall", "-5", "a"],
    ]);
    expect((await call("GET", `/wallets/${CUSTOMER}/transactions/verify`)).body).toMatchObject({
      valid: true,
      balance: "-9",
    });
  });

  it("keeps numbers exact", async () => {
    const { key, send, balance } = await priced();
    await send([usage("a", 5)]);
    const body = `{"subject":"${CUSTOMER}","source":"test","id":"a","reason":"r","data":{"usage":{"tokens":9007199254740993.000000000001}}}`;
    expect((await worker.call("POST", "/api/v1/events/amend", { key, body })).status).toBe(200);
    expect(await balance()).toBe("-9007199254740993.000000000001");
  });

  it("is seen in the events list as it is now, once", async () => {
    const { call, send, correct } = await priced();
    await send([usage("a", 5), usage("b", 1)]);
    await correct("amend", "a", { data: { usage: { tokens: 6 } } });
    await correct("void", "b");
    const { body } = await call<{ event: { id: string; data: unknown } }[]>(
      "GET",
      `/events?subject=${CUSTOMER}&from=${at(0)}`,
    );
    expect(body.map(({ event }) => [event.id, event.data])).toEqual([["a", { usage: { tokens: 6 } }]]);
  });

  it.each([
    ["neither data nor time", {}, 400],
    ["data that is no object", { data: [1] }, 400],
    ["a time that is none", { time: "yesterday" }, 400],
    ["a field that it does not know", { data: {}, tokens: 1 }, 400],
    ["no reason", { data: {}, reason: "" }, 400],
    ["data past 256 KB", { data: { text: "x".repeat(300_000) } }, 400],
  ])("is refused for %s, and changes nothing", async (_, over, status) => {
    const { send, value, correct } = await priced();
    await send([usage("a", 5)]);
    expect((await correct("amend", "a", over)).status).toBe(status);
    expect(await value("SUM")).toBe(5);
  });

  it("reaches events of a meter made later, and of one whose log is folded afterwards", async () => {
    const { call, send, correct } = await priced();
    await send([usage("a", 5), usage("b", 2)]);
    await correct("amend", "a", { data: { tokens: 1, usage: { tokens: 1 } } });
    await call("POST", "/meters", {
      slug: "later",
      eventType: "prompt",
      aggregation: "MAX",
      valueProperty: "$.tokens",
    });
    const { body } = await call<{ data: { value: number }[] }>("GET", `/meters/later/query?subject=${CUSTOMER}`);
    expect(body.data[0]?.value).toBe(2);
  });
});

describe("any corrections of any events", () => {
  const tokens = fc.integer({ min: 0, max: 9 });
  const minute = fc.integer({ min: 0, max: 2 });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("send" as const), tokens, minute }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("amend" as const), which: fc.nat(), tokens, minute }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("void" as const), which: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("evict" as const) }) },
  );

  it("end in the values of a customer that was only ever sent what counts, whatever is evicted in between", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const [one, other] = [await priced(), await priced()];
        const present = new Map<string, { tokens: number; minute: number }>();
        const order: string[] = [];
        for (const [number, each] of steps.entries()) {
          if (each.do === "send") {
            const id = `e${number}`;
            present.set(id, each);
            order.push(id);
            await one.send([usage(id, each.tokens, { time: at(each.minute) })]);
          } else if (each.do === "evict") await one.evict().catch(() => undefined);
          else {
            const id = [...present.keys()][each.which % Math.max(1, present.size)];
            if (id === undefined) continue;
            order.splice(order.indexOf(id), 1);
            if (each.do === "void") {
              present.delete(id);
              await one.correct("void", id);
            } else {
              present.set(id, each);
              // A new version arrived last: it wins among values of one time.
              order.push(id);
              const data = { usage: { tokens: each.tokens }, user: id, tokens: each.tokens };
              await one.correct("amend", id, { data, time: at(each.minute) });
            }
          }
        }
        for (const id of order) {
          const { tokens: count, minute: when } = present.get(id)!;
          await other.send([usage(id, count, { time: at(when) })]);
        }
        expect(await one.values()).toEqual(await other.values());
        expect(await one.balance()).toBe(await other.balance());
      }),
      { numRuns: 12 },
    );
  }, 60_000);
});
