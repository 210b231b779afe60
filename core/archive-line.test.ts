import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { amendingLine, correctionLine, entryLines, isLaterLine, readLine, type LineSource } from "./archive-line";
import type { Json, UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { encodeEntry, type LogEntry } from "./log-entry";

const SOURCE: LineSource = { namespaceId: "01JNS", object: "01JNS/YWNtZQ", epoch: "01JEPOCH", customerId: null };
const AT = Date.UTC(2026, 10, 21, 9, 30);

const entryOf = (events: UsageEvent[], over: Partial<LogEntry> = {}): LogEntry => ({
  seq: 7,
  at: AT,
  events,
  rated: [],
  unrated: [],
  grants: [],
  journal: [],
  before: { balance: 0n, head: "" },
  ...over,
});

const linesOf = (entry: LogEntry, source = SOURCE) => entryLines(source, encodeEntry(entry), entry.events.length);

const event = (over: Partial<UsageEvent> = {}): UsageEvent => ({
  id: "e1",
  source: "svc",
  type: "prompt",
  subject: "acme",
  time: AT - 1,
  ...over,
});

/** Texts that look like what the splicing looks for. */
const hostileText = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.constantFrom(
    '},{"id":"',
    ',"events":[{',
    ',"unrated":[1]',
    '"ext":',
    ',"corrections":[[',
    '\\"',
    "\\",
    '"',
    "\u2028",
  ),
);
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    hostileText,
    fc.constantFrom(null, true, 0.1, -0, 12, "1e400"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("id", "ext", "time", "events", "a", "__proto__"), tie("value"), { maxKeys: 3 }),
  ),
})).value;
const object = fc.dictionary(fc.constantFrom("id", "ext", "tokens", "source"), json, { maxKeys: 4 });
const name = hostileText.filter((text) => text.length > 0);

const anyEvent: fc.Arbitrary<UsageEvent> = fc
  .record({
    id: name,
    source: name,
    type: name,
    subject: name,
    time: fc.integer({ min: 0, max: 253_402_300_799_999 }),
    data: fc.option(fc.oneof(object, fc.constant(null)), { nil: undefined }),
    dataschema: fc.option(name, { nil: undefined }),
    ext: fc.option(fc.dictionary(fc.constantFrom("tenant", "region", "data"), hostileText, { minKeys: 1 }), {
      nil: undefined,
    }),
  })
  // What is absent is no key.
  .map((made) => JSON.parse(JSON.stringify(made)) as UsageEvent);

/** Keys in any order: not every writer of the log puts the id first. */
const shuffled = anyEvent.chain((made) =>
  fc
    .shuffledSubarray(Object.entries(made), { minLength: Object.keys(made).length })
    .map((entries) => Object.fromEntries(entries) as unknown as UsageEvent),
);

describe("the lines of a log entry", () => {
  it("say every event back, whatever is in it and in whichever order its keys were written", () => {
    const events = fc.array(fc.oneof({ arbitrary: anyEvent, weight: 4 }, { arbitrary: shuffled, weight: 1 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(events, fc.array(fc.nat({ max: 4 })), (events, places) => {
        const unrated = [...new Set(places)].filter((place) => place < events.length).sort();
        const { seq, at, lines, corrects } = linesOf(entryOf(events, { unrated }));
        expect([seq, at, corrects]).toEqual([7, AT, false]);
        expect(lines.map(({ time }) => time)).toEqual(events.map(({ time }) => time));
        expect(lines.map(({ text }) => readLine(text))).toEqual(
          events.map((event, index) => ({
            object: SOURCE.object,
            epoch: SOURCE.epoch,
            seq: 7,
            index,
            event,
            storedAt: AT,
            customerId: null,
            unrated: unrated.includes(index),
            amends: null,
            correction: null,
          })),
        );
      }),
      { numRuns: 500 },
    );
  });

  it("keep numbers as they were written", () => {
    const data = parseExact('{"n":0.12345678901234567890123,"big":9007199254740993,"e":1e400}') as UsageEvent["data"];
    const [line] = linesOf(entryOf([event({ data })])).lines;
    expect(line!.text).toContain('"data":{"n":0.12345678901234567890123,"big":9007199254740993,"e":1e400}');
    expect(JSON.stringify(readLine(line!.text).event.data)).toBe(JSON.stringify(data));
  });

  it("are one JSON object each, in the documented shape", () => {
    const events = [event({ data: { tokens: 5 }, ext: { tenant: "eu" } }), event({ id: "e2", data: null })];
    const { lines } = linesOf(entryOf(events, { unrated: [1] }), { ...SOURCE, customerId: "01JCUSTOMER" });
    expect(lines.map(({ text }) => JSON.parse(text))).toEqual([
      {
        namespace: "01JNS",
        id: "e1",
        source: "svc",
        type: "prompt",
        subject: "acme",
        time: "2026-11-21T09:29:59.999Z",
        data: { tokens: 5 },
        extensions: { tenant: "eu" },
        object: "01JNS/YWNtZQ",
        epoch: "01JEPOCH",
        seq: 7,
        index: 0,
        storedAt: "2026-11-21T09:30:00.000Z",
        customerId: "01JCUSTOMER",
      },
      {
        namespace: "01JNS",
        id: "e2",
        source: "svc",
        type: "prompt",
        subject: "acme",
        time: "2026-11-21T09:29:59.999Z",
        data: null,
        object: "01JNS/YWNtZQ",
        epoch: "01JEPOCH",
        seq: 7,
        index: 1,
        storedAt: "2026-11-21T09:30:00.000Z",
        customerId: "01JCUSTOMER",
        unrated: true,
      },
    ]);
  });

  it("are none for an entry without events, and none for events that another object accepted", () => {
    expect(linesOf(entryOf([]))).toMatchObject({ lines: [], corrects: false });
    const imported = {
      merge: "m",
      from: 1,
      to: 1,
      origins: ["01JNS/b3RoZXI"],
      runs: [{ index: 0, origin: 0, seq: 1, first: 0, at: AT }],
      answers: [],
      ops: [],
      paid: [],
      late: [],
      corrected: [],
      superseded: [],
    };
    expect(linesOf(entryOf([event()], { imported })).lines).toEqual([]);
  });

  it("are followed by a line for every correction, on the day of what it corrects", () => {
    const correction = {
      of: { seq: 1, index: 0 },
      was: { type: "prompt", time: 5 },
      reason: "wrong",
      tracked: false,
      paid: { moves: [], owed: 0n },
    };
    const entry = entryOf([event({ time: AT })], { corrections: [{ ...correction, index: 0 }] });
    expect(linesOf(entry)).toMatchObject({ corrects: true, lines: [{ time: AT }] });
    const { id, source, type, subject } = event();
    const mark = {
      seq: 7,
      at: AT,
      place: 0,
      of: { object: SOURCE.object, seq: 1, index: 0 },
      event: { id, source, type, subject, time: 5 },
      present: { seq: 7, index: 0 },
      reason: 'wrong "twice"',
    };
    const { time, text } = correctionLine(SOURCE, mark);
    expect(time).toBe(5);
    expect(readLine(text)).toMatchObject({
      seq: 7,
      index: -1,
      event: { id, time: 5 },
      correction: { kind: "amend", of: mark.of, present: mark.present, reason: mark.reason },
    });
    const amended = readLine(amendingLine(linesOf(entry).lines[0]!, mark.of).text);
    expect(amended).toMatchObject({ seq: 7, index: 0, event: { id }, amends: mark.of, correction: null });
    // Its correction came before it, and what was before that before both.
    expect(isLaterLine(amended, readLine(text))).toBe(true);
    expect(isLaterLine(readLine(text), { storedAt: AT, seq: 6, index: 3 })).toBe(true);
    expect(isLaterLine(readLine(text), { storedAt: AT + 1, seq: 6, index: 3 })).toBe(false);
    expect(readLine(correctionLine(SOURCE, { ...mark, place: 2, present: null }).text)).toMatchObject({
      index: -3,
      correction: { kind: "void", present: null },
    });
  });
});
