/**
 * What travels when an object moves into another (merge.ts): first its wallet, then its log, entry by entry as it is stored. The source
 * stands still meanwhile, so every page can be made again. Crosses as exact JSON text. Pure; the log is read by the caller.
 */
import { currencyInUse, type Account } from "./account";
import { isPresent } from "./correction";
import type { Grant } from "./grant";
import { operationsIn } from "./imported";
import type { LogEntry } from "./log-entry";
import { assert } from "./result";
import type { EventRef } from "./unrated";

export interface CarriedGrant extends Omit<Grant, "amount" | "remaining"> {
  amount: string;
  remaining: string;
}

export interface MergeBegin {
  kind: "begin";
  merge: string;
  source: string;
  key: string | null;
  declared: boolean;
  /** The last log entry that will come. */
  through: number;
  /** How many dedup keys will. */
  keys: number;
  /** null: nothing ever moved in the wallet. */
  currency: string | null;
  grants: CarriedGrant[];
  owed: string;
}

export interface MergeEntries {
  kind: "entries";
  merge: string;
  source: string;
  from: number;
  to: number;
  /** Log entries of the source, as they are stored (core/log-entry.ts); those without anything that moves are left out. */
  entries: unknown[];
  /** Their events that later corrections replaced or voided. */
  superseded: [seq: number, index: number][];
  /** The keys of earlier events that these entries speak of. */
  refs: [seq: number, index: number, key: string][];
}

export type MergePage = MergeBegin | MergeEntries;

/** The first page: what the home must know before it takes the rest, and the wallet. */
export function beginPage(account: Account, keys: number): MergeBegin {
  const { identity, wallet, merge, declared } = account;
  assert(identity && merge, "an object that moves knows who it is");
  return {
    kind: "begin",
    merge: merge.id,
    source: identity.object,
    key: identity.key,
    declared,
    through: merge.through,
    keys,
    currency: currencyInUse(account) ? wallet.currency : null,
    grants: [...wallet.grants.values()].map((grant) => ({
      ...grant,
      amount: grant.amount.toString(),
      remaining: grant.remaining.toString(),
    })),
    owed: wallet.owed.toString(),
  };
}

/** Whether a log entry of the source has anything that moves beside the wallet. */
export const hasCargo = (entry: LogEntry): boolean =>
  entry.events.length > 0 ||
  entry.rated.length > 0 ||
  entry.corrections !== undefined ||
  operationsIn(entry).length > 0;

/** Places of earlier events that an entry speaks of. */
export const refsIn = (entry: LogEntry): EventRef[] => [
  ...entry.rated.flatMap(({ of }) => (of ? [of] : [])),
  ...(entry.corrections ?? []).map(({ of }) => of),
];

export const supersededIn = (account: Account, { seq, events }: LogEntry): [seq: number, index: number][] =>
  events.flatMap((_, index): [number, number][] =>
    isPresent(account.corrections, { seq, index }) ? [] : [[seq, index]],
  );
