/**
 * Events that moved in from another object: one entry of the home's log holds what many entries of the source's log held, without what
 * only the source's wallet needs. Here is what of them is not in the entry's own fields: when and where each was first accepted, what each
 * has moved in the source's wallet (that wallet moved in as a whole, so none of it is posted again), and what their calls answered.
 */
import type { LogEntry } from "./log-entry";
import type { EventRef } from "./unrated";
import type { Paid } from "./wallet";

/** Events that lay side by side, in the order they have here. */
export interface Run {
  /** Of the first of them, in this entry. */
  index: number;
  /** Place in `origins`. */
  origin: number;
  /** Where the first of them was first recorded, and when. */
  seq: number;
  first: number;
  at: number;
}

/** A keyed operation and what it answered. */
export interface Operation {
  id: string;
  bodyHash: string;
  answer: unknown;
}

export interface ImportedPage {
  /** The merge's id. */
  merge: string;
  /** The source's log entries it is made of. */
  from: number;
  to: number;
  /** The objects that accepted these events. */
  origins: string[];
  runs: Run[];
  /** What the track of an event answered. */
  answers: [index: number, answer: unknown][];
  ops: Operation[];
  /** What the recording of an event moved, by its index. */
  paid: [index: number, paid: Paid][];
  /** What pricing an event later moved, by its place in `rated`. */
  late: [place: number, paid: Paid][];
  /** What a correction moved, by its place in `corrections`. */
  corrected: [place: number, paid: Paid][];
  /** Versions that later corrections of the source replaced or voided: no reader counts them. */
  superseded: number[];
}

type StoredPaid = [number, owed: string, ...moves: string[]];

export type StoredImport = Omit<ImportedPage, "runs" | "ops" | "paid" | "late" | "corrected"> & {
  runs: [index: number, origin: number, seq: number, first: number, at: number][];
  ops: [id: string, bodyHash: string, answer: unknown][];
  paid: StoredPaid[];
  late: StoredPaid[];
  corrected: StoredPaid[];
};

const storePaid = ([place, { owed, moves }]: [number, Paid]): StoredPaid => [
  place,
  owed.toString(),
  ...moves.flatMap(([id, delta]) => [id, delta.toString()]),
];

function restorePaid([place, owed, ...flat]: StoredPaid): [number, Paid] {
  const moves: Paid["moves"] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) moves.push([flat[i]!, BigInt(flat[i + 1]!)]);
  return [place, { moves, owed: BigInt(owed) }];
}

export const encodeImported = (page: ImportedPage): StoredImport => ({
  ...page,
  runs: page.runs.map(({ index, origin, seq, first, at }) => [index, origin, seq, first, at]),
  ops: page.ops.map(({ id, bodyHash, answer }) => [id, bodyHash, answer]),
  paid: page.paid.map(storePaid),
  late: page.late.map(storePaid),
  corrected: page.corrected.map(storePaid),
});

export const decodeImported = (stored: StoredImport): ImportedPage => ({
  ...stored,
  runs: stored.runs.map(([index, origin, seq, first, at]) => ({ index, origin, seq, first, at })),
  ops: stored.ops.map(([id, bodyHash, answer]) => ({ id, bodyHash, answer })),
  paid: stored.paid.map(restorePaid),
  late: stored.late.map(restorePaid),
  corrected: stored.corrected.map(restorePaid),
});

/** Where an event was first recorded, and when it was accepted. */
export interface Origin extends EventRef {
  object: string;
  at: number;
}

/** `object` is the one whose log holds the entry: also where the event was recorded, unless it moved in. */
export function originOf(entry: LogEntry, index: number, object: string): Origin {
  const run = entry.imported?.runs.findLast((each) => each.index <= index);
  if (!run) return { object, seq: entry.seq, index, at: entry.at };
  const { seq, at } = run;
  return { object: entry.imported!.origins[run.origin]!, seq, index: run.first + index - run.index, at };
}

/** What the track of an event answered; undefined: it did not come by /track. */
export const answerTo = (entry: LogEntry, index: number): unknown =>
  entry.imported
    ? entry.imported.answers.find(([place]) => place === index)?.[1]
    : entry.op === undefined
      ? entry.answer
      : undefined;

/** The keyed operations of an entry, in the order of their places. */
export const operationsIn = ({ op, answer, imported }: LogEntry): readonly Operation[] =>
  imported ? imported.ops : op ? [{ ...op, answer }] : [];
