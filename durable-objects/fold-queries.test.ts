import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AGGREGATIONS, type Aggregation } from "../core/aggregation";
import type { Json, UsageEvent } from "../core/event";
import { HOUR_MS, MINUTE_MS } from "../core/fold";
import { foldKeyOf, type Meter } from "../core/meter";
import { namesQuery, type MeterQuery } from "../core/meter-query";
import { objectName } from "../core/object-name";
import { formatQuantity } from "../core/quantity";
import { groupNames } from "../core/query-part";
import { answerQuery } from "../core/query-rows";
import type { Customer } from "./customer";
import type { Call, ConfigSnapshot, CustomerRpc } from "./rpc";
import { sha256 } from "./sha256";

const NAMESPACE = "01JD0000000000000000000000";
/** 02:00 in UTC, of a day on which Berlin's clocks are put forward. */
const NIGHT = Date.parse("2026-03-29T02:00:00Z");

const meterOf = (aggregation: Aggregation): Meter => ({
  id: `m${aggregation}`,
  key: aggregation.toLowerCase(),
  eventType: "prompt",
  aggregation,
  valueProperty: aggregation === "COUNT" ? null : "$.v",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
});
const snapshot = (meters: Meter[], version = 1): ConfigSnapshot => ({ version, burnTables: [], defaults: [], meters });
const all = snapshot(AGGREGATIONS.map(meterOf));

const query = (part: Partial<MeterQuery> = {}): MeterQuery => ({
  from: null,
  to: null,
  windowSize: null,
  timeZone: "UTC",
  groupBy: [],
  filters: {},
  subjects: null,
  ...part,
});

let minted = 0;
const event = (time: number, v: Json, part: { id?: string; model?: string } = {}): UsageEvent => ({
  id: part.id ?? `e${++minted}`,
  source: "test",
  type: "prompt",
  subject: "ada",
  time,
  data: { v, model: part.model ?? "gpt" },
});

let names = 0;
async function customer(config = all) {
  const name = `customer-${++names}`;
  const stub = env.CUSTOMER.getByName(objectName(NAMESPACE, name, sha256));
  const rpc = stub as unknown as CustomerRpc;
  const call: Call = { namespaceId: NAMESPACE, name, configVersion: config.version };
  await rpc.configure(call, config);
  const part = async (aggregation: Aggregation, asked: MeterQuery, alone = true) => {
    const answer = await rpc.queryMeter(call, { foldKey: foldKeyOf(meterOf(aggregation)), query: asked, alone });
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    return answer.part;
  };
  return {
    stub,
    rpc,
    call,
    part,
    record: (...events: UsageEvent[]) => rpc.record(call, JSON.stringify(events), false),
    /** Storage is the truth: after this nothing is in memory. */
    async evict() {
      await evictDurableObject(stub);
      // An object that holds no data does not store it.
      await rpc.configure(call, config);
    },
    ring: () => runDurableObjectAlarm(stub),
    /** Window (minutes since NIGHT), group and value of each row. */
    async rows(aggregation: Aggregation, part_: Partial<MeterQuery> = {}, alone = true) {
      const asked = query(part_);
      const rows = answerQuery(aggregation, asked, [await part(aggregation, asked, alone)]);
      if (!rows.ok) throw new Error(rows.refusal.detail);
      return rows.value.map(({ windowStart, groupBy, value }) => [
        (windowStart - NIGHT) / MINUTE_MS,
        ...Object.values(groupBy),
        formatQuantity(value),
      ]);
    },
  };
}

describe("a query of a customer's meter", () => {
  it("has the event that was acknowledged a moment ago, wherever the object keeps it by then", async () => {
    const c = await customer();
    const byHour = { windowSize: "HOUR", groupBy: ["model"] } as const;
    await c.record(event(NIGHT, 1), event(NIGHT + 59 * MINUTE_MS, 2, { model: "claude" }));
    const first = [
      [0, "claude", "2"],
      [0, "gpt", "1"],
    ];
    expect(await c.rows("SUM", { ...byHour, groupBy: ["model"] })).toEqual(first);
    await c.evict();
    expect(await c.rows("SUM", { ...byHour, groupBy: ["model"] })).toEqual(first);
    // More than a checkpoint's worth: the hour is stored, and then changed again in memory.
    for (let batch = 0; batch < 5; batch++)
      await c.record(...Array.from({ length: 1_000 }, () => event(NIGHT + HOUR_MS, "0.001")));
    await c.ring();
    await c.record(event(NIGHT + HOUR_MS, 10), event(NIGHT, 4), event(NIGHT + 3 * HOUR_MS, 100));
    const then = [
      [0, "claude", "2"],
      [0, "gpt", "5"],
      [60, "gpt", "15"],
      [180, "gpt", "100"],
    ];
    expect(await c.rows("SUM", { ...byHour, groupBy: ["model"] })).toEqual(then);
    await c.evict();
    expect(await c.rows("SUM", { ...byHour, groupBy: ["model"] })).toEqual(then);
  });

  it("counts a repeated event once, and one that comes a year late where it belongs", async () => {
    const c = await customer();
    const late = NIGHT - 365 * 24 * HOUR_MS;
    await c.record(event(NIGHT, 1, { id: "same" }), event(NIGHT, 1, { id: "same" }));
    await c.evict();
    await c.record(event(NIGHT, 1, { id: "same" }), event(late, 7));
    expect(await c.rows("COUNT", { windowSize: "DAY" })).toEqual([
      [-365 * 24 * 60 - 120, "1"],
      [-120, "1"],
    ]);
    expect(await c.rows("SUM", { to: late + MINUTE_MS })).toEqual([[(late - NIGHT) / MINUTE_MS, "7"]]);
  });

  it("begins and ends at its second, also within a minute, in memory and in merged pages of the log", async () => {
    const c = await customer();
    const seconds = Array.from({ length: 120 }, (_, second) => event(NIGHT + second * 1_000 + 500, 1));
    for (const each of seconds) await c.record(each);
    const between = (from: number, to: number) => c.rows("SUM", { from: NIGHT + from, to: NIGHT + to });
    const answers = async () => [
      await between(10_000, 20_000),
      await between(10_999, 20_001),
      await between(59_000, 61_000),
      await between(30_000, 90_000),
      await between(0, 120_000),
      await between(119_000, HOUR_MS),
    ];
    const expected = ["10", "10", "2", "60", "120", "1"];
    expect((await answers()).map((rows) => rows[0]?.[1])).toEqual(expected);
    await c.ring();
    await c.evict();
    expect((await answers()).map((rows) => rows[0]?.[1])).toEqual(expected);
    // Of two events of one time the one that arrived last, also where they are read from the log.
    await c.record(event(NIGHT + 7_900, 9));
    await c.record(event(NIGHT + 7_900, 2));
    expect(await c.rows("LATEST", { from: NIGHT + 6_000, to: NIGHT + 8_000 })).toEqual([[0.1, "2"]]);
  });

  it("leaves out what was voided, also of a minute that it cuts", async () => {
    const c = await customer();
    await c.record(event(NIGHT + 1_000, 1, { id: "v" }), event(NIGHT + 2_000, 2), event(NIGHT + 40_000, 4));
    const correction = { source: "test", id: "v", reason: "mistake", version: null, opId: null, bodyHash: "" };
    expect(await c.rpc.correct(c.call, correction)).toMatchObject({ ok: true });
    expect(await c.rows("SUM", { to: NIGHT + 30_000 })).toEqual([[0, "2"]]);
    expect(await c.rows("SUM")).toEqual([[0, "6"]]);
  });

  it("has windows of a zone, where clocks change, in workerd as anywhere", async () => {
    const c = await customer();
    await c.record(event(NIGHT - HOUR_MS - 1, 1), event(NIGHT - HOUR_MS, 2), event(NIGHT + 20 * HOUR_MS, 4));
    expect(await c.rows("SUM", { windowSize: "DAY", timeZone: "Europe/Berlin" })).toEqual([
      [-3 * 60, "3"],
      [20 * 60, "4"],
    ]);
    expect(await c.rows("SUM", { windowSize: "HOUR", timeZone: "Asia/Kolkata" })).toEqual([
      [-90, "3"],
      [20 * 60 - 30, "4"],
    ]);
    expect(await c.rows("SUM", { windowSize: "MONTH", timeZone: "Pacific/Apia" })).toEqual([
      [(Date.parse("2026-02-28T11:00:00Z") - NIGHT) / MINUTE_MS, "7"],
    ]);
  });

  it("tells distinct values apart over hours, groups and other customers", async () => {
    const [c, other] = [await customer(), await customer()];
    await c.record(event(NIGHT, "x"), event(NIGHT + 1, "y", { model: "claude" }), event(NIGHT + HOUR_MS, "x"));
    await c.evict();
    await c.record(event(NIGHT + HOUR_MS + 1, "z"));
    await other.record(event(NIGHT, "x"), event(NIGHT, "w"));
    expect(await c.rows("UNIQUE_COUNT", { windowSize: "HOUR" })).toEqual([
      [0, "2"],
      [60, "2"],
    ]);
    expect(await c.rows("UNIQUE_COUNT")).toEqual([[0, "3"]]);
    const asked = query();
    const parts = [await c.part("UNIQUE_COUNT", asked, false), await other.part("UNIQUE_COUNT", asked, false)];
    const rows = answerQuery("UNIQUE_COUNT", asked, parts);
    expect(rows.ok && rows.value.map(({ value }) => formatQuantity(value))).toEqual(["4"]);
  });

  it("names the values of a dimension, and the subjects, of a range", async () => {
    const c = await customer();
    await c.record(event(NIGHT, 1), event(NIGHT + 1_000, "x", { model: "claude" }), event(NIGHT + HOUR_MS, 1));
    const named = async (name: string, to: number) =>
      groupNames([await c.part("COUNT", namesQuery(name, { from: NIGHT + 1_000, to }))]);
    expect(await named("model", NIGHT + HOUR_MS)).toEqual(["claude"]);
    expect(await named("model", NIGHT + 2 * HOUR_MS)).toEqual(["claude", "gpt"]);
    expect(await named("subject", NIGHT + 2 * HOUR_MS)).toEqual(["ada"]);
  });

  it("of a name that nobody wrote answers nothing and stores nothing", async () => {
    const c = await customer();
    expect(await c.rows("SUM")).toEqual([]);
    expect(await c.rows("COUNT", { from: NIGHT, to: NIGHT + 1_000 })).toEqual([[0, "0"]]);
    const tables = await runInDurableObject(c.stub, (_object: Customer, { storage }) =>
      storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'folds'").toArray(),
    );
    expect(tables).toEqual([]);
  });

  it("of a meter that is not in its configuration is refused", async () => {
    const c = await customer();
    await c.record(event(NIGHT, 1));
    expect(await c.rpc.queryMeter(c.call, { foldKey: "gone.1", query: query(), alone: true })).toEqual({
      ok: false,
      reason: "unknown_meter",
    });
  });

  it("of a meter that is younger than its events counts them all", async () => {
    const c = await customer(snapshot([]));
    await c.record(event(NIGHT, 1), event(NIGHT + 90_000, 2));
    await c.rpc.configure(c.call, { ...all, version: 2 });
    expect(await c.rows("SUM", { to: NIGHT + 91_000 })).toEqual([[0, "3"]]);
    expect(await c.rows("UNIQUE_COUNT", { from: NIGHT + 1_000 })).toEqual([[1 / 60, "1"]]);
  });

  it("is what one look at every event gives, however events came, were stored and forgotten in between", async () => {
    const time = fc
      .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 59 }))
      .map(([hour, minute, second]) => NIGHT + hour * HOUR_MS + minute * 20 * MINUTE_MS + second * 1_000);
    const some = fc.record({ at: time, v: fc.integer({ min: 0, max: 5 }), id: fc.integer({ min: 0, max: 40 }) });
    const steps = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.array(some, { minLength: 1, maxLength: 8 }) },
        { weight: 1, arbitrary: fc.constantFrom("evict" as const, "ring" as const) },
      ),
      { minLength: 1, maxLength: 8 },
    );
    const range = fc.tuple(time, time).filter(([from, to]) => from !== to);
    await fc.assert(
      fc.asyncProperty(steps, range, fc.constantFrom("HOUR", "DAY", null), async (all_, [one, two], windowSize) => {
        const c = await customer();
        const first = new Map<string, { at: number; v: number }>();
        for (const step of all_) {
          if (step === "evict") await c.evict();
          else if (step === "ring") await c.ring();
          else {
            await c.record(...step.map(({ at, v, id }) => event(at, v, { id: `e${id}` })));
            for (const { at, v, id } of step) if (!first.has(`e${id}`)) first.set(`e${id}`, { at, v });
          }
        }
        const [from, to] = [Math.min(one, two), Math.max(one, two)];
        const counted = [...first.values()].filter(({ at }) => at >= from && at < to);
        const sizeMs = windowSize === "HOUR" ? HOUR_MS : windowSize === "DAY" ? 24 * HOUR_MS : Infinity;
        const windows = Map.groupBy(counted, ({ at }) => Math.floor(at / sizeMs));
        const expected = [...windows.values()].map((events) => ({
          SUM: String(events.reduce((sum, { v }) => sum + v, 0)),
          COUNT: String(events.length),
          UNIQUE_COUNT: String(new Set(events.map(({ v }) => v)).size),
          at: Math.min(...events.map(({ at }) => at)),
        }));
        expected.sort((a, b) => a.at - b.at);
        for (const aggregation of ["SUM", "UNIQUE_COUNT", "COUNT"] as const) {
          const rows = await c.rows(aggregation, { from, to, windowSize });
          const zero = aggregation !== "SUM" && windowSize === null && expected.length === 0 ? ["0"] : [];
          expect(rows.map((row) => row.at(-1))).toEqual([...zero, ...expected.map((row) => row[aggregation])]);
        }
      }),
      { numRuns: 25 },
    );
  }, 30_000);
});
