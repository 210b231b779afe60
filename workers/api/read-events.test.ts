import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseExact } from "../../core/exact-json";
import { readUsage } from "../../core/usage";
import { eventBatch, eventInput, EVENT_BYTES_MAX } from "../../schema/contract/events";
import { customerParam } from "../../schema/contract/fields";
import { trackInput } from "../../schema/contract/track";
import { BadField, nameFault, readEvent, readEvents } from "./read-events";
import { readTrack, type Track } from "./read-track";

const NOW = Date.UTC(2026, 10, 21);
/** Characters of a body in which no event can be too large. */
const SMALL = 1_000;

/** Text that is mostly fine and sometimes not. */
const text = fc.oneof(
  { weight: 25, arbitrary: fc.string({ minLength: 1, maxLength: 20 }) },
  fc.constantFrom("", "a\0b", "\ud800", "\udfff x", "x".repeat(512), "x".repeat(513), "é".repeat(512)),
  fc.string({ unit: "binary" }),
);
const anything = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>;
const orAnything = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 30, arbitrary }, anything);
const time = fc.oneof(
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.constantFrom(
    "2026-02-29T00:00:00Z",
    "2024-02-29T23:59:59.999999Z",
    "2026-01-01T00:00:00+14:00",
    "1970-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59-01:00",
    "2026-01-01",
    "",
  ),
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 1 });

/** Events, and what almost is one. Through JSON, so that what is absent is absent. */
const almostEvent = fc
  .record({
    specversion: fc.oneof({ weight: 20, arbitrary: fc.constant("1.0") }, anything),
    id: orAnything(text),
    source: orAnything(text),
    type: orAnything(text),
    subject: orAnything(text),
    time: optional(orAnything(fc.option(time))),
    data: optional(orAnything(fc.option(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }))))),
    datacontenttype: optional(orAnything(fc.constantFrom("application/json", null, "text/plain"))),
    dataschema: optional(orAnything(fc.option(text))),
    ext: optional(
      fc.dictionary(
        fc.oneof({ weight: 4, arbitrary: fc.stringMatching(/^[a-z0-9]{1,20}$/) }, fc.string({ maxLength: 25 })),
        anything,
        { maxKeys: 2 },
      ),
    ),
  })
  .map(({ ext, ...event }) => parseExact(JSON.stringify({ ...event, ...ext })));

describe("readEvent", () => {
  it("accepts exactly what the contract accepts", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: almostEvent }, anything), (value) => {
        const verdict = !(readEvent(value, NOW) instanceof BadField);
        expect(verdict).toBe(eventInput.safeParse(value).success);
        accepted += Number(verdict);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted, "the property must see both verdicts").toBeGreaterThan(200);
  });

  it("keeps every attribute, its extensions grouped, and gives now to what has no time", () => {
    const event = readEvent(
      parseExact(
        '{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"u","data":{"n":9007199254740993,"__proto__":{"x":1}},"dataschema":"d","traceid":"x","hops":3}',
      ),
      NOW,
    );
    expect(JSON.stringify(event)).toBe(
      `{"id":"1","source":"s","type":"t","subject":"u","time":${NOW},"data":{"n":9007199254740993,"__proto__":{"x":1}},"dataschema":"d","ext":{"traceid":"x","hops":3}}`,
    );
  });

  it("reads the event's own time", () => {
    const at = { specversion: "1.0", id: "1", source: "s", type: "t", subject: "u", time: "2026-01-01T02:00:00+02:00" };
    expect(readEvent(at, NOW)).toMatchObject({ time: Date.UTC(2026, 0, 1) });
  });
});

describe("nameFault", () => {
  it("agrees with the contract of {customer}", () => {
    fc.assert(
      fc.property(text, (customer) => {
        expect(nameFault(customer) === null).toBe(customerParam.safeParse({ customer }).success);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("readEvents", () => {
  const event = (over: Record<string, unknown>) => ({
    specversion: "1.0",
    id: "1",
    source: "s",
    type: "t",
    subject: "u",
    ...over,
  });

  it("agrees with the contract on whole batches, and names the first bad event", () => {
    fc.assert(
      fc.property(fc.array(almostEvent, { minLength: 0, maxLength: 5 }), (events) => {
        const read = readEvents(events, "either", NOW, SMALL);
        expect(read.ok).toBe(eventBatch.safeParse(events).success);
        if (!read.ok && events.length > 0)
          expect(read.refusal.index).toBe(events.findIndex((one) => !eventInput.safeParse(one).success));
      }),
      { numRuns: 300 },
    );
  });

  it("groups by subject and keeps the order within one", () => {
    const read = readEvents(
      [event({ id: "1" }), event({ id: "2", subject: "v" }), event({ id: "3" })],
      "many",
      NOW,
      SMALL,
    );
    const ids = read.ok && read.value.map(({ subject, events }) => [subject, events.map(({ id }) => id)]);
    expect(ids).toEqual([
      ["u", ["1", "3"]],
      ["v", ["2"]],
    ]);
  });

  it("measures an event in bytes, not in characters", () => {
    const size = (data: string) => readEvents(event({ data: { data } }), "one", NOW, data.length).ok;
    expect(size("x".repeat(EVENT_BYTES_MAX - 200))).toBe(true);
    expect(size("x".repeat(EVENT_BYTES_MAX))).toBe(false);
    expect(size("é".repeat(EVENT_BYTES_MAX / 2 - 100))).toBe(true);
    expect(size("é".repeat(EVENT_BYTES_MAX / 2))).toBe(false);
  });
});

describe("readTrack", () => {
  const quantity = fc.oneof(
    { weight: 8, arbitrary: fc.nat().map(String) },
    fc.constantFrom("0.1", "1e-12", "1e-13", "-1", "NaN", "9007199254740993", "1e400", '"0.1"', '"x"', "null", "{}"),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  );
  const usage = fc
    .dictionary(
      fc.oneof({ weight: 15, arbitrary: fc.constantFrom("tokens", "inputTokens") }, fc.string({ maxLength: 5 })),
      quantity,
      { maxKeys: 2 },
    )
    .map(
      (dimensions) => `{${Object.entries(dimensions).map(([name, number]) => `${JSON.stringify(name)}:${number}`)}}`,
    );
  const needed = (arbitrary: fc.Arbitrary<unknown>) =>
    fc
      .option(arbitrary, { nil: undefined, freq: 30 })
      .map((value) => (value === undefined ? undefined : JSON.stringify(value)));
  const field = (arbitrary: fc.Arbitrary<unknown>) =>
    optional(arbitrary).map((value) => (value === undefined ? undefined : JSON.stringify(value)));
  const almostTrack = fc
    .record({
      customer: needed(orAnything(text)),
      feature: needed(orAnything(text)),
      usage: fc.oneof(
        { weight: 8, arbitrary: usage },
        anything.map((value) => JSON.stringify(value)),
      ),
      provider: field(orAnything(text)),
      model: field(orAnything(text)),
      id: field(orAnything(text)),
      source: field(orAnything(text)),
      time: field(orAnything(time)),
      metadata: field(
        orAnything(
          fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("usage", "model")), fc.jsonValue({ maxDepth: 1 })),
        ),
      ),
      enforce: field(orAnything(fc.boolean())),
      userId: fc.oneof({ weight: 20, arbitrary: fc.constant(undefined) }, fc.constant('"u"')),
    })
    .map((fields) =>
      Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`"${name}":${value}`])),
    )
    .map((fields) => `{${fields}}`);

  it("accepts exactly what the contract and core's reader of usage accept together", () => {
    let accepted = 0;
    fc.assert(
      fc.property(almostTrack, (body) => {
        let value: unknown;
        try {
          value = parseExact(body);
        } catch {
          return;
        }
        const byContract = trackInput.safeParse(value);
        const expected = byContract.success && readUsage((value as { usage: unknown }).usage).ok;
        const verdict = !(readTrack(value, () => "id", NOW) instanceof BadField);
        expect(verdict, body).toBe(expected);
        accepted += Number(verdict);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted, "the property must see both verdicts").toBeGreaterThan(100);
  });

  it("makes the CloudEvent that the contract describes, numbers by their source text", () => {
    const body =
      '{"customer":"u","feature":"f","usage":{"tokens":9007199254740993},"provider":"p","model":"m","id":"1","time":"1970-01-01T00:00:01Z","metadata":{"team":"x","n":1e400},"enforce":true}';
    const { event, enforce } = readTrack(parseExact(body), () => "default", NOW) as Track;
    expect(enforce).toBe(true);
    expect(JSON.stringify(event)).toBe(
      '{"id":"1","source":"tollgate/track","type":"f","subject":"u","time":1000,"data":{"usage":{"tokens":9007199254740993},"provider":"p","model":"m","team":"x","n":1e400}}',
    );
  });
});
