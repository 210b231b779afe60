import { Decimal as DecimalJs } from "decimal.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AGGREGATIONS, type Aggregation } from "./aggregation";
import type { Json, UsageEvent } from "./event";
import { matches, type FilterString } from "./filter";
import { foldEvent, HOUR_MS, MemoryFolds, MINUTE_MS } from "./fold";
import { GROUPS_MAX } from "./fold-groups";
import { needsEvents, queryFolds, type FoldSource } from "./fold-query";
import { encodeChunk, readHours, type HourRow } from "./fold-text";
import { compileMeters, type CompiledMeter, type Meter } from "./meter";
import { namesQuery, rangeOf, type MeterQuery } from "./meter-query";
import { formatQuantity, quantity } from "./quantity";
import { groupNames, PartBuilder, placesOf, QUERY_ROWS_MAX, type QueryPart } from "./query-part";
import { answerQuery, type MeterRow } from "./query-rows";
import { takeRollups, type RollupRow } from "./rollup";
import { WINDOW_SIZES } from "./window";

const HOUR = 500_000;
const Decimal = DecimalJs.clone({ precision: 60 });
type Decimal = DecimalJs;

const meterOf = (part: Partial<Meter>): Meter => ({
  id: "01JMETER",
  key: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: part.aggregation === "COUNT" ? null : "$.v",
  groupBy: { model: "$.model", op: "$.op" },
  eventFrom: null,
  createdAt: 0,
  ...part,
});

interface Numbered {
  event: UsageEvent;
  order: number;
}

/** One customer: what its folds hold, how they would be read from storage, and its events. */
function customer(meter: Meter, numbered: readonly Numbered[]) {
  const meters = compileMeters([meter]);
  const compiled = [...meters.meters.values()][0]!;
  const folds = new MemoryFolds();
  for (const { event, order } of numbered) foldEvent(folds, meters, event, order);
  const read = { hours: 0, minutes: 0, events: 0 };
  const source: FoldSource = {
    *hours(_meter, from, to) {
      const chunks = [...folds.chunks.values()].filter(({ hour }) => hour >= from && hour < to);
      for (const chunk of chunks.sort((a, b) => a.hour - b.hour)) {
        read.hours++;
        const rows: HourRow[] = encodeChunk(chunk).flatMap(({ hours }) => readHours(hours));
        yield { hour: chunk.hour, rows };
      }
    },
    minutes(each, hour) {
      read.minutes++;
      return folds.chunks.get(`${each.foldKey} ${hour}`) ?? null;
    },
    *events(from, to) {
      for (const each of numbered) {
        if (each.event.time < from || each.event.time >= to) continue;
        read.events++;
        yield each;
      }
    },
  };
  return {
    folds,
    compiled,
    read,
    ask(query: MeterQuery, alone = false): QueryPart {
      const part = queryFolds(source, meters, compiled, query, { alone });
      if (!part.ok) throw new Error(part.refusal.detail);
      // It crosses RPC.
      return structuredClone(part.value);
    },
    refusal(query: MeterQuery): string | null {
      const part = queryFolds(source, meters, compiled, query, { alone: true });
      return part.ok ? null : part.refusal.detail;
    },
  };
}

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

const rowsOf = (aggregation: Aggregation, asked: MeterQuery, parts: readonly QueryPart[]): MeterRow[] => {
  const rows = answerQuery(aggregation, asked, parts);
  if (!rows.ok) throw new Error(rows.refusal.detail);
  return rows.value;
};

let minted = 0;
const event = (time: number, v: Json, data: { [name: string]: Json } = {}, subject = "ada"): UsageEvent => ({
  id: String(++minted),
  source: "test",
  type: "prompt",
  subject,
  time,
  data: { v, ...data },
});
const numbered = (events: readonly UsageEvent[]): Numbered[] => events.map((each, order) => ({ event: each, order }));

// ---- The oracle: every event looked at once, by other means

const clocks = new Map<string, Intl.DateTimeFormat>();
/** What a zone's clocks show, as far as it names a window; an hour with its offset, because clocks may show it twice. */
function label(ms: number, { windowSize, timeZone }: MeterQuery): string {
  if (windowSize === null) return "";
  if (windowSize === "MINUTE") return String(Math.floor(ms / MINUTE_MS));
  let format = clocks.get(timeZone);
  if (!format) {
    const fields = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", hourCycle: "h23" } as const;
    format = new Intl.DateTimeFormat("en", { timeZone, ...fields, timeZoneName: "longOffset" });
    clocks.set(timeZone, format);
  }
  const shown = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const { year, month, day, hour, timeZoneName } = shown;
  return {
    MONTH: `${year}-${month}`,
    DAY: `${year}-${month}-${day}`,
    HOUR: `${year}-${month}-${day} ${hour} ${timeZoneName}`,
  }[windowSize];
}

const numberIn = (v: Json | undefined): Decimal | null =>
  typeof v === "number" || (typeof v === "string" && /^-?\d+(\.\d+)?$/.test(v)) ? new Decimal(v) : null;
const textIn = (v: Json | undefined): string | null => (v === null || v === undefined ? null : String(v));

const aggregate: { [A in Aggregation]: (events: Numbered[]) => string | null } = {
  COUNT: (events) => String(events.length),
  SUM: (events) => total(events)?.toFixed() ?? null,
  AVG: (events) =>
    total(events)?.div(numbers(events).length).toDecimalPlaces(24, Decimal.ROUND_HALF_EVEN).toFixed() ?? null,
  MIN: (events) => (numbers(events).length === 0 ? null : Decimal.min(...numbers(events)).toFixed()),
  MAX: (events) => (numbers(events).length === 0 ? null : Decimal.max(...numbers(events)).toFixed()),
  UNIQUE_COUNT: (events) =>
    String(new Set(events.map((each) => textIn(each.event.data?.v)).filter((text) => text !== null)).size),
  LATEST: (events) =>
    numberIn(
      events
        .filter((each) => numberIn(each.event.data?.v) !== null)
        .sort((a, b) => a.event.time - b.event.time || a.order - b.order)
        .at(-1)?.event.data?.v,
    )?.toFixed() ?? null,
};
const numbers = (events: Numbered[]): Decimal[] =>
  events.map((each) => numberIn(each.event.data?.v)).filter((value) => value !== null);
const total = (events: Numbered[]): Decimal | null =>
  numbers(events).length === 0 ? null : numbers(events).reduce((sum, value) => sum.plus(value), new Decimal(0));

const valueOf = (name: string, { subject, data }: UsageEvent): string =>
  name === "subject" ? subject : String(data?.[name] ?? (data?.[name] === null ? "null" : ""));

/** What a query must answer: window, group and value of each row. */
function oracle(meter: Meter, asked: MeterQuery, all: readonly Numbered[]): string[] {
  const second = (ms: number) => Math.floor(ms / 1_000);
  const counted = all.filter(
    ({ event: each }) =>
      (asked.from === null || second(each.time) >= second(asked.from)) &&
      (asked.to === null || second(each.time) < second(asked.to)) &&
      (meter.eventFrom === null || each.time >= meter.eventFrom) &&
      (asked.subjects === null || asked.subjects.includes(each.subject)) &&
      Object.entries(asked.filters).every(([name, filter]) => matches(filter, valueOf(name, each))),
  );
  const groups = Map.groupBy(counted, ({ event: each }) =>
    JSON.stringify([label(each.time, asked), ...asked.groupBy.map((name) => valueOf(name, each))]),
  );
  const rows = [...groups].flatMap(([key, events]) => {
    const value = aggregate[meter.aggregation](events);
    return value === null ? [] : [`${key} ${value}`];
  });
  const isTotal = asked.windowSize === null && asked.groupBy.length === 0;
  if (rows.length === 0 && isTotal && ["COUNT", "UNIQUE_COUNT"].includes(meter.aggregation)) rows.push('[""] 0');
  return rows.sort();
}

const shown = (asked: MeterQuery, rows: readonly MeterRow[]): string[] =>
  rows
    .map(({ windowStart, subject, groupBy, value }) => {
      const group = asked.groupBy.map((name) => (name === "subject" ? subject : groupBy[name]));
      return `${JSON.stringify([label(windowStart, asked), ...group])} ${formatQuantity(value)}`;
    })
    .sort();

// ---- Anything that may happen

/** Days on which clocks change, and an ordinary one. */
const DAYS = ["2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-06-01"].map((day) => Date.parse(day));
const time = fc
  .tuple(
    fc.constantFrom(...DAYS),
    fc.oneof(fc.integer({ min: -12, max: 30 }), fc.constantFrom(-1, 0, 1)),
    fc.constantFrom(0, 1, 15, 30, 59),
    fc.integer({ min: 0, max: 59_999 }),
  )
  .map(([day, hour, minute, ms]) => day + hour * HOUR_MS + minute * MINUTE_MS + ms);
const value = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: -9, max: 9 }) },
  { weight: 3, arbitrary: fc.integer({ min: -99, max: 99 }).map((cents) => cents / 100) },
  { weight: 2, arbitrary: fc.constantFrom<Json>("0.4567890123456789", "7", "x", null, true) },
);
const anyEvent = fc
  .record({
    at: time,
    value,
    subject: fc.constantFrom("ada", "bob"),
    data: fc.record(
      { model: fc.constantFrom<Json>("gpt", "claude", null), op: fc.constantFrom<Json>("chat", "embed") },
      { requiredKeys: [] },
    ),
  })
  .map(({ at, value: v, subject, data }) => event(at, v, data, subject));
/** Minutes with many events in them too. */
const anyEvents = fc
  .tuple(fc.array(anyEvent, { maxLength: 25 }), fc.array(fc.tuple(anyEvent, fc.nat()), { maxLength: 25 }))
  .map(([some, others]) => {
    const near = others.map(([each, n]) => {
      const other = some.length === 0 ? each : some[n % some.length]!;
      return { ...each, time: Math.floor(other.time / MINUTE_MS) * MINUTE_MS + (n % 60_000) };
    });
    return [...some, ...near];
  });

const filter: fc.Arbitrary<FilterString> = fc.constantFrom<FilterString[]>(
  { $in: ["gpt", "chat"] },
  { $ne: "gpt" },
  { $like: "%e%" },
  { $eq: "" },
  { $or: [{ $eq: "claude" }, { $gt: "embec" }] },
);
const anyQuery = fc.record({
  windowSize: fc.constantFrom(null, ...WINDOW_SIZES),
  timeZone: fc.constantFrom("UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York"),
  groupBy: fc.uniqueArray(fc.constantFrom("subject", "model", "op"), { maxLength: 3 }),
  filters: fc.dictionary(fc.constantFrom("model", "op"), filter, { maxKeys: 2, noNullPrototype: true }),
  subjects: fc.constantFrom<(string[] | null)[]>(null, null, ["ada"], ["bob", "nobody"]),
});
/** Ends that cut minutes with events in them, or hours, or nothing. */
const anyEnd = fc.tuple(fc.nat(), fc.constantFrom(0, 1, -1, 1_000, -999, 30_000, MINUTE_MS, HOUR_MS), fc.nat(3));

const endAt = (events: readonly UsageEvent[], [n, ms, align]: [number, number, number]): number | null => {
  if (align === 0) return null;
  const at = (events.length === 0 ? DAYS[0]! : events[n % events.length]!.time) + ms;
  return align === 1 ? at : Math.floor(at / MINUTE_MS) * MINUTE_MS;
};

const scenario = fc
  .record({ events: anyEvents, asked: anyQuery, from: anyEnd, to: anyEnd, cuts: fc.infiniteStream(fc.nat(3)) })
  .map(({ events, asked, from, to, cuts }) => {
    const [start, end] = [endAt(events, from), endAt(events, to)];
    const swapped = start !== null && end !== null && start > end;
    const whole: MeterQuery = { ...asked, from: swapped ? end : start, to: swapped ? start : end };
    return { events, cuts, asked: whole };
  });

describe.each(AGGREGATIONS)("a query of %s", (aggregation) => {
  const meter = meterOf({ aggregation });

  it("is what one look at every event gives, by window, zone, range, filter and group, however the events are split and ordered", () => {
    fc.assert(
      fc.property(scenario, ({ events, asked, cuts }) => {
        const all = numbered(events);
        const expected = oracle(meter, asked, all);
        expect(shown(asked, rowsOf(aggregation, asked, [customer(meter, all).ask(asked, true)]))).toEqual(expected);
        const split = Map.groupBy(all, () => cuts.next().value);
        const parts = [...split.values()].map((some) => customer(meter, some.toReversed()).ask(asked));
        expect(shown(asked, rowsOf(aggregation, asked, parts))).toEqual(expected);
        expect(shown(asked, rowsOf(aggregation, asked, parts.toReversed()))).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  }, 30_000);

  it("has rows in the order of windows and groups, each with its whole window, whatever part of it was asked for", () => {
    fc.assert(
      fc.property(scenario, ({ events, asked }) => {
        const rows = rowsOf(aggregation, asked, [customer(meter, numbered(events)).ask(asked, true)]);
        const keys = rows.map(({ windowStart, subject, groupBy }) => ({
          start: asked.windowSize === null ? 0 : windowStart,
          group: asked.groupBy.map((name) => (name === "subject" ? subject! : groupBy[name]!)),
        }));
        const sorted = keys.toSorted((a, b) => a.start - b.start || (a.group.join("\0") < b.group.join("\0") ? -1 : 1));
        expect(keys).toEqual(sorted);
        for (const { windowStart, windowEnd } of rows) {
          if (asked.windowSize === null) continue;
          expect(label(windowEnd - 1, asked)).toBe(label(windowStart, asked));
          expect(windowStart).toBeLessThan(windowEnd);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("a query without windows", () => {
  const at = HOUR * HOUR_MS;
  const all = numbered([event(at + 61_500, 1), event(at + 10 * HOUR_MS + 59_000, 2), event(at + 5_000, 4, {}, "bob")]);
  const c = customer(meterOf({}), all);
  const spans = (asked: MeterQuery) =>
    rowsOf("SUM", asked, [c.ask(asked)]).map((row) => [row.subject, row.windowStart - at, row.windowEnd - at]);

  it("starts and ends where it was asked to, else with the minutes of each group's data", () => {
    expect(spans(query())).toEqual([[null, 0, 10 * HOUR_MS + MINUTE_MS]]);
    expect(spans(query({ groupBy: ["subject"] }))).toEqual([
      ["ada", MINUTE_MS, 10 * HOUR_MS + MINUTE_MS],
      ["bob", 0, MINUTE_MS],
    ]);
    expect(spans(query({ from: at + 1_700 }))).toEqual([[null, 1_700, 10 * HOUR_MS + MINUTE_MS]]);
    expect(spans(query({ to: at + 70_123 }))).toEqual([[null, 0, 70_123]]);
  });

  it("reads no minutes for that", () => {
    Object.assign(c.read, { minutes: 0, events: 0 });
    spans(query());
    expect(c.read).toMatchObject({ minutes: 0, events: 0 });
  });

  it("of nothing answers 0 for COUNT and UNIQUE_COUNT, if that is the only number to answer", () => {
    const zero = (asked: MeterQuery, aggregation: Aggregation) =>
      rowsOf(aggregation, asked, []).map(({ value: v, windowStart, windowEnd }) => [v, windowStart, windowEnd]);
    const [from, to] = [at, at + HOUR_MS];
    for (const aggregation of AGGREGATIONS) {
      const counts = aggregation === "COUNT" || aggregation === "UNIQUE_COUNT";
      expect(zero(query({ from, to }), aggregation)).toEqual(counts ? [[0n, from, to]] : []);
      expect(zero(query(), aggregation)).toEqual(counts ? [[0n, 0, MINUTE_MS]] : []);
      expect(zero(query({ from, to, windowSize: "DAY" }), aggregation)).toEqual([]);
      expect(zero(query({ from, to, groupBy: ["subject"] }), aggregation)).toEqual([]);
    }
  });

  it("from and to within one second has no events", () => {
    expect(rowsOf("SUM", query(), [c.ask(query({ from: at + 61_100, to: at + 61_900 }))])).toEqual([]);
    expect(rowsOf("SUM", query(), [c.ask(query({ from: at + 61_900, to: at + 62_100 }))])).toMatchObject([
      { value: quantity("1") },
    ]);
  });
});

describe("what a query reads", () => {
  const days = 30;
  const hours = Array.from({ length: days * 24 }, (_, i) => HOUR * HOUR_MS + i * HOUR_MS);
  const events = hours.flatMap((hour) => [event(hour, 1), event(hour + 59 * MINUTE_MS, 2)]);
  const asked = query({ from: hours[0]!, to: hours.at(-1)! + HOUR_MS, windowSize: "HOUR" });
  const readFor = (part: Partial<MeterQuery>, aggregation: Aggregation = "SUM", alone = true) => {
    const c = customer(meterOf({ aggregation }), numbered(events));
    c.ask({ ...asked, ...part }, alone);
    return c.read;
  };

  it("is one cell a group for each whole hour", () => {
    for (const part of [
      {},
      { windowSize: "DAY", timeZone: "Europe/Berlin" },
      { windowSize: null, from: null },
    ] as const)
      expect(readFor(part)).toEqual({ hours: days * 24, minutes: 0, events: 0 });
    expect(readFor({}, "UNIQUE_COUNT")).toEqual({ hours: days * 24, minutes: 0, events: 0 });
  });

  it("is minutes of the hours that the range cuts, and events of the minutes that it cuts", () => {
    const from = hours[0]! + 59 * MINUTE_MS;
    expect(readFor({ from })).toEqual({ hours: days * 24 - 1, minutes: 1, events: 0 });
    expect(readFor({ from: from + 2_000, to: hours.at(-1)! + 59 * MINUTE_MS + 2_000 })).toEqual({
      hours: days * 24 - 2,
      minutes: 1,
      events: 1,
    });
    expect([from, from + 999, from + 1_000].map((each) => needsEvents({ ...asked, from: each }))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it("is minutes where windows are not made of hours of UTC, and where distinct values of hours must be told apart", () => {
    const all = { hours: days * 24, minutes: days * 24, events: 0 };
    expect(readFor({ timeZone: "Asia/Kolkata" })).toEqual(all);
    expect(readFor({ windowSize: "MINUTE" })).toEqual(all);
    expect(readFor({ windowSize: "DAY" }, "UNIQUE_COUNT")).toEqual(all);
    expect(readFor({}, "UNIQUE_COUNT", false)).toEqual(all);
    expect(readFor({ windowSize: null, namesOnly: true }, "UNIQUE_COUNT")).toEqual({ ...all, minutes: 0 });
  });

  it("is also right where hours were stored by an earlier version, that did not say their first and last minute", () => {
    const within = hours.flatMap((hour) => [event(hour + MINUTE_MS, 1), event(hour + 58 * MINUTE_MS, 2)]);
    const c = customer(meterOf({}), numbered(within));
    const old: FoldSource = {
      *hours() {
        for (const hour of hours) yield { hour: hour / HOUR_MS, rows: [['["ada","",""]', [2, 3]]] };
      },
      minutes: (meter, hour) => c.folds.chunks.get(`${meter.foldKey} ${hour}`) ?? null,
      events: () => [],
    };
    const part = queryFolds(old, compileMeters([meterOf({})]), c.compiled, query(), { alone: true });
    expect(part).toEqual({ ok: true, value: c.ask(query(), true) });
  });
});

describe("names", () => {
  const at = HOUR * HOUR_MS;
  const all = numbered([
    event(at + 1_000, 1, { model: "gpt" }),
    event(at + 90_000, 1, { model: "claude" }, "bob"),
    event(at + 5 * HOUR_MS, 1, {}, "Zoe"),
  ]);

  it("of a dimension, and subjects, are those that counted in the range, in order", () => {
    for (const aggregation of AGGREGATIONS) {
      const c = customer(meterOf({ aggregation }), all);
      const names = (name: string, from: number | null, to: number | null) =>
        groupNames([c.ask(namesQuery(name, { from, to })), c.ask(namesQuery(name, { from, to }))]);
      expect(names("subject", null, null)).toEqual(["Zoe", "ada", "bob"]);
      expect(names("model", at, at + HOUR_MS)).toEqual(["claude", "gpt"]);
      expect(names("model", at + 2_000, at + 91_000)).toEqual(["claude"]);
      expect(names("model", at + 91_000, null)).toEqual([""]);
    }
  });
});

describe("a dimension that went coarse", () => {
  const at = HOUR * HOUR_MS;
  const many = Array.from({ length: GROUPS_MAX + 10 }, (_, i) => event(at, 1, { model: `m${i}`, op: "chat" }));
  const c = customer(meterOf({}), numbered([...many, event(at, 1, { model: "m0", op: "embed" })]));

  it("refuses a query that groups or filters by it, and says which", () => {
    for (const part of [{ groupBy: ["model"] }, { filters: { model: { $eq: "m1" } } }]) {
      expect(c.refusal(query(part))).toContain("told apart by model");
    }
  });

  it("leaves every other query exact, and those that another filter keeps out of it", () => {
    expect(rowsOf("SUM", query(), [c.ask(query())])).toMatchObject([{ value: quantity(String(GROUPS_MAX + 11)) }]);
    const byOp = query({ groupBy: ["op"] });
    expect(rowsOf("SUM", byOp, [c.ask(byOp)])).toMatchObject([
      { groupBy: { op: "chat" }, value: quantity(String(GROUPS_MAX + 10)) },
      { groupBy: { op: "embed" }, value: quantity("1") },
    ]);
    expect(c.refusal(query({ groupBy: ["model"], subjects: ["bob"] }))).toBe(null);
  });
});

describe("distinct values", () => {
  const at = HOUR * HOUR_MS;
  const meter = meterOf({ aggregation: "UNIQUE_COUNT" });

  it("that were forgotten refuse every window that they would count in, and no other", () => {
    const many = Array.from({ length: 100_001 }, (_, i) => event(at + (i % 60) * MINUTE_MS, i));
    const c = customer(meter, numbered([...many, event(at + HOUR_MS, "a")]));
    const answer = (part: Partial<MeterQuery>) => answerQuery("UNIQUE_COUNT", query(part), [c.ask(query(part), true)]);
    expect(answer({})).toMatchObject({ ok: false, refusal: { reason: "at_bound" } });
    expect(answer({ windowSize: "HOUR" })).toMatchObject({ ok: false, refusal: { reason: "at_bound" } });
    expect(answer({ from: at + HOUR_MS })).toMatchObject({ ok: true, value: [{ value: quantity("1") }] });
  });

  it("of groups that take turns within an hour are counted window by window", () => {
    const turns = [0, 1, 2, 0, 1, 2].map((minute, n) =>
      event(at + minute * MINUTE_MS, n % 4, { model: n < 3 ? "a" : "b" }),
    );
    const byMinute = query({ windowSize: "MINUTE" });
    const rows = rowsOf("UNIQUE_COUNT", byMinute, [customer(meter, numbered(turns)).ask(byMinute, true)]);
    expect(rows.map(({ value: v }) => formatQuantity(v))).toEqual(["2", "2", "2"]);
  });

  it("are bounded over a window, and not over all windows of one customer", () => {
    const perHour = 80_000;
    const many = Array.from({ length: 5 * perHour }, (_, i) => event(at + Math.floor(i / perHour) * HOUR_MS, i));
    const c = customer(meter, numbered(many));
    expect(c.refusal(query())).toContain("distinct values");
    const byHour = query({ windowSize: "HOUR", timeZone: "Asia/Kolkata" });
    expect(rowsOf("UNIQUE_COUNT", byHour, [c.ask(byHour, true)]).map(({ value: v }) => formatQuantity(v))).toEqual(
      Array<string>(5).fill(String(perHour)),
    );
  });
});

describe("an answer", () => {
  const { compiled } = customer(meterOf({ aggregation: "COUNT" }), []);
  const cell = compiled.fold.fromJSON(1);
  const build = (asked: MeterQuery, rows: number, group: (n: number) => string, at: (n: number) => number) => {
    const builder = new PartBuilder(compiled, asked);
    for (let n = 0; n < rows; n++) builder.add(JSON.stringify(["ada", group(n), ""]), cell, at(n), at(n));
    return builder.part();
  };

  it("of more rows than fit is refused, by one part and by all together", () => {
    const asked = query({ windowSize: "MINUTE" });
    const minutes = (rows: number, from = 0) =>
      build(
        asked,
        rows,
        () => "",
        (n) => (from + n) * MINUTE_MS,
      );
    expect(minutes(QUERY_ROWS_MAX + 1)).toMatchObject({ ok: false, refusal: { reason: "at_bound" } });
    const [one, other] = [minutes(QUERY_ROWS_MAX / 2), minutes(QUERY_ROWS_MAX / 2 + 1, QUERY_ROWS_MAX / 2)];
    expect([one.ok, other.ok]).toEqual([true, true]);
    const parts = [one, other].flatMap((part) => (part.ok ? [part.value] : []));
    expect(answerQuery("COUNT", asked, parts)).toMatchObject({ ok: false, refusal: { reason: "at_bound" } });
  });

  it("of groups too long to be carried is refused", () => {
    const part = build(
      query({ groupBy: ["model"] }),
      40_000,
      (n) => `${n}${"x".repeat(250)}`,
      () => 0,
    );
    expect(part).toMatchObject({ ok: false, refusal: { detail: expect.stringContaining("too long group values") } });
  });
});

describe("rollup rows", () => {
  /** As the store would read them, with only what the query looks at. */
  function partOf(meter: CompiledMeter, asked: MeterQuery, rows: readonly RollupRow[]): QueryPart {
    const builder = new PartBuilder(meter, asked);
    const places = new Set(placesOf(meter, asked));
    const { from, to } = rangeOf(asked);
    for (const { windowStart, resolution, group, count, sum, min, max, latest, latestAt } of rows) {
      const last = windowStart + (resolution === "minute" ? 0 : 14 * MINUTE_MS);
      if (windowStart < from || windowStart >= to) continue;
      const read = (text: string | null) => (text === null ? null : quantity(text));
      const cell = meter.fold.fromRollup({
        count,
        sum: quantity(sum),
        min: read(min),
        max: read(max),
        latest: latest === null || latestAt === null ? null : { value: quantity(latest), at: latestAt },
      });
      const values = (JSON.parse(group) as (string | null)[]).map((each, place) => (places.has(place) ? each : null));
      if (cell !== null) builder.add(JSON.stringify(values), cell, windowStart, last);
    }
    const part = builder.part();
    if (!part.ok) throw new Error(part.refusal.detail);
    return part.value;
  }

  it.each(AGGREGATIONS.filter((each) => each !== "UNIQUE_COUNT"))(
    "of %s make the rows that the objects' folds make, by minutes and by quarters of an hour",
    (aggregation) => {
      const meter = meterOf({ aggregation });
      const toMinute = (ms: number | null) => ms && Math.floor(ms / MINUTE_MS) * MINUTE_MS;
      fc.assert(
        fc.property(scenario, fc.constantFrom("minute", "quarter"), ({ events, asked, cuts }, resolution) => {
          const quarters = resolution === "quarter";
          const range = quarters ? { from: null, to: null } : { from: toMinute(asked.from), to: toMinute(asked.to) };
          const sized = quarters && asked.windowSize === "MINUTE" ? "HOUR" : asked.windowSize;
          const aligned: MeterQuery = { ...asked, ...range, windowSize: sized };
          // Rollups do not tell the order of events of one time.
          const all = numbered(events.map((each, n) => ({ ...each, time: each.time + n })));
          const objects = [...Map.groupBy(all, () => cuts.next().value).values()].map((some) => customer(meter, some));
          const parts = objects.map(({ folds, compiled }) => {
            const rows: RollupRow[] = [];
            for (const chunk of folds.chunks.values()) while (chunk.unsent.length > 0) rows.push(...takeRollups(chunk));
            const some = rows.filter((row) => row.resolution === resolution);
            return partOf(compiled, aligned, some);
          });
          expect(shown(aligned, rowsOf(aggregation, aligned, parts))).toEqual(oracle(meter, aligned, all));
        }),
        { numRuns: 100 },
      );
    },
    30_000,
  );
});
