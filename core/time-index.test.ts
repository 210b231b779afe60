import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addSeq,
  boundRanges,
  clipRanges,
  decodeHour,
  encodeHour,
  entriesIn,
  hasSeq,
  joinAll,
  joinHours,
  joinRanges,
  MINUTES_PER_HOUR,
  RANGES_PER_MINUTE_MAX,
  type HourRanges,
} from "./time-index";

const seqsArb = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 60 });
const rangesOf = (seqs: readonly number[]): number[] => {
  const ranges: number[] = [];
  for (const seq of seqs) addSeq(ranges, seq);
  return ranges;
};
const expectSound = (ranges: readonly number[]) => {
  expect(ranges.length % 2).toBe(0);
  for (let i = 1; i < ranges.length; i++)
    expect(ranges[i]).toBeGreaterThanOrEqual(ranges[i - 1]! + (i % 2 === 0 ? 2 : 0));
};

describe("ranges of log entries", () => {
  it("name every entry that was added, in any order and however often, as at most 16 ranges that do not touch", () => {
    fc.assert(
      fc.property(seqsArb, (seqs) => {
        const ranges = rangesOf(seqs);
        expectSound(ranges);
        expect(ranges.length / 2).toBeLessThanOrEqual(RANGES_PER_MINUTE_MAX);
        for (const seq of seqs) expect(hasSeq(ranges, seq)).toBe(true);
        // Nothing outside of what was seen.
        if (seqs.length > 0) expect([ranges[0], ranges.at(-1)]).toEqual([Math.min(...seqs), Math.max(...seqs)]);
      }),
    );
  });

  it("name nothing else, as long as few ranges say it", () => {
    fc.assert(
      fc.property(seqsArb, (seqs) => {
        const ranges = rangesOf(seqs);
        fc.pre(ranges.length / 2 < RANGES_PER_MINUTE_MAX);
        expect(entriesIn(ranges)).toBe(new Set(seqs).size);
      }),
    );
  });

  it("give up the narrowest gap first", () => {
    const ranges = [1, 1, 3, 5, 9, 9, 12, 12];
    boundRanges(ranges, 3);
    expect(ranges).toEqual([1, 5, 9, 9, 12, 12]);
    boundRanges(ranges, 2);
    expect(ranges).toEqual([1, 5, 9, 12]);
  });

  it("of many are joined as if all entries had been added to one", () => {
    fc.assert(
      fc.property(fc.array(seqsArb, { maxLength: 6 }), (lists) => {
        const joined = joinAll(lists.map(rangesOf));
        expectSound(joined);
        for (const seq of lists.flat()) expect(hasSeq(joined, seq)).toBe(true);
        expect(joined).toEqual(lists.map(rangesOf).reduce((all, each) => joinRanges(each, all), []));
      }),
    );
  });

  it("are cut to an interval", () => {
    expect(clipRanges([1, 3, 7, 9, 12, 12], 3, 8)).toEqual([3, 3, 7, 8]);
    expect(clipRanges([1, 3], 4, 8)).toEqual([]);
  });
});

describe("an hour", () => {
  const hourArb = fc.array(fc.tuple(fc.integer({ min: 0, max: 59 }), seqsArb), { maxLength: 30 }).map((minutes) => {
    const hour: HourRanges = [];
    for (const [minute, seqs] of minutes) if (seqs.length > 0) hour[minute] = rangesOf(seqs);
    return hour;
  });

  it("comes back from its text, and joins minute by minute", () => {
    fc.assert(
      fc.property(hourArb, hourArb, (a, b) => {
        const dense = (hour: HourRanges) => Array.from({ length: MINUTES_PER_HOUR }, (_, minute) => hour[minute] ?? []);
        expect(dense(decodeHour(encodeHour(a)))).toEqual(dense(a));
        const joined = dense(joinHours(a, b));
        for (const [minute, ranges] of joined.entries()) {
          expectSound(ranges);
          for (const part of [a[minute] ?? [], b[minute] ?? []])
            for (const seq of part) expect(hasSeq(ranges, seq)).toBe(true);
        }
      }),
    );
  });

  it("of a backfill without any order stays short, and still names every entry", () => {
    let hour: HourRanges = [];
    for (let save = 0; save < 50; save++) {
      const unsaved: HourRanges = [];
      for (let minute = 0; minute < MINUTES_PER_HOUR; minute++)
        unsaved[minute] = rangesOf([save * 1_000 + minute * 7, save * 1_000 + minute * 11 + 400]);
      hour = joinHours(decodeHour(encodeHour(hour)), unsaved);
    }
    expect(encodeHour(hour).length).toBeLessThan(4_000);
    for (let minute = 0; minute < MINUTES_PER_HOUR; minute++)
      for (let save = 0; save < 50; save++) {
        expect(hasSeq(hour[minute]!, save * 1_000 + minute * 7)).toBe(true);
        expect(hasSeq(hour[minute]!, save * 1_000 + minute * 11 + 400)).toBe(true);
      }
  });

  it("of an unknown format is refused, not misread", () => {
    expect(() => decodeHour('{"v":2,"minutes":[]}')).toThrow("of format 2");
  });
});
