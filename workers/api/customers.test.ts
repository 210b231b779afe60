/** Customers over HTTP: OpenMeter's rules and statuses, and that key, id and every subject lead to one wallet and one usage. */
import { describe, expect, it } from "vitest";
import { applyRating } from "../../store/apply-rating";
import { ratingMessage } from "../../schema/messages";
import { ADMIN_KEY, newTenant, someEvent, startWorker, type Worker } from "../harness";

interface Customer {
  id: string;
  key?: string;
  name: string;
  usageAttribution?: { subjectKeys: string[] };
  deletedAt?: string;
  createdAt: string;
  updatedAt: string;
}
interface Wallet {
  customerId: string | null;
  userId: string;
  balance: string;
}

/** Histories of many changes, each of which may move a wallet; the runner's own 5 s would fail on a busy machine. */
const TEST_MS_MAX = 30_000;

/** Each usage of n tokens costs n credits. */
const table = { key: "standard", currency: "CREDITS", rules: [{ dimension: "tokens", rate: 1, per: 1 }] };

async function live(worker: Worker = startWorker(), kind: "live" | "sandbox" = "live") {
  const tenant = await newTenant(worker, kind);
  const key = tenant.apiKey;
  const post = <T = Record<string, unknown>>(path: string, body: unknown, headers: Record<string, string> = {}) =>
    worker.call<T>("POST", `/api/v1${path}`, { key, body, headers });
  const put = <T = Customer>(path: string, body: unknown) => worker.call<T>("PUT", `/api/v1${path}`, { key, body });
  /** A replacement that must be taken. */
  const change = async (path: string, body: Record<string, unknown>) => {
    const changed = await put(path, { name: "n", ...body });
    expect(changed, JSON.stringify(body)).toMatchObject({ status: 200 });
    expect(worker.reports).toEqual([]);
    return changed.body;
  };
  const get = <T = Record<string, unknown>>(path: string) => worker.call<T>("GET", `/api/v1${path}`, { key });
  const remove = (path: string) => worker.call("DELETE", `/api/v1${path}`, { key });
  expect((await post("/burn-tables", table)).status).toBe(201);
  const create = (body: Record<string, unknown>) => post<Customer>("/customers", { name: "ACME", ...body });
  const created = async (body: Record<string, unknown>) => {
    const made = await create(body);
    expect(made, JSON.stringify(body)).toMatchObject({ status: 201 });
    return made.body;
  };
  const wallet = async (name: string) => (await get<Wallet>(`/wallets/${encodeURIComponent(name)}`)).body;
  const track = (customer: string, tokens: number) => post("/track", { customer, feature: "f", usage: { tokens } });
  const grant = (customer: string, amount: number) =>
    post(`/wallets/${encodeURIComponent(customer)}/grants`, { amount, kind: "paid" });
  const send = async (subject: string, tokens: number) => {
    const event = someEvent({ subject, type: "f", data: { usage: { tokens } } });
    const sent = await worker.call("POST", "/api/v1/events", {
      key,
      body: event,
      type: "application/cloudevents+json",
    });
    expect(sent.status).toBe(204);
  };
  const subjects = (...subjectKeys: string[]) => ({ usageAttribution: { subjectKeys } });
  return { worker, tenant, key, post, put, change, get, remove, create, created, wallet, track, grant, send, subjects };
}

describe("a customer", () => {
  it("is made, read by id and by key, replaced and deleted as OpenMeter does", async () => {
    const { get, put, remove, create, subjects, worker } = await live();
    const body = {
      key: "acme",
      name: "ACME Inc.",
      description: "d",
      metadata: { a: "1" },
      primaryEmail: "a@example.com",
      currency: "EUR",
      billingAddress: { country: "HU", city: "Budapest" },
      ...subjects("s2", "s1"),
    };
    const made = await create(body);
    expect(made.status).toBe(201);
    const { id, createdAt, updatedAt } = made.body;
    expect(made.body).toEqual({
      ...body,
      ...subjects("s1", "s2"),
      id: expect.stringMatching(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/),
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      updatedAt: createdAt,
    });
    for (const name of [id, "acme", `${id}?expand=subscriptions`])
      expect(await get(`/customers/${name}`)).toMatchObject({ status: 200, body: made.body });
    for (const name of ["s1", "ACME", "01JD8ZQ6M5T9W3XK2V7B4C1N0R"])
      expect(await get(`/customers/${name}`)).toMatchObject({ status: 404 });
    worker.advance(1_000);
    // What is left out becomes empty.
    const replaced = await put("/customers/acme", { key: "acme", name: "Renamed", metadata: {}, billingAddress: {} });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toEqual({
      id,
      key: "acme",
      name: "Renamed",
      createdAt,
      updatedAt: expect.stringMatching(/Z$/),
    });
    expect(replaced.body.updatedAt > updatedAt).toBe(true);
    expect((await get("/customers/acme")).body).toEqual(replaced.body);

    expect(await remove("/customers/acme")).toMatchObject({ status: 204, body: undefined });
    expect((await get("/customers/acme")).status).toBe(404);
    expect((await get(`/customers/${id}`)).body).toMatchObject({ id, deletedAt: expect.stringMatching(/Z$/) });
    expect((await put(`/customers/${id}`, body)).status).toBe(412);
    expect((await remove(`/customers/${id}`)).status).toBe(412);
    expect((await remove("/customers/acme")).status).toBe(404);
    expect((await put("/customers/acme", body)).status).toBe(404);
    // Its names are free.
    expect((await create(body)).status).toBe(201);
  });

  it("shows what it was called to the end, when it is deleted", async () => {
    const { get, remove, created, subjects } = await live();
    const { id } = await created({ key: "k", ...subjects("a", "b") });
    await remove(`/customers/${id}`);
    expect((await get<Customer>(`/customers/${id}`)).body).toMatchObject({ key: "k", ...subjects("a", "b") });
  });

  it.each([
    [{ key: "k" }, { key: "k" }],
    [{ key: "k" }, { key: "other", usageAttribution: { subjectKeys: ["k"] } }],
    [{ key: "k", usageAttribution: { subjectKeys: ["s"] } }, { key: "s" }],
    [{ key: "k", usageAttribution: { subjectKeys: ["s"] } }, { usageAttribution: { subjectKeys: ["x", "s"] } }],
  ])("%j keeps its names: %j is a 409 that says whose they are, and makes nothing", async (first, second) => {
    const { create, created, put, get } = await live();
    const { id } = await created(first);
    const refused = await create(second);
    expect(refused).toMatchObject({ status: 409, body: { conflictingEntityId: id, title: "Conflict" } });
    await created({ key: "free" });
    expect(await put("/customers/free", { name: "n", ...second })).toMatchObject({ status: 409 });
    expect((await get<{ totalCount: number }>("/customers")).body.totalCount).toBe(2);
    expect((await get<Customer>("/customers/free")).body.key).toBe("free");
  });

  it("is never called by the id of a customer", async () => {
    const { create, created, put, remove, subjects } = await live();
    const { id } = await created({ key: "k" });
    expect((await create({ key: id })).status).toBe(409);
    expect((await create({ key: "l", ...subjects(id) })).status).toBe(409);
    expect((await put("/customers/k", { name: "n", key: id })).status).toBe(409);
    await remove("/customers/k");
    expect((await create({ key: id })).status).toBe(409);
  });

  it("may have its key as a subject, and loses either alone", async () => {
    const { created, put, wallet, grant, subjects } = await live();
    const { id } = await created({ key: "k", ...subjects("k", "s") });
    await grant("k", 5);
    expect((await put("/customers/k", { name: "n", key: "k", ...subjects("s") })).body).toMatchObject(subjects("s"));
    expect((await put(`/customers/${id}`, { name: "n", key: "l", ...subjects("k") })).body).toMatchObject({
      key: "l",
      ...subjects("k"),
    });
    for (const name of [id, "k", "l"])
      expect(await wallet(name)).toMatchObject({ customerId: id, userId: "l", balance: "5" });
    expect(await wallet("s")).toMatchObject({ customerId: null });
  });

  it("takes each subject once, however often it is given, and shows them in their order", async () => {
    const { created, subjects } = await live();
    expect(await created(subjects("b", "a", "b"))).toMatchObject(subjects("a", "b"));
  });

  it("is one of many made at the same time under one key or subject, and the others leave nothing", async () => {
    const { create, get, wallet, subjects } = await live();
    const tries = await Promise.all(
      [0, 1, 2, 3, 4, 5].map((n) =>
        create({ key: n % 2 === 0 ? "k" : `k${n}`, name: `${n}`, ...subjects("shared", `s${n}`) }),
      ),
    );
    expect(tries.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
    const winner = tries.find(({ status }) => status === 201)!.body;
    const { items } = (await get<{ items: Customer[] }>("/customers")).body;
    expect(items).toEqual([winner]);
    for (const name of [winner.id, winner.key!, "shared", `s${winner.name}`])
      expect(await wallet(name)).toMatchObject({ customerId: winner.id });
    // Whoever lost can be made with what is left.
    const loser = tries.findIndex(({ status }, n) => status === 409 && n % 2 === 1);
    expect((await create({ key: `k${loser}`, ...subjects(`s${loser}`) })).status).toBe(201);
  });

  it("takes changes at the same time one after the other", async () => {
    const { created, put, get, wallet, subjects } = await live();
    const { id } = await created({ key: "k", ...subjects("a") });
    const changes = await Promise.all(
      [1, 2, 3].map((n) => put(`/customers/${id}`, { name: `n${n}`, key: `k${n}`, ...subjects(`s${n}`, "a") })),
    );
    expect(changes.map(({ status }) => status)).toEqual([200, 200, 200]);
    const { body } = await get<Customer>(`/customers/${id}`);
    const n = body.name.slice(1);
    expect(body).toMatchObject({ key: `k${n}`, ...subjects("a", `s${n}`) });
    for (const name of [id, "a", `k${n}`, `s${n}`]) expect((await wallet(name)).customerId).toBe(id);
    for (const other of ["1", "2", "3"].filter((each) => each !== n))
      for (const name of [`k${other}`, `s${other}`, "k"]) expect((await wallet(name)).customerId, name).toBe(null);
  });

  it("is made once under an Idempotency-Key, also when the requests arrive together", async () => {
    const { post, get } = await live();
    const make = (body: unknown) => post<Customer>("/customers", body, { "idempotency-key": "once" });
    const both = await Promise.all([make({ key: "k", name: "n" }), make({ key: "k", name: "n" })]);
    expect(both.map(({ status }) => status)).toEqual([201, 201]);
    expect(both[0]!.body).toEqual(both[1]!.body);
    expect((await make({ key: "k", name: "n" })).body).toEqual(both[0]!.body);
    expect(await make({ key: "l", name: "n" })).toMatchObject({ status: 409 });
    expect((await get<{ totalCount: number }>("/customers")).body.totalCount).toBe(1);
  });

  it.each([
    ["no name", { key: "k" }, /name is required/],
    ["neither key nor subjects", { name: "n" }, /either key or usageAttribution.subjectKeys must be provided/],
    ["no subjects", { name: "n", usageAttribution: { subjectKeys: [] } }, /either key or/],
    ["no list of subjects", { name: "n", key: "k", usageAttribution: {} }, /usageAttribution.subjectKeys is required/],
    ["an empty key", { name: "n", key: "" }, /key must not be empty/],
    ["an empty subject", { name: "n", usageAttribution: { subjectKeys: [""] } }, /subjectKeys\[0\] must not be empty/],
    ["a key of 257 characters", { name: "n", key: "x".repeat(257) }, /key must be at most 256/],
    ["a name of 257 characters", { name: "x".repeat(257), key: "k" }, /name must be at most 256/],
    ["a long description", { name: "n", key: "k", description: "x".repeat(1025) }, /description must be at most 1024/],
    ["a currency in small letters", { name: "n", key: "k", currency: "eur" }, /currency/],
    ["a currency that is none", { name: "n", key: "k", currency: "ABC" }, /currency must be a currency of ISO 4217/],
    [
      "a country that is none",
      { name: "n", key: "k", billingAddress: { country: "Hungary" } },
      /billingAddress.country/,
    ],
    ["metadata that is no text", { name: "n", key: "k", metadata: { a: 1 } }, /metadata.a must be a string/],
    [
      "much metadata",
      { name: "n", key: "k", metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, "v"])) },
      /metadata must have at most 50/,
    ],
    ["NUL in a key", { name: "n", key: "a\0b" }, /NUL/],
    ["NUL in a name", { name: "a\0b", key: "k" }, /NUL/],
    ["half a character in a subject", { name: "n", usageAttribution: { subjectKeys: ["\ud800"] } }, /surrogate/],
    [
      "a thousand and one subjects",
      { name: "n", usageAttribution: { subjectKeys: Array.from({ length: 1_001 }, (_, i) => `s${i}`) } },
      /at most 1000/,
    ],
    ["a list", [{ name: "n", key: "k" }], /must be a JSON object/],
    ["a key that is no text", { name: "n", key: 7 }, /key must be a string/],
  ])("is not made of %s", async (_, body, detail) => {
    const { post, put, get, created } = await live();
    await created({ key: "here" });
    for (const answer of [await post("/customers", body), await put("/customers/here", body)]) {
      expect(answer).toMatchObject({ status: 400, body: { title: "Bad Request" } });
      expect((answer.body as { detail?: string }).detail).toMatch(detail);
    }
    expect((await get<{ items: Customer[] }>("/customers")).body.items.map(({ name }) => name)).toEqual(["ACME"]);
  });

  it("is not made of what is no JSON, and ignores fields that OpenMeter does not know", async () => {
    const { worker, key, created } = await live();
    const sent = (body: string, type = "application/json") =>
      worker.call("POST", "/api/v1/customers", { key, body, type });
    expect(await sent('{"name":')).toMatchObject({ status: 400 });
    expect(await sent("")).toMatchObject({ status: 400 });
    expect(await sent('{"name":"n","key":"k"}', "text/plain")).toMatchObject({ status: 415 });
    expect(await created({ key: "k", id: "mine", timezone: "UTC", createdAt: "x" })).not.toHaveProperty("timezone");
  });
});

describe("the names of a customer", { timeout: TEST_MS_MAX }, () => {
  it("lead to one wallet from the moment it is made, for reads and for writes", async () => {
    const { created, wallet, grant, track, send, subjects } = await live();
    const { id } = await created({ key: "acme", ...subjects("user 1", "user/2") });
    expect(await wallet("acme")).toMatchObject({ customerId: id, userId: "acme" });
    const names = [id, "acme", "user 1", "user/2"];
    for (const name of names) expect((await grant(name, 10)).status).toBe(201);
    for (const name of names) expect((await track(name, 1)).status).toBe(200);
    for (const name of names.slice(1)) await send(name, 1);
    for (const name of names)
      expect(await wallet(name)).toMatchObject({ customerId: id, userId: "acme", balance: "33" });
  });

  it("lead to it also without a key, whose events by id are one of its subjects'", async () => {
    const { created, wallet, grant, track, subjects } = await live();
    const { id, key } = await created(subjects("b", "a"));
    expect(key).toBe(undefined);
    await grant("b", 10);
    expect((await track(id, 1)).status).toBe(200);
    expect((await track("a", 2)).status).toBe(200);
    for (const name of [id, "a", "b"]) expect(await wallet(name)).toMatchObject({ customerId: id, balance: "7" });
  });

  it("bring what was sent and granted under them before, with the id that it had", async () => {
    const { create, created, wallet, grant, track, send, subjects } = await live();
    await send("events-only", 3);
    const { customerId } = await wallet("events-only");
    expect((await created({ key: "events-only" })).id).toBe(customerId);
    expect(await wallet("events-only")).toMatchObject({ customerId, balance: "-3" });

    await track("tracked", 4);
    await grant("tracked", 10);
    const tracked = await wallet("tracked");
    expect((await created({ key: "other key", ...subjects("tracked") })).id).toBe(tracked.customerId);
    for (const name of ["other key", "tracked", tracked.customerId!])
      expect(await wallet(name)).toMatchObject({ customerId: tracked.customerId, userId: "other key", balance: "6" });
    expect((await create({ key: "events-only" })).status).toBe(409);
    expect((await create({ key: "tracked" })).status).toBe(409);
  });

  it("prefer the object of the key, and bring what the others have into it", async () => {
    const { created, wallet, grant, send, subjects } = await live();
    await send("s1", 1);
    await grant("s2", 20);
    await send("k", 4);
    const [before, s2] = [await wallet("k"), await wallet("s2")];
    const { id } = await created({ key: "k", ...subjects("s1", "s2", "s3") });
    expect(id).toBe(before.customerId);
    for (const name of [id, "k", "s1", "s2", "s3", s2.customerId!])
      expect(await wallet(name), name).toMatchObject({ customerId: id, balance: "15" });
  });

  it("go on leading to it when one is added, and bring what it had", async () => {
    const { created, change, wallet, grant, track, subjects } = await live();
    const { id } = await created({ key: "k" });
    await grant("k", 10);
    await track("later", 3);
    await change("/customers/k", { key: "k", ...subjects("later", "never") });
    for (const name of [id, "k", "later", "never"])
      expect(await wallet(name)).toMatchObject({ customerId: id, balance: "7" });
  });

  it("take the future with them when they are taken away, and not the past", async () => {
    const { created, change, wallet, grant, track, subjects } = await live();
    const { id } = await created({ key: "k", ...subjects("s") });
    await grant("s", 10);
    await change("/customers/k", { key: "k" });
    expect(await wallet("s")).toMatchObject({ customerId: null, balance: "0" });
    expect(await wallet("k")).toMatchObject({ customerId: id, balance: "10" });
    await track("s", 2);
    expect(await wallet("s")).toMatchObject({ balance: "-2" });
    // Another customer takes it over, with what it has had since.
    const other = await created({ key: "l", ...subjects("s") });
    for (const name of [other.id, "l", "s"])
      expect(await wallet(name)).toMatchObject({ customerId: other.id, balance: "-2" });
    expect(await wallet("k")).toMatchObject({ customerId: id, balance: "10" });
  });

  it("come back with what they had meanwhile", async () => {
    const { created, change, wallet, grant, track, send, subjects } = await live();
    const { id } = await created({ key: "k", ...subjects("s") });
    await grant("k", 10);
    for (let turn = 1; turn <= 3; turn++) {
      await change(`/customers/${id}`, { key: "other" });
      expect(await wallet("k"), `turn ${turn}`).toMatchObject({ customerId: null });
      await send("k", 1);
      await track("s", 1);
      await change(`/customers/${id}`, { key: "k", ...subjects("s") });
      for (const name of [id, "k", "s"])
        expect(await wallet(name), `turn ${turn}`).toMatchObject({
          customerId: id,
          userId: "k",
          balance: `${10 - 2 * turn}`,
        });
    }
  });

  it("are free for the next customer when this one is deleted, whose wallet stays under its id, any number of times", async () => {
    const { created, remove, wallet, grant, track, subjects } = await live();
    const past: [id: string, balance: string][] = [];
    for (let turn = 1; turn <= 6; turn++) {
      const { id } = await created({ key: "k", ...subjects("s") });
      expect(past.map(([known]) => known)).not.toContain(id);
      await grant("k", turn);
      await track("s", 20);
      for (const name of [id, "k", "s"])
        expect(await wallet(name)).toMatchObject({ customerId: id, balance: `${turn - 20}` });
      past.push([id, `${turn - 20}`]);
      expect((await remove("/customers/k")).status).toBe(204);
      for (const name of ["k", "s"]) expect(await wallet(name)).toMatchObject({ customerId: null, balance: "0" });
    }
    for (const [id, balance] of past) expect(await wallet(id)).toMatchObject({ customerId: id, balance });
  });

  it("move from customer to customer as one list replaces another", async () => {
    const { created, change, put, wallet, track, subjects } = await live();
    const [a, b] = [await created({ key: "a", ...subjects("s") }), await created({ key: "b" })];
    await track("s", 1);
    expect((await put("/customers/b", { name: "b", key: "b", ...subjects("s") })).status).toBe(409);
    await change("/customers/a", { key: "a" });
    await change("/customers/b", { key: "b", ...subjects("s") });
    await track("s", 2);
    expect(await wallet("s")).toMatchObject({ customerId: b.id, balance: "-2" });
    // The key of one becomes a subject of the other.
    await change("/customers/a", { key: "c" });
    await change("/customers/b", { key: "b", ...subjects("a") });
    await track("a", 4);
    expect(await wallet("a")).toMatchObject({ customerId: b.id, balance: "-6" });
    expect(await wallet("c")).toMatchObject({ customerId: a.id, userId: "c", balance: "-1" });
    expect(await wallet("s")).toMatchObject({ customerId: null, balance: "0" });
  });

  it("are not brought together when their wallets hold different currencies", async () => {
    const { create, created, put, grant, post, get, subjects } = await live();
    await grant("credits", 5);
    await post("/wallets/euros/grants", { amount: 5, kind: "paid", currency: "EUR" });
    const refused = await create({ key: "k", ...subjects("credits", "euros") });
    expect(refused).toMatchObject({ status: 422, body: { type: "https://tollgate.dev/problems/currency-mismatch" } });
    expect((await get("/customers/k")).status).toBe(404);
    await created({ key: "k", ...subjects("credits") });
    expect(await put("/customers/k", { name: "n", key: "k", ...subjects("credits", "euros") })).toMatchObject({
      status: 422,
    });
    expect((await get<Customer>("/customers/k")).body).toMatchObject(subjects("credits"));
  });

  it("reach one wallet although events, tracks and grants arrive while the customer is made", async () => {
    const { create, wallet, grant, track, send, subjects } = await live();
    for (let turn = 0; turn < 3; turn++) {
      const [k, s] = [`k${turn}`, `s${turn}`];
      const [made] = await Promise.all([
        create({ key: k, ...subjects(s) }),
        track(k, 1),
        send(s, 2),
        grant(s, 10),
        track(s, 4),
        send(k, 1),
      ]);
      expect(made.status).toBe(201);
      for (const name of [made.body.id, k, s])
        expect(await wallet(name), name).toMatchObject({ customerId: made.body.id, balance: "2" });
    }
  });

  it("work in a sandbox, at the time of its clock", async () => {
    const { worker, key, created, put, wallet, grant, track, subjects } = await live(startWorker(), "sandbox");
    await worker.call("PUT", "/api/v1/clock", { key, body: { now: "2031-01-01T00:00:00Z" } });
    await track("s", 3);
    const { id, createdAt } = await created({ key: "k", ...subjects("s") });
    expect(createdAt).toBe("2031-01-01T00:00:00.000Z");
    await grant("k", 5);
    expect(await wallet("s")).toMatchObject({ customerId: id, balance: "2" });
    // Later than the last change, though the clock stands still.
    expect((await put("/customers/k", { name: "n", key: "k" })).body.updatedAt).toBe("2031-01-01T00:00:00.001Z");
    expect(await wallet("s")).toMatchObject({ customerId: null });
  });
});

describe("customers that no API call made", { timeout: TEST_MS_MAX }, () => {
  /** What the objects tell the store, without waiting for their alarm. */
  async function told({ worker, tenant }: Awaited<ReturnType<typeof live>>, names: string[]) {
    const context = worker.context();
    const { objectName } = await import("../../core/object-name");
    for (const name of names) {
      const object = context.customer(objectName(tenant.id, name, context.sha256));
      const { messages } = await object.drain({ namespaceId: tenant.id, name, configVersion: 0 });
      await applyRating(
        context.store,
        messages.map((message) => ratingMessage.parse(message)),
      );
    }
  }

  it("are listed when a track, a grant or a setting made them, and not when only events were sent", async () => {
    const api = await live();
    const { get, track, grant, send, worker, key } = api;
    await track("tracked", 1);
    await grant("granted", 1);
    await worker.call("PATCH", "/api/v1/wallets/set", { key, body: { overdraftLimit: 1 } });
    await send("sent", 1);
    await told(api, ["tracked", "granted", "set", "sent"]);
    const { items, totalCount } = (await get<{ items: Customer[]; totalCount: number }>("/customers")).body;
    expect([items.map(({ key, name }) => [key, name]), totalCount]).toEqual([
      [
        ["granted", "granted"],
        ["set", "set"],
        ["tracked", "tracked"],
      ],
      3,
    ]);
    expect((await get("/customers/sent")).status).toBe(404);
  });

  it("are made by the API once, keep their id, and are replaced and deleted like any other", async () => {
    const api = await live();
    const { get, put, remove, create, created, wallet, track } = api;
    for (const name of ["a", "b", "c"]) await track(name, 1);
    await told(api, ["a", "b", "c"]);
    const [a, b, c] = [await wallet("a"), await wallet("b"), await wallet("c")];
    expect(await created({ key: "a", name: "A" })).toMatchObject({ id: a.customerId, name: "A" });
    expect((await create({ key: "a" })).status).toBe(409);
    expect((await put("/customers/b", { name: "B", key: "b2" })).body).toMatchObject({ id: b.customerId, key: "b2" });
    expect(await wallet("b2")).toMatchObject({ customerId: b.customerId, userId: "b2", balance: "-1" });
    expect(await wallet("b")).toMatchObject({ customerId: null });
    expect((await remove("/customers/c")).status).toBe(204);
    expect(await wallet("c")).toMatchObject({ customerId: null });
    expect(await wallet(c.customerId!)).toMatchObject({ balance: "-1" });
    await told(api, ["a", "b2", "c"]);
    const { items } = (await get<{ items: Customer[] }>("/customers")).body;
    expect(items.map(({ name }) => name)).toEqual(["A", "B"]);
  });

  it("become part of the customer that takes their name, and are listed no more", async () => {
    const api = await live();
    const { get, created, track, wallet, subjects } = api;
    for (const name of ["a", "b"]) await track(name, 1);
    await told(api, ["a", "b"]);
    const b = await wallet("b");
    const { id } = await created({ key: "k", ...subjects("a", "b") });
    await told(api, ["a", "b"]);
    const { items } = (await get<{ items: Customer[] }>("/customers")).body;
    expect(items).toMatchObject([{ id, key: "k" }]);
    expect((await get(`/customers/${b.customerId}`)).body).toMatchObject({ deletedAt: expect.any(String) });
    expect(await wallet(b.customerId!)).toMatchObject({ customerId: id, balance: "-2" });
  });
});

describe("the list of customers", () => {
  interface List {
    items: Customer[];
    totalCount: number;
    page: number;
    pageSize: number;
  }

  it("is filtered, ordered and paged as OpenMeter's", async () => {
    const { get, created, remove, subjects } = await live();
    await created({ key: "Alpha-1", name: "Zulu", primaryEmail: "Z@x.org", ...subjects("sub-A") });
    await created({ key: "beta_2", name: "alpha", ...subjects("sub-B", "100%") });
    await created({ name: "Mike", ...subjects("x") });
    await created({ key: "gone", name: "gone" });
    await remove("/customers/gone");
    const names = async (query: string) => {
      const { status, body } = await get<List>(`/customers${query}`);
      expect(status, query).toBe(200);
      return body.items.map(({ name }) => name);
    };
    expect(await names("")).toEqual(["Mike", "Zulu", "alpha"]);
    expect(await names("?order=DESC")).toEqual(["alpha", "Zulu", "Mike"]);
    expect(await names("?orderBy=id")).toEqual(["Zulu", "alpha", "Mike"]);
    expect(await names("?orderBy=createdAt&order=DESC")).toEqual(["Mike", "alpha", "Zulu"]);
    expect(await names("?includeDeleted=true")).toEqual(["Mike", "Zulu", "alpha", "gone"]);
    expect(await names("?key=ALPHA")).toEqual(["Zulu"]);
    expect(await names("?name=LPH")).toEqual(["alpha"]);
    expect(await names("?primaryEmail=z%40X")).toEqual(["Zulu"]);
    expect(await names("?subject=SUB")).toEqual(["Zulu", "alpha"]);
    expect(await names("?subject=0%25&name=a")).toEqual(["alpha"]);
    expect(await names("?planKey=pro")).toEqual([]);
    expect(await names("?expand=subscriptions&unknown=1")).toEqual(["Mike", "Zulu", "alpha"]);
    expect((await get<List>("/customers?page=2&pageSize=2")).body).toMatchObject({
      items: [{ name: "alpha" }],
      totalCount: 3,
      page: 2,
      pageSize: 2,
    });
    expect((await get<List>("/customers?page=9")).body).toEqual({ items: [], totalCount: 3, page: 9, pageSize: 100 });
  });

  it.each([
    "page=0",
    "page=x",
    "pageSize=0",
    "pageSize=1001",
    "orderBy=key",
    "order=asc",
    "includeDeleted=1",
    "expand=x",
  ])("refuses %s", async (query) => {
    const { get } = await live();
    expect(await get(`/customers?${query}`)).toMatchObject({ status: 400, body: { title: "Bad Request" } });
  });
});

it("the operator's key opens none of it", async () => {
  const worker = startWorker();
  expect((await worker.call("GET", "/api/v1/customers", { key: ADMIN_KEY })).status).toBe(401);
});
