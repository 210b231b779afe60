/** `customers`: create, get, list, update and delete, and whose usage is whose while names come and go. */
import type { HTTPError, MeterQueryRow } from "@openmeter/sdk";
import { expect, it } from "vitest";
import { event, eventually, newTenant, NOBODY, refusal, ULID } from "./harness";

const { om, send, last } = await newTenant();

await om.meters.create({ slug: "usage", eventType: "use", aggregation: "SUM", valueProperty: "$.n" });
const use = (subject: string, n: number, time: Date | string = new Date()) => event("use", subject, time, { n });
/** By customer, at once: what their objects know. */
const usageOf = async (id: string, from?: Date): Promise<number> => {
  const { data } = await om.meters.query("usage", { filterCustomerId: [id], ...(from && { from }) });
  return data.reduce((sum: number, { value }: MeterQueryRow) => sum + value, 0);
};
const create = async (key: string, ...subjectKeys: string[]) =>
  (await om.customers.create({ name: key, key, usageAttribution: { subjectKeys } }))!;

it("makes a customer with everything, answers 201, and gives it by id and by key", async () => {
  const body = {
    key: "full customer/1",
    name: "Full",
    description: "Has everything",
    metadata: { tier: "gold" },
    usageAttribution: { subjectKeys: ["full-1", "full 2"] },
    primaryEmail: "full@example.com",
    currency: "EUR",
    billingAddress: {
      country: "HU",
      postalCode: "1011",
      state: "Budapest",
      city: "Budapest",
      line1: "Fő utca 1",
      line2: "II/3",
      phoneNumber: "+3612345678",
    },
  };
  const made = (await om.customers.create(body))!;
  expect(last().status).toBe(201);
  // OpenMeter promises no order of the subjects.
  expect(made).toMatchObject({ ...body, usageAttribution: { subjectKeys: expect.any(Array) } });
  expect(made.usageAttribution!.subjectKeys.toSorted()).toEqual(body.usageAttribution.subjectKeys.toSorted());
  expect(made.id).toMatch(ULID);
  expect(made.createdAt).toBeInstanceOf(Date);
  expect(made.updatedAt).toBeInstanceOf(Date);
  expect(made).not.toHaveProperty("deletedAt");
  expect(await om.customers.get(made.id)).toEqual(made);
  expect(await om.customers.get("full customer/1")).toEqual(made);
});

it("makes a customer with subjects and no key, and one with a key and no subjects", async () => {
  const subjects = (await om.customers.create({ name: "S", usageAttribution: { subjectKeys: ["keyless"] } }))!;
  expect(subjects).not.toHaveProperty("key");
  expect(await om.customers.get(subjects.id)).toEqual(subjects);
  const key = (await om.customers.create({ name: "K", key: "key-only" }))!;
  expect(await om.customers.get("key-only")).toEqual(key);
  await om.events.ingest([use("keyless", 1), use("key-only", 2)]);
  expect([await usageOf(subjects.id), await usageOf(key.id)]).toEqual([1, 2]);
});

it.each([
  ["neither key nor subjects", { name: "N" }, "either key or usageAttribution.subjectKeys must be provided"],
  [
    "no key and an empty list of subjects",
    { name: "N", usageAttribution: { subjectKeys: [] } },
    "either key or usageAttribution.subjectKeys must be provided",
  ],
  ["no name", { key: "wrong" }, "name"],
  ["an empty name", { key: "wrong", name: "" }, "name"],
  ["a key of 257 characters", { key: "k".repeat(257), name: "N" }, "key"],
  ["an empty key", { key: "", name: "N" }, "key"],
  ["an empty subject", { name: "N", usageAttribution: { subjectKeys: [""] } }, "subjectKeys"],
  ["subjects that are no list", { name: "N", usageAttribution: { subjectKeys: "s" } }, "subjectKeys"],
  ["a currency that is none", { key: "wrong", name: "N", currency: "XQQ" }, "currency"],
  ["a currency in lower case", { key: "wrong", name: "N", currency: "usd" }, "currency"],
  ["metadata that is not text", { key: "wrong", name: "N", metadata: { a: 1 } }, "metadata"],
])("refuses a customer with %s", async (_, body, detail) => {
  const error = await refusal(om.customers.create(body as never));
  expect(error).toMatchObject({ status: 400, type: "about:blank", title: "Bad Request" });
  expect(error.getField("detail")).toContain(detail);
});

it("refuses with 409 a key that is taken, that is another's id or another's subject, and a subject that is owned", async () => {
  const owner = await create("owner", "owned");
  for (const body of [
    { key: "owner" },
    { key: owner.id },
    { key: "owned" },
    { key: "thief", usageAttribution: { subjectKeys: ["free", "owned"] } },
  ]) {
    const error = await refusal(om.customers.create({ name: "Thief", ...body }));
    expect(error, JSON.stringify(body)).toMatchObject({ status: 409, title: "Conflict" });
  }
  // Nothing of the refused ones is left.
  expect(await refusal(om.customers.get("thief"))).toMatchObject({ status: 404 });
  const later = await create("later", "free");
  expect(await refusal(om.customers.update(later.id, { name: "L", key: "owner" }))).toMatchObject({ status: 409 });
  const subjects = { name: "L", key: "later", usageAttribution: { subjectKeys: ["free", "owned"] } };
  expect(await refusal(om.customers.update(later.id, subjects))).toMatchObject({ status: 409 });
  expect(await om.customers.get(later.id)).toEqual(later);
});

it.each([
  ["get", (name: string) => om.customers.get(name)],
  ["update", (name: string) => om.customers.update(name, { name: "N", key: "k" })],
  ["delete", (name: string) => om.customers.delete(name)],
])("%s of a customer that is none is 404, by key and by id", async (_, call) => {
  await om.events.ingest(use("only-a-subject", 1));
  for (const name of ["nobody", NOBODY, "only-a-subject"])
    expect(await refusal(call(name)), name).toMatchObject({ status: 404, title: "Not Found" });
});

it("an update replaces: what is left out is gone; id and creation stay", async () => {
  const made = (await om.customers.create({
    name: "Old",
    key: "replaced",
    description: "old",
    metadata: { a: "1" },
    primaryEmail: "old@example.com",
    currency: "USD",
    billingAddress: { country: "US", city: "Austin" },
    usageAttribution: { subjectKeys: ["replaced-1", "replaced-2"] },
  }))!;
  const changed = (await om.customers.update(made.id, {
    name: "New",
    key: "replaced-new",
    metadata: { b: "2" },
    usageAttribution: { subjectKeys: ["replaced-2", "replaced-3"] },
  }))!;
  expect(last().status).toBe(200);
  expect(changed).toMatchObject({
    id: made.id,
    createdAt: made.createdAt,
    name: "New",
    key: "replaced-new",
    metadata: { b: "2" },
    usageAttribution: { subjectKeys: ["replaced-2", "replaced-3"] },
  });
  for (const gone of ["description", "primaryEmail", "currency", "billingAddress"])
    expect(changed).not.toHaveProperty(gone);
  expect(Number(changed.updatedAt)).toBeGreaterThanOrEqual(Number(made.updatedAt));
  expect(await om.customers.get("replaced-new")).toEqual(changed);
  expect(await refusal(om.customers.get("replaced"))).toMatchObject({ status: 404 });
  expect(await om.customers.update("replaced-new", { name: "By key", key: "replaced-new" })).toMatchObject({
    id: made.id,
    name: "By key",
  });
  expect(await refusal(om.customers.update(made.id, { name: "No names" }))).toMatchObject({ status: 400 });
});

it("subjects that an update adds count from then on; released ones no longer do, and may join another", async () => {
  const first = await create("giver", "kept", "given");
  await om.events.ingest([use("kept", 1), use("given", 2)]);
  expect(await usageOf(first.id)).toBe(3);
  await om.customers.update(first.id, {
    name: "giver",
    key: "giver",
    usageAttribution: { subjectKeys: ["kept", "added"] },
  });
  const second = await create("taker", "given");
  const given = use("given", 4);
  await om.events.ingest([use("kept", 8), use("added", 16), given]);
  const listed = (await om.events.list({ subject: "given", id: given.id }))!;
  expect(listed).toMatchObject([{ customerId: second.id }]);
  const [added] = (await om.events.list({ subject: "added" }))!;
  expect(added).toMatchObject({ customerId: first.id });
  const now = await om.meters.query("usage", { filterCustomerId: [first.id], subject: ["kept", "added"] });
  expect(now.data.map(({ subject, value }) => [subject, value]).toSorted()).toEqual([
    ["added", 16],
    ["kept", 9],
  ]);
  // Whoever has it now, the subject's own usage is all of it.
  expect((await om.meters.query("usage", { subject: ["given"] })).data).toMatchObject([{ value: 6 }]);
});

it("a customer over subjects that both have events has the usage of both at once, and of those to come", async () => {
  await om.events.ingest([use("merged-1", 1), use("merged-1", 2), use("merged-2", 4), use("merged", 8)]);
  const customer = await create("merged", "merged-1", "merged-2");
  expect(await usageOf(customer.id)).toBe(15);
  await om.events.ingest([use("merged-2", 16), use("merged", 32)]);
  expect(await usageOf(customer.id)).toBe(63);
  const bySubject = await om.meters.query("usage", { subject: ["merged", "merged-1", "merged-2"] });
  expect(bySubject.data.map(({ subject, value }) => [subject, value]).toSorted()).toEqual([
    ["merged", 40],
    ["merged-1", 3],
    ["merged-2", 20],
  ]);
});

it("a namespace's total is the same before, while and after subjects become one customer", async () => {
  const { om: fresh } = await newTenant();
  const total = async (slug: string) => (await fresh.meters.query(slug)).data.map(({ value }) => value);
  await fresh.meters.create({ slug: "sum", eventType: "use", aggregation: "SUM", valueProperty: "$.n" });
  await fresh.meters.create({ slug: "unique", eventType: "use", aggregation: "UNIQUE_COUNT", valueProperty: "$.n" });
  await fresh.events.ingest([use("one", 1), use("two", 2), use("two", 1), use("three", 4)]);
  await eventually(async () => {
    expect(await total("sum")).toEqual([8]);
    expect(await total("unique")).toEqual([3]);
  });
  const customer = (await fresh.customers.create({
    name: "All",
    key: "all",
    usageAttribution: { subjectKeys: ["one", "two", "three"] },
  }))!;
  for (let asked = 0; asked < 20; asked++) {
    for (const [slug, value] of Object.entries({ sum: 8, unique: 3 })) {
      // A total may be late while objects move, and then it is refused; it is never another number.
      const outcome = await total(slug).catch((error: HTTPError) => error.status);
      expect([503, value], slug).toContain(typeof outcome === "number" ? outcome : outcome[0]);
    }
  }
  await eventually(async () => {
    expect(await total("sum")).toEqual([8]);
    expect(await total("unique")).toEqual([3]);
    const bySubject = await fresh.meters.query("sum", { groupBy: ["subject"] });
    expect(bySubject.data.map(({ subject, value }) => [subject, value]).toSorted()).toEqual([
      ["one", 1],
      ["three", 4],
      ["two", 3],
    ]);
  });
  const unique = await fresh.meters.query("unique", { filterCustomerId: [customer.id] });
  expect(unique.data).toMatchObject([{ value: 3 }]);
});

it("a repeat of an event that was merged is still a repeat", async () => {
  const [one, two] = [use("repeat-1", 1), use("repeat-2", 2)];
  await om.events.ingest([one, two]);
  const customer = await create("repeats", "repeat-1", "repeat-2");
  await om.events.ingest([one, two]);
  expect(await usageOf(customer.id)).toBe(3);
});

it("a deleted customer is found by id, with its time, and neither by key nor in lists; it cannot be changed", async () => {
  const customer = await create("deleted", "deleted-subject");
  await om.customers.delete("deleted");
  expect(last()).toMatchObject({ status: 204, body: "" });
  expect(await om.customers.get(customer.id)).toMatchObject({ id: customer.id, deletedAt: expect.any(Date) });
  expect(await refusal(om.customers.get("deleted"))).toMatchObject({ status: 404 });
  expect(await om.customers.list({ key: "deleted" })).toMatchObject({ totalCount: 0, items: [] });
  expect(await om.customers.list({ key: "deleted", includeDeleted: true })).toMatchObject({
    totalCount: 1,
    items: [{ id: customer.id, deletedAt: expect.any(Date) }],
  });
  const changed = om.customers.update(customer.id, { name: "D", key: "deleted" });
  expect(await refusal(changed)).toMatchObject({ status: 412, title: "Precondition Failed" });
  expect(await refusal(om.customers.delete(customer.id))).toMatchObject({ status: 412 });
  const orphan = use("deleted-subject", 1);
  await om.events.ingest(orphan);
  const [listed] = (await om.events.list({ subject: "deleted-subject", id: orphan.id }))!;
  expect(listed!.validationError).toContain("no customer found for event subject: deleted-subject");
  expect(listed).not.toHaveProperty("customerId");
});

it("after its deletion a customer's key and subjects are free, and the next one has what comes from then on", async () => {
  const first = await create("again", "again-subject");
  await om.events.ingest([use("again", 1, "2025-05-01T00:00:00Z"), use("again-subject", 2, "2025-05-01T00:00:00Z")]);
  expect(await usageOf(first.id)).toBe(3);
  await om.customers.delete(first.id);
  const second = await create("again", "again-subject");
  expect(second.id).not.toBe(first.id);
  expect(await om.customers.get("again")).toEqual(second);
  const events = [use("again", 4), use("again-subject", 8)];
  await om.events.ingest(events);
  const today = new Date(Date.now() - 3_600_000);
  expect(await usageOf(second.id, today)).toBe(12);
  for (const { subject, id } of events)
    expect(await om.events.list({ subject, id })).toMatchObject([{ customerId: second.id }]);
  expect((await om.meters.query("usage", { subject: ["again-subject"] })).data).toMatchObject([{ value: 10 }]);
  // OpenMeter gives the past to whoever has the names now; here it stays under the id that used it (openmeter-compatibility.md).
  expect(await usageOf(first.id)).toBe(3);
});

it("lists pages of customers by name, with the count of all", async () => {
  const { om: fresh, send: ask } = await newTenant();
  const names = ["Delta", "alpha", "Charlie", "bravo", "Echo"];
  for (const name of names) await fresh.customers.create({ name, key: `key-${name}` });
  const all = (await fresh.customers.list())!;
  expect(all).toMatchObject({ totalCount: 5, page: 1, pageSize: 100 });
  expect(all.items.map(({ name }) => name).toSorted()).toEqual(names.toSorted());

  const page = async (page: number) => (await fresh.customers.list({ page, pageSize: 2 }))!;
  const pages = [await page(1), await page(2), await page(3), await page(4)];
  for (const [index, each] of pages.entries())
    expect(each).toMatchObject({ totalCount: 5, page: index + 1, pageSize: 2 });
  expect(pages.map(({ items }) => items.length)).toEqual([2, 2, 1, 0]);
  expect(pages.flatMap(({ items }) => items)).toEqual(all.items);

  const ordered = async (query: object) => (await fresh.customers.list(query))!.items.map(({ name }) => name);
  expect(await ordered({ orderBy: "name", order: "DESC" })).toEqual(all.items.map(({ name }) => name).toReversed());
  expect(await ordered({ orderBy: "createdAt", order: "ASC" })).toEqual(names);
  expect(await ordered({ orderBy: "createdAt", order: "DESC" })).toEqual(names.toReversed());
  expect(await ordered({ orderBy: "id", order: "ASC" })).toEqual(
    all.items.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map(({ name }) => name),
  );
  for (const query of ["page=0", "pageSize=1001", "pageSize=0", "orderBy=shoeSize", "order=UP"])
    expect((await ask(`/api/v1/customers?${query}`)).status, query).toBe(400);
});

it("lists customers by a part of key, name, e-mail and subject, whatever its case", async () => {
  const one = (await om.customers.create({
    key: "Filter-ONE",
    name: "Tech Startup Inc",
    primaryEmail: "contact@techstartup.com",
    usageAttribution: { subjectKeys: ["filter_subject_a", "filter_other"] },
  }))!;
  const two = (await om.customers.create({
    key: "filter-two",
    name: "Tech Innovations",
    primaryEmail: "info@INNOVATIONS.com",
    usageAttribution: { subjectKeys: ["filter_subject_b"] },
  }))!;
  const list = async (query: object) => {
    const { items, totalCount } = (await om.customers.list({ ...query, orderBy: "createdAt" }))!;
    expect(totalCount).toBe(items.length);
    return items.map(({ id }) => id);
  };
  expect(await list({ key: "filter-" })).toEqual([one.id, two.id]);
  expect(await list({ key: "filter-one" })).toEqual([one.id]);
  expect(await list({ name: "tech" })).toEqual([one.id, two.id]);
  expect(await list({ name: "INNOV" })).toEqual([two.id]);
  expect(await list({ primaryEmail: "TechStartup" })).toEqual([one.id]);
  expect(await list({ primaryEmail: "innovations.com" })).toEqual([two.id]);
  expect(await list({ subject: "Filter_Subject" })).toEqual([one.id, two.id]);
  expect(await list({ subject: "filter_other" })).toEqual([one.id]);
  expect(await list({ name: "tech", subject: "subject_b" })).toEqual([two.id]);
  expect(await list({ name: "tech", key: "nothing" })).toEqual([]);
  expect(await list({ key: "filter%" })).toEqual([]);
  expect(await list({ key: "filter_one" })).toEqual([]);
  // No plans yet: nobody is on one.
  expect(await list({ planKey: "pro" })).toEqual([]);
  expect(await list({ key: "filter-one", expand: ["subscriptions"] })).toEqual([one.id]);
});

it("a body that is no JSON, and a body that is no object, are 400", async () => {
  for (const body of ["{", "[]", "7", "null"]) {
    const headers = { "content-type": "application/json" };
    expect((await send("/api/v1/customers", { method: "POST", headers, body })).status).toBe(400);
  }
});
