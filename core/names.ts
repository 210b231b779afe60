/**
 * Who an object is to others: whether it is a customer, under which key, and which names lead away from it. A name that was taken away
 * leads to another object from then on; the past stays. Pure: the caller hashes names and mints ids. Not known here: who owns a name.
 */
import type { Account } from "./account";
import type { Sha256 } from "./journal";
import type { Identity, LogEntry } from "./log-entry";
import { trackedIn } from "./log-entry";
import { objectName } from "./object-name";
import { assert, ok, refuse, type Result } from "./result";

/** Each costs some 200 bytes of memory for as long as the object lives; past it releasing further ones is refused (docs/limits.md). */
export const NAMES_MAX = 10_000;

/** A name that was released here. */
export interface LedName {
  /** The object it led to when it was last released. */
  object: string;
  /** It leads there now; false: it was taken back. */
  released: boolean;
}

/** What a log entry says of names. */
export interface NamesChange {
  /** The API made this object the home of the customer with this id. */
  adopted?: string;
  /** The customer's key from now on. */
  key?: string | null;
  /** Names that lead to another object from now on. */
  released?: [name: string, object: string][];
  /** Names that were released and are this object's again. */
  owned?: string[];
}

/** Was the entry one that makes a customer of whoever only sent events? */
export const declares = (entry: LogEntry): boolean =>
  entry.names?.adopted !== undefined ||
  entry.arrival?.declared === true ||
  entry.patch !== undefined ||
  (entry.grants.length > 0 && entry.arrival === undefined) ||
  (trackedIn(entry) && entry.events.length > 0);

/** The object that calls by this name are for; null: this one. */
export function leadsTo({ names }: Account, name: string): string | null {
  if (names.size === 0) return null;
  const led = names.get(name);
  return led?.released ? led.object : null;
}

/** Makes the account a customer's that the API made. False: it is already, and nothing changes. */
export function adopt(
  account: Account,
  entry: LogEntry,
  customer: { customerId: string; key: string | null },
): boolean {
  if (account.adopted === customer.customerId) return false;
  entry.names = { adopted: customer.customerId, key: customer.key };
  return true;
}

/** Sends calls by these names to other objects from now on. Null: all of them lead away already. */
export function release(
  account: Account,
  entry: LogEntry,
  names: readonly string[],
  target: (name: string) => string,
): Result<null, { reason: "at_bound"; detail: string }> {
  const fresh = [...new Set(names)].filter((name) => leadsTo(account, name) === null);
  if (account.names.size + fresh.length > NAMES_MAX)
    return refuse({ reason: "at_bound", detail: `at most ${NAMES_MAX} names can be taken from one customer` });
  if (fresh.length > 0) entry.names = { released: fresh.map((name) => [name, target(name)]) };
  return ok(null);
}

/** Sends calls by this name to this object from now on, wherever they were sent before. */
export function sendName(account: Account, entry: LogEntry, name: string, object: string): void {
  assert(account.names.size < NAMES_MAX || account.names.has(name), "an object that was left keeps few names");
  entry.names = { released: [[name, object]] };
}

/** The object that a released name leads to: its own, or a fresh one where that is this very object, whose past stays here. */
export function releasedTo(identity: Identity, name: string, sha256: Sha256, newId: () => string): string {
  const own = objectName(identity.namespaceId, name, sha256);
  return own === identity.object ? objectName(identity.namespaceId, newId(), sha256) : own;
}

/** Takes names back, and sets the customer's key. False: nothing changes. */
export function own(
  account: Account,
  entry: LogEntry,
  { names, key }: { names: readonly string[]; key?: string | null },
): boolean {
  const owned = [...new Set(names)].filter((name) => leadsTo(account, name) !== null);
  const rekeyed = key !== undefined && account.identity !== null && account.identity.key !== key;
  if (owned.length === 0 && !rekeyed) return false;
  entry.names = { ...(owned.length > 0 && { owned }), ...(rekeyed && { key }) };
  return true;
}

/** Applies what an entry says of names. The account has its identity by then. */
export function applyNames(account: Account, { adopted, key, released = [], owned = [] }: NamesChange): void {
  if (adopted !== undefined) account.adopted = adopted;
  if (key !== undefined && account.identity) account.identity = { ...account.identity, key };
  for (const [name, object] of released) account.names.set(name, { object, released: true });
  for (const name of owned) account.names.set(name, { object: account.names.get(name)!.object, released: false });
}

export const storeNames = (names: ReadonlyMap<string, LedName>): [string, string, 0 | 1][] =>
  [...names].map(([name, { object, released }]) => [name, object, released ? 1 : 0]);

export const restoreNames = (stored: readonly [string, string, 0 | 1][]): Map<string, LedName> =>
  new Map(stored.map(([name, object, released]) => [name, { object, released: released === 1 }]));
