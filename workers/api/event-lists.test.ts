/** Lists of events over HTTP: from objects and from the archive, and from both at once. What OpenMeter's client sees: test/openmeter. */
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { applyRating } from "../../store/apply-rating";
import { ratingMessage, type RatingMessage } from "../../schema/messages";
import { copyOf, deliver, ship, subjectObject, watch } from "../archive/harness";
import { UNARCHIVED_ASKED_MAX } from "../event-list";
import { newTenant, someEvent, startWorker, type Tenant } from "../harness";

const worker = startWorker();
let tenant: Tenant;
beforeEach(async () => {
  tenant = await newTenant(worker);
});

interface Row {
  event: { id: string; subject: string; time: string; data?: unknown };
  customerId?: string;
  validationError?: string;
  ingestedAt: string;
  storedAt: string;
}
interface Page {
  items: Row[];
  nextCursor?: string;
}

const DAY_MS = 24 * 60 * 60_000;
const now = Date.now();

async function record(events: readonly Record<string, unknown>[]): Promise<void> {
  const body = events.map((event) => someEvent(event));
  expect((await worker.call("POST", "/api/v1/events", { key: tenant.apiKey, body })).status).toBe(204);
}

/** What the queue would tell the store soon: that the object exists and how far it is. */
async function messagesOf(subject: string): Promise<RatingMessage[]> {
  const call = { namespaceId: tenant.id, name: subject, configVersion: 0 };
  const { messages } = await worker.context().customer(subjectObject(tenant, subject)).drain(call);
  return messages.map((message) => ratingMessage.parse(message));
}
const tellStore = async (subject: string) => applyRating(worker.context().store, await messagesOf(subject));

const archive = async (subject: string) => deliver(worker, await ship(subjectObject(tenant, subject)));

const list = async (query: Record<string, string>) => {
  const { status, body } = await worker.call<Row[]>("GET", `/api/v1/events?${new URLSearchParams(query)}`, {
    key: tenant.apiKey,
  });
  expect(status).toBe(200);
  return body;
};

const page = async (query: Record<string, string>) => {
  const { status, body } = await worker.call<Page>("GET", `/api/v2/events?${new URLSearchParams(query)}`, {
    key: tenant.apiKey,
  });
  expect(status).toBe(200);
  return body;
};

async function everyPage(query: Record<string, string>, between?: () => Promise<unknown>): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const { items, nextCursor }: Page = await page({ ...query, ...(cursor !== undefined && { cursor }) });
    rows.push(...items);
    cursor = nextCursor;
    await between?.();
  } while (cursor !== undefined);
  return rows;
}

const idsOf = (rows: readonly Row[]) => rows.map(({ event }) => event.id);

describe("the list of a namespace", () => {
  it("pages through 1,000 events of 20 customers in any page size, each once and in order, wherever they lie", async () => {
    const subjects = Array.from({ length: 20 }, (_, n) => `customer-${n}`);
    for (const subject of subjects) await watch(subjectObject(tenant, subject));
    // Two of each time, over three days, so that a page ends between events of one time.
    const events = Array.from({ length: 1_000 }, (_, n) => ({
      id: `e${n}`,
      subject: subjects[n % 20]!,
      time: new Date(now - Math.floor(n / 2) * 500_000).toISOString(),
    }));
    await record(events.slice(500));
    const sent = [];
    for (const subject of subjects.slice(0, 15)) sent.push(...(await ship(subjectObject(tenant, subject))));
    // One batch is delivered twice, in other company: its lines are in two files.
    await deliver(worker, [...sent.slice(0, 8), ...sent.slice(8).map(copyOf)]);
    await deliver(worker, sent.slice(4));
    await record(events.slice(0, 500));
    for (const subject of subjects) await tellStore(subject);

    const times = new Map(events.map(({ id, time }) => [id, time]));
    for (const limit of ["100", "17"]) {
      const ids = idsOf(await everyPage({ limit }));
      expect(ids.toSorted()).toEqual(events.map(({ id }) => id).toSorted());
      expect(ids.map((id) => times.get(id))).toEqual(events.map(({ time }) => time));
    }
    // While what is asked of objects now moves into the archive.
    let next = 0;
    const moving = await everyPage({ limit: "40" }, async () => {
      const subject = subjects[next++ % 20]!;
      await archive(subject);
    });
    expect(idsOf(moving).toSorted()).toEqual(events.map(({ id }) => id).toSorted());
  }, 120_000);

  it("says of archived events what their objects would say: whose they are as of now, and what is wrong with them", async () => {
    await watch(subjectObject(tenant, "acme"));
    await record([{ id: "1", subject: "acme", type: "chat", data: { n: 1.5 }, tenant: "eu" }]);
    const direct = await list({ subject: "acme" });
    await archive("acme");
    await tellStore("acme");
    expect(await list({})).toEqual(direct);
    expect(direct[0]).toMatchObject({
      event: { specversion: "1.0", data: { n: 1.5 }, tenant: "eu" },
      validationError: "no meter found for event type: chat\nno customer found for event subject: acme",
    });
    await worker.call("POST", "/api/v1/meters", {
      key: tenant.apiKey,
      body: { slug: "chat", eventType: "chat", aggregation: "COUNT" },
    });
    const made = await worker.call<{ id: string }>("POST", "/api/v1/customers", {
      key: tenant.apiKey,
      body: { name: "Acme", key: "acme" },
    });
    expect(made.status).toBe(201);
    worker.advance(60_000);
    await archive("acme");
    await tellStore("acme");
    const [row] = await list({});
    expect(row).toMatchObject({ event: { id: "1" }, customerId: made.body.id });
    expect(row).not.toHaveProperty("validationError");
    expect(await list({})).toEqual(await list({ subject: "acme" }));
  });

  it("leaves out what was voided, and shows what was amended, archived or not", async () => {
    await watch(subjectObject(tenant, "acme"));
    await record(["void", "amend", "stay"].map((id) => ({ id, subject: "acme", source: "s" })));
    await archive("acme");
    await tellStore("acme");
    const correct = async (what: string, body: object) =>
      expect(
        await worker.call("POST", `/api/v1/events/${what}`, {
          key: tenant.apiKey,
          body: { subject: "acme", source: "s", reason: "wrong", ...body },
        }),
      ).toMatchObject({ status: 200 });
    await correct("void", { id: "void" });
    await correct("amend", { id: "amend", data: { n: 2 } });
    for (const archived of [false, true]) {
      if (archived) await archive("acme");
      await tellStore("acme");
      const rows = await list({});
      expect(idsOf(rows).toSorted()).toEqual(["amend", "stay"]);
      expect(rows.find(({ event }) => event.id === "amend")?.event.data).toEqual({ n: 2 });
    }
  });

  it("asks objects for what is not archived as long as they are few, and is as old as the archive when they are many", async () => {
    await watch(subjectObject(tenant, "archived"));
    await record([{ id: "old", subject: "archived" }]);
    await archive("archived");
    await tellStore("archived");
    await watch(subjectObject(tenant, "live"));
    await record([{ id: "new", subject: "live" }]);
    const messages = await messagesOf("live");
    const others = (count: number) =>
      Array.from({ length: count }, (_, n) => ({ ...messages[0]!, object: `${tenant.id}/other-${n}` }));
    await applyRating(worker.context().store, [...messages, ...others(UNARCHIVED_ASKED_MAX - 1)]);
    expect(idsOf(await list({}))).toEqual(["new", "old"]);
    await applyRating(worker.context().store, others(UNARCHIVED_ASKED_MAX));
    expect(idsOf(await list({}))).toEqual(["old"]);
  });

  it("goes on without a file that is missing, and reports it", async () => {
    await watch(subjectObject(tenant, "acme"));
    await record([
      { id: "gone", subject: "acme", time: new Date(now - DAY_MS).toISOString() },
      { id: "here", subject: "acme" },
    ]);
    await archive("acme");
    const { objects } = await env.ARCHIVE.list({ prefix: `events/namespace=${tenant.id}/` });
    await env.ARCHIVE.delete(objects.map(({ key }) => key).toSorted()[0]!);
    expect(idsOf(await list({}))).toEqual(["here"]);
    expect(worker.reports.at(-1)).toMatchObject({ event: "a file of the archive is missing" });
  });
});

describe("the list of subjects and customers", () => {
  it("has the event that was acknowledged a moment ago, with its numbers as they came", async () => {
    const body = JSON.stringify(someEvent({ subject: "acme", data: 0 })).replace(
      '"data":0',
      '"data":{"n":0.10000000000000000001}',
    );
    await worker.call("POST", "/api/v1/events", { key: tenant.apiKey, body, type: "application/cloudevents+json" });
    const response = await worker.fetch(
      new Request("https://tollgate.test/api/v1/events?subject=acme", {
        headers: { authorization: `Bearer ${tenant.apiKey}` },
      }),
    );
    expect(await response.text()).toContain('"data":{"n":0.10000000000000000001}');
  });

  it("asks the objects of several subjects, and of several customers, for one page of all", async () => {
    const events = Array.from({ length: 9 }, (_, n) => ({
      id: `e${n}`,
      subject: `s${n % 3}`,
      time: new Date(now - n * 1_000).toISOString(),
    }));
    await record(events);
    const filter = (value: object) => ({ filter: JSON.stringify(value), limit: "2" });
    const rows = await everyPage(filter({ subject: { $in: ["s0", "s1", "s0"] } }));
    expect(idsOf(rows)).toEqual(["e0", "e1", "e3", "e4", "e6", "e7"]);
    const ids = [];
    for (const key of ["s1", "s2"]) {
      const body = { name: key, key };
      ids.push((await worker.call<{ id: string }>("POST", "/api/v1/customers", { key: tenant.apiKey, body })).body.id);
    }
    worker.advance(60_000);
    expect(idsOf(await everyPage(filter({ customerId: { $in: ids } })))).toEqual(["e1", "e2", "e4", "e5", "e7", "e8"]);
    expect(idsOf(await list({ customerId: ids[0]! }))).toEqual(["e1", "e4", "e7"]);
    expect(await list({ customerId: "01JD8ZQ6M5T9W3XK2V7B4C1N0R" })).toEqual([]);
  });

  it.each([
    ["v1", { from: new Date(now - 33 * DAY_MS).toISOString() }, "from"],
    ["v1", { ingestedAtFrom: new Date(now - 33 * DAY_MS).toISOString() }, "ingestedAtFrom"],
    ["v1", { from: "2026-01-02T00:00:00Z", to: "2026-01-01T00:00:00Z" }, "to"],
    ["v1", { limit: "101" }, "limit"],
    ["v1", { customerId: "acme" }, "customerId"],
    ["v2", { limit: "0" }, "limit"],
    ["v2", { filter: "{" }, "filter"],
    ["v2", { filter: '{"type":{"$eq":"a","$ne":"b"}}' }, "filter.type"],
    ["v2", { filter: '{"type":{"$or":[{"$and":[{"$eq":"a"}]}]}}' }, "filter.type"],
    ["v2", { filter: '{"customerId":{"$nin":[]}}' }, "filter.customerId"],
    ["v2", { filter: '{"customerId":{"$in":["acme"]}}' }, "filter.customerId"],
    [
      "v2",
      { filter: '{"time":{"$gt":"2026-01-01T00:00:00Z"},"ingestedAt":{"$gt":"2026-01-01T00:00:00Z"}}' },
      "filter.ingestedAt",
    ],
    ["v2", { cursor: "nonsense" }, "cursor"],
  ])("%s refuses %j and says what to change", async (version, query, field) => {
    const { status, body } = await worker.call<{ extensions: { validationErrors: { field: string }[] } }>(
      "GET",
      `/api/${version}/events?${new URLSearchParams(query as Record<string, string>)}`,
      { key: tenant.apiKey },
    );
    expect(status).toBe(400);
    expect(body.extensions.validationErrors[0]!.field).toContain(field);
  });
});
