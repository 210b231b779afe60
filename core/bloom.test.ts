import { describe, expect, it } from "vitest";
import { BLOOM_BYTES, bloomAdd, bloomHas } from "./bloom";
import { PAGE_RECORDS } from "./dedup";
import { sipHash } from "./siphash";

const hash = sipHash(new Uint8Array(16).fill(9));
const words = new Uint32Array(4);
const add = (bits: Uint8Array, start: number, key: string) => {
  hash(key, words, 0);
  bloomAdd(bits, start, BLOOM_BYTES, words[2]!, words[3]!);
};
const has = (bits: Uint8Array, start: number, key: string) => {
  hash(key, words, 0);
  return bloomHas(bits, start, BLOOM_BYTES, words[2]!, words[3]!);
};

describe("a Bloom filter", () => {
  const bits = new Uint8Array(BLOOM_BYTES + 20);
  for (let i = 0; i < PAGE_RECORDS; i++) add(bits, 10, `key ${i}`);

  it("never denies what was added", () => {
    for (let i = 0; i < PAGE_RECORDS; i++) expect(has(bits, 10, `key ${i}`)).toBe(true);
  });

  it("lets about 0.15 % of other keys through when its page is full", () => {
    let passed = 0;
    for (let i = 0; i < 50_000; i++) if (has(bits, 10, `other ${i}`)) passed++;
    expect(passed / 50_000).toBeGreaterThan(0.0008);
    expect(passed / 50_000).toBeLessThan(0.0024);
  });

  it("stays inside its slice of the array", () => {
    expect([...bits.subarray(0, 10), ...bits.subarray(-10)]).toEqual(Array.from({ length: 20 }, () => 0));
  });

  it("keeps its layout: stored filters are read for ever", () => {
    const small = new Uint8Array(8);
    bloomAdd(small, 0, 8, 0x1234_5678, 0x9abc_def0);
    expect(Buffer.from(small).toString("hex")).toMatchInlineSnapshot(`"3000028000180001"`);
  });
});
