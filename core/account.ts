/**
 * A customer's account: wallet, unrated events and identity, and every decision about them.
 * A command is decided on the account in memory and recorded in a draft; `seal` turns the draft into the one log entry that makes
 * it true. If that entry cannot be stored the caller drops the account and reads it back. `replay` makes the same change from the entry.
 * Pure: time, identity, hashing and the price book come in. No refusal changes anything.
 */
import { defaultTableAt, type CompiledTable, type DefaultTable, type Usage } from "./burn-table";
import {
  addCorrection,
  CORRECTIONS_MAX,
  noCorrections,
  paidBy,
  versionsIn,
  type Correction,
  type Corrections,
} from "./correction";
import type { Decimal } from "./decimal";
import type { UsageEvent } from "./event";
import type { Grant } from "./grant";
import { GENESIS_HASH, hashLines, journalLines, type ChainStart, type Sha256 } from "./journal";
import type { Identity, LogEntry, WalletPatch } from "./log-entry";
import { applyArrival, applyImported, applyStep, type Arriving, type Merge } from "./merge";
import { applyNames, declares, type LedName } from "./names";
import { rate, UNPRICED, type Cost, type PriceBook, type Unpriced } from "./price";
import { assert, ok, refuse, type Result } from "./result";
import { countToday, noneToday, type Today } from "./today";
import { trackedUsage } from "./tracked";
import { addUnrated, forgetUnrated, isUnrated, noneUnrated, packRef, type EventRef, type Unrated } from "./unrated";
import { eventUsage } from "./usage";
import {
  addGrant,
  adjust,
  available,
  debit,
  emptyWallet,
  GRANTS_MAX,
  nextDeadline,
  post,
  settle,
  spendable,
  voidGrant,
  type Paid,
  type Wallet,
} from "./wallet";

export interface Account {
  /** null until the first write. */
  identity: Identity | null;
  /** The number of the last log entry; 0 before the first. */
  seq: number;
  /** The time of the last log entry: the account's time never runs backwards. */
  at: number;
  wallet: Wallet;
  /** Hash of the last journal entry, and how many there are. */
  head: string;
  journalEntries: number;
  events: number;
  today: Today;
  unrated: Unrated;
  corrections: Corrections;
  /** A customer, not only a subject that sent events. */
  declared: boolean;
  /** The id of the customer whose home the API made this object. */
  adopted: string | null;
  /** Names that were released here. */
  names: Map<string, LedName>;
  /** Where this object moves, or has moved. */
  merge: Merge | null;
  /** Objects that moved in, or are on their way, by the merge's id. */
  imports: Map<string, Arriving>;
}

export const newAccount = (): Account => ({
  identity: null,
  seq: 0,
  at: 0,
  wallet: emptyWallet(),
  head: GENESIS_HASH,
  journalEntries: 0,
  events: 0,
  today: noneToday(),
  unrated: noneUnrated(),
  corrections: noCorrections(),
  declared: false,
  adopted: null,
  names: new Map(),
  merge: null,
  imports: new Map(),
});

/** What rating needs from the namespace's configuration. */
export interface Rating {
  /** Every version of every burn table, by key. */
  tables: ReadonlyMap<string, readonly CompiledTable[]>;
  /** Ascending. */
  defaults: readonly DefaultTable[];
  priceBook: PriceBook;
}

/** The versions of the table that prices this customer's usage of a time; none when it has none. */
export function tableOf(account: Account, time: number, rating: Rating): readonly CompiledTable[] {
  const key = account.wallet.burnTable ?? defaultTableAt(rating.defaults, time);
  return (key === null ? undefined : rating.tables.get(key)) ?? [];
}

/** Starts the log entry of one command at `now`. `identity` is for an account's first entry. */
export function draftEntry(account: Account, now: number, identity: () => Identity): LogEntry {
  return {
    seq: account.seq + 1,
    at: Math.max(account.at, now),
    ...(account.identity === null && { identity: identity() }),
    events: [],
    rated: [],
    unrated: [],
    grants: [],
    journal: [],
    before: { balance: account.wallet.balance, head: account.head },
  };
}

/**
 * Finishes a command: makes the entry the account's last and chains its journal.
 * Answers the journal's lines as text, which the stored entry carries too.
 */
export function seal(account: Account, entry: LogEntry, sha256: Sha256): string {
  account.identity ??= entry.identity ?? null;
  account.seq = entry.seq;
  account.at = entry.at;
  account.events += entry.events.length - versionsIn(entry);
  // New versions of events, and those that moved in, were accepted before.
  if (!entry.corrections && !entry.imported) countToday(account.today, entry.at, entry.events);
  account.journalEntries += entry.journal.length;
  assert(account.identity, "an account has an identity from its first entry on");
  account.declared ||= declares(entry);
  if (entry.names) applyNames(account, entry.names);
  if (entry.merge) applyStep(account, entry, entry.merge);
  if (entry.arrival) applyArrival(account, entry.arrival);
  if (entry.imported) applyImported(account, entry.imported);
  const lines = journalLines(entry.journal);
  if (entry.journal.length > 0) {
    account.head = hashLines(lines, account.wallet.balance, chainStart(entry, account.identity.tag), sha256);
  }
  return lines;
}

/** Where the chain stands before an entry. */
export const chainStart = ({ at, seq, before }: LogEntry, tag: string): ChainStart => ({ at, tag, seq, ...before });

/** Applies a stored entry to the account as it was before it. */
export function replay(account: Account, entry: LogEntry, sha256: Sha256): void {
  applyEpoch(account, entry);
  if (entry.patch) applyPatch(account.wallet, entry.patch);
  for (const [place, grant] of entry.grants.entries()) addGrant(account.wallet, carried(entry, grant, place));
  for (const journalEntry of entry.journal) post(account.wallet, journalEntry);
  applyEvents(account, entry);
  seal(account, entry, sha256);
}

/** A grant that moved in comes as it was. */
function carried({ arrival }: LogEntry, grant: Grant, place: number): Grant {
  if (!arrival) return grant;
  const [activated, voidedAt] = arrival.grants[place]!;
  return { ...grant, activated: activated === 1, voidedAt };
}

/** What an entry says of which events count and which wait for a price. */
export function applyEvents(account: Account, entry: LogEntry): void {
  const { seq } = entry;
  for (const correction of entry.corrections ?? []) supersede(account, entry, correction);
  for (const index of entry.imported?.superseded ?? []) account.corrections.superseded.add(packRef({ seq, index }));
  for (const index of entry.unrated) addUnrated(account.unrated, { seq, index });
  forgetRated(account, entry);
}

/** All running totals are to be made and sent again, as newer than any sent so far: `epoch` must be a later ULID than the last. */
export function startEpoch(account: Account, entry: LogEntry, epoch: string): void {
  assert(account.identity && account.identity.epoch < epoch, "epochs of an account ascend");
  entry.epoch = epoch;
  applyEpoch(account, entry);
}

function applyEpoch(account: Account, { epoch }: LogEntry): void {
  if (epoch !== undefined && account.identity) account.identity = { ...account.identity, epoch };
}

/** Events that this entry priced later are unrated no more. */
export function forgetRated(account: Account, entry: LogEntry): void {
  forgetUnrated(
    account.unrated,
    entry.rated.flatMap(({ of }) => (of ? [of] : [])),
  );
}

/** Is anything due that must be written down before the account is read or changed? */
export const isDue = (account: Account, now: number): boolean =>
  account.merge === null && account.wallet.nextDueAt <= Math.max(account.at, now);

/** When something must be written down next; null: nothing will fall due. An object that moves stands still. */
export const nextDue = ({ merge, wallet }: Account): number | null => (merge === null ? nextDeadline(wallet) : null);

/** Writes down what fell due: grants that take effect or expire. */
export function settleInto(account: Account, entry: LogEntry): void {
  entry.journal.push(...settle(account.wallet, entry.at));
}

export type RatingRefusal = Unpriced | { reason: "currency_mismatch"; wallet: string; table: string };

/** Rates usage by the customer's table at `time`: the one function under quote, check, track and every debit. */
export function rateFor(account: Account, usage: Usage, time: number, rating: Rating): Result<Cost, RatingRefusal> {
  const rated = rate(tableOf(account, time, rating), usage, time, rating.priceBook);
  if (rated.ok && rated.value.currency !== account.wallet.currency) {
    return refuse({ reason: "currency_mismatch", wallet: account.wallet.currency, table: rated.value.currency });
  }
  return rated;
}

/** Records one event as a fact: debited in full if a burn table maps it, unrated if nothing prices it, metered in any case. */
export function recordEvent(account: Account, entry: LogEntry, event: UsageEvent, rating: Rating): void {
  const table = tableOf(account, event.time, rating);
  const index = entry.events.push(event) - 1;
  // Without any burn table a customer is metered only: nothing of it waits for a price.
  const usage = table.length === 0 ? null : eventUsage(event, table);
  if (usage === null) return;
  const rated = rateFor(account, usage, event.time, rating);
  if (rated.ok) take(account, entry, event, index, usage.feature, rated.value);
  else {
    entry.unrated.push(index);
    addUnrated(account.unrated, { seq: entry.seq, index });
  }
}

export type SpendRefusal =
  | { reason: "wallet_frozen" }
  | { reason: "insufficient_credits"; available: Decimal; required: Decimal; currency: string };

/** May an enforced call take this cost now? Never lets available fall below −overdraft. */
export function mayTake(account: Account, cost: Decimal): Result<null, SpendRefusal> {
  const { wallet } = account;
  if (wallet.frozen) return refuse({ reason: "wallet_frozen" });
  if (cost > spendable(wallet)) {
    return refuse({
      reason: "insufficient_credits",
      available: available(wallet),
      required: cost,
      currency: wallet.currency,
    });
  }
  return ok(null);
}

/** Records a tracked event. With `enforce` it is recorded only if it is priced and its cost may be taken; else not at all. */
export function trackEvent(
  account: Account,
  entry: LogEntry,
  tracked: { event: UsageEvent; usage: Usage; enforce: boolean },
  rating: Rating,
): Result<Cost | null, RatingRefusal | SpendRefusal> {
  const { event, usage, enforce } = tracked;
  const rated = rateFor(account, usage, event.time, rating);
  if (!rated.ok && (enforce || rated.refusal.reason === "currency_mismatch")) return rated;
  if (enforce && rated.ok) {
    const allowed = mayTake(account, rated.value.amount);
    if (!allowed.ok) return allowed;
  }
  const index = entry.events.push(event) - 1;
  if (!rated.ok) {
    entry.unrated.push(index);
    addUnrated(account.unrated, { seq: entry.seq, index });
    return ok(null);
  }
  take(account, entry, event, index, usage.feature, rated.value);
  return ok(rated.value);
}

function take(account: Account, entry: LogEntry, event: UsageEvent, index: number, reason: string, cost: Cost): void {
  entry.rated.push({ index, cost });
  entry.journal.push(
    ...debit(account.wallet, cost.amount, { reason, timestamp: entry.at, event: { index, id: event.id } }),
  );
}

/** Prices an event that was recorded without a price, if its price is known now. Call `forgetRated` after the last one. */
export function rateLater(
  account: Account,
  entry: LogEntry,
  late: { seq: number; index: number; event: UsageEvent; usage: Usage },
  rating: Rating,
): Result<Cost, RatingRefusal> {
  const rated = rateFor(account, late.usage, late.event.time, rating);
  if (!rated.ok) return rated;
  const index = entry.rated.length;
  entry.rated.push({ index, of: { seq: late.seq, index: late.index }, cost: rated.value });
  const what = { reason: late.usage.feature, timestamp: entry.at, event: { index, id: late.event.id } };
  entry.journal.push(...debit(account.wallet, rated.value.amount, what));
  return rated;
}

/** A recorded event that is to be corrected. */
export interface Recorded {
  /** Where it was first recorded, and where its present version is. */
  of: EventRef;
  at: EventRef;
  event: UsageEvent;
  tracked: boolean;
  /** What it moved so far. */
  paid: Paid;
}

export interface Corrected {
  /** What the event cost before, and costs now. */
  before: Decimal;
  cost: Cost | null;
  /** What the wallet got back (+) or gave (−). */
  adjustment: Decimal;
}

/**
 * Voids an event (`version` null) or replaces it by another version of itself, which is rated again at its own time. A fact like the
 * event itself: never refused for money. The wallet gets one `adjust` entry, or none where the cost stays the same.
 */
export function correctEvent(
  account: Account,
  entry: LogEntry,
  recorded: Recorded,
  version: UsageEvent | null,
  reason: string,
  rating: Rating,
): Result<Corrected, { reason: "at_bound"; detail: string }> {
  const { of, event, tracked, paid } = recorded;
  const { wallet, corrections } = account;
  if (corrections.superseded.size >= CORRECTIONS_MAX) {
    return refuse({ reason: "at_bound", detail: `a customer's events are corrected at most ${CORRECTIONS_MAX} times` });
  }
  const index = version === null ? null : entry.events.push(version) - 1;
  const correction: Correction = { of, was: { type: event.type, time: event.time }, reason, index, tracked, paid };
  (entry.corrections ??= []).push(correction);
  supersede(account, entry, correction);
  const usage = version && usageOf(account, version, tracked, rating);
  const rated = usage && rateFor(account, usage, version.time, rating);
  if (index !== null && rated?.ok) entry.rated.push({ index, cost: rated.value });
  if (index !== null && rated && !rated.ok) {
    entry.unrated.push(index);
    addUnrated(account.unrated, { seq: entry.seq, index });
  }
  const cost = rated?.ok ? rated.value : null;
  const adjusted = adjust(wallet, paid, cost?.amount ?? 0n, {
    reason,
    timestamp: entry.at,
    event: { index: index ?? -1, id: event.id },
  });
  if (adjusted) {
    entry.journal.push(adjusted);
    correction.paid = paidBy([adjusted], paid);
    settleInto(account, entry);
  }
  const adjustment = adjusted?.amount ?? 0n;
  return ok({ before: (cost?.amount ?? 0n) + adjustment, cost, adjustment });
}

/** Why a recorded event has no price, in words that follow UNPRICED; the rules may have changed since, and `events/rate` prices it then. */
export function whyUnpriced(account: Account, event: UsageEvent, tracked: boolean, rating: Rating): string {
  const usage = usageOf(account, event, tracked, rating);
  const rated = usage && rateFor(account, usage, event.time, rating);
  if (!rated) return "no burn table maps it now";
  if (rated.ok) return "it has a price by now and can be rated";
  const { refusal } = rated;
  if (refusal.reason === "unpriced") return refusal.detail.slice(UNPRICED.length);
  return `the burn table is in ${refusal.table} and the wallet in ${refusal.wallet}`;
}

function usageOf(account: Account, event: UsageEvent, tracked: boolean, rating: Rating): Usage | null {
  if (!tracked) {
    const table = tableOf(account, event.time, rating);
    return table.length === 0 ? null : eventUsage(event, table);
  }
  const usage = trackedUsage(event);
  return usage.ok ? usage.value : null;
}

/** The version before no longer counts, and no longer waits for a price. */
function supersede(account: Account, entry: LogEntry, correction: Correction): void {
  const before = addCorrection(account.corrections, entry.seq, correction);
  if (isUnrated(account.unrated, before)) forgetUnrated(account.unrated, [before]);
}

export interface NewGrant {
  id: string;
  amount: Decimal;
  currency: string | null;
  kind: "paid" | "promo";
  priority: number;
  effectiveAt: number | null;
  expiresAt: number | null;
  reason: string;
}

export type GrantRefusal =
  | { reason: "at_bound"; detail: string }
  | { reason: "invalid"; detail: string }
  | { reason: "idempotency_conflict"; detail: string }
  | { reason: "currency_mismatch"; wallet: string; table: string };

/** Adds credits. They enter at `effectiveAt` (now when absent or past) and repay what is owed first. */
export function grantCredits(account: Account, entry: LogEntry, asked: NewGrant): Result<Grant, GrantRefusal> {
  const { wallet } = account;
  const currency = asked.currency ?? wallet.currency;
  if (wallet.grants.size >= GRANTS_MAX)
    return refuse({ reason: "at_bound", detail: `a wallet holds at most ${GRANTS_MAX} grants` });
  if (wallet.grants.has(asked.id))
    return refuse({ reason: "idempotency_conflict", detail: "a grant with this id exists; use another id" });
  if (currency !== wallet.currency && currencyInUse(account)) {
    return refuse({ reason: "currency_mismatch", wallet: wallet.currency, table: currency });
  }
  const effectiveAt = Math.max(asked.effectiveAt ?? entry.at, entry.at);
  if (asked.expiresAt !== null && asked.expiresAt <= effectiveAt) {
    return refuse({ reason: "invalid", detail: "expiresAt must be after effectiveAt and in the future" });
  }
  const grant: Grant = {
    id: asked.id,
    amount: asked.amount,
    remaining: 0n,
    kind: asked.kind,
    priority: asked.priority,
    effectiveAt,
    expiresAt: asked.expiresAt,
    reason: asked.reason,
    createdAt: entry.at,
    order: wallet.grants.size,
    activated: false,
    voidedAt: null,
  };
  if (currency !== wallet.currency) setPatch(account, entry, { currency });
  entry.grants.push({ ...grant });
  addGrant(wallet, grant);
  settleInto(account, entry);
  return ok(grant);
}

/** Takes back what is left of a grant. */
export function takeBackGrant(
  account: Account,
  entry: LogEntry,
  grantId: string,
): Result<Grant, { reason: "unknown_grant" | "grant_closed"; detail: string }> {
  const grant = account.wallet.grants.get(grantId);
  if (!grant) return refuse({ reason: "unknown_grant", detail: "this wallet has no grant with this id" });
  if (grant.expiresAt !== null && grant.expiresAt <= entry.at)
    return refuse({ reason: "grant_closed", detail: "the grant has expired" });
  entry.journal.push(voidGrant(account.wallet, grant, entry.at));
  return ok(grant);
}

/** A currency is in use once anything was granted or debited. */
export const currencyInUse = (account: Account): boolean =>
  account.wallet.grants.size > 0 || account.journalEntries > 0;

export type PatchRefusal =
  | { reason: "currency_mismatch"; wallet: string; table: string }
  | { reason: "unknown_burn_table"; detail: string };

/** Changes a wallet's settings, all or none. The currency may change only before the first movement. */
export function patchWallet(
  account: Account,
  entry: LogEntry,
  patch: WalletPatch,
  rating: Rating,
): Result<null, PatchRefusal> {
  const { wallet } = account;
  const currency = patch.currency ?? wallet.currency;
  if (currency !== wallet.currency && currencyInUse(account)) {
    return refuse({ reason: "currency_mismatch", wallet: wallet.currency, table: currency });
  }
  if (typeof patch.burnTable === "string") {
    const versions = rating.tables.get(patch.burnTable);
    if (!versions || versions.length === 0) {
      return refuse({
        reason: "unknown_burn_table",
        detail: `this namespace has no burn table with the key ${JSON.stringify(patch.burnTable)}`,
      });
    }
    const other = versions.find((version) => version.table.currency !== currency);
    if (other) return refuse({ reason: "currency_mismatch", wallet: currency, table: other.table.currency });
  }
  setPatch(account, entry, patch);
  return ok(null);
}

export function setPatch(account: Account, entry: LogEntry, patch: WalletPatch): void {
  entry.patch = { ...entry.patch, ...patch };
  applyPatch(account.wallet, patch);
}

function applyPatch(wallet: Wallet, patch: WalletPatch): void {
  if (patch.overdraftLimit !== undefined) wallet.overdraftLimit = patch.overdraftLimit;
  if (patch.currency !== undefined) wallet.currency = patch.currency;
  if (patch.burnTable !== undefined) wallet.burnTable = patch.burnTable;
  if (patch.frozen !== undefined) wallet.frozen = patch.frozen;
}
