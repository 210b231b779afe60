/** How many events were accepted today, by subject. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { UsageEvent } from "./event";
import {
  countToday,
  dayOf,
  noneToday,
  OTHERS,
  restoreToday,
  storeToday,
  SUBJECT_CHARS_COUNTED_MAX,
  SUBJECTS_COUNTED_MAX,
} from "./today";

const DAY_MS = 86_400_000;
const event = (subject: string): UsageEvent => ({ id: "1", source: "s", type: "t", subject, time: 0 });

describe("the events of today", () => {
  it("are those of the last day that had any, however they came in batches", () => {
    const batch = fc.record({
      day: fc.integer({ min: 1, max: 4 }),
      subjects: fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(batch), (batches) => {
        const ordered = batches.toSorted((x, y) => x.day - y.day);
        const today = noneToday();
        for (const { day, subjects } of ordered) countToday(today, day * DAY_MS, subjects.map(event));
        const last = ordered.findLast(({ subjects }) => subjects.length > 0)?.day ?? 0;
        const expected: Record<string, number> = {};
        for (const { day, subjects } of ordered)
          if (day === last) for (const subject of subjects) expected[subject] = (expected[subject] ?? 0) + 1;
        expect([today.day, Object.fromEntries(today.subjects)]).toEqual([last, expected]);
      }),
    );
  });

  it("begin at midnight in UTC", () => {
    expect([dayOf(0), dayOf(DAY_MS - 1), dayOf(DAY_MS)]).toEqual([0, 0, 1]);
  });

  it("of more subjects than are told apart are counted together, and none is lost", () => {
    const many = noneToday();
    const subjects = Array.from({ length: SUBJECTS_COUNTED_MAX + 50 }, (_, n) => `subject-${n}`);
    countToday(many, DAY_MS, [...subjects, ...subjects].map(event));
    expect(many.subjects.size).toBe(SUBJECTS_COUNTED_MAX + 1);
    expect([many.subjects.get("subject-0"), many.subjects.get(OTHERS)]).toEqual([2, 100]);

    const long = noneToday();
    countToday(long, DAY_MS, ["x".repeat(SUBJECT_CHARS_COUNTED_MAX), "y"].map(event));
    expect([...long.subjects.values()]).toEqual([1, 1]);
    expect(long.subjects.has(OTHERS)).toBe(true);
  });

  it("are what was stored", () => {
    const today = noneToday();
    countToday(today, 5 * DAY_MS, ["a", "b", "a"].map(event));
    expect(restoreToday(JSON.parse(JSON.stringify(storeToday(today))))).toEqual(today);
  });
});
