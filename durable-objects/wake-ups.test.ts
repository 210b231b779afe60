import { describe, expect, it } from "vitest";
import { WakeUps } from "./wake-ups";

/** Wake-ups whose alarms are written down, at a time the test moves. */
function wakeUps() {
  const set: number[] = [];
  const clock = { now: 1_000 };
  return {
    set,
    clock,
    wakes: new WakeUps(
      (at) => set.push(at),
      () => clock.now,
    ),
  };
}

describe("one alarm for many deadlines", () => {
  it("is set to the earliest, and again only for an earlier one", () => {
    const { set, wakes } = wakeUps();
    wakes.propose("deadline", 9_000);
    wakes.arm();
    wakes.propose("chores", 1_500);
    wakes.arm();
    wakes.propose("deadline", 8_000);
    wakes.arm();
    wakes.arm();
    expect(set).toEqual([9_000, 1_500]);
  });

  it("is set for what is left once it rang", () => {
    const { set, wakes } = wakeUps();
    wakes.propose("chores", 1_500);
    wakes.propose("deadline", 9_000);
    wakes.arm();
    wakes.rang();
    wakes.propose("chores", null);
    wakes.arm();
    expect(set).toEqual([1_500, 9_000]);
  });

  it("is not set when nothing is due", () => {
    const { set, wakes } = wakeUps();
    wakes.propose("chores", null);
    wakes.arm();
    expect(set).toEqual([]);
  });

  it("that is long overdue is taken for lost and set again", () => {
    const { set, clock, wakes } = wakeUps();
    wakes.propose("chores", 1_500);
    wakes.arm();
    clock.now = 6_000;
    wakes.arm();
    expect(set).toEqual([1_500]);
    clock.now = 6_501;
    wakes.arm();
    expect(set).toEqual([1_500, 1_500]);
  });
});
