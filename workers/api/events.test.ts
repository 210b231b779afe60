import { describe, expect, it } from "vitest";
import type { CustomerRpc } from "../../durable-objects/rpc";
import type { SpillMessage } from "../../schema/messages";
import { newTenant, someEvent, startWorker, type WorkerOptions } from "../harness";

const EVENTS = "/api/v1/events";
const BATCH = "application/cloudevents-batch+json";

const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: "0.5", per: 1 }] };
const usage = (tokens: number, over: Record<string, unknown> = {}) =>
  someEvent({ data: { usage: { tokens } }, ...over });

async function priced(options?: WorkerOptions) {
  const worker = startWorker(options);
  const { apiKey: key, id } = await newTenant(worker);
  expect((await worker.call("POST", "/api/v1/burn-tables", { key, body: table })).status).toBe(201);
  const send = (
    body: unknown,
    { type = BATCH, headers = {} }: { type?: string; headers?: Record<string, string> } = {},
  ) => worker.call(`POST`, EVENTS, { key, body, type, headers });
  const balance = async (customer: string) =>
    (await worker.call<{ balance: string }>("GET", `/api/v1/wallets/${customer}`, { key })).body.balance;
  return { worker, key, id, send, balance };
}

describe("POST /events", () => {
  it.each([
    ["application/json", someEvent()],
    ["application/json", [someEvent(), someEvent()]],
    ["application/cloudevents+json", someEvent()],
    [BATCH, [someEvent()]],
  ])("takes %s", async (type, body) => {
    const { send } = await priced();
    const answer = await send(body, { type });
    expect([answer.status, answer.body]).toEqual([204, undefined]);
  });

  it("has counted and debited when it answers, each event once", async () => {
    const { send, balance } = await priced();
    const batch = [usage(1), usage(2, { subject: "other" }), usage(4)];
    expect((await send(batch)).status).toBe(204);
    expect((await send(batch)).status).toBe(204);
    expect((await send([...batch, ...batch])).status).toBe(204);
    expect([await balance("customer-1"), await balance("other")]).toEqual(["-2.5", "-1"]);
  });

  it("takes the same event by track and by events as one", async () => {
    const { worker, key, send, balance } = await priced();
    const track = { customer: "customer-1", feature: "request", usage: { tokens: 3 }, id: "same", source: "app" };
    expect((await worker.call("POST", "/api/v1/track", { key, body: track })).status).toBe(200);
    expect((await send([usage(3, { id: "same", source: "app" })])).status).toBe(204);
    expect(await balance("customer-1")).toBe("-1.5");
  });

  it("reads quantities by their source text", async () => {
    const { send, balance } = await priced();
    const body = JSON.stringify([usage(0)]).replace('"tokens":0', '"tokens":9007199254740993.000000000002');
    expect((await send(body)).status).toBe(204);
    expect(await balance("customer-1")).toBe("-4503599627370496.500000000001");
  });

  it("takes a subject that looks like an id: only {customer} must exist", async () => {
    const { send, balance } = await priced();
    const subject = "01JD8ZQ6M5T9W3XK2V7B4C1N0R";
    expect((await send([usage(2, { subject })])).status).toBe(204);
    expect(await balance(subject)).toBe("-1");
  });

  it("takes 10,000 events of 10 customers in one batch", async () => {
    const { worker, send, key } = await priced();
    const batch = Array.from({ length: 10_000 }, (_, i) => usage(2, { id: String(i), subject: `many-${i % 10}` }));
    expect((await send(batch)).status).toBe(204);
    expect((await worker.call<{ balance: string }>("GET", "/api/v1/wallets/many-7", { key })).body.balance).toBe(
      "-1000",
    );
  });

  it("cuts what one call of an object cannot hold, and keeps its order", async () => {
    const { send, worker, key } = await priced();
    const text = "x".repeat(200_000);
    const batch = Array.from({ length: 12 }, (_, i) =>
      someEvent({ id: `e${i}`, data: { usage: { tokens: 2 }, text } }),
    );
    expect((await send(batch)).status).toBe(204);
    const { items } = (
      await worker.call<{ items: { eventId: string }[] }>("GET", "/api/v1/wallets/customer-1/transactions", { key })
    ).body;
    expect(items.map(({ eventId }) => eventId)).toEqual(batch.map(({ id }) => id).toReversed());
  });
});

/** Objects that do nothing but count how many are at work. */
const idle =
  (seen: { atOnce: number; most: number; calls: number }): WorkerOptions["override"] =>
  () => ({
    customer: () => {
      const record = async () => {
        seen.calls++;
        seen.most = Math.max(seen.most, ++seen.atOnce);
        // Long enough for every lane to have started.
        for (let turn = 0; turn < 50; turn++) await Promise.resolve();
        seen.atOnce--;
        return { ok: true as const, recorded: 1, duplicates: 0 };
      };
      return { record } as unknown as CustomerRpc;
    },
  });

/** Objects that fail as told, in front of the real ones. */
const failing =
  (fail: (objectName: string) => Error | null): WorkerOptions["override"] =>
  (context) => ({
    customer(name) {
      const real = context.customer(name);
      const record: CustomerRpc["record"] = async (call, ...facts) => {
        const error = fail(name);
        if (error) throw error;
        return real.record(call, ...facts);
      };
      return new Proxy(real, {
        get: (target, property) => (property === "record" ? record : (Reflect.get(target, property) as unknown)),
      });
    },
  });

const broken = (marks: Record<string, unknown> = {}) => Object.assign(new Error("the object failed"), marks);
const nameOf = (objectName: string) => Buffer.from(objectName.split("/")[1]!, "base64url").toString();

/** A deployed Worker, whose spill queue is a list. */
function deployed(fail: Parameters<typeof failing>[0] = () => null) {
  const spilled: SpillMessage[] = [];
  const batches: number[] = [];
  const SPILL = {
    sendBatch: async (messages: { body: SpillMessage }[]) => {
      batches.push(messages.length);
      spilled.push(...messages.map(({ body }) => body));
    },
  } as unknown as Queue;
  return {
    spilled,
    batches,
    options: { bindings: { TOLLGATE_LOCAL: "", SPILL }, override: failing(fail)! } satisfies WorkerOptions,
  };
}

describe("when an object fails", () => {
  it("answers 503 with Retry-After, and the same batch again counts everything once", async () => {
    let down = true;
    const { worker, send, balance } = await priced({
      override: failing((name) => (down && nameOf(name) === "b" ? broken() : null))!,
    });
    const batch = ["a", "b", "c"].map((subject) => usage(2, { subject }));
    const answer = await send(batch);
    expect(answer).toMatchObject({
      status: 503,
      body: { type: "https://tollgate.dev/problems/try-again", failedCustomers: 1 },
    });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(worker.reports).toHaveLength(1);
    expect([await balance("a"), await balance("b"), await balance("c")]).toEqual(["-1", "0", "-1"]);
    down = false;
    expect((await send(batch)).status).toBe(204);
    expect([await balance("a"), await balance("b"), await balance("c")]).toEqual(["-1", "-1", "-1"]);
  });

  it("repeats a call that the platform says may be repeated", async () => {
    let failures = 2;
    const { send, balance } = await priced({
      override: failing(() => (failures-- > 0 ? broken({ retryable: true }) : null))!,
    });
    expect((await send([usage(2)])).status).toBe(204);
    expect(await balance("customer-1")).toBe("-1");
  });

  it("never has more than 16 objects at work", async () => {
    const seen = { atOnce: 0, most: 0, calls: 0 };
    const { send } = await priced({ override: idle(seen)! });
    expect((await send(Array.from({ length: 60 }, (_, i) => usage(1, { subject: `s${i}` })))).status).toBe(204);
    expect(seen).toEqual({ atOnce: 0, most: 16, calls: 60 });
  });

  it("does not spill in local mode: an overloaded object is a 503, and a preference to wait no longer is not followed", async () => {
    const { send } = await priced({
      override: failing((name) => (nameOf(name) === "busy" ? broken({ overloaded: true, retryable: true }) : null))!,
    });
    expect((await send([usage(1, { subject: "busy" })])).status).toBe(503);
    expect((await send([usage(1)], { headers: { prefer: "respond-async" } })).status).toBe(204);
    const many = await priced({ override: idle({ atOnce: 0, most: 0, calls: 0 })! });
    expect((await many.send(Array.from({ length: 201 }, (_, i) => usage(1, { subject: `s${i}` })))).status).toBe(204);
  });
});

describe("overflow of a deployed Worker", () => {
  it("spills what an overloaded object cannot take, and nothing else, and says 202", async () => {
    const { spilled, options } = deployed((name) => (nameOf(name) === "busy" ? broken({ overloaded: true }) : null));
    const { send, balance, id } = await priced(options);
    expect((await send([usage(2), usage(4, { subject: "busy", id: "b1" })])).status).toBe(202);
    expect(await balance("customer-1")).toBe("-1");
    expect(spilled).toMatchObject([{ v: 1, namespaceId: id, name: "busy", configVersion: 1 }]);
    expect(JSON.parse(spilled[0]!.eventsJson)).toMatchObject([
      { id: "b1", subject: "busy", data: { usage: { tokens: 4 } } },
    ]);
  });

  it("answers 503 and spills nothing when another object failed for good", async () => {
    const { spilled, options } = deployed((name) =>
      nameOf(name) === "busy" ? broken({ overloaded: true }) : nameOf(name) === "down" ? broken() : null,
    );
    const { send } = await priced(options);
    expect((await send(["busy", "down", "fine"].map((subject) => usage(1, { subject })))).status).toBe(503);
    expect(spilled).toEqual([]);
  });

  it("spills a batch that its sender does not want to wait for", async () => {
    const { spilled, options } = deployed();
    const { send, balance } = await priced(options);
    const answer = await send([usage(2), usage(2)], { headers: { prefer: "wait=5, respond-async" } });
    expect([answer.status, answer.headers.get("preference-applied")]).toEqual([202, "respond-async"]);
    expect(await balance("customer-1")).toBe("0");
    expect(spilled).toHaveLength(1);
  });

  it("spills a batch of more than 200 customers, in batches the queue takes", async () => {
    const { spilled, batches, options } = deployed();
    const { send } = await priced(options);
    expect((await send(Array.from({ length: 201 }, (_, i) => usage(1, { subject: `s${i}` })))).status).toBe(202);
    expect(spilled.map(({ name }) => name)).toHaveLength(201);
    expect(batches.every((count) => count <= 100)).toBe(true);
  });

  it("cuts messages below the size a queue takes, and records at once what fits no message", async () => {
    const { spilled, options } = deployed();
    const { send, balance } = await priced(options);
    const texts = [50_000, 50_000, 50_000, 110_000, 130_000, 10].map((size, i) =>
      someEvent({ id: `e${i}`, data: { usage: { tokens: 2 }, text: '"'.repeat(size / 2) } }),
    );
    expect((await send(texts, { headers: { prefer: "respond-async" } })).status).toBe(202);
    for (const message of spilled) expect(Buffer.byteLength(JSON.stringify(message))).toBeLessThanOrEqual(120_000);
    const ids = spilled.flatMap(({ eventsJson }) => (JSON.parse(eventsJson) as { id: string }[]).map(({ id }) => id));
    // Quotes are escaped twice on the way: 130,000 characters would be more than twice that.
    expect(ids.length + Number(await balance("customer-1")) * -1).toBe(6);
    expect(ids).toContain("e5");
    expect(Number(await balance("customer-1"))).toBeLessThan(0);
  });
});
