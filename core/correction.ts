/**
 * Corrections: a recorded event is voided, or replaced by another version of itself. The log keeps both; whoever reads it counts
 * only what is present. An amended version lives in the events of the log entry that corrects, at that entry's place.
 * Knows which place holds the present version and what an event has moved in the wallet so far; not what folds do with it.
 */
import { answerTo } from "./imported";
import type { LogEntry } from "./log-entry";
import { packRef, unpackRef, type EventRef } from "./unrated";
import type { Paid } from "./wallet";

/** Each costs some 100 bytes of memory for as long as the object lives; past it a correction is refused (docs/limits.md). */
export const CORRECTIONS_MAX = 100_000;

export interface Correction {
  /** Where the event was first recorded. */
  of: EventRef;
  /** Type and time of the version that no longer counts: where folds must count again. */
  was: { type: string; time: number };
  reason: string;
  /** The present version's place among this entry's events; null: voided. */
  index: number | null;
  /** The event came by /track, so its type is its feature. */
  tracked: boolean;
  /** What all versions together have moved, this correction included. */
  paid: Paid;
}

/** What an account knows of its corrections. Places are packed (unrated.ts). */
export interface Corrections {
  /** By the place of the first version: where the present one is; null: voided. */
  present: Map<number, number | null>;
  /** Places of versions that no longer count. */
  superseded: Set<number>;
}

export const noCorrections = (): Corrections => ({ present: new Map(), superseded: new Set() });

/** Does the event at this place count? */
export const isPresent = (corrections: Corrections, ref: EventRef): boolean =>
  corrections.superseded.size === 0 || !corrections.superseded.has(packRef(ref));

/** Where the present version of an event is, by the place of its first; null: voided. */
export function presentPlace(corrections: Corrections, of: EventRef): EventRef | null {
  const place = corrections.present.get(packRef(of));
  if (place === undefined) return of;
  return place === null ? null : unpackRef(place);
}

/** Takes up one correction of an entry; answers the place that it supersedes. */
export function addCorrection(corrections: Corrections, seq: number, { of, index }: Correction): EventRef {
  const first = packRef(of);
  const before = corrections.present.get(first) ?? first;
  corrections.superseded.add(before);
  corrections.present.set(first, index === null ? null : packRef({ seq, index }));
  return unpackRef(before);
}

/** What one version of an event has moved, as far as its own log entry says. */
export function paidIn(entry: LogEntry, index: number): Paid {
  const correction = entry.corrections?.find((each) => each.index === index);
  if (correction) return correction.paid;
  return paidAt(entry.imported?.paid, index) ?? paidBy(entry.journal.filter(({ event }) => event?.index === index));
}

/** The same of all events of an entry that are no new versions: of thousands, in one pass. */
export function paidByEvent({ journal, imported }: LogEntry): (index: number) => Paid {
  if (imported) {
    const known = new Map(imported.paid);
    return (index) => known.get(index) ?? NOTHING;
  }
  const known = Map.groupBy(journal, ({ event }) => event?.index ?? -1);
  return (index) => paidBy(known.get(index) ?? []);
}

const NOTHING: Paid = { moves: [], owed: 0n };

/** What pricing an event in a later entry has moved; `place` is that of its cost in that entry. */
export const paidLaterIn = (entry: LogEntry, place: number): Paid =>
  paidAt(entry.imported?.late, place) ??
  paidBy(entry.journal.filter(({ event }) => event?.index === entry.rated[place]!.index));

const paidAt = (list: readonly [number, Paid][] | undefined, place: number): Paid | undefined =>
  list?.find(([at]) => at === place)?.[1];

/** What these entries of one event moved together. */
export function paidBy(entries: readonly Paid[], before: Paid = { moves: [], owed: 0n }): Paid {
  const moves = new Map(before.moves);
  let { owed } = before;
  for (const entry of entries) {
    owed += entry.owed;
    for (const [id, delta] of entry.moves) moves.set(id, (moves.get(id) ?? 0n) + delta);
  }
  return { moves: [...moves].filter(([, delta]) => delta !== 0n), owed };
}

/** How an event came decides how its usage is read. */
export const wasTracked = (entry: LogEntry, index: number): boolean =>
  entry.corrections?.find((each) => each.index === index)?.tracked ?? answerTo(entry, index) !== undefined;

/** How many of an entry's events are new versions of recorded ones, not events of their own. */
export const versionsIn = (entry: LogEntry): number =>
  (entry.corrections ?? []).reduce((count, { index }) => count + (index === null ? 0 : 1), 0);

/** As stored: [first versions' places, present places or −1, superseded places], places packed. */
export type StoredCorrections = [first: number[], present: number[], superseded: number[]];

export const storeCorrections = ({ present, superseded }: Corrections): StoredCorrections => [
  [...present.keys()],
  [...present.values()].map((place) => place ?? -1),
  [...superseded],
];

export function restoreCorrections([first, present, superseded]: StoredCorrections): Corrections {
  return {
    present: new Map(first.map((place, i) => [place, present[i] === -1 ? null : (present[i] ?? null)])),
    superseded: new Set(superseded),
  };
}
