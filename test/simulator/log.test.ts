/** The log against an array: under any sequence of appends, merges, failed writes and crashes, every reader sees the same entries. */
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { Log, LOG_TABLES, type Entry } from "../../durable-objects/log";
import { LOG_LIMITS, type LogLimits } from "../../durable-objects/log-format";
import { TestSqlStorage } from "./sql-storage";

/** A few dozen entries go through every level, and a long one needs parts. */
const SMALL: LogLimits = {
  plainCharsMax: 60,
  rowBytesMax: 900,
  bundleChars: 100,
  entryRows: 4,
  levelPages: 3,
  stepRows: 12,
  stepPlainBytes: 500,
};

let storage: TestSqlStorage;
const open = (limits: LogLimits = SMALL) => new Log(storage, storage.transactionSync, limits);

beforeEach(() => {
  storage = new TestSqlStorage();
  storage.exec(LOG_TABLES);
});

/** Text that does not deflate: it makes rows of a chosen size. */
function noise(characters: number, seed: number): string {
  let text = "";
  for (let state = seed * 2_654_435_761 + 1; text.length < characters;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += String.fromCharCode(0x21 + ((state >>> 8) % 0x5e));
  }
  return text;
}

const entryArb = fc.record({
  characters: fc.oneof(
    { weight: 8, arbitrary: fc.nat(50) },
    { weight: 3, arbitrary: fc.nat(400) },
    { weight: 1, arbitrary: fc.nat(3_000) },
  ),
  text: fc.string({ unit: "grapheme", maxLength: 5 }),
  journal: fc.nat(2),
  events: fc.nat(3),
});

const stepArb = fc.oneof(
  { weight: 12, arbitrary: entryArb.map((entry) => ({ do: "append" as const, entry })) },
  { weight: 6, arbitrary: fc.constant({ do: "merge" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "crash" as const }) },
  { weight: 1, arbitrary: fc.nat(4).map((writes) => ({ do: "fail" as const, writes })) },
  { weight: 2, arbitrary: fc.nat().map((from) => ({ do: "walk" as const, from })) },
);

function failAfter(writes: number): void {
  let left = writes;
  storage.beforeWrite = () => {
    if (left-- === 0) throw new Error("the disk is full");
  };
}

describe("the log", () => {
  it("holds what was appended, whatever was merged, refused or forgotten in between", () => {
    fc.assert(
      fc.property(fc.array(stepArb, { minLength: 20, maxLength: 120, size: "max" }), (steps) => {
        storage = new TestSqlStorage();
        storage.exec(LOG_TABLES);
        let log = open();
        const model: Entry[] = [];
        const append = ({
          characters,
          text,
          journal,
          events,
        }: typeof entryArb extends fc.Arbitrary<infer E> ? E : never) => {
          const seq = model.length + 1;
          const entry = { seq, json: JSON.stringify([text.toWellFormed(), noise(characters, seq)]), journal, events };
          log.append(seq, entry.json, entry);
          model.push(entry);
        };
        for (const step of steps) {
          switch (step.do) {
            case "append":
              append(step.entry);
              break;
            case "merge":
              log.mergeStep();
              break;
            case "crash":
              log = open();
              break;
            case "fail": {
              failAfter(step.writes);
              const attempt = () => {
                while (log.mergeStep().more);
                append({ characters: 2_500, text: "", journal: 1, events: 1 });
              };
              try {
                attempt();
              } catch (error) {
                expect(String(error)).toContain("the disk is full");
              }
              storage.beforeWrite = () => undefined;
              break;
            }
            case "walk": {
              // Merges while somebody reads.
              const from = 1 + (step.from % (model.length + 1));
              const seen: Entry[] = [];
              for (const entry of log.forward(from)) {
                seen.push(entry);
                log.mergeStep();
              }
              expect(seen).toEqual(model.slice(from - 1));
              const back: Entry[] = [];
              for (const entry of log.backward(from)) {
                back.push(entry);
                log.mergeStep();
              }
              expect(back).toEqual(model.slice(0, from - 1).toReversed());
            }
          }
        }
        const pages = "SELECT ifnull(max(octet_length(body) + length(directory)), 0) AS bytes FROM log";
        // An entry just under the limit still gets its line in a directory.
        expect(storage.exec<{ bytes: number }>(pages).one().bytes).toBeLessThan(SMALL.rowBytesMax + 64);
        expect(log.head).toBe(model.length);
        expect([...log.forward(0)]).toEqual(model);
        for (const reader of [log, open()]) {
          const middle = Math.ceil(model.length / 2);
          expect([...reader.forward(middle, { journalOnly: true })]).toEqual(
            model.filter(({ seq, journal }) => seq >= middle && journal > 0),
          );
          expect([...reader.backward(middle, { journalOnly: true })]).toEqual(
            model.filter(({ seq, journal }) => seq < middle && journal > 0).toReversed(),
          );
          expect(model.map(({ seq }) => reader.read(seq))).toEqual(model);
          expect([reader.read(0), reader.read(model.length + 1)]).toEqual([null, null]);
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);

  it("merges as well when it was forgotten after every step", () => {
    let log = open(LOG_LIMITS);
    for (let seq = 1; seq <= 20_000; seq++) {
      log.append(seq, JSON.stringify({ seq, text: noise(20, seq) }), { journal: 1, events: 1 });
      if (seq % 100 !== 0) continue;
      for (let more = true; more;) {
        ({ more } = log.mergeStep());
        log = open(LOG_LIMITS);
      }
    }
    expect(log.rows).toBeLessThan(64 + 2 * 16);
    // The append, its going, and a fiftieth for the pages.
    expect(storage.rowsWritten / 20_000).toBeLessThan(2.02);
    expect(log.read(12_345)?.json).toContain('"seq":12345');
  });

  it("appends one row a call, and only entries past what a row can hold take more", () => {
    const log = open(LOG_LIMITS);
    storage.rowsWritten = 0;
    log.append(1, JSON.stringify("small"), { journal: 0, events: 1 });
    log.append(2, JSON.stringify(noise(500_000, 2)), { journal: 0, events: 10_000 });
    expect(storage.rowsWritten).toBe(2);
    const huge = JSON.stringify(noise(6_000_000, 3));
    log.append(3, huge, { journal: 0, events: 10_000 });
    expect(storage.rowsWritten).toBe(6);
    while (log.mergeStep().more);
    expect(log.read(3)?.json).toBe(huge);
    expect([...log.forward(1)].map(({ seq, events }) => [seq, events])).toEqual([
      [1, 1],
      [2, 10_000],
      [3, 10_000],
    ]);
  });

  it("opens no block without journal entries when only those are asked for", () => {
    const log = open(LOG_LIMITS);
    for (let seq = 1; seq <= 6_400; seq++) {
      log.append(seq, JSON.stringify({ seq, text: noise(500, seq) }), {
        journal: seq === 1_000 || seq === 5_000 ? 1 : 0,
        events: 1,
      });
      while (log.mergeStep().more);
    }
    let bytes = 0;
    const { exec } = storage;
    storage.exec = ((query: string, ...bindings: unknown[]) => {
      if (query.includes("substr(body")) bytes += bindings[1] as number;
      return exec.call(storage, query, ...bindings);
    }) as typeof exec;
    expect([...log.backward(6_401, { journalOnly: true })].map(({ seq }) => seq)).toEqual([5_000, 1_000]);
    expect(bytes).toBeLessThan(2 * LOG_LIMITS.bundleChars);
  });

  it("refuses a number out of turn: two writers would overwrite each other", () => {
    const log = open();
    log.append(1, "{}", { journal: 0, events: 0 });
    expect(() => log.append(1, "{}", { journal: 0, events: 0 })).toThrow("without gaps");
    expect(() => log.append(3, "{}", { journal: 0, events: 0 })).toThrow("without gaps");
  });

  it("reads nothing into being: an object without tables has an empty log", () => {
    const empty = new TestSqlStorage();
    const log = new Log(empty, empty.transactionSync);
    expect([log.head, log.rows, log.read(1), [...log.forward(1)], [...log.backward(9)], log.mergeStep()]).toEqual([
      0,
      0,
      null,
      [],
      [],
      { more: false },
    ]);
    expect(empty.exec("SELECT * FROM sqlite_master").toArray()).toEqual([]);
  });
});
