import { describe, expect, it } from "vitest";
import { TtlMap } from "./cache";

describe("a TtlMap", () => {
  it("forgets an entry when its time is over, to the millisecond", () => {
    const map = new TtlMap<number>(10, 1_000);
    map.set("a", 1, 5_000);
    expect(map.get("a", 5_999)).toBe(1);
    expect(map.get("a", 6_000)).toBeUndefined();
    expect(map.size).toBe(0);
  });

  it("never holds more than its bound, and forgets the oldest first", () => {
    const map = new TtlMap<number>(3, 1_000);
    for (const [i, key] of ["a", "b", "c", "a", "d"].entries()) map.set(key, i, 0);
    expect(map.size).toBe(3);
    expect([map.get("a", 1), map.get("b", 1), map.get("c", 1), map.get("d", 1)]).toEqual([3, undefined, 2, 4]);
  });

  it("forgets what it is told to", () => {
    const map = new TtlMap<number>(3, 1_000);
    for (const value of [1, 2, 3]) map.set(String(value), value, 0);
    map.deleteWhere((value) => value > 1);
    map.delete("none");
    expect([map.get("1", 1), map.size]).toEqual([1, 1]);
  });
});
