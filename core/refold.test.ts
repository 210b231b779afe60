import { describe, expect, it } from "vitest";
import {
  adoptKeys,
  foldsLeft,
  isFolded,
  isWhole,
  nextSlice,
  noFolds,
  restart,
  restoreRefolds,
  sliceDone,
  storeRefolds,
  tell,
  TIME_INDEX,
  wholeFolds,
  type Refolds,
} from "./refold";

/** Does slices of at most `entries`, and lists them. */
function run(refolds: Refolds, entries: number): string[] {
  const done: string[] = [];
  for (let slice = nextSlice(refolds); slice; slice = nextSlice(refolds)) {
    const to = Math.min(slice.to, slice.from + entries - 1);
    done.push(`${slice.keys.join("+")} ${slice.from}-${to}`);
    sliceDone(refolds, slice, to);
  }
  return done;
}

describe("fold keys", () => {
  it("that come with a configuration are pending for the log as it is then, and whole on an empty one", () => {
    const refolds = wholeFolds(["a"], 1);
    expect(adoptKeys(refolds, ["a", "b"], { seq: 10, version: 2 })).toEqual(["b"]);
    expect([isWhole(refolds, "a"), isWhole(refolds, "b"), isWhole(refolds, TIME_INDEX)]).toEqual([true, false, true]);
    expect(foldsLeft(refolds)).toMatchObject({ done: 0, total: 10 });
    const empty = wholeFolds([], 1);
    adoptKeys(empty, ["a"], { seq: 0, version: 2 });
    expect([isWhole(empty, "a"), empty.toldVersion]).toEqual([true, 2]);
  });

  it("that leave are dropped, and pending from the start when they return", () => {
    const refolds = wholeFolds(["a"], 1);
    expect(adoptKeys(refolds, [], { seq: 10, version: 2 })).toEqual(["a"]);
    expect(isWhole(refolds, "a")).toBe(false);
    expect(adoptKeys(refolds, ["a"], { seq: 20, version: 3 })).toEqual(["a"]);
    expect(run(refolds, 100)).toEqual(["a 1-20"]);
  });

  it("that nobody knows anything of are all dropped and made again, the time index too", () => {
    const refolds = noFolds();
    expect(adoptKeys(refolds, ["a", "b"], { seq: 5, version: 1 })).toEqual([TIME_INDEX, "a", "b"]);
    expect(run(refolds, 3)).toEqual(["+a+b 1-3", "+a+b 4-5"]);
    expect(foldsLeft(refolds)).toBe(null);
  });

  it("catch up with those that are ahead, and then read the log together", () => {
    const refolds = wholeFolds([], 1);
    adoptKeys(refolds, ["a"], { seq: 10, version: 2 });
    sliceDone(refolds, nextSlice(refolds)!, 6);
    adoptKeys(refolds, ["a", "b"], { seq: 12, version: 3 });
    expect(run(refolds, 4)).toEqual(["b 1-4", "b 5-6", "a+b 7-10", "b 11-12"]);
  });

  it("have counted what slices did and what came after they were adopted", () => {
    const refolds = wholeFolds(["w"], 1);
    adoptKeys(refolds, ["w", "p"], { seq: 10, version: 2 });
    sliceDone(refolds, nextSlice(refolds)!, 4);
    expect([4, 5, 10, 11].map((seq) => isFolded(refolds, "p", seq))).toEqual([true, false, false, true]);
    expect([isFolded(refolds, "w", 5), isFolded(refolds, "gone", 5)]).toEqual([true, false]);
  });

  it("come back from what is stored", () => {
    const refolds = wholeFolds(["w"], 1);
    adoptKeys(refolds, ["w", "p", "q"], { seq: 10, version: 2 });
    sliceDone(refolds, { keys: ["q"], from: 1, to: 10 }, 10);
    sliceDone(refolds, { keys: ["p"], from: 1, to: 3 }, 3);
    expect(restoreRefolds(JSON.parse(JSON.stringify(storeRefolds(refolds))))).toEqual(refolds);
  });
});

describe("what the store may believe", () => {
  it("is an older configuration, until it was told what new meters had missed", () => {
    const refolds = wholeFolds(["a"], 1);
    adoptKeys(refolds, ["a"], { seq: 10, version: 2 });
    expect(refolds.toldVersion).toBe(2);
    adoptKeys(refolds, ["a", "b"], { seq: 10, version: 3 });
    run(refolds, 100);
    expect([refolds.toldVersion, [...refolds.untold]]).toEqual([2, ["b"]]);
    adoptKeys(refolds, ["a", "b"], { seq: 11, version: 4 });
    expect(refolds.toldVersion).toBe(2);
    expect(tell(refolds, 4)).toBe(true);
    expect([refolds.toldVersion, tell(refolds, 4)]).toEqual([4, false]);
  });

  it("does not get worse by counting everything again: that goes through the queue", () => {
    const refolds = wholeFolds(["a"], 1);
    adoptKeys(refolds, ["a", "b"], { seq: 10, version: 2 });
    run(refolds, 100);
    restart(refolds, 12);
    expect([refolds.toldVersion, isWhole(refolds, TIME_INDEX)]).toEqual([1, false]);
    run(refolds, 100);
    // The store never had all of b.
    expect([...refolds.untold]).toEqual(["b"]);
    tell(refolds, 2);
    restart(refolds, 13);
    run(refolds, 100);
    expect([refolds.toldVersion, refolds.untold.size]).toEqual([2, 0]);
  });
});
