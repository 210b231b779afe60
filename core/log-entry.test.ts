import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mulDiv } from "./decimal";
import { parseExact } from "./exact-json";
import { decodeEntry, encodeEntry, type LogEntry } from "./log-entry";

const amount = fc.bigInt(-(10n ** 30n), 10n ** 30n);
const positive = fc.bigInt(0n, 10n ** 30n);
const time = fc.nat(2_000_000_000_000);
const text = fc.string({ maxLength: 12 });

const events = fc.array(
  fc.record({
    id: text,
    source: text,
    type: text,
    subject: text,
    time,
    data: fc.constantFrom(null, { usage: { tokens: 3 } }, {
      usage: { tokens: JSON.rawJSON("9007199254740993") },
    } as never),
  }),
  { maxLength: 4 },
);

/** Amounts follow from quantity, rate and per, as price.ts makes them. */
const cost = fc
  .record({
    currency: fc.constantFrom("USD", "CREDITS"),
    parts: fc.array(
      fc.record({
        dimension: fc.constantFrom("a", "b"),
        quantity: positive,
        rate: positive,
        per: fc.bigInt(1n, 10n ** 20n),
      }),
      { maxLength: 3 },
    ),
    burnTable: fc.record({ key: fc.constantFrom("t", "u"), version: fc.integer({ min: 1, max: 3 }) }),
  })
  .map(({ parts, ...rest }) => {
    const lines = parts.map((line) => ({ ...line, amount: mulDiv(line.quantity, line.rate, line.per) }));
    return { ...rest, lines, amount: lines.reduce((sum, line) => sum + line.amount, 0n) };
  });

const placed = fc.array(
  fc.tuple(fc.nat(9), fc.record({ owed: amount, moves: fc.array(fc.tuple(text, amount), { maxLength: 2 }) })),
  { maxLength: 2 },
);
const imported = fc.record({
  merge: text,
  from: fc.nat(9),
  to: fc.nat(9),
  origins: fc.array(text, { maxLength: 2 }),
  runs: fc.array(fc.record({ index: fc.nat(9), origin: fc.nat(1), seq: fc.nat(9), first: fc.nat(9), at: time }), {
    maxLength: 2,
  }),
  answers: fc.array(fc.tuple(fc.nat(9), fc.constant({ wallet: { balance: "1" } })), { maxLength: 2 }),
  ops: fc.array(fc.record({ id: text, bodyHash: text, answer: fc.constant({ ok: 1 }) }), { maxLength: 2 }),
  paid: placed,
  late: placed,
  corrected: placed,
  superseded: fc.array(fc.nat(9), { maxLength: 2 }),
});

const entry: fc.Arbitrary<LogEntry> = events.chain((list) =>
  fc.record({
    seq: fc.integer({ min: 1, max: 1_000_000 }),
    at: time,
    events: fc.constant(list),
    rated: fc.array(
      fc.record({
        index: fc.nat(9),
        cost,
        of: fc.option(fc.record({ seq: fc.nat(9), index: fc.nat(9) }), { nil: undefined }),
      }),
      { maxLength: 3 },
    ),
    unrated: fc.array(fc.nat(5), { maxLength: 3 }),
    grants: fc.array(
      fc.record({
        id: text,
        amount: positive,
        kind: fc.constantFrom("paid" as const, "promo" as const),
        priority: fc.nat(9),
        effectiveAt: time,
        expiresAt: fc.option(time),
        reason: text,
        createdAt: time,
        order: fc.nat(9),
        remaining: fc.constant(0n),
        activated: fc.constant(false),
        voidedAt: fc.constant(null),
      }),
      { maxLength: 2 },
    ),
    patch: fc.option(
      fc.record(
        { overdraftLimit: positive, currency: text, burnTable: fc.option(text), frozen: fc.boolean() },
        { requiredKeys: [] },
      ),
      { nil: undefined },
    ),
    journal: fc.array(
      fc
        .record({
          type: fc.constantFrom("debit" as const, "grant" as const),
          reason: text,
          timestamp: time,
          owed: fc.oneof(fc.constant(0n), amount),
          moves: fc.array(fc.tuple(text, amount), { maxLength: 2 }),
          event:
            list.length === 0
              ? fc.constant(undefined)
              : fc.option(
                  fc.nat(list.length - 1).map((index) => ({ index, id: list[index]!.id })),
                  { nil: undefined },
                ),
          grantId: fc.option(fc.string({ minLength: 1, maxLength: 5 }), { nil: undefined }),
        })
        .map((made) => ({ ...made, amount: made.moves.reduce((sum, [, delta]) => sum + delta, 0n) - made.owed })),
      { minLength: 1, maxLength: 3 },
    ),
    before: fc.record({ balance: amount, head: fc.constant("ab".repeat(32)) }),
    op: fc.option(fc.record({ id: text, bodyHash: text }), { nil: undefined }),
    answer: fc.constantFrom(undefined, { wallet: { balance: "1" } }),
    names: fc.constantFrom(undefined, {
      adopted: "C",
      key: null,
      released: [["a", "ns/a"]] as [string, string][],
      owned: ["b"],
    }),
    merge: fc.constantFrom(undefined, { step: "begin" as const, id: "m", home: "ns/h" }, { step: "abort" as const }),
    arrival: fc.constantFrom(undefined, {
      merge: "m",
      source: "ns/s",
      declared: true,
      through: 7,
      grants: [[1, null]] as [0 | 1, number | null][],
      renamed: { g: "g~2" },
    }),
    imported: fc.option(imported, { nil: undefined }),
  }),
);

/** Absent and undefined are the same here. */
const plain = (value: LogEntry): unknown =>
  JSON.parse(JSON.stringify(value, (_key, v: unknown) => (typeof v === "bigint" ? `${v}n` : v)));

describe("a log entry", () => {
  it("is read back as it was written, numbers that no double carries included", () => {
    fc.assert(
      fc.property(entry, (written) => {
        expect(plain(decodeEntry(encodeEntry(written), parseExact))).toEqual(plain(written));
      }),
    );
  });

  it("keeps the events' JSON byte for byte when it is given", () => {
    const eventsJson = '[{"id":"1","source":"s","type":"t","subject":"c","time":1,"data":{"n":0.1000}}]';
    const one: LogEntry = {
      seq: 1,
      at: 1,
      events: JSON.parse(eventsJson) as LogEntry["events"],
      rated: [],
      unrated: [],
      grants: [],
      journal: [],
      before: { balance: 0n, head: "" },
    };
    expect(encodeEntry(one, { eventsJson })).toContain(eventsJson);
  });

  it("of an unknown format is refused rather than misread", () => {
    expect(() => decodeEntry('{"v":2,"seq":1,"at":1}', parseExact)).toThrow(/known format/);
  });
});
