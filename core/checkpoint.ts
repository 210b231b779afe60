/**
 * The account as text, so that waking up need not replay the whole log. A checkpoint affects cost, never meaning:
 * the same account comes from replaying the log from its start.
 */
import type { Account } from "./account";
import { noCorrections, restoreCorrections, storeCorrections, type StoredCorrections } from "./correction";
import type { Grant } from "./grant";
import type { Identity } from "./log-entry";
import type { Arriving, Merge } from "./merge";
import { restoreNames, storeNames } from "./names";
import { assert } from "./result";
import { noneToday, restoreToday, storeToday, type StoredToday } from "./today";
import { restoreWallet } from "./wallet";

interface Checkpoint1 {
  v: 1;
  identity: Identity | null;
  seq: number;
  at: number;
  head: string;
  journalEntries: number;
  events: number;
  unrated: [count: number, places: number[]];
  /** Absent where there are none. */
  today?: StoredToday;
  corrections?: StoredCorrections;
  /** Absent where nobody told customers from subjects yet: all were listed. */
  declared?: boolean;
  adopted?: string;
  names?: [name: string, object: string, released: 0 | 1][];
  merge?: Merge;
  imports?: [merge: string, next: number, through: number, renamed: [string, string][]][];
  wallet: {
    currency: string;
    frozen: boolean;
    overdraftLimit: string;
    burnTable: string | null;
    balance: string;
    held: string;
    owed: string;
    last: [amount: string, reason: string, timestamp: number] | null;
    grants: StoredGrant[];
  };
}

type StoredGrant = Omit<Grant, "amount" | "remaining"> & { amount: string; remaining: string };

export function encodeAccount(account: Account): string {
  const { wallet, unrated } = account;
  const stored: Checkpoint1 = {
    v: 1,
    identity: account.identity,
    seq: account.seq,
    at: account.at,
    head: account.head,
    journalEntries: account.journalEntries,
    events: account.events,
    unrated: [unrated.count, deltas(unrated.places)],
    ...(account.today.day > 0 && { today: storeToday(account.today) }),
    ...(account.corrections.present.size > 0 && { corrections: storeCorrections(account.corrections) }),
    declared: account.declared,
    ...(account.adopted !== null && { adopted: account.adopted }),
    ...(account.names.size > 0 && { names: storeNames(account.names) }),
    ...(account.merge && { merge: account.merge }),
    ...(account.imports.size > 0 && { imports: storeImports(account.imports) }),
    wallet: {
      currency: wallet.currency,
      frozen: wallet.frozen,
      overdraftLimit: wallet.overdraftLimit.toString(),
      burnTable: wallet.burnTable,
      balance: wallet.balance.toString(),
      held: wallet.held.toString(),
      owed: wallet.owed.toString(),
      last: wallet.last && [wallet.last.amount.toString(), wallet.last.reason, wallet.last.timestamp],
      grants: [...wallet.grants.values()].map((g) => ({
        ...g,
        amount: g.amount.toString(),
        remaining: g.remaining.toString(),
      })),
    },
  };
  return JSON.stringify(stored);
}

export function decodeAccount(text: string): Account {
  const stored = JSON.parse(text) as Checkpoint1;
  assert(stored.v === 1, "a checkpoint is of a known format");
  const { wallet, unrated, v: _v, ...rest } = stored;
  return {
    ...rest,
    unrated: { count: unrated[0], places: sums(unrated[1]) },
    today: stored.today ? restoreToday(stored.today) : noneToday(),
    corrections: stored.corrections ? restoreCorrections(stored.corrections) : noCorrections(),
    declared: stored.declared ?? true,
    adopted: stored.adopted ?? null,
    names: restoreNames(stored.names ?? []),
    merge: stored.merge ?? null,
    imports: new Map(
      (stored.imports ?? []).map(([id, next, through, renamed]) => [id, { next, through, renamed: new Map(renamed) }]),
    ),
    wallet: restoreWallet({
      ...wallet,
      overdraftLimit: BigInt(wallet.overdraftLimit),
      balance: BigInt(wallet.balance),
      held: BigInt(wallet.held),
      owed: BigInt(wallet.owed),
      last: wallet.last && { amount: BigInt(wallet.last[0]), reason: wallet.last[1], timestamp: wallet.last[2] },
      grants: new Map(
        wallet.grants.map((g) => [g.id, { ...g, amount: BigInt(g.amount), remaining: BigInt(g.remaining) }]),
      ),
    }),
  };
}

const storeImports = (imports: ReadonlyMap<string, Arriving>): NonNullable<Checkpoint1["imports"]> =>
  [...imports].map(([id, { next, through, renamed }]) => [id, next, through, [...renamed]]);

/** Ascending numbers as differences: most places of unrated events are neighbours, and small numbers compress. */
const deltas = (ascending: readonly number[]): number[] => ascending.map((value, i) => value - (ascending[i - 1] ?? 0));

function sums(differences: readonly number[]): number[] {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
}
