/** `meters.query` and `queryPost`: periods, windows, zones, groups and filters. One subject is asked for, so nothing is waited for. */
import type { MeterQueryRow } from "@openmeter/sdk";
import { describe, expect, it } from "vitest";
import { event, eventually, newTenant, NOBODY, refusal } from "./harness";
import { ANN, recordPrompts, rows, T, values } from "./prompts";

const { om } = await newTenant();
await recordPrompts(om);

describe("the period", () => {
  it("without from and to is that of the events, in whole minutes", async () => {
    expect(await om.meters.query("tokens", ANN)).toEqual({
      data: [
        {
          value: 63,
          windowStart: T("2025-01-31T23:59:00"),
          windowEnd: T("2025-02-03T12:35:00"),
          subject: "ann",
          groupBy: {},
        },
      ],
    });
  });

  it("ends a minute later when the last event is the minute's first instant", async () => {
    const { data } = await om.meters.query("tokens", { ...ANN, to: T("2025-02-01T01:00:01") });
    expect(data).toMatchObject([{ value: 31 }]);
    await om.events.ingest(event("prompt", "minute", T("2025-02-01T00:00:00"), { tokens: 1 }));
    expect(await om.meters.query("tokens", { subject: ["minute"] })).toMatchObject({
      data: [{ windowStart: T("2025-02-01T00:00:00"), windowEnd: T("2025-02-01T00:01:00") }],
    });
  });

  it("of from and to is echoed, also as the window", async () => {
    const [from, to] = [T("2025-01-01T00:00:00"), T("2025-03-01T00:00:00")];
    expect(await om.meters.query("tokens", { ...ANN, from, to })).toEqual({
      from,
      to,
      data: [{ value: 63, windowStart: from, windowEnd: to, subject: "ann", groupBy: {} }],
    });
  });

  it.each([
    ["2025-02-01T00:00:00", "2025-02-01T00:00:30", 2],
    ["2025-02-01T00:00:01", "2025-02-01T00:00:31", 4],
    ["2025-02-01T00:00:30", "2025-02-01T01:00:00", 12],
    ["2025-01-31T23:59:59", "2025-02-01T00:00:00", 1],
    ["2025-02-01T00:00:00", "2025-02-01T00:59:59", 6],
  ])("includes from (%s) and excludes to (%s), to the second", async (from, to, value) => {
    expect(values(await om.meters.query("tokens", { ...ANN, from: T(from), to: T(to) }))).toEqual([value]);
  });

  it("may be given as text, in any offset", async () => {
    const query = { ...ANN, from: "2025-02-01T01:00:00+01:00", to: "2025-01-31T20:00:00-05:00" } as never;
    expect(values(await om.meters.query("tokens", query))).toEqual([14]);
  });

  it("without events has no row, of SUM, AVG, MIN, MAX and LATEST", async () => {
    const query = { from: T("2024-01-01T00:00:00"), to: T("2024-02-01T00:00:00") };
    expect((await om.meters.query("tokens", query)).data).toEqual([]);
    for (const aggregation of ["AVG", "MIN", "MAX", "LATEST"] as const) {
      const slug = `empty_${aggregation.toLowerCase()}`;
      await om.meters.create({ slug, eventType: "prompt", aggregation, valueProperty: "$.tokens" });
      expect((await om.meters.query(slug, { ...ANN, ...query })).data).toEqual([]);
    }
  });

  it("without events is one row of 0, of COUNT and UNIQUE_COUNT that nothing groups", async () => {
    await om.meters.create({ slug: "empty_count", eventType: "never", aggregation: "COUNT", groupBy: { a: "$.a" } });
    await om.meters.create({
      slug: "empty_unique",
      eventType: "never",
      aggregation: "UNIQUE_COUNT",
      valueProperty: "$.v",
    });
    const [from, to] = [T("2024-01-01T00:00:00"), T("2024-02-01T00:00:00")];
    for (const slug of ["empty_count", "empty_unique"]) {
      expect((await om.meters.query(slug, { from, to })).data).toEqual([
        { value: 0, windowStart: from, windowEnd: to, subject: null, groupBy: {} },
      ]);
      expect((await om.meters.query(slug, { from, to, windowSize: "DAY" })).data).toEqual([]);
    }
    expect((await om.meters.query("empty_count", { from, to, groupBy: ["a"] })).data).toEqual([]);
  });

  it("begins no earlier than the meter's eventFrom", async () => {
    const eventFrom = T("2025-02-01T00:00:30");
    await om.meters.create({
      slug: "from_february",
      eventType: "prompt",
      eventFrom,
      aggregation: "SUM",
      valueProperty: "$.tokens",
    });
    expect(values(await om.meters.query("from_february", ANN))).toEqual([60]);
    expect(values(await om.meters.query("from_february", { ...ANN, from: T("2025-01-01T00:00:00") }))).toEqual([60]);
    expect(values(await om.meters.query("from_february", { ...ANN, from: T("2025-02-01T00:59:59") }))).toEqual([56]);
  });

  it.each([
    ["equal to", "2025-02-01T00:00:00"],
    ["after", "2025-02-01T00:00:01"],
  ])("refuses from %s to", async (_, from) => {
    const query = { from: T(from), to: T("2025-02-01T00:00:00") };
    expect(await refusal(om.meters.query("tokens", query))).toMatchObject({
      status: 400,
      message: expect.stringContaining("from"),
    });
    expect(await refusal(om.meters.queryPost("tokens", query))).toMatchObject({ status: 400 });
  });
});

describe("windows", () => {
  const [HOUR, DAY, MONTH] = ["HOUR", "DAY", "MONTH"] as const;
  const windows = ({ data }: { data: MeterQueryRow[] }) =>
    data.map(({ windowStart, windowEnd, value }) => [windowStart.toISOString(), windowEnd.toISOString(), value]);
  const iso = (time: string) => T(time).toISOString();

  it("of minutes, hours, days and months come in order; those without events are left out", async () => {
    const query = async (windowSize: "MINUTE" | "HOUR" | "DAY" | "MONTH") => {
      const result = await om.meters.query("tokens", { ...ANN, windowSize });
      expect(result.windowSize).toBe(windowSize);
      return windows(result);
    };
    expect(await query("MINUTE")).toEqual([
      [iso("2025-01-31T23:59:00"), iso("2025-02-01T00:00:00"), 1],
      [iso("2025-02-01T00:00:00"), iso("2025-02-01T00:01:00"), 6],
      [iso("2025-02-01T00:59:00"), iso("2025-02-01T01:00:00"), 8],
      [iso("2025-02-01T01:00:00"), iso("2025-02-01T01:01:00"), 16],
      [iso("2025-02-03T12:34:00"), iso("2025-02-03T12:35:00"), 32],
    ]);
    expect(await query("HOUR")).toEqual([
      [iso("2025-01-31T23:00:00"), iso("2025-02-01T00:00:00"), 1],
      [iso("2025-02-01T00:00:00"), iso("2025-02-01T01:00:00"), 14],
      [iso("2025-02-01T01:00:00"), iso("2025-02-01T02:00:00"), 16],
      [iso("2025-02-03T12:00:00"), iso("2025-02-03T13:00:00"), 32],
    ]);
    expect(await query("DAY")).toEqual([
      [iso("2025-01-31T00:00:00"), iso("2025-02-01T00:00:00"), 1],
      [iso("2025-02-01T00:00:00"), iso("2025-02-02T00:00:00"), 30],
      [iso("2025-02-03T00:00:00"), iso("2025-02-04T00:00:00"), 32],
    ]);
    expect(await query("MONTH")).toEqual([
      [iso("2025-01-01T00:00:00"), iso("2025-02-01T00:00:00"), 1],
      [iso("2025-02-01T00:00:00"), iso("2025-03-01T00:00:00"), 62],
    ]);
  });

  it("of the whole namespace are those of its subjects together, to the second, also of long ago and of times to come", async () => {
    await om.meters.create({ slug: "wide", eventType: "wide", aggregation: "SUM", valueProperty: "$.n" });
    const at = (subject: string, time: string, n: number) => event("wide", subject, T(time), { n });
    await om.events.ingest([
      at("w1", "2019-05-31T22:00:10", 1),
      at("w2", "2019-05-31T22:00:20", 2),
      at("w1", "2019-05-31T22:01:30", 4),
      at("w2", "2031-01-01T00:00:00", 8),
    ]);
    const wide = async (query: object) => windows(await om.meters.query("wide", query));
    await eventually(async () => expect(values(await om.meters.query("wide"))).toEqual([15]));
    expect(await wide({ windowSize: "MINUTE" })).toEqual([
      [iso("2019-05-31T22:00:00"), iso("2019-05-31T22:01:00"), 3],
      [iso("2019-05-31T22:01:00"), iso("2019-05-31T22:02:00"), 4],
      [iso("2031-01-01T00:00:00"), iso("2031-01-01T00:01:00"), 8],
    ]);
    expect(await wide({ windowSize: "MONTH", windowTimeZone: "Europe/Budapest" })).toEqual([
      [iso("2019-05-31T22:00:00"), iso("2019-06-30T22:00:00"), 7],
      [iso("2030-12-31T23:00:00"), iso("2031-01-31T23:00:00"), 8],
    ]);
    const [from, to] = [T("2019-05-31T22:00:20"), T("2019-05-31T22:01:30")];
    expect(await wide({ from, to })).toEqual([[from.toISOString(), to.toISOString(), 2]]);
    expect(await wide({ from, to, windowSize: "HOUR" })).toEqual([
      [iso("2019-05-31T22:00:00"), iso("2019-05-31T23:00:00"), 2],
    ]);
  });

  it("that from and to cut keep their whole start and end, and count what lies inside", async () => {
    const query = { ...ANN, from: T("2025-02-01T00:00:30"), to: T("2025-02-03T12:34:56"), windowSize: "DAY" } as const;
    expect(windows(await om.meters.query("tokens", query))).toEqual([
      [iso("2025-02-01T00:00:00"), iso("2025-02-02T00:00:00"), 28],
    ]);
  });

  it("of days follow a zone across both daylight-saving changes: 23 and 25 hours long", async () => {
    await om.meters.create({ slug: "days", eventType: "day", aggregation: "COUNT" });
    const at = (...times: string[]) => times.map((time) => event("day", "la", T(time)));
    await om.events.ingest([
      // America/Los_Angeles goes forward on 9 March 2025, 02:00 PST (10:00 UTC) …
      ...at("2025-03-09T07:59:59", "2025-03-09T08:00:00", "2025-03-10T06:59:59", "2025-03-10T07:00:00"),
      // … and back on 2 November 2025, 02:00 PDT (09:00 UTC).
      ...at("2025-11-02T06:59:59", "2025-11-02T07:00:00", "2025-11-03T07:59:59", "2025-11-03T08:00:00"),
    ]);
    const query = { subject: ["la"], windowSize: DAY, windowTimeZone: "America/Los_Angeles" };
    expect(windows(await om.meters.query("days", query))).toEqual([
      [iso("2025-03-08T08:00:00"), iso("2025-03-09T08:00:00"), 1],
      [iso("2025-03-09T08:00:00"), iso("2025-03-10T07:00:00"), 2],
      [iso("2025-03-10T07:00:00"), iso("2025-03-11T07:00:00"), 1],
      [iso("2025-11-01T07:00:00"), iso("2025-11-02T07:00:00"), 1],
      [iso("2025-11-02T07:00:00"), iso("2025-11-03T08:00:00"), 2],
      [iso("2025-11-03T08:00:00"), iso("2025-11-04T08:00:00"), 1],
    ]);
    expect(windows(await om.meters.query("days", { ...query, windowSize: MONTH }))).toEqual([
      [iso("2025-03-01T08:00:00"), iso("2025-04-01T07:00:00"), 4],
      [iso("2025-11-01T07:00:00"), iso("2025-12-01T08:00:00"), 4],
    ]);
    await eventually(async () => {
      const everybody = await om.meters.query("days", { windowSize: "DAY", windowTimeZone: "America/Los_Angeles" });
      expect(everybody.data.map(({ value }) => value)).toEqual([1, 2, 1, 1, 2, 1]);
    });
  });

  it("of hours go on across a change of the clocks: the hour that comes twice is two windows", async () => {
    await om.meters.create({ slug: "hours", eventType: "hour", aggregation: "COUNT" });
    const times = ["2025-10-26T00:30:00", "2025-10-26T01:30:00", "2025-10-26T02:30:00"];
    await om.events.ingest(times.map((time) => event("hour", "berlin", T(time))));
    const query = { subject: ["berlin"], windowSize: HOUR, windowTimeZone: "Europe/Berlin" };
    expect(windows(await om.meters.query("hours", query))).toEqual([
      [iso("2025-10-26T00:00:00"), iso("2025-10-26T01:00:00"), 1],
      [iso("2025-10-26T01:00:00"), iso("2025-10-26T02:00:00"), 1],
      [iso("2025-10-26T02:00:00"), iso("2025-10-26T03:00:00"), 1],
    ]);
  });

  it("of hours and days begin where the zone's do, also at half past", async () => {
    await om.meters.create({ slug: "half", eventType: "half", aggregation: "COUNT" });
    const times = ["2025-05-01T18:29:59", "2025-05-01T18:30:00", "2025-05-01T19:29:59"];
    await om.events.ingest(times.map((time) => event("half", "kolkata", T(time))));
    const query = { subject: ["kolkata"], windowTimeZone: "Asia/Kolkata" };
    expect(windows(await om.meters.query("half", { ...query, windowSize: "HOUR" }))).toEqual([
      [iso("2025-05-01T17:30:00"), iso("2025-05-01T18:30:00"), 1],
      [iso("2025-05-01T18:30:00"), iso("2025-05-01T19:30:00"), 2],
    ]);
    expect(windows(await om.meters.query("half", { ...query, windowSize: "DAY" }))).toEqual([
      [iso("2025-04-30T18:30:00"), iso("2025-05-01T18:30:00"), 1],
      [iso("2025-05-01T18:30:00"), iso("2025-05-02T18:30:00"), 2],
    ]);
  });

  it.each([
    ["a zone that does not exist", { windowSize: "DAY", windowTimeZone: "Mars/Olympus" }, "zone"],
    ["a window that does not exist", { windowSize: "FORTNIGHT" }, "windowSize"],
  ])("refuses %s", async (_, query, word) => {
    const body = { ...ANN, ...query } as never;
    const message = expect.stringMatching(new RegExp(word, "i"));
    expect(await refusal(om.meters.query("tokens", body))).toMatchObject({ status: 400, message });
    expect(await refusal(om.meters.queryPost("tokens", body))).toMatchObject({ status: 400, message });
  });
});

describe("groups and filters", () => {
  it("groups by dimensions; a property that is missing is the empty text", async () => {
    expect(rows(await om.meters.query("tokens", { ...ANN, groupBy: ["model"] }), "model")).toEqual([
      ["", 32],
      ["large", 12],
      ["small", 19],
    ]);
    const both = await om.meters.query("tokens", { ...ANN, groupBy: ["model", "kind"], windowSize: "MONTH" });
    expect(rows(both, "model", "kind")).toEqual([
      ["", "input", 32],
      ["large", "input", 4],
      ["large", "output", 8],
      ["small", "input", 1],
      ["small", "input", 16],
      ["small", "output", 2],
    ]);
  });

  it("groups by the text of a value that is a number or a boolean", async () => {
    await om.meters.create({ slug: "texts", eventType: "texts", aggregation: "COUNT", groupBy: { of: "$.of" } });
    await om.events.ingest([1, 1.5, true, "x"].map((of) => event("texts", "t", T("2025-01-01T00:00:00"), { of })));
    expect(rows(await om.meters.query("texts", { subject: ["t"], groupBy: ["of"] }), "of")).toEqual([
      ["1", 1],
      ["1.5", 1],
      ["true", 1],
      ["x", 1],
    ]);
  });

  it("filters by equal values; values of one dimension are alternatives, dimensions are all required", async () => {
    const small = await om.meters.query("tokens", { ...ANN, filterGroupBy: { model: "small" } });
    expect(values(small)).toEqual([19]);
    const filterGroupBy = { model: ["small", "large"], kind: ["input"] };
    expect(values(await om.meters.queryPost("tokens", { ...ANN, filterGroupBy }))).toEqual([21]);
    expect(
      values(await om.meters.query("tokens", { ...ANN, filterGroupBy: { model: "small", kind: "output" } })),
    ).toEqual([2]);
    expect(values(await om.meters.query("tokens", { ...ANN, filterGroupBy: { model: "none" } }))).toEqual([]);
  });

  it.each([
    [{ model: { $eq: "small" } }, 19],
    [{ model: { $ne: "small" } }, 44],
    [{ model: { $in: ["small", "large"] } }, 31],
    [{ model: { $nin: ["small", "large"] } }, 32],
    [{ model: { $like: "%a%" } }, 31],
    [{ model: { $nlike: "s%" } }, 44],
    [{ model: { $ilike: "SM_LL" } }, 19],
    [{ model: { $nilike: "SM%" } }, 44],
    [{ model: { $gt: "large" } }, 19],
    [{ model: { $gte: "large" } }, 31],
    [{ model: { $lt: "small" } }, 44],
    [{ model: { $lte: "large" } }, 44],
    [{ model: { $or: [{ $eq: "small" }, { $eq: "" }] } }, 51],
    [{ model: { $and: [{ $gte: "a" }, { $lt: "m" }] } }, 12],
    [{ model: { $eq: "small" }, kind: { $eq: "input" } }, 17],
  ])("filters by operators: %j", async (filters, value) => {
    const advancedMeterGroupByFilters = filters as Record<string, object>;
    expect(values(await om.meters.queryPost("tokens", { ...ANN, advancedMeterGroupByFilters }))).toEqual([value]);
    const text = JSON.stringify(filters);
    expect(values(await om.meters.query("tokens", { ...ANN, advancedMeterGroupByFilters: text }))).toEqual([value]);
  });

  it.each([
    ["a group that is none", { groupBy: ["colour"] }, "invalid group by: colour"],
    ["a filter by a dimension that is none", { filterGroupBy: { colour: ["red"] } }, "colour"],
    ["an operator filter by a dimension that is none", { advancedMeterGroupByFilters: { colour: {} } }, "colour"],
    [
      "both forms of filter",
      { filterGroupBy: { model: ["small"] }, advancedMeterGroupByFilters: { model: { $eq: "small" } } },
      "filterGroupBy|cannot be used together",
    ],
    ["customers to group by without customers to filter by", { groupBy: ["customer_id"] }, "customer"],
    ["101 subjects", { subject: Array.from({ length: 101 }, (_, n) => `s${n}`) }, "subject"],
    ["101 customers", { filterCustomerId: Array.from({ length: 101 }, () => NOBODY) }, "filterCustomerId"],
    ["a clientId of 37 characters", { clientId: "c".repeat(37) }, "clientId"],
  ])("refuses %s", async (_, body, detail) => {
    expect(await refusal(om.meters.queryPost("tokens", body))).toMatchObject({
      status: 400,
      message: expect.stringMatching(new RegExp(detail)),
    });
  });

  it.each([
    ["a group that is none", { groupBy: ["colour"] }, "invalid group by: colour"],
    ["a filter by a dimension that is none", { filterGroupBy: { colour: "red" } }, "colour"],
    ["a filter that is not JSON", { advancedMeterGroupByFilters: "{" }, "advancedMeterGroupByFilters"],
  ])("refuses %s in the address too", async (_, query, detail) => {
    expect(await refusal(om.meters.query("tokens", query))).toMatchObject({
      status: 400,
      message: expect.stringContaining(detail),
    });
  });
});
