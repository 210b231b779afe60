import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sipHash } from "./siphash";

const hex = (key: Uint8Array, text: string): string => {
  const words = new Uint32Array(6);
  sipHash(key)(text, words, 1);
  expect([words[0], words[5]]).toEqual([0, 0]);
  return Buffer.from(words.buffer, 4, 16).toString("hex");
};
const counting = Uint8Array.from({ length: 16 }, (_, i) => i);
const bytesUpTo = (length: number) => String.fromCharCode(...Array.from({ length }, (_, i) => i));

/** Any JavaScript string, lone surrogates included. */
const codeUnits = fc.array(fc.nat(0xffff), { maxLength: 40 }).map((units) => String.fromCharCode(...units));

describe("SipHash-2-4-128", () => {
  // vectors.h of the reference implementation (github.com/veorq/SipHash), key 00 01 … 0f, input 00 01 …
  it.each([
    [0, "a3817f04ba25a8e66df67214c7550293"],
    [1, "da87c1d86b99af44347659119b22fc45"],
    [2, "8177228da4a45dc7fca38bdef60affe4"],
    [7, "a1f1ebbed8dbc153c0b84aa61ff08239"],
    [8, "3b62a9ba6258f5610f83e264f31497b4"],
    [15, "5493e99933b0a8117e08ec0f97cfc3d9"],
    [63, "5150d1772f50834a503e069a973fbd7c"],
  ])("gives the reference result for %i bytes", (length, expected) => {
    expect(hex(counting, bytesUpTo(length))).toBe(expected);
  });

  it("hashes text as UTF-8, of any length", () => {
    expect(hex(counting, "žluťoučký kůň €")).toBe("f14589d0835f556c006fd02d14e32b57");
    expect(hex(counting, "😀x".repeat(500))).toBe("9cc41e3920ba46c68333959da6d802a4");
  });

  it("keeps apart what UTF-8 would confuse: lone surrogates, and a pair from its halves", () => {
    const texts = [
      "\ud800",
      "\ud801",
      "\udc00",
      "\ufffd",
      "\ud83d\ude00",
      "\ude00\ud83d",
      "\ud83d",
      "",
      "\u0000",
      "\u0000\u0000",
    ];
    expect(new Set(texts.map((text) => hex(counting, text))).size).toBe(texts.length);
  });

  it("depends on every part of the key and of the text, and not on what was hashed before", () => {
    fc.assert(
      fc.property(
        codeUnits,
        codeUnits,
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.nat(127),
        (a, b, key, bit) => {
          const words = new Uint32Array(8);
          const hash = sipHash(key);
          hash(b, words, 0);
          hash(a, words, 0);
          hash(a, words, 4);
          expect(words.subarray(0, 4)).toEqual(words.subarray(4));
          if (a !== b) expect(hex(key, a)).not.toBe(hex(key, b));
          const other = key.slice();
          other[bit >> 3]! ^= 1 << (bit & 7);
          expect(hex(other, a)).not.toBe(hex(key, a));
        },
      ),
    );
  });
});
