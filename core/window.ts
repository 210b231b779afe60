/**
 * Windows of minutes, hours, days and months in a time zone. They tile time: each moment lies in exactly one, and they start where the
 * zone's clocks show a whole minute, hour, day or month. A day has 23 or 25 hours where clocks change; an hour that clocks show twice is
 * two windows; one that a change cuts is as long as clocks showed it; a day that a zone skipped has none, and one without midnight starts
 * when it starts. Not known here: what is counted in them.
 *
 * Clock changes are temporal-polyfill's business (by its functions, a third of the size of its classes), because workerd has no Temporal
 * yet. It is asked once per stretch of time between two changes; the rest is arithmetic, and UTC is nothing else.
 */
import { fromEpochMilliseconds, toZonedDateTimeISO } from "temporal-polyfill/fns/Instant";
import { getTimeZoneTransition, offsetNanoseconds, toInstant } from "temporal-polyfill/fns/ZonedDateTime";
import { ok, refuse, type Result } from "./result";

export const WINDOW_SIZES = ["MINUTE", "HOUR", "DAY", "MONTH"] as const;
export type WindowSize = (typeof WINDOW_SIZES)[number];

/** Epoch ms, from start inclusive to end exclusive. */
export interface Window {
  start: number;
  end: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The longest IANA name has 32 characters. */
const ZONE_CHARS_MAX = 64;
/** Names start with a letter: Temporal would take "+02:00" too, which is no IANA name. */
const ZONE_NAME = /^[A-Za-z][A-Za-z0-9_+/-]*$/;
/** No clock was ever further from UTC. */
const OFFSET_MS_MAX = 16 * HOUR_MS;

/** The time zone of this IANA name, without regard to case; refused when there is none. "" is UTC. */
export function readZone(name: string): Result<Zone, { detail: string }> {
  if (name === "" || name === "UTC" || name === "Etc/UTC") return ok(UTC);
  try {
    if (name.length <= ZONE_CHARS_MAX && ZONE_NAME.test(name)) return ok(new Zone(clocksOf(name)));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return refuse({
    detail: `no time zone of the IANA database is named ${JSON.stringify(name.slice(0, ZONE_CHARS_MAX))}`,
  });
}

/** At a moment: how far clocks are ahead of UTC, in ms, and until when. */
type Clocks = (at: number) => { offset: number; until: number };

/**
 * Every window must be made of whole quarters of an hour: the rollups that are kept for ever are quarters. Since 1970 that moves clock
 * changes that were made at a minute past (Newfoundland until 2011, Gaza) by that minute, and the clocks of Liberia until 1972 and of
 * Kiritimati until 1979 by some minutes.
 */
const QUARTER_MS = 15 * MINUTE_MS;

function clocksOf(name: string): Clocks {
  // Throws a RangeError for an unknown name.
  toZonedDateTimeISO(fromEpochMilliseconds(0), name);
  return function clocks(at): ReturnType<Clocks> {
    const moment = toZonedDateTimeISO(fromEpochMilliseconds(at), name);
    const change = getTimeZoneTransition(moment, "next");
    const offset = Math.round(offsetNanoseconds(moment) / 1e6 / QUARTER_MS) * QUARTER_MS;
    if (change === null) return { offset, until: Infinity };
    const changeMs = toInstant(change).epochMilliseconds;
    const until = floorTo(changeMs, QUARTER_MS);
    // The quarter in which clocks change is after the change already.
    return until > at ? { offset, until } : clocks(changeMs);
  };
}

/** A stretch of time without a clock change. It may have begun before `from`. */
interface Stretch {
  from: number;
  until: number;
  offset: number;
}

/** A time zone, and what was learned of it. */
export class Zone {
  private readonly stretches: Stretch[] = [];
  private last: Stretch = { from: Infinity, until: -Infinity, offset: 0 };

  constructor(private readonly clocks: Clocks) {}

  stretchAt(at: number): Stretch {
    const { last } = this;
    if (at >= last.from && at < last.until) return last;
    return (this.last = this.stretches.find(({ from, until }) => at >= from && at < until) ?? this.learn(at));
  }

  private learn(at: number): Stretch {
    const { offset, until } = this.clocks(at);
    const known = this.stretches.find((stretch) => stretch.until === until);
    if (known !== undefined) known.from = at;
    const learned = known ?? { from: at, until, offset };
    if (known === undefined) this.stretches.push(learned);
    return learned;
  }

  /** The first moment at which clocks show this date or a later one; `midnight` is the date's midnight as if it were UTC. */
  startOfDate(midnight: number): number {
    let start = midnight - OFFSET_MS_MAX;
    let stretch = this.stretchAt(start);
    while (stretch.until + stretch.offset <= midnight) {
      start = stretch.until;
      stretch = this.stretchAt(start);
    }
    return Math.max(start, midnight - stretch.offset);
  }
}

export const UTC: Zone = new Zone(() => ({ offset: 0, until: Infinity }));

/** Finds the window of a moment; quick when it lies in the same window as the moment before. */
export function windowsOf(size: WindowSize, zone: Zone): (at: number) => Window {
  const find = FINDERS[size];
  let last: Window = { start: 0, end: 0 };
  return (at) => (at >= last.start && at < last.end ? last : (last = find(zone, at)));
}

const FINDERS: { [S in WindowSize]: (zone: Zone, at: number) => Window } = {
  // Zones differ by whole minutes, so their minutes are the same.
  MINUTE: (_zone, at) => ({ start: floorTo(at, MINUTE_MS), end: floorTo(at, MINUTE_MS) + MINUTE_MS }),
  HOUR: hourOf,
  DAY: (zone, at) => {
    const date = floorTo(at + zone.stretchAt(at).offset, DAY_MS);
    return dated(zone, at, (days) => date + days * DAY_MS);
  },
  MONTH: (zone, at) => {
    const date = new Date(at + zone.stretchAt(at).offset);
    return dated(zone, at, (months) => Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + months));
  },
};

function hourOf(zone: Zone, at: number): Window {
  const { offset, until } = zone.stretchAt(at);
  const start = floorTo(at + offset, HOUR_MS) - offset;
  let begun = start;
  for (let { until: change } = zone.stretchAt(start); change <= at; { until: change } = zone.stretchAt(change))
    begun = change;
  return { start: begun, end: Math.min(start + HOUR_MS, until) };
}

/** The window of a moment whose clocks show date 0. Where they were put back over midnight, the date's window has ended before. */
function dated(zone: Zone, at: number, midnightOf: (n: number) => number): Window {
  let start = zone.startOfDate(midnightOf(0));
  for (let n = 1; ; n++) {
    const end = zone.startOfDate(midnightOf(n));
    if (at < end) return { start, end };
    start = end;
  }
}

const floorTo = (ms: number, unit: number): number => Math.floor(ms / unit) * unit;
