import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { coverOf, sharesOf } from "./rollup-cover";
import { readZone, WINDOW_SIZES, windowsOf } from "./window";

const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;
const DAY = 86_400_000;
const at = (text: string) => Date.parse(`2026-10-25T${text}Z`);
const cover = (from: string, to: string, windowSize: "MINUTE" | "HOUR" | null = null, since = "00:00:00") =>
  coverOf({ from: at(from), to: at(to) }, windowSize, at(since)).map(({ source, from: start, to: end }) =>
    [source, ...[start, end].map((ms) => new Date(ms).toISOString().slice(11, 19))].join(" "),
  );

describe("the cover of a range", () => {
  it("is quarters of an hour, with minutes at the ends, and the objects for what is finer", () => {
    expect(cover("01:00:00", "02:00:00")).toEqual(["quarter 01:00:00 02:00:00"]);
    expect(cover("01:07:00", "02:16:00")).toEqual([
      "minute 01:07:00 01:15:00",
      "quarter 01:15:00 02:15:00",
      "minute 02:15:00 02:16:00",
    ]);
    expect(cover("01:07:30", "02:16:10")).toEqual([
      "objects 01:07:30 01:08:00",
      "minute 01:08:00 01:15:00",
      "quarter 01:15:00 02:15:00",
      "minute 02:15:00 02:16:00",
      "objects 02:16:00 02:16:10",
    ]);
    expect(cover("01:01:05", "01:01:55")).toEqual(["objects 01:01:05 01:01:55"]);
    expect(cover("01:01:00", "01:14:00")).toEqual(["minute 01:01:00 01:14:00"]);
  });

  it("is minutes alone for windows of minutes", () => {
    expect(cover("01:00:00", "03:00:30", "MINUTE")).toEqual(["minute 01:00:00 03:00:00", "objects 03:00:00 03:00:30"]);
  });

  it("asks the objects for minutes that are kept no more", () => {
    expect(cover("01:07:00", "03:00:00", null, "02:00:00")).toEqual([
      "objects 01:07:00 01:15:00",
      "quarter 01:15:00 03:00:00",
    ]);
    expect(cover("01:07:00", "03:00:00", "MINUTE", "02:00:00")).toEqual([
      "objects 01:07:00 02:00:00",
      "minute 02:00:00 03:00:00",
    ]);
    expect(cover("01:00:00", "01:30:00", "MINUTE", "02:00:00")).toEqual(["objects 01:00:00 01:30:00"]);
  });

  it("is all of the range, each moment once, and never finer than its source has rows", () => {
    const moment = fc.integer({ min: 0, max: 2 * 3_600 }).map((seconds) => at("00:00:00") + seconds * 1_000);
    fc.assert(
      fc.property(
        moment,
        moment,
        fc.constantFrom(...WINDOW_SIZES, null),
        fc.integer({ min: 0, max: 8 }),
        (a, b, size, quarter) => {
          const [from, to, since] = [Math.min(a, b), Math.max(a, b), at("00:00:00") + quarter * QUARTER];
          const pieces = coverOf({ from, to }, size, since);
          let end = from;
          for (const piece of pieces) {
            expect(piece.from).toBe(end);
            expect(piece.to).toBeGreaterThan(piece.from);
            end = piece.to;
            const unit = { quarter: QUARTER, minute: MINUTE, objects: 1 }[piece.source];
            expect([piece.from % unit, piece.to % unit]).toEqual([0, 0]);
            if (piece.source === "minute") expect(piece.from).toBeGreaterThanOrEqual(since);
            if (size === "MINUTE") expect(piece.source).not.toBe("quarter");
            if (piece.source === "objects" && size !== "MINUTE")
              expect(piece.to - piece.from).toBeLessThan(2 * QUARTER);
          }
          expect(end).toBe(to);
        },
      ),
    );
  });
});

describe("the shares of windows", () => {
  it("cut a piece where its windows end, across a change of clocks", () => {
    const zone = readZone("Europe/Berlin");
    if (!zone.ok) throw new Error(zone.refusal.detail);
    const [from, to] = [at("00:00:00"), at("00:00:00") + 2 * DAY];
    const hours = (ms: number) => (ms - from) / 3_600_000;
    const shares = [...sharesOf({ from, to }, windowsOf("DAY", zone.value), null)];
    expect(shares.map((share) => [hours(share.window), hours(share.from), hours(share.to)])).toEqual([
      [-2, 0, 23],
      [23, 23, 47],
      [47, 47, 48],
    ]);
  });

  it("leave out what no given day touches, and come once each", () => {
    const zone = readZone("America/St_Johns");
    if (!zone.ok) throw new Error(zone.refusal.detail);
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 8 }),
        fc.constantFrom("HOUR" as const, "DAY" as const, "MONTH" as const),
        (numbers, size) => {
          const piece = { from: at("00:00:00"), to: at("00:00:00") + 401 * DAY };
          const days = numbers.sort((a, b) => a - b).map((day) => piece.from + day * DAY);
          const windowOf = windowsOf(size, zone.value);
          const touched = [...sharesOf(piece, windowOf, null)].filter((share) =>
            days.some((day) => share.from < day + DAY && share.to > day),
          );
          // A share begins with the first day that touches its window.
          const given = [...sharesOf(piece, windowOf, days)];
          expect(given.map(({ window, to }) => [window, to])).toEqual(touched.map(({ window, to }) => [window, to]));
          for (const share of given) expect(days.some((day) => share.from >= day && share.from < day + DAY)).toBe(true);
        },
      ),
    );
  });
});
