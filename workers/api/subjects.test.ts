/** Subjects over HTTP: what people say of them, in OpenMeter's shapes and statuses. */
import { describe, expect, it } from "vitest";
import { newTenant, someEvent, startWorker } from "../harness";

interface Subject {
  id: string;
  key: string;
  displayName?: string;
  metadata: Record<string, unknown>;
  createdAt: string;
  updatedAt: string;
}

async function live(kind: "live" | "sandbox" = "live") {
  const worker = startWorker();
  const { apiKey: key } = await newTenant(worker, kind);
  const call = <T = Subject>(method: string, path: string, body?: unknown) =>
    worker.call<T>(method, `/api/v1${path}`, { key, ...(body !== undefined && { body }) });
  const upsert = (...body: unknown[]) => call<Subject[]>("POST", "/subjects", body);
  const list = async () => (await call<Subject[]>("GET", "/subjects")).body;
  return { worker, key, call, upsert, list };
}

describe("a subject", () => {
  it("is made, changed in what is said and left as it is in the rest, read, listed and deleted", async () => {
    const { worker, call, upsert, list } = await live();
    const said = {
      key: "user/1 ü",
      displayName: "User One",
      metadata: { hubspotId: "1", nested: { list: [1.5, null] } },
      stripeCustomerId: "cus_1",
      currentPeriodStart: "2026-01-01T00:00:00.000Z",
      currentPeriodEnd: "2026-02-01T00:00:00.000Z",
    };
    const made = await upsert(said, { key: "b" });
    expect(made.status).toBe(200);
    const [one, other] = made.body as [Subject, Subject];
    const stamps = { id: expect.stringMatching(/^[0-9A-Z]{26}$/), createdAt: expect.stringMatching(/Z$/) };
    expect(one).toEqual({ ...said, ...stamps, updatedAt: one.createdAt });
    expect(other).toEqual({ key: "b", metadata: {}, ...stamps, updatedAt: other.createdAt });
    worker.advance(1_000);
    const [changed] = (await upsert({ key: said.key, displayName: null, metadata: { a: "b" } })).body;
    const { displayName: _, ...unnamed } = said;
    expect(changed).toEqual({ ...unnamed, ...stamps, id: one.id, metadata: { a: "b" }, updatedAt: changed!.updatedAt });
    expect(changed!.updatedAt > one.updatedAt).toBe(true);
    for (const name of [one.id, encodeURIComponent(said.key)])
      expect((await call("GET", `/subjects/${name}`)).body).toEqual(changed);
    expect((await list()).toSorted((a, b) => (a.key < b.key ? 1 : -1))).toEqual([changed, other]);

    expect(await call("DELETE", `/subjects/${encodeURIComponent(said.key)}`)).toMatchObject({ status: 204 });
    expect((await call("GET", `/subjects/${encodeURIComponent(said.key)}`)).status).toBe(404);
    expect((await call("GET", `/subjects/${one.id}`)).body).toMatchObject({ deletedAt: expect.stringMatching(/Z$/) });
    expect((await call("DELETE", `/subjects/${one.id}`)).status).toBe(204);
    expect((await call("DELETE", "/subjects/nobody")).status).toBe(404);
    expect(await list()).toEqual([other]);
    const [again] = (await upsert({ key: said.key })).body;
    expect(again!.id).not.toBe(one.id);
  });

  it("may come twice in one call, where the later word counts, and in none", async () => {
    const { upsert, list } = await live();
    const { body } = await upsert({ key: "a", displayName: "1" }, { key: "a", metadata: { x: "y" } });
    expect(body).toMatchObject([{ displayName: "1" }, { displayName: "1", metadata: { x: "y" } }]);
    expect(await list()).toEqual([body[1]]);
    const again = await upsert({ key: "a", displayName: "2" }, { key: "a", displayName: null, metadata: null });
    const { displayName: _, ...forgotten } = again.body[1]!;
    expect(await list()).toEqual([{ ...forgotten, metadata: {} }]);
    expect(await upsert()).toMatchObject({ status: 200, body: [] });
  });

  it("is one, also when many calls make it at the same time", async () => {
    const { upsert, list } = await live();
    const answers = await Promise.all([1, 2, 3, 4].map((n) => upsert({ key: "a" }, { key: `only ${n}` })));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(new Set(answers.map(({ body }) => body[0]!.id)).size).toBe(1);
    expect((await list()).map(({ key }) => key).sort()).toEqual(["a", "only 1", "only 2", "only 3", "only 4"]);
  });

  it("is there for each subject of a customer, and not for one that only sent events", async () => {
    const { worker, key, call, upsert, list } = await live();
    await upsert({ key: "known", displayName: "Known" });
    await worker.call("POST", "/api/v1/events", {
      key,
      body: [someEvent({ subject: "events-only" })],
      type: "application/cloudevents-batch+json",
    });
    const usageAttribution = { subjectKeys: ["known", "new"] };
    expect((await call("POST", "/customers", { key: "k", name: "n", usageAttribution })).status).toBe(201);
    expect((await list()).map(({ key, displayName }) => [key, displayName])).toEqual([
      ["known", "Known"],
      ["new", undefined],
    ]);
    // What is known of it is nobody's usage.
    await call("DELETE", "/subjects/new");
    expect((await call("GET", "/customers/k")).body).toMatchObject({ usageAttribution });
  });

  it("is listed with all others, however many there are", async () => {
    const { upsert, list } = await live();
    for (let page = 0; page < 3; page++)
      await upsert(...Array.from({ length: 700 }, (_, n) => ({ key: `s${page * 700 + n}` })));
    expect(new Set((await list()).map(({ key }) => key)).size).toBe(2_100);
  });

  it("has the time of the clock in a sandbox", async () => {
    const { worker, key, upsert } = await live("sandbox");
    await worker.call("PUT", "/api/v1/clock", { key, body: { now: "2031-01-01T00:00:00Z" } });
    expect((await upsert({ key: "a" })).body[0]!.createdAt).toBe("2031-01-01T00:00:00.000Z");
  });

  it.each([
    ["no list", { key: "a" }, /must be a list/],
    ["no key", [{ displayName: "a" }], /key is required/],
    ["an empty key", [{ key: "" }], /key must not be empty/],
    ["a key of 513 characters", [{ key: "x".repeat(513) }], /key must be at most 512/],
    ["NUL in a key", [{ key: "a\0" }], /NUL/],
    ["half a character in a name", [{ key: "a", displayName: "\ud800" }], /surrogate/],
    ["a Stripe id that is none", [{ key: "a", stripeCustomerId: "123" }], /stripeCustomerId must start with cus_/],
    [
      "a period that is none",
      [{ key: "a", currentPeriodStart: "yesterday" }],
      /currentPeriodStart must be an RFC 3339/,
    ],
    ["metadata that is a list", [{ key: "a", metadata: [] }], /metadata must be/],
    ["much metadata", [{ key: "a", metadata: { a: "x".repeat(16_384) } }], /metadata must be at most 16384/],
    ["a thousand and one", Array.from({ length: 1_001 }, (_, n) => ({ key: `s${n}` })), /at most 1000/],
  ])("is not made of %s, and nothing of the call is kept", async (_, body, detail) => {
    const { call, list } = await live();
    const sent = Array.isArray(body) ? [{ key: "good" }, ...body] : body;
    const { status, body: problem } = await call<{ detail: string }>("POST", "/subjects", sent);
    expect([status, problem.detail]).toEqual([400, expect.stringMatching(detail)]);
    expect(await list()).toEqual([]);
  });
});
