/**
 * `meters.query` and `listGroupByValues`: whose usage a row holds, what each aggregation makes of the same events, the file, and progress.
 * One subject and one customer are asked for at once; only what spans the namespace is waited for.
 */
import { describe, expect, it } from "vitest";
import { event, eventually, newTenant, NOBODY, refusal } from "./harness";
import { ANN, recordPrompts, rows, T, values } from "./prompts";

const { om, send, last } = await newTenant();
await recordPrompts(om);

describe("subjects and customers", () => {
  it("rows are by subject when subjects are asked for, and the namespace's row has none", async () => {
    await om.meters.create({ slug: "calls", eventType: "call", aggregation: "COUNT", groupBy: { path: "$.path" } });
    const call = (subject: string, path: string) => event("call", subject, T("2025-04-01T10:00:00"), { path });
    await om.events.ingest([call("c1", "/a"), call("c1", "/b"), call("c2", "/a"), call("c3", "/a")]);

    expect(rows(await om.meters.query("calls", { subject: ["c1", "c2"] }), "subject")).toEqual([
      ["c1", 2],
      ["c2", 1],
    ]);
    expect(values(await om.meters.query("calls", { subject: ["nobody"] }))).toEqual([]);
    await eventually(async () => {
      const [from, to] = [T("2025-04-01T00:00:00"), T("2025-04-02T00:00:00")];
      expect((await om.meters.query("calls", { from, to })).data).toEqual([
        { value: 4, windowStart: from, windowEnd: to, subject: null, groupBy: {} },
      ]);
      expect(rows(await om.meters.query("calls", { groupBy: ["subject"] }), "subject")).toEqual([
        ["c1", 2],
        ["c2", 1],
        ["c3", 1],
      ]);
      const grouped = await om.meters.queryPost("calls", { groupBy: ["path"], filterGroupBy: { path: ["/a"] } });
      expect(rows(grouped, "path")).toEqual([["/a", 3]]);
    });
    const subjects = await send("/api/v1/meters/calls/subjects");
    expect(((await subjects.json()) as string[]).toSorted()).toEqual(["c1", "c2", "c3"]);
  });

  it("a customer's usage is that of its key and all its subjects", async () => {
    await om.meters.create({ slug: "seats", eventType: "seat", aggregation: "SUM", valueProperty: "$.n" });
    const create = async (key: string, subjectKeys: string[]) =>
      (await om.customers.create({ name: key, key, usageAttribution: { subjectKeys } }))!;
    const [acme, other] = [await create("seats-acme", ["s1", "s2"]), await create("seats-other", ["s3"])];
    const seat = (subject: string, n: number) => event("seat", subject, T("2025-04-01T10:00:00"), { n });
    await om.events.ingest([seat("seats-acme", 1), seat("s1", 2), seat("s2", 4), seat("s3", 8), seat("s4", 16)]);

    expect(values(await om.meters.query("seats", { filterCustomerId: [acme.id] }))).toEqual([7]);
    const both = await om.meters.query("seats", { filterCustomerId: [acme.id, other.id] });
    expect(both.data.map(({ customerId, value }) => [customerId, value]).toSorted()).toEqual(
      [
        [acme.id, 7],
        [other.id, 8],
      ].toSorted(),
    );
    const grouped = await om.meters.query("seats", {
      filterCustomerId: [acme.id],
      groupBy: ["customer_id", "subject"],
    });
    expect(rows(grouped, "subject")).toEqual([
      ["s1", 2],
      ["s2", 4],
      ["seats-acme", 1],
    ]);
    expect(new Set(grouped.data.map(({ customerId }) => customerId))).toEqual(new Set([acme.id]));
    const one = await om.meters.query("seats", { filterCustomerId: [acme.id], subject: ["s2"] });
    expect(rows(one, "subject")).toEqual([["s2", 4]]);
  });

  it("a customer that is none is 404", async () => {
    expect(await refusal(om.meters.query("tokens", { filterCustomerId: [NOBODY] }))).toMatchObject({ status: 404 });
    expect(await refusal(om.meters.queryPost("tokens", { filterCustomerId: [NOBODY] }))).toMatchObject({ status: 404 });
  });
});

// Side by side: each waits for the namespace to show what its subject showed at once.
describe.concurrent("aggregations", () => {
  const EVENTS = [
    ["2025-01-01T00:00:00", { v: 123, who: "a" }],
    ["2025-01-01T00:00:01", { v: "0.4567890123456789", who: "b" }],
    ["2025-01-01T01:00:00", { v: "-3", who: "a" }],
    ["2025-01-01T01:00:30", { who: null }],
    ["2025-01-01T01:00:40", { v: null }],
    ["2025-01-01T01:00:50", { v: "a lot", who: "b" }],
    ["2025-01-01T01:00:55", { v: "NaN", who: "b" }],
    ["2025-01-01T01:00:56", null],
    ["2025-01-01T00:30:00", { v: 7, who: "c" }],
  ] as const;

  it.each([
    ["SUM", "$.v", 127.45678901234568, [130.45678901234567, -3]],
    ["COUNT", undefined, 9, [3, 6]],
    ["AVG", "$.v", 31.86419725308642, [43.48559633744856, -3]],
    ["MIN", "$.v", -3, [0.4567890123456789, -3]],
    ["MAX", "$.v", 123, [123, -3]],
    ["UNIQUE_COUNT", "$.who", 3, [3, 2]],
    ["LATEST", "$.v", -3, [7, -3]],
  ] as const)(
    "%s skips what is no value, and is right over all and by the hour",
    async (aggregation, path, all, hours) => {
      const slug = `of_${aggregation.toLowerCase()}`;
      const type = `of ${aggregation}`;
      const valueProperty = path === undefined ? {} : { valueProperty: path };
      await om.meters.create({ slug, eventType: type, aggregation, ...valueProperty });
      await om.events.ingest(EVENTS.map(([time, data]) => event(type, slug, T(time), data)));
      const subject = [slug];
      expect(values(await om.meters.query(slug, { subject }))).toEqual([all]);
      expect(values(await om.meters.query(slug, { subject, windowSize: "HOUR" }))).toEqual(hours);
      await eventually(async () => {
        expect(values(await om.meters.query(slug))).toEqual([all]);
        expect(values(await om.meters.query(slug, { windowSize: "HOUR" }))).toEqual(hours);
      });
    },
  );

  it("UNIQUE_COUNT counts a value once, however many subjects and windows have it", async () => {
    await om.meters.create({ slug: "unique", eventType: "unique", aggregation: "UNIQUE_COUNT", valueProperty: "$.ip" });
    const visit = (subject: string, time: string, ip: string) => event("unique", subject, T(time), { ip });
    await om.events.ingest([
      visit("u1", "2025-01-01T00:00:00", "::1"),
      visit("u1", "2025-01-02T00:00:00", "::1"),
      visit("u2", "2025-01-02T00:00:00", "::1"),
      visit("u2", "2025-01-02T00:00:00", "::2"),
    ]);
    expect(values(await om.meters.query("unique", { subject: ["u1"] }))).toEqual([1]);
    await eventually(async () => {
      expect(values(await om.meters.query("unique"))).toEqual([2]);
      expect(values(await om.meters.query("unique", { windowSize: "DAY" }))).toEqual([1, 2]);
    });
  });

  it("sums decimals exactly, and the client reads the nearest number", async () => {
    await om.meters.create({ slug: "exact", eventType: "exact", aggregation: "SUM", valueProperty: "$.v" });
    const tenths = Array.from({ length: 10 }, () => event("exact", "x", T("2025-01-01T00:00:00"), { v: 0.1 }));
    await om.events.ingest(tenths);
    expect(values(await om.meters.query("exact", { subject: ["x"] }))).toEqual([1]);
  });
});

it("counts a batch of 1,000 events of 20 subjects, each subject's at once", async () => {
  await om.meters.create({ slug: "batch", eventType: "batch", aggregation: "SUM", valueProperty: "$.n" });
  const events = Array.from({ length: 1_000 }, (_, n) => event("batch", `b${n % 20}`, T("2025-01-01T00:00:00"), { n }));
  await om.events.ingest(events);
  const subject = Array.from({ length: 20 }, (_, n) => `b${n}`);
  const { data } = await om.meters.query("batch", { subject });
  // 0 + 20 + … + 980, and one more each for the next subject.
  const expected = subject.map((name, n) => [name, 24_500 + 50 * n]).toSorted();
  expect(data.map(({ subject: name, value }) => [name, value]).toSorted()).toEqual(expected);
  await eventually(async () => expect(values(await om.meters.query("batch"))).toEqual([499_500]));
});

it("a meter made after the events counts them: at once for a subject, soon for all", async () => {
  const at = (subject: string, n: number) => event("retro", subject, T("2024-12-31T23:00:00"), { n });
  await om.events.ingest([at("r1", 1), at("r1", 2), at("r2", 4)]);
  await om.meters.create({ slug: "retro", eventType: "retro", aggregation: "SUM", valueProperty: "$.n" });
  expect(values(await om.meters.query("retro", { subject: ["r1"] }))).toEqual([3]);
  await om.events.ingest(at("r1", 8));
  expect(values(await om.meters.query("retro", { subject: ["r1"] }))).toEqual([11]);
  await eventually(async () => expect(values(await om.meters.query("retro"))).toEqual([15]));
});

it("an event is seen by the next query of its subject, every time", async () => {
  await om.meters.create({ slug: "fresh", eventType: "fresh", aggregation: "COUNT" });
  for (let n = 1; n <= 20; n++) {
    await om.events.ingest(event("fresh", "fresh", new Date()));
    expect(values(await om.meters.query("fresh", { subject: ["fresh"] }))).toEqual([n]);
  }
});

it("queryPost answers what query does", async () => {
  const query = {
    ...ANN,
    from: T("2025-02-01T00:00:00"),
    to: T("2025-03-01T00:00:00"),
    windowSize: "DAY",
    windowTimeZone: "Asia/Tokyo",
    groupBy: ["model"],
  } as const;
  const get = await om.meters.query("tokens", { ...query, groupBy: ["model"] });
  const post = (await om.meters.queryPost("tokens", { ...query, groupBy: ["model"] })) as unknown;
  expect(last()).toMatchObject({ method: "POST", status: 200 });
  expect(post).toEqual(get);
  expect(rows(post, "model")).toEqual([
    ["", 32],
    ["large", 12],
    ["small", 18],
  ]);
});

describe("as a file", () => {
  const path = "/api/v1/meters/tokens/query?subject=ann&windowSize=MONTH&groupBy=kind&filterGroupBy[model]=small";

  const body = JSON.stringify({
    ...ANN,
    windowSize: "MONTH",
    groupBy: ["kind"],
    filterGroupBy: { model: ["small"] },
  });
  const csv = { accept: "text/csv", "content-type": "application/json" };

  it.each([
    ["GET", () => send(path, { headers: csv })],
    ["POST", () => send("/api/v1/meters/tokens/query", { method: "POST", headers: csv, body })],
  ])("%s has a line per row, with six places, and is named after the meter", async (_, ask) => {
    const answer = await ask();
    expect(answer.headers.get("content-disposition")).toBe('attachment; filename="tokens.csv"');
    const [header, ...lines] = (await answer.text()).trimEnd().split(/\r?\n/);
    expect(header).toMatch(/^window_start,window_end,subject,.*kind,value$/);
    const cells = lines.map((line) => line.split(","));
    expect(cells.map((each) => [each[0], each[1], each[2], each.at(-2), each.at(-1)]).toSorted()).toEqual([
      ["2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "ann", "input", "1.000000"],
      ["2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z", "ann", "input", "16.000000"],
      ["2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z", "ann", "output", "2.000000"],
    ]);
  });

  it.each([undefined, "*/*", "application/json"])("Accept %s is JSON", async (accept) => {
    const answer = await send(path, accept === undefined ? {} : { headers: { accept } });
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(3);
  });
});

describe("listGroupByValues", () => {
  const now = Date.now();
  const ago = (hours: number) => new Date(now - hours * 3_600_000);

  it("gives the values of a dimension, of the last day unless told otherwise", async () => {
    await om.meters.create({
      slug: "valued",
      eventType: "valued",
      aggregation: "COUNT",
      groupBy: { model: "$.model" },
    });
    const at = (hours: number, subject: string, model: string) => event("valued", subject, ago(hours), { model });
    await om.events.ingest([at(1, "v1", "b"), at(2, "v2", "a"), at(3, "v1", "a"), at(100, "v1", "old")]);
    await eventually(async () => {
      expect((await om.meters.listGroupByValues("valued", "model"))!.toSorted()).toEqual(["a", "b"]);
      const week = { from: ago(24 * 7), to: ago(0) };
      expect((await om.meters.listGroupByValues("valued", "model", week))!.toSorted()).toEqual(["a", "b", "old"]);
      expect(await om.meters.listGroupByValues("valued", "model", { from: ago(24 * 7), to: ago(90) })).toEqual(["old"]);
    });
  });

  it("refuses a range of more than 30 days, a from more than 90 days back, and a dimension that is none", async () => {
    const values = (from: number, to: number) =>
      refusal(om.meters.listGroupByValues("tokens", "model", { from: ago(from * 24), to: ago(to * 24) }));
    expect(await values(40, 1)).toMatchObject({ status: 400 });
    expect(await values(95, 80)).toMatchObject({ status: 400 });
    expect(await refusal(om.meters.listGroupByValues("tokens", "colour"))).toMatchObject({
      status: 400,
      message: expect.stringContaining("colour"),
    });
  });
});

it("the progress of a query with a clientId is told, and of one that never was is 404", async () => {
  const clientId = `c${Date.now()}`;
  await om.meters.query("tokens", { ...ANN, clientId });
  const progress = (await om.info.getProgress(clientId))!;
  expect(progress.success).toBe(progress.total);
  expect(progress.failed).toBe(0);
  expect(progress.updatedAt).toBeInstanceOf(Date);
  expect(await refusal(om.info.getProgress("nobody"))).toMatchObject({ status: 404 });
});
