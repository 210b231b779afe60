/**
 * An object with data moves into another, the home: a saga that the source journals. The source stops, hands over its wallet, then its
 * events page by page, and sends every call to the home from then on. A page says which entries of the source's log it is made of, and the
 * home takes each entry once, in order, so pages may be repeated or lost. Here is what both logs say of it and what an account knows of
 * it; what travels is in merge-page.ts, what the home makes of it in arrival.ts, and who carries it in durable-objects/merge.ts.
 */
import type { Account } from "./account";
import type { ImportedPage } from "./imported";
import type { LogEntry } from "./log-entry";
import { assert } from "./result";
import { moveOut } from "./transfer";

// ---- The source

/** A step of an object's move into another, as its log has it. */
export type MergeStep =
  | { step: "begin"; id: string; home: string }
  | { step: "abort" }
  | { step: "done"; home: string };

/** An object that moves, or has moved. */
export interface Merge {
  id: string;
  /** The object it moves into. */
  home: string;
  /** The last log entry that moves. */
  through: number;
  done: boolean;
}

/** From here on the source changes nothing but by the merge's own steps, so every page can be made again. */
export function beginMerge(entry: LogEntry, { id, home }: { id: string; home: string }): void {
  entry.merge = { step: "begin", id, home };
}

/** The home would have none of it, or not now. */
export function abortMerge(entry: LogEntry): void {
  entry.merge = { step: "abort" };
}

/** Applies a step that an entry holds. */
export function applyStep(account: Account, entry: LogEntry, step: MergeStep): void {
  if (step.step === "begin") account.merge = { id: step.id, home: step.home, through: entry.seq - 1, done: false };
  else if (step.step === "abort") account.merge = null;
  else {
    assert(account.merge, "a merge that ends has begun");
    account.merge = { ...account.merge, home: step.home, done: true };
    account.unrated = { count: 0, places: [] };
  }
}

/** The home has everything: what is left here is the past. */
export function finishMerge(account: Account, entry: LogEntry, home: string): void {
  entry.merge = { step: "done", home };
  const moved = moveOut(account.wallet, entry.at);
  if (moved) entry.journal.push(moved);
}

/** Another object is on its way into this one: it cannot move until that one has arrived. */
export const isReceiving = ({ imports }: Account): boolean =>
  [...imports.values()].some(({ next }) => next !== ARRIVED);

// ---- The home

/** `next` of a merge that is over. */
export const ARRIVED = Number.MAX_SAFE_INTEGER;

/** What an object knows of another that moves into it. */
export interface Arriving {
  /** The log entry of the source that it takes next. */
  next: number;
  through: number;
  /** Grants whose ids this wallet had already, and what they are called here. */
  renamed: Map<string, string>;
}

/** What a log entry of the home says of a wallet that moved in; the grants themselves are the entry's, in the same order. */
export interface Arrival {
  merge: string;
  source: string;
  declared: boolean;
  through: number;
  grants: [activated: 0 | 1, voidedAt: number | null][];
  renamed: Record<string, string>;
}

export const applyArrival = (account: Account, { merge, through, renamed }: Arrival): void => {
  account.imports.set(merge, { next: 1, through, renamed: new Map(Object.entries(renamed)) });
};

export function applyImported(account: Account, { merge, to }: ImportedPage): void {
  const arriving = account.imports.get(merge);
  assert(arriving, "pages come after the wallet");
  if (to < arriving.through) arriving.next = to + 1;
  else account.imports.set(merge, { next: ARRIVED, through: arriving.through, renamed: new Map() });
}
