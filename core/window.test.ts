import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readZone, windowsOf, WINDOW_SIZES, type WindowSize, type Zone } from "./window";

const zone = (name: string): Zone => {
  const read = readZone(name);
  if (!read.ok) throw new Error(read.refusal.detail);
  return read.value;
};
const at = (text: string): number => Date.parse(text);
const text = (ms: number): string => new Date(ms).toISOString().replace(":00.000Z", "Z");
/** The starts of the windows from one moment to another, and the last one's end. */
function starts(size: WindowSize, name: string, from: string, to: string): string[] {
  const windowAt = windowsOf(size, zone(name));
  const found: string[] = [];
  let next = windowAt(at(from)).start;
  while (next < at(to)) {
    const { start, end } = windowAt(next);
    found.push(text(start));
    next = end;
  }
  return [...found, text(next)];
}

describe("windows in a zone", () => {
  it.each<[string, WindowSize, string, string, string, string[]]>([
    [
      "an hour that Berlin skips has no window",
      "HOUR",
      "Europe/Berlin",
      "2026-03-29T00:00:00Z",
      "2026-03-29T02:00:00Z",
      ["2026-03-29T00:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z"],
    ],
    [
      "Berlin's day of 23 hours",
      "DAY",
      "Europe/Berlin",
      "2026-03-28T12:00:00Z",
      "2026-03-30T12:00:00Z",
      ["2026-03-27T23:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z", "2026-03-30T22:00Z"],
    ],
    [
      "Berlin's day of 25 hours",
      "DAY",
      "Europe/Berlin",
      "2026-10-24T12:00:00Z",
      "2026-10-26T12:00:00Z",
      ["2026-10-23T22:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z", "2026-10-26T23:00Z"],
    ],
    [
      "Berlin's months begin in winter and in summer time",
      "MONTH",
      "Europe/Berlin",
      "2026-03-15T00:00:00Z",
      "2026-04-15T00:00:00Z",
      ["2026-02-28T23:00Z", "2026-03-31T22:00Z", "2026-04-30T22:00Z"],
    ],
    [
      "an hour that New York has twice is two windows",
      "HOUR",
      "America/New_York",
      "2026-11-01T04:30:00Z",
      "2026-11-01T07:30:00Z",
      ["2026-11-01T04:00Z", "2026-11-01T05:00Z", "2026-11-01T06:00Z", "2026-11-01T07:00Z", "2026-11-01T08:00Z"],
    ],
    [
      "New York's days",
      "DAY",
      "America/New_York",
      "2026-03-08T12:00:00Z",
      "2026-03-09T12:00:00Z",
      ["2026-03-08T05:00Z", "2026-03-09T04:00Z", "2026-03-10T04:00Z"],
    ],
    [
      "hours of India begin at half past",
      "HOUR",
      "Asia/Kolkata",
      "2026-01-01T00:00:00Z",
      "2026-01-01T01:00:00Z",
      ["2025-12-31T23:30Z", "2026-01-01T00:30Z", "2026-01-01T01:30Z"],
    ],
    [
      "hours of Nepal begin at a quarter past",
      "HOUR",
      "Asia/Kathmandu",
      "2026-01-01T00:00:00Z",
      "2026-01-01T01:00:00Z",
      ["2025-12-31T23:15Z", "2026-01-01T00:15Z", "2026-01-01T01:15Z"],
    ],
    [
      "Lord Howe puts clocks back by half an hour: 1:30 to 2:00 comes again, as a window of its own",
      "HOUR",
      "Australia/Lord_Howe",
      "2026-04-04T14:00:00Z",
      "2026-04-04T16:00:00Z",
      ["2026-04-04T14:00Z", "2026-04-04T15:00Z", "2026-04-04T15:30Z", "2026-04-04T16:30Z"],
    ],
    [
      "and forward again: 2:00 to 2:30 is skipped, and its hour has thirty minutes",
      "HOUR",
      "Australia/Lord_Howe",
      "2026-10-03T14:30:00Z",
      "2026-10-03T16:30:00Z",
      ["2026-10-03T14:30Z", "2026-10-03T15:30Z", "2026-10-03T16:00Z", "2026-10-03T17:00Z"],
    ],
    [
      "Lord Howe's days of 24½ and 23½ hours",
      "DAY",
      "Australia/Lord_Howe",
      "2026-04-04T14:00:00Z",
      "2026-04-05T14:00:00Z",
      ["2026-04-04T13:00Z", "2026-04-05T13:30Z", "2026-04-06T13:30Z"],
    ],
    [
      "Caracas put clocks forward from 2:30 to 3:00: the hour ends with them",
      "HOUR",
      "America/Caracas",
      "2016-05-01T06:00:00Z",
      "2016-05-01T08:00:00Z",
      ["2016-05-01T05:30Z", "2016-05-01T06:30Z", "2016-05-01T07:00Z", "2016-05-01T08:00Z"],
    ],
    [
      "Newfoundland put them back at a minute past midnight, which is taken as midnight",
      "HOUR",
      "America/St_Johns",
      "2010-11-07T01:30:00Z",
      "2010-11-07T04:30:00Z",
      ["2010-11-07T01:30Z", "2010-11-07T02:30Z", "2010-11-07T03:30Z", "2010-11-07T04:30Z"],
    ],
    [
      "Apia had no 30 December 2011",
      "DAY",
      "Pacific/Apia",
      "2011-12-29T12:00:00Z",
      "2011-12-31T12:00:00Z",
      ["2011-12-29T10:00Z", "2011-12-30T10:00Z", "2011-12-31T10:00Z", "2012-01-01T10:00Z"],
    ],
    [
      "and a December of thirty days",
      "MONTH",
      "Pacific/Apia",
      "2011-12-15T00:00:00Z",
      "2011-12-31T12:00:00Z",
      ["2011-12-01T10:00Z", "2011-12-31T10:00Z", "2012-01-31T10:00Z"],
    ],
    [
      "a day of São Paulo without midnight starts at one",
      "DAY",
      "America/Sao_Paulo",
      "2018-11-03T12:00:00Z",
      "2018-11-05T01:00:00Z",
      ["2018-11-03T03:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z"],
    ],
    [
      "and one whose midnight comes twice starts at the second, because the first hour was still the day before",
      "DAY",
      "America/Sao_Paulo",
      "2019-02-16T12:00:00Z",
      "2019-02-17T12:00:00Z",
      ["2019-02-16T02:00Z", "2019-02-17T03:00Z", "2019-02-18T03:00Z"],
    ],
    [
      "a day of Havana whose first hour comes twice has both",
      "DAY",
      "America/Havana",
      "2026-10-31T12:00:00Z",
      "2026-11-01T12:00:00Z",
      ["2026-10-31T04:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"],
    ],
    [
      "a month of UTC",
      "MONTH",
      "UTC",
      "2024-02-10T00:00:00Z",
      "2024-03-01T00:00:00Z",
      ["2024-02-01T00:00Z", "2024-03-01T00:00Z"],
    ],
    [
      "minutes are the same everywhere",
      "MINUTE",
      "Asia/Kolkata",
      "2026-01-01T00:00:30Z",
      "2026-01-01T00:01:30Z",
      ["2026-01-01T00:00Z", "2026-01-01T00:01Z", "2026-01-01T00:02Z"],
    ],
  ])("%s", (_promise, size, name, from, to, expected) => {
    expect(starts(size, name, from, to)).toEqual(expected);
  });

  it("tile time in every zone there is: every moment lies in one, they touch, and are made of whole quarters of an hour", () => {
    const names = Intl.supportedValuesOf("timeZone");
    expect(names.length).toBeGreaterThan(300);
    const minutes = (from: number, to: number) => fc.integer({ min: from / 60_000, max: to / 60_000 });
    const anywhere = fc.tuple(fc.constantFrom(...names), minutes(0, Date.UTC(2040, 0)));
    const atAChange = fc
      .tuple(
        fc.constantFrom(
          ["Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
          ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
          ["America/Caracas", "2016-05-01T07:00:00Z"],
          ["America/St_Johns", "2010-11-07T02:31:00Z"],
          ["America/St_Johns", "2010-03-14T03:31:00Z"],
          ["Pacific/Apia", "2011-12-30T10:00:00Z"],
          ["America/Sao_Paulo", "2019-02-17T02:00:00Z"],
          ["Europe/Berlin", "2026-10-25T01:00:00Z"],
          ["Asia/Pyongyang", "2018-05-04T15:00:00Z"],
          ["Africa/Monrovia", "1972-01-07T00:44:30Z"],
        ),
        minutes(-4 * 3_600_000, 4 * 3_600_000),
      )
      .map(([[name, change], minute]): [string, number] => [name!, Math.floor(at(change!) / 60_000) + minute]);
    fc.assert(
      fc.property(fc.oneof(anywhere, atAChange), fc.constantFrom(...WINDOW_SIZES), ([name, minute], size) => {
        const ms = minute * 60_000;
        const fresh = () => windowsOf(size, zone(name));
        const windowAt = fresh();
        const { start, end } = windowAt(ms);
        expect(start <= ms && ms < end).toBe(true);
        expect(windowAt(start)).toEqual({ start, end });
        expect(fresh()(end - 1)).toEqual({ start, end });
        expect(fresh()(end).start).toBe(end);
        expect(fresh()(start - 1).end).toBe(start);
        expect(size === "MINUTE" || (start % 900_000 === 0 && end % 900_000 === 0)).toBe(true);
      }),
      { numRuns: 700 },
    );
  }, 30_000);

  it("have the hour, date and month that the zone's clocks show, as Intl shows them", () => {
    const shown = (name: string, ms: number): string =>
      new Intl.DateTimeFormat("sv-SE", { timeZone: name, dateStyle: "short", timeStyle: "short" }).format(ms);
    const shared = { HOUR: 13, DAY: 10, MONTH: 7 };
    const moment = fc.integer({ min: Date.UTC(2012, 0) / 60_000, max: Date.UTC(2037, 0) / 60_000 });
    fc.assert(
      fc.property(
        fc.constantFrom("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Gaza"),
        fc.constantFrom("HOUR", "DAY", "MONTH"),
        moment,
        (name, size, minute) => {
          const { start, end } = windowsOf(size, zone(name))(minute * 60_000);
          const label = shown(name, minute * 60_000).slice(0, shared[size]);
          expect([start, end - 60_000].map((ms) => shown(name, ms).slice(0, shared[size]))).toEqual([label, label]);
        },
      ),
    );
  });

  it("reach to the last moment that an event can have", () => {
    expect(windowsOf("MONTH", zone("Europe/Berlin"))(at("9999-12-31T23:59:59Z"))).toEqual({
      start: at("9999-12-31T23:00:00Z"),
      end: at("9999-12-31T23:00:00Z") + 31 * 86_400_000,
    });
  });

  it("are found without looking at the clocks again and again", () => {
    let asked = 0;
    const counted = zone("Europe/Berlin");
    const { stretchAt } = counted;
    const learned = new Set<unknown>();
    counted.stretchAt = (ms) => {
      asked++;
      const stretch = stretchAt.call(counted, ms);
      learned.add(stretch);
      return stretch;
    };
    const windowAt = windowsOf("DAY", counted);
    for (let hour = 0; hour < 24 * 365; hour++) windowAt(at("2026-01-01T00:00:00Z") + hour * 3_600_000);
    expect(learned.size).toBe(3);
    expect(asked).toBeLessThan(365 * 8);
  });
});

describe("names of zones", () => {
  it.each(["UTC", "", "Etc/UTC", "europe/berlin", "Etc/GMT+5", "EST5EDT", "America/Argentina/ComodRivadavia"])(
    "%j is one",
    (name) => {
      expect(readZone(name).ok).toBe(true);
    },
  );

  it.each([
    "Nope/Zone",
    "Local",
    "+05:30",
    "../../etc/passwd",
    "UTC+1",
    "Europe/Berlin\0",
    "x".repeat(1_000_000),
    "😀",
  ])("%j is none, and refused with a short sentence", (name) => {
    const read = readZone(name);
    expect(read).toMatchObject({ ok: false, refusal: { detail: expect.stringContaining("no time zone") } });
    expect(JSON.stringify(read).length).toBeLessThan(300);
  });
});
