import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeBlock,
  decodeBody,
  decodeDirectory,
  encodeBody,
  LOG_LIMITS,
  PageBuilder,
  type StoredEntry,
} from "./log-format";

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const noParts = () => {
  throw new Error("no parts were asked for");
};
const LONG = JSON.stringify("long ".repeat(900));
/** LONG as the first release wrote it. */
const LONG_DEFLATED = "Ae3UMQ0AAAgDMCsEczwE/H+44OozAcvW7J0KoQM7cAMUkJCEJCQhCUlIQhKSkIQkJOGrhHk=";

/** The entries of a page, by way of its directory. */
function entriesOf(directory: string, body: Uint8Array): StoredEntry[] {
  return decodeDirectory(directory).flatMap((block) =>
    decodeBlock(block, body.subarray(block.offset, block.offset + block.bytes)),
  );
}

describe("the log's formats", () => {
  it("reads every format that was ever written", () => {
    expect(decodeBody('{"plain":1}', noParts)).toBe('{"plain":1}');
    expect(decodeBody(bytes(LONG_DEFLATED), noParts)).toBe(LONG);
    const deflated = bytes(LONG_DEFLATED).subarray(1);
    expect(decodeBody(Uint8Array.of(2, 2), () => [deflated.subarray(0, 20), deflated.subarray(20)])).toBe(LONG);

    const directory = "[[7,8,1,3,38],[9,9,3,4,53],[10,10,0,0,14]]";
    const page =
      "A4uONtAx1DHSMTSO1Yk21AFzYmO5qpWO7lOyUvowf0aDUm10LAAB7dQxDQAACAMwKwRzPAT8f7jg6jMBy9bsnQqhAztwAxSQkIQkJCEJSUhCEpKQhCQk4auEeQOLjjbQAUGj2FguQwMA";
    expect(
      entriesOf(directory, bytes(page)).map((entry) => ({ ...entry, body: decodeBody(entry.body, noParts) })),
    ).toEqual([
      { seq: 7, journal: 1, events: 2, body: '{"ž":"😀"}' },
      { seq: 8, journal: 0, events: 1, body: "[]" },
      { seq: 9, journal: 3, events: 4, body: LONG },
      { seq: 10, journal: 0, events: 0, body: "10" },
    ]);
  });

  it("refuses a format it does not know, and an entry with a part missing", () => {
    expect(() => decodeBody(Uint8Array.of(99, 1, 2), noParts)).toThrow("unknown format 99");
    expect(() => decodeBody(Uint8Array.of(2, 2), () => [new Uint8Array(1)])).toThrow("every part");
  });

  it("stores short entries as the text they are, and refuses what no call can carry", () => {
    expect(encodeBody('{"a":1}', LOG_LIMITS)).toEqual({ body: '{"a":1}', parts: [] });
    expect(encodeBody(LONG, LOG_LIMITS).body).toBeInstanceOf(Uint8Array);
    expect(() => encodeBody(" ".repeat(32_000_001), LOG_LIMITS)).toThrow("at most 32000000 characters");
  });

  it("bundles no more into a block than a reader may inflate for one entry", () => {
    const page = new PageBuilder(LOG_LIMITS);
    for (let seq = 1; seq <= 500; seq++)
      page.addEntry({ seq, journal: 0, events: 1, body: JSON.stringify("x".repeat(998)) });
    const entries = decodeDirectory(page.finish().directory).map(({ first, last }) => last - first + 1);
    expect(entries).toEqual([66, 66, 66, 66, 66, 66, 66, 38]);
  });

  it("gives back what was put into a page, whatever the sizes", () => {
    const limits = { ...LOG_LIMITS, plainCharsMax: 40, bundleChars: 100 };
    const text = fc.oneof(fc.string({ unit: "grapheme", maxLength: 10 }), fc.string({ minLength: 30, maxLength: 200 }));
    fc.assert(
      fc.property(
        fc.array(fc.record({ text, journal: fc.nat(3), events: fc.nat(3) }), { minLength: 1, maxLength: 40 }),
        (records) => {
          const page = new PageBuilder(limits);
          const expected = records.map(({ text, journal, events }, i) => ({
            seq: i + 5,
            journal,
            events,
            body: JSON.stringify(text.toWellFormed()),
          }));
          for (const entry of expected) page.addEntry({ ...entry, body: encodeBody(entry.body, limits).body });
          const first = page.finish();
          // Merged once more, block by block.
          const again = new PageBuilder(limits);
          for (const block of decodeDirectory(first.directory))
            again.addBlock(block, first.body.subarray(block.offset, block.offset + block.bytes));
          for (const { directory, body } of [first, again.finish()]) {
            expect(
              entriesOf(directory, body).map((entry) => ({ ...entry, body: decodeBody(entry.body, noParts) })),
            ).toEqual(expected);
          }
        },
      ),
    );
  });
});
