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
  for (let state = seed * 2_654_435_761 + 1; text.length < characters; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += String.fromCharCode(0x21 + ((state >>> 8) % 0x5e));
  }
  return text;
}

const entryArb = fc.record({
  characters: fc.oneof({ weight: 8, arbitrary: fc.nat(50) }, { weight: 3, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.nat(3_000) }),
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
        const append = ({ characters, text, journal, events }: (typeof entryArb extends fc.Arbitrary<infer E> ? E : never)) => {
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
        expect(log.head).toBe(model.length);
        expect([...log.forward(0)]).toEqual(model);
        for (const reader of [log, open()]) {
          const middle = Math.ceil(model.length / 2);
          expect([...reader.forward(middle, { journalOnly: true })]).toEqual(model.filter(({ seq, journal }) => seq >= middle && journal > 0));
          expect([...reader.backward(middle, { journalOnly: true })]).toEqual(model.filter(({ seq, journal }) => seq < middle && journal > 0).toReversed());
          expect(model.map(({ seq }) => reader.read(seq))).toEqual(model);
          expect([reader.read(0), reader.read(model.length + 1)]).toEqual([null, null]);
        }
      }),
      { numRuns: 100 },
    );
  });
});
