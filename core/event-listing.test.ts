import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cloudEventJson,
  compareKeys,
  decodeKey,
  encodeKey,
  isAsked,
  timesOf,
  validationErrorOf,
  type EventKey,
  type EventQuery,
} from "./event-listing";
import type { UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { matchesTime, type FilterTime } from "./filter";
import { compileMeters, type Meter } from "./meter";

const query = (part: Partial<EventQuery> = {}): EventQuery => ({
  from: null,
  to: null,
  after: null,
  resume: null,
  limit: 10,
  ...part,
});
const event = (data: UsageEvent["data"], part: Partial<UsageEvent> = {}): UsageEvent => ({
  id: "e-1",
  source: "test",
  type: "prompt",
  subject: "ada",
  time: 1_700_000_000_000,
  ...(data !== undefined && { data }),
  ...part,
});
const meter = (part: Partial<Meter>): Meter => ({
  id: "m",
  key: "m",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: {},
  eventFrom: null,
  createdAt: 0,
  ...part,
});

describe("the order of a listing", () => {
  const keyArb = fc.record({
    time: fc.nat(3),
    storedAt: fc.nat(2),
    object: fc.constantFrom("a", "b"),
    seq: fc.nat(2),
    index: fc.nat(2),
  });

  it("is total, over any number of objects: no two events stand at the same place", () => {
    fc.assert(
      fc.property(keyArb, keyArb, keyArb, (a, b, c) => {
        expect(Math.sign(compareKeys(a, b))).toBe(-Math.sign(compareKeys(b, a)) || 0);
        expect(compareKeys(a, b) === 0).toBe(encodeKey(a) === encodeKey(b));
        if (compareKeys(a, b) < 0 && compareKeys(b, c) < 0) expect(compareKeys(a, c)).toBeLessThan(0);
      }),
    );
  });

  it("is by event time, then by acceptance, newest first", () => {
    const at = (time: number, storedAt: number, seq: number, index = 0): EventKey => ({
      time,
      storedAt,
      object: "o",
      seq,
      index,
    });
    const sorted = [at(2, 9, 1), at(3, 1, 1), at(2, 9, 2), at(2, 10, 1), at(2, 9, 2, 5)].sort(compareKeys);
    expect(sorted).toEqual([at(3, 1, 1), at(2, 10, 1), at(2, 9, 2, 5), at(2, 9, 2), at(2, 9, 1)]);
  });

  it("has keys that come back from their text; other text is no key", () => {
    fc.assert(
      fc.property(keyArb, (key) => {
        expect(decodeKey(encodeKey(key))).toEqual(key);
      }),
    );
    for (const text of ["", "{}", "[1,2,3,4]", '[1,2,3,-4,"o"]', '[1,2,3,4.5,"o"]', '["1",2,3,4,"o"]', "[1,2,3,4,5]"])
      expect(decodeKey(text)).toBe(null);
  });
});

describe("what a list asks for", () => {
  it("must match in everything it says", () => {
    const given = event({}, { id: "order-77/b" });
    const storedAt = given.time + 5;
    const asked = (part: Partial<EventQuery>) => isAsked(query(part), given, storedAt);
    expect(asked({})).toBe(true);
    expect([asked({ from: given.time }), asked({ from: given.time + 1 })]).toEqual([true, false]);
    expect([asked({ to: given.time + 1 }), asked({ to: given.time })]).toEqual([true, false]);
    expect([asked({ idPart: "77" }), asked({ idPart: "ORDER" })]).toEqual([true, false]);
    expect([asked({ subject: { $eq: "ada" } }), asked({ subject: { $ne: "ada" } })]).toEqual([true, false]);
    expect([asked({ type: { $in: ["prompt"] } }), asked({ type: { $nin: ["prompt"] } })]).toEqual([true, false]);
    expect([asked({ source: { $like: "te%" } }), asked({ source: { $like: "x%" } })]).toEqual([true, false]);
    expect([asked({ id: { $ilike: "ORDER%" } }), asked({ id: { $eq: "order" } })]).toEqual([true, false]);
    expect([asked({ ingestedAt: { $gte: storedAt } }), asked({ ingestedAt: { $lt: storedAt } })]).toEqual([
      true,
      false,
    ]);
    expect([asked({ time: { $lte: given.time } }), asked({ time: { $gt: given.time } })]).toEqual([true, false]);
    expect(asked({ subject: { $eq: "ada" }, type: { $eq: "other" } })).toBe(false);
  });

  it("is looked for in no time that its filters rule out, and in every one they allow", () => {
    const { filter } = fc.letrec<{ filter: FilterTime }>((tie) => ({
      filter: fc.oneof(
        { depthSize: "small" },
        ...(["$gt", "$gte", "$lt", "$lte"] as const).map((op) => fc.nat(9).map((at): FilterTime => ({ [op]: at }))),
        fc.array(tie("filter"), { minLength: 1, maxLength: 3 }).map((all): FilterTime => ({ $and: all })),
        fc.array(tie("filter"), { minLength: 1, maxLength: 3 }).map((any): FilterTime => ({ $or: any })),
      ),
    }));
    fc.assert(
      fc.property(filter, (time) => {
        const { from, to } = timesOf(query({ time }));
        for (let at = 0; at < 10; at++) if (at < from || at >= to) expect(matchesTime(time, at)).toBe(false);
      }),
    );
    expect(timesOf(query({ time: { $and: [{ $gte: 3 }, { $lt: 5 }] }, from: 1, to: 4 }))).toEqual({ from: 3, to: 4 });
  });
});

describe("a listed event", () => {
  it("is the CloudEvent that was sent, its numbers with their source text and its extensions beside the rest", () => {
    const sent = '{"a":12345678901234567890.123456789,"b":1e400,"c":0.1}';
    const json = cloudEventJson(
      event(parseExact(sent) as UsageEvent["data"], { ext: { traceid: "t", n: 7 }, dataschema: "urn:x" }),
    );
    expect(json).toContain(`"data":${sent}`);
    expect(JSON.parse(json)).toMatchObject({
      specversion: "1.0",
      id: "e-1",
      source: "test",
      type: "prompt",
      subject: "ada",
      time: "2023-11-14T22:13:20.000Z",
      dataschema: "urn:x",
      traceid: "t",
      n: 7,
    });
  });

  const fine = { declared: true, unpriced: null };

  it.each([
    ["a meter of its type reads it", event({ tokens: "0.5" }), null],
    ["no meter counts its type", event({}, { type: "other" }), "no meter found for event type: other"],
    ["it has no data", event(undefined), "invalid event: null and missing value property"],
    ["its data are null", event(null), "invalid event: null and missing value property"],
    ["it lacks the value", event({ n: 1 }), 'invalid event: missing value property: "$.tokens"'],
    ["the value is null", event({ tokens: null }), "invalid event: value cannot be null"],
    ["the value is NaN", event({ tokens: "NaN" }), "invalid event: value cannot be NaN"],
    ["the value is infinite", event({ tokens: "-Infinity" }), "invalid event: value cannot be infinity"],
    ["the value is text", event({ tokens: "many" }), "invalid event: value cannot be parsed as float64: many"],
    [
      "the value is an object",
      event({ tokens: {} }),
      "invalid event: unsupported value property type: map[string]interface {}",
    ],
    ["the value is true", event({ tokens: true }), "invalid event: unsupported value property type: bool"],
    ["the value is past all measure", event({ tokens: 1e40 }), "invalid event: value is out of range"],
  ])("says what is wrong with it when %s", (_, given, expected) => {
    expect(validationErrorOf(compileMeters([meter({})]), given, fine)).toBe(expected);
  });

  it("is fine for meters that read no number", () => {
    const meters = compileMeters([
      meter({ id: "c", aggregation: "COUNT", valueProperty: null }),
      meter({ id: "u", aggregation: "UNIQUE_COUNT", valueProperty: "$.user" }),
    ]);
    expect(validationErrorOf(meters, event({ user: "ada" }), fine)).toBe(null);
    expect(validationErrorOf(meters, event({ user: [] }), fine)).toBe(
      "invalid event: unsupported value property type: []interface {}",
    );
  });

  it("says everything that is wrong with it, each once, a line each", () => {
    const meters = compileMeters([
      meter({}),
      meter({ id: "n", aggregation: "MAX" }),
      meter({ id: "o", valueProperty: "$.other" }),
    ]);
    expect(validationErrorOf(meters, event({}), { declared: false, unpriced: "no rule for gpt-9" })).toBe(
      [
        'invalid event: missing value property: "$.tokens"',
        'invalid event: missing value property: "$.other"',
        "no customer found for event subject: ada",
        "unpriced usage: no rule for gpt-9",
      ].join("\n"),
    );
  });
});
