/** `events`: ingest, list and listV2, as OpenMeter's users call them; what the client cannot send goes by `send`. */
import { type IngestedEvent, isHTTPError } from "@openmeter/sdk";
import { expect, it } from "vitest";
import { event, eventually, newTenant, refusal, tenantOf, ULID } from "./harness";

const { om, url, send, last } = await newTenant();

/** OpenMeter keeps whole seconds. */
const now = Math.floor(Date.now() / 1000) * 1000;
const ago = (seconds: number): Date => new Date(now - seconds * 1000);
const DAY = 86_400;

const idsOf = (listed: IngestedEvent[] | undefined): unknown[] => listed!.map((each) => each.event.id);

it("takes one event, fills in what is missing, and lists it at once", async () => {
  expect(await om.events.ingest({ type: "single", subject: "ann", data: { tokens: 7 } } as never)).toBeUndefined();
  expect(last()).toMatchObject({ method: "POST", status: 204, body: "" });
  expect(last().requestHeaders.get("content-type")).toBe("application/cloudevents-batch+json");

  const listed = await om.events.list({ subject: "ann" });
  expect(listed).toHaveLength(1);
  const [{ event: kept, ingestedAt, storedAt }] = listed as [NonNullable<typeof listed>[number]];
  expect(kept).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    source: "@openmeter/sdk",
    specversion: "1.0",
    type: "single",
    subject: "ann",
    data: { tokens: 7 },
  });
  for (const instant of [kept.time, ingestedAt, storedAt]) {
    expect(instant).toBeInstanceOf(Date);
    expect(Math.abs(Number(instant) - Date.now())).toBeLessThan(60_000);
  }
});

it("takes an array of events of several subjects, and each subject's list shows its own, newest first", async () => {
  const events = [event("many", "b1", ago(30)), event("many", "b2", ago(20)), event("many", "b1", ago(10))];
  await om.events.ingest(events);
  expect(idsOf(await om.events.list({ subject: "b1" }))).toEqual([events[2]!.id, events[0]!.id]);
  expect(idsOf(await om.events.list({ subject: "b2" }))).toEqual([events[1]!.id]);
});

it("a repeated (source, id) is answered 204, counts once, and the first one stays", async () => {
  const first = event("repeat", "r", ago(5), { n: 1 });
  await om.events.ingest([first, { ...first, data: { n: 2 } }]);
  await om.events.ingest({ ...first, data: { n: 3 } });
  expect(last().status).toBe(204);
  expect(await om.events.list({ subject: "r" })).toMatchObject([{ event: { id: first.id, data: { n: 1 } } }]);
});

it("a missing and a null time become the server's", async () => {
  for (const time of [undefined, null]) {
    await send("/api/v1/events", {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json" },
      body: JSON.stringify({ ...event("t", `time-${time}`, ago(0)), time }),
    });
    const [listed] = (await om.events.list({ subject: `time-${time}` }))!;
    expect(Math.abs(Number(listed!.event.time) - Date.now())).toBeLessThan(60_000);
  }
});

it.each([
  ["application/json", "one"],
  ["application/json", "many"],
  ["application/cloudevents+json", "one"],
  ["application/cloudevents-batch+json", "many"],
])("takes %s with %s", async (type, form) => {
  const one = event("form", `${form} ${type}`, ago(1));
  const answer = await send("/api/v1/events", {
    method: "POST",
    headers: { "content-type": type },
    body: JSON.stringify(form === "one" ? one : [one]),
  });
  expect(answer.status).toBe(204);
  expect(idsOf(await om.events.list({ subject: one.subject }))).toEqual([one.id]);
});

it("takes events without data, and with none", async () => {
  await om.events.ingest([event("nothing", "n", ago(2)), event("nothing", "n", ago(1), null)]);
  expect(await om.events.list({ subject: "n" })).toHaveLength(2);
});

it("strings of the data that look like a time come back as Date, all others as they were, and the wire has them unchanged", async () => {
  const data = {
    at: "2025-03-09T10:00:00Z",
    deep: [{ to: "2025-03-09T10:00:00.123+01:00" }],
    day: "2025-03-09",
    text: "at 2025-03-09T10:00:00Z",
  };
  await om.events.ingest(event("dates", "dates", ago(1), data));
  const [listed] = (await om.events.list({ subject: "dates" }))!;
  expect(listed!.event.data).toEqual({
    at: new Date("2025-03-09T10:00:00Z"),
    deep: [{ to: new Date("2025-03-09T09:00:00.123Z") }],
    day: "2025-03-09",
    text: "at 2025-03-09T10:00:00Z",
  });
  expect((JSON.parse(last().body) as { event: { data: unknown } }[])[0]!.event.data).toEqual(data);
});

it("lists by a part of the id, by exact subject, from (inclusive) to (exclusive), and up to limit", async () => {
  const filtered = (seconds: number) => event("filter", "filter", ago(seconds));
  const [old, mid, young] = [filtered(300), filtered(200), filtered(100)];
  await om.events.ingest([old, mid, young, event("filter", "filter 2", ago(150))]);
  const list = async (query: object) => idsOf(await om.events.list({ subject: "filter", ...query }));

  expect(await list({})).toEqual([young.id, mid.id, old.id]);
  expect(await list({ id: mid.id.slice(5, 30) })).toEqual([mid.id]);
  expect(await list({ from: ago(200) })).toEqual([young.id, mid.id]);
  expect(await list({ to: ago(200) })).toEqual([old.id]);
  expect(await list({ from: ago(300), to: ago(100) })).toEqual([mid.id, old.id]);
  expect(await list({ limit: 2 })).toEqual([young.id, mid.id]);
  expect(await list({ from: ago(50) })).toEqual([]);
});

it("lists by the time of ingestion, whatever the event's own", async () => {
  const before = new Date(Date.now() - 2_000);
  const late = event("ingested", "ingested", ago(20 * DAY));
  await om.events.ingest(late);
  const after = new Date(Date.now() + 60_000);
  const list = async (query: object) => idsOf(await om.events.list({ subject: "ingested", ...query }));
  expect(await list({ ingestedAtFrom: before })).toEqual([late.id]);
  expect(await list({ ingestedAtFrom: before, ingestedAtTo: after })).toEqual([late.id]);
  expect(await list({ ingestedAtFrom: after })).toEqual([]);
  expect(await list({ ingestedAtTo: before })).toEqual([]);
});

it("lists the last 32 days unless told otherwise, and refuses to look further back", async () => {
  const inside = event("bound", "bound", ago(31 * DAY));
  await om.events.ingest([inside, event("bound", "bound", ago(33 * DAY))]);
  expect(idsOf(await om.events.list({ subject: "bound" }))).toEqual([inside.id]);
  expect(await refusal(om.events.list({ from: ago(33 * DAY) }))).toMatchObject({
    status: 400,
    message: expect.stringMatching(/from/),
  });
});

it.each([
  ["a limit of 0", { limit: 0 }],
  ["a limit above 100", { limit: 101 }],
  ["to before from", { from: ago(10), to: ago(20) }],
  ["a time that is none", { from: "yesterday" }],
  ["an id of a customer that is no ULID", { customerId: ["acme"] }],
  ["a clientId of 37 characters", { clientId: "c".repeat(37) }],
])("refuses to list with %s", async (_, query) => {
  const error = await refusal(om.events.list(query as never));
  expect(error).toMatchObject({ status: 400, type: "about:blank", title: "Bad Request" });
  expect(error.message).toContain(Object.keys(query).at(-1));
});

it("the list of the whole namespace shows the events of all subjects, newest first", async () => {
  const events = [3, 2, 1].map((seconds) => event("wide", `wide ${seconds}`, ago(3_600 + seconds)));
  await om.events.ingest(events);
  await eventually(async () => {
    const listed = await om.events.list({ from: ago(3_700), to: ago(3_600) });
    expect(idsOf(listed)).toEqual(events.map(({ id }) => id).toReversed());
  });
});

it("tells at listing what is wrong with an event's value, and keeps the event", async () => {
  await om.meters.create({ slug: "checked", eventType: "checked", aggregation: "SUM", valueProperty: "$.tokens" });
  await om.customers.create({ name: "Checked", key: "checked" });
  const cases: [data: Record<string, unknown> | null | undefined, problem: string | undefined][] = [
    [{ tokens: 5 }, undefined],
    [{ tokens: "5.5" }, undefined],
    [null, "invalid event: null and missing value property"],
    [undefined, "invalid event: null and missing value property"],
    [{}, 'missing value property: "$.tokens"'],
    [{ tokens: "NaN" }, "value cannot be NaN"],
    [{ tokens: "Inf" }, "value cannot be infinity"],
  ];
  const events = cases.map(([data], index) => event("checked", "checked", ago(100 - index), data));
  await om.events.ingest(events);
  const listed = (await om.events.list({ subject: "checked" }))!;
  const problems = events.map(({ id }) => listed.find((each) => each.event.id === id)!.validationError);
  for (const [index, [, problem]] of cases.entries()) {
    if (problem === undefined) expect(problems[index]).toBeUndefined();
    else expect(problems[index]).toContain(problem);
  }
  // What has no value contributes nothing.
  expect(await om.meters.query("checked", { subject: ["checked"] })).toMatchObject({ data: [{ value: 10.5 }] });
});

it("tells at listing that no meter and no customer take an event", async () => {
  await om.events.ingest(event("unmetered", "nobody's", ago(1)));
  const [listed] = (await om.events.list({ subject: "nobody's" }))!;
  expect(listed!.validationError).toContain("no meter found for event type: unmetered");
  expect(listed!.validationError).toContain("no customer found for event subject: nobody's");
  expect(listed).not.toHaveProperty("customerId");
});

it("attributes events by the customer's key and by each of its subject keys, and lists them by customer", async () => {
  await om.meters.create({ slug: "attributed", eventType: "attributed", aggregation: "COUNT" });
  const customer = (await om.customers.create({
    name: "Acme",
    key: "acme",
    usageAttribution: { subjectKeys: ["acme east", "acme-west"] },
  }))!;
  const subjects = ["acme", "acme east", "acme-west"];
  const events = subjects.map((subject, index) => event("attributed", subject, ago(60 - index)));
  await om.events.ingest([...events, event("attributed", "somebody else", ago(50))]);
  for (const [index, subject] of subjects.entries()) {
    const [listed] = (await om.events.list({ subject }))!;
    expect(listed).toMatchObject({ event: { id: events[index]!.id, subject }, customerId: customer.id });
    expect(listed).not.toHaveProperty("validationError");
  }
  expect(idsOf(await om.events.list({ customerId: [customer.id] }))).toEqual(events.map(({ id }) => id).toReversed());
  const filter = JSON.stringify({ customerId: { $in: [customer.id] } });
  const page = (await om.events.listV2({ filter }))!;
  expect(idsOf(page.items)).toEqual(events.map(({ id }) => id).toReversed());
});

it("events from before their customer are the customer's once it is made", async () => {
  const early = event("early", "early-subject", ago(10));
  await om.events.ingest(early);
  const customer = (await om.customers.create({
    name: "Late",
    key: "late",
    usageAttribution: { subjectKeys: ["early-subject"] },
  }))!;
  expect(customer.id).toMatch(ULID);
  expect(await om.events.list({ subject: "early-subject" })).toMatchObject([
    { event: { id: early.id }, customerId: customer.id },
  ]);
  expect(idsOf(await om.events.list({ customerId: [customer.id] }))).toEqual([early.id]);
});

it("listV2 pages through a subject's events, newest first, each once, and ends when a page is not full", async () => {
  const events = Array.from({ length: 7 }, (_, index) => event("paged", "paged", ago(1_000 + index)));
  await om.events.ingest(events);
  const filter = JSON.stringify({ subject: { $eq: "paged" } });
  const seen: unknown[][] = [];
  let cursor: string | undefined;
  do {
    const page: Awaited<ReturnType<typeof om.events.listV2>> = await om.events.listV2({
      filter,
      limit: 3,
      ...(cursor !== undefined && { cursor }),
    });
    seen.push(idsOf(page!.items));
    cursor = page!.nextCursor;
  } while (cursor !== undefined);
  expect(seen.map((ids) => ids.length)).toEqual([3, 3, 1]);
  expect(seen.flat()).toEqual(events.map(({ id }) => id));
});

it("listV2 pages through events of the same second, each once", async () => {
  const events = Array.from({ length: 5 }, () => event("tied", "tied", ago(500)));
  await om.events.ingest(events);
  const filter = JSON.stringify({ subject: { $eq: "tied" } });
  const first = (await om.events.listV2({ filter, limit: 3 }))!;
  const second = (await om.events.listV2({ filter, limit: 3, cursor: first.nextCursor! }))!;
  expect([...idsOf(first.items), ...idsOf(second.items)].toSorted()).toEqual(events.map(({ id }) => id).toSorted());
});

it("listV2 pages through the whole namespace", async () => {
  const events = Array.from({ length: 5 }, (_, index) => event("wide2", `wide2 ${index % 3}`, ago(7_200 + index)));
  await om.events.ingest(events);
  const filter = JSON.stringify({ type: { $eq: "wide2" } });
  await eventually(async () => {
    const first = (await om.events.listV2({ filter, limit: 3 }))!;
    expect(idsOf(first.items)).toEqual(events.slice(0, 3).map(({ id }) => id));
    const second = (await om.events.listV2({ filter, limit: 3, cursor: first.nextCursor! }))!;
    expect(idsOf(second.items)).toEqual(events.slice(3).map(({ id }) => id));
    expect(second.nextCursor).toBeUndefined();
  });
});

it("listV2 filters by id, source, type, time and ingestion, and knows no 32 days", async () => {
  const [ancient, old, young] = [
    { ...event("v2.old", "v2", "2023-01-01T00:00:00Z"), source: "import" },
    event("v2.old", "v2", ago(400)),
    event("v2.young", "v2", ago(300)),
  ] as const;
  await om.events.ingest([ancient, old, young]);
  const list = async (filter: object) =>
    idsOf((await om.events.listV2({ filter: JSON.stringify({ subject: { $eq: "v2" }, ...filter }) }))!.items);

  expect(await list({})).toEqual([young.id, old.id, ancient.id]);
  expect(await list({ id: { $eq: old.id } })).toEqual([old.id]);
  expect(await list({ id: { $in: [old.id, young.id] } })).toEqual([young.id, old.id]);
  expect(await list({ id: { $nin: [old.id, young.id] } })).toEqual([ancient.id]);
  expect(await list({ source: { $eq: "import" } })).toEqual([ancient.id]);
  expect(await list({ source: { $ne: "import" } })).toEqual([young.id, old.id]);
  expect(await list({ type: { $like: "%.old" } })).toEqual([old.id, ancient.id]);
  expect(await list({ type: { $nlike: "%.old" } })).toEqual([young.id]);
  expect(await list({ type: { $ilike: "V2.Y%" } })).toEqual([young.id]);
  expect(await list({ type: { $or: [{ $eq: "v2.young" }, { $eq: "nothing" }] } })).toEqual([young.id]);
  expect(await list({ time: { $gte: ago(400) } })).toEqual([young.id, old.id]);
  expect(await list({ time: { $gt: ago(400) } })).toEqual([young.id]);
  expect(await list({ time: { $lt: ago(400) } })).toEqual([ancient.id]);
  expect(await list({ time: { $lte: ago(400) } })).toEqual([old.id, ancient.id]);
  expect(await list({ time: { $and: [{ $gte: ago(400) }, { $lt: ago(300) }] } })).toEqual([old.id]);
  expect(await list({ ingestedAt: { $gte: new Date(Date.now() - 60_000) } })).toHaveLength(3);
  expect(await list({ ingestedAt: { $lt: new Date(Date.now() - 60_000) } })).toEqual([]);
});

it.each([
  ["a filter that is not JSON", { filter: "{subject" }],
  ["a filter nested two deep", { filter: JSON.stringify({ type: { $or: [{ $and: [{ $eq: "a" }] }] } }) }],
  ["a filter by customer other than $in", { filter: JSON.stringify({ customerId: { $like: "%" } }) }],
  ["a filter by an operator that is none", { filter: JSON.stringify({ type: { $near: "a" } }) }],
  ["a cursor that is none", { cursor: "%%%" }],
  ["a limit above 100", { limit: 101 }],
])("listV2 refuses %s", async (_, query) => {
  expect(await refusal(om.events.listV2(query))).toMatchObject({ status: 400 });
});

it("refuses a batch with one bad event, says which, and keeps nothing of it", async () => {
  const good = event("batch", "batch", ago(1));
  const error = await refusal(om.events.ingest([good, { ...good, id: "2" }, { ...good, id: "3", type: "" }]));
  expect(isHTTPError(error)).toBe(true);
  expect(error).toMatchObject({
    name: "HTTPError",
    status: 400,
    type: "about:blank",
    title: "Bad Request",
    url: `${url}/api/v1/events`,
  });
  expect(error.getField("instance")).toMatch(/^urn:request:/);
  expect(error.getField("detail")).toMatch(/2.*type/);
  expect(error.getField("extensions")).toMatchObject({ validationErrors: [{ field: "type" }] });
  expect(await om.events.list({ subject: "batch" })).toEqual([]);
});

it.each([
  ["no id", { id: "" }, "id"],
  ["no source", { source: "" }, "source"],
  ["no subject", { subject: "" }, "subject"],
  ["a subject that is a number", { subject: 7 }, "subject"],
  ["data that is a string", { data: "text" }, "data"],
  ["data that is an array", { data: [1] }, "data"],
  ["XML", { datacontenttype: "application/xml" }, "datacontenttype"],
  ["a time that is none", { time: "noon" }, "time"],
])("refuses an event with %s", async (_, wrong, field) => {
  const error = await refusal(om.events.ingest({ ...event("bad", "bad", ago(1)), ...wrong } as never));
  expect(error.status).toBe(400);
  expect(error.message).toContain(field);
});

it("refuses an empty batch, another content type, and a content type with parameters", async () => {
  expect(await refusal(om.events.ingest([]))).toMatchObject({ status: 400 });
  for (const type of ["text/plain", "application/json; charset=utf-8"]) {
    const answer = await send("/api/v1/events", {
      method: "POST",
      headers: { "content-type": type },
      body: JSON.stringify([event("t", "content", ago(1))]),
    });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining("invalid content type") });
  }
  expect(await om.events.list({ subject: "content" })).toEqual([]);
});

it("a key that is none is 401", async () => {
  const error = await refusal(tenantOf(url, "tg_nobody").om.events.list());
  expect(error).toMatchObject({ status: 401, title: "Unauthorized" });
});
