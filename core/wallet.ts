/**
 * A customer's wallet: what it holds, what it owes, and every way its balance moves.
 * Each function moves the wallet and returns the journal entries that say so; applying those entries to the wallet as it was
 * gives the wallet as it is (`post`), which is how a log is replayed. Burns at processing time. Pure; `at` comes in.
 *
 * Invariants: balance = Σ journal = Σ remaining of activated grants − owed; while something is owed no grant holds credits.
 */
import { maxDecimal, minDecimal, type Decimal } from "./decimal";
import { burn, burnOrder, type Grant } from "./grant";
import type { JournalEntry } from "./journal";
import { assert } from "./result";

/** A wallet keeps every grant it ever had; past this, new ones are refused (docs/limits.md). */
export const GRANTS_MAX = 10_000;
export const DEFAULT_CURRENCY = "CREDITS";

export interface Wallet {
  currency: string;
  frozen: boolean;
  overdraftLimit: Decimal;
  /** The key of the customer's own burn table; null: the namespace's default. */
  burnTable: string | null;
  balance: Decimal;
  held: Decimal;
  /** Debited past all grants; the next grant repays it first. */
  owed: Decimal;
  grants: Map<string, Grant>;
  /** Usable grants in burn order, and the earliest time anything may fall due: views of `grants`, kept in step. */
  burnable: Grant[];
  nextDueAt: number;
  last: { amount: Decimal; reason: string; timestamp: number } | null;
}

export function emptyWallet(): Wallet {
  return {
    currency: DEFAULT_CURRENCY,
    frozen: false,
    overdraftLimit: 0n,
    burnTable: null,
    balance: 0n,
    held: 0n,
    owed: 0n,
    grants: new Map(),
    burnable: [],
    nextDueAt: Infinity,
    last: null,
  };
}

export const available = (wallet: Wallet): Decimal => wallet.balance - wallet.held;

/** What an enforced call may still take. Never negative. */
export const spendable = (wallet: Wallet): Decimal => maxDecimal(0n, available(wallet) + wallet.overdraftLimit);

export type WalletStatus = "ACTIVE" | "EXHAUSTED" | "FROZEN";

export function walletStatus(wallet: Wallet): WalletStatus {
  if (wallet.frozen) return "FROZEN";
  return spendable(wallet) > 0n ? "ACTIVE" : "EXHAUSTED";
}

/** Applies one journal entry. The only function that changes balance, owed, and what grants hold. */
export function post(wallet: Wallet, entry: JournalEntry): void {
  let moved = 0n;
  for (const [grantId, delta] of entry.moves) {
    const grant = wallet.grants.get(grantId);
    assert(grant, "a journal entry moves a grant that exists");
    grant.remaining += delta;
    assert(grant.remaining >= 0n && grant.remaining <= grant.amount, "a grant holds between nothing and its amount");
    moved += delta;
  }
  assert(entry.amount === moved - entry.owed, "a journal entry accounts for all it moves");
  wallet.owed += entry.owed;
  assert(wallet.owed >= 0n, "nobody owes less than nothing");
  wallet.balance += entry.amount;
  wallet.last = { amount: entry.amount, reason: entry.reason, timestamp: entry.timestamp };
  if (entry.grantId !== undefined) {
    const grant = wallet.grants.get(entry.grantId);
    assert(grant, "a journal entry names a grant that exists");
    if (entry.type === "grant") grant.activated = true;
    if (entry.type === "void") grant.voidedAt ??= entry.timestamp;
  }
  // A debit rarely empties a grant: the views are rebuilt only when the set of usable grants changes.
  if (
    entry.grantId !== undefined ||
    entry.moves.some(([id, delta]) => delta > 0n || wallet.grants.get(id)?.remaining === 0n)
  )
    refreshViews(wallet);
}

function refreshViews(wallet: Wallet): void {
  wallet.burnable = [...wallet.grants.values()].filter((grant) => grant.remaining > 0n).sort(burnOrder);
  wallet.nextDueAt = Infinity;
  for (const grant of wallet.grants.values()) wallet.nextDueAt = Math.min(wallet.nextDueAt, dueAt(grant));
}

/** Builds the view that `post` keeps in step; for a wallet just read from a checkpoint. */
export function restoreWallet(wallet: Omit<Wallet, "burnable" | "nextDueAt">): Wallet {
  const restored = { ...wallet, burnable: [], nextDueAt: Infinity };
  refreshViews(restored);
  return restored;
}

/**
 * Debits a cost that is a fact: in full, whatever the balance. What credits and overdraft cover is the `debit` entry,
 * the rest a `shortfall`. A cost of zero moves nothing and leaves no entry.
 */
export function debit(
  wallet: Wallet,
  cost: Decimal,
  what: { reason: string; timestamp: number; event?: { index: number; id: string } },
): JournalEntry[] {
  assert(cost >= 0n, "a cost is never negative");
  if (cost === 0n) return [];
  const { taken, overage } = burn(wallet.burnable, cost);
  const covered = minDecimal(cost, maxDecimal(spendable(wallet), cost - overage));
  const entries: JournalEntry[] = [];
  if (covered > 0n) {
    const moves = taken.map(([id, amount]): [string, Decimal] => [id, -amount]);
    entries.push({ type: "debit", amount: -covered, ...what, moves, owed: covered - (cost - overage) });
  }
  if (covered < cost)
    entries.push({ type: "shortfall", amount: covered - cost, ...what, moves: [], owed: cost - covered });
  for (const entry of entries) post(wallet, entry);
  return entries;
}

/** What an event has moved so far: of its debit and every adjustment of it. Amount = Σ moves − owed. */
export interface Paid {
  moves: [grantId: string, delta: Decimal][];
  owed: Decimal;
}

/**
 * Corrects what an event has cost, in one entry: `paid` is what it moved so far, `cost` what it should have. A higher cost is taken
 * like any debit that is a fact. A lower one undoes what is owed first, because nobody owes while holding credits; then credits return to
 * the grants they came from, and past those (a later grant repaid the shortfall) to the grants that burnt last. Credits of a grant that
 * has ended meanwhile end again at once, visibly: call `settle` next. Null: nothing changes.
 */
export function adjust(
  wallet: Wallet,
  paid: Paid,
  cost: Decimal,
  what: { reason: string; timestamp: number; event: { index: number; id: string } },
): JournalEntry | null {
  const before = paid.owed - paid.moves.reduce((sum, [, delta]) => sum + delta, 0n);
  const more = cost - before;
  if (more === 0n) return null;
  const entry: JournalEntry = { type: "adjust", amount: -more, ...what, moves: [], owed: 0n };
  if (more > 0n) {
    const { taken, overage } = burn(wallet.burnable, more);
    entry.moves = taken.map(([id, amount]): [string, Decimal] => [id, -amount]);
    entry.owed = overage;
  } else {
    const repaid = minDecimal(-more, wallet.owed);
    entry.owed = -repaid;
    entry.moves = returned(wallet, paid, -more - repaid);
  }
  post(wallet, entry);
  return entry;
}

/** Which grants take credits back: first those that this event took them from, the last first; then whichever burnt last. */
function returned(wallet: Wallet, { moves }: Paid, credits: Decimal): [string, Decimal][] {
  const back = new Map<string, Decimal>();
  let left = credits;
  const give = (grant: Grant, most: Decimal): void => {
    const given = back.get(grant.id) ?? 0n;
    const part = minDecimal(minDecimal(left, most), grant.amount - grant.remaining - given);
    if (part <= 0n) return;
    back.set(grant.id, given + part);
    left -= part;
  };
  for (const [id, delta] of moves.toReversed()) {
    const grant = wallet.grants.get(id);
    assert(grant, "a journal entry moves a grant that exists");
    give(grant, -delta);
  }
  const burnt = [...wallet.grants.values()].filter((grant) => grant.activated);
  for (const grant of burnt.sort((a, b) => burnOrder(b, a))) give(grant, left);
  assert(left === 0n, "what was debited came from grants, or is owed");
  return [...back];
}

/** Adds a grant. Its credits enter when it takes effect, which `settle` notices; call it next. */
export function addGrant(wallet: Wallet, grant: Grant): void {
  assert(!wallet.grants.has(grant.id), "a grant is added once");
  wallet.grants.set(grant.id, grant);
  wallet.nextDueAt = Math.min(wallet.nextDueAt, dueAt(grant));
}

/** When something falls due for a grant: it takes effect, or it expires with credits left. */
function dueAt(grant: Grant): number {
  // Credits that came back to a voided grant are taken back again.
  if (grant.voidedAt !== null) return grant.remaining > 0n ? grant.voidedAt : Infinity;
  if (!grant.activated) return grant.effectiveAt;
  return grant.remaining > 0n ? (grant.expiresAt ?? Infinity) : Infinity;
}

/** When the wallet must be settled next; null: nothing will fall due. */
export const nextDeadline = (wallet: Wallet): number | null =>
  wallet.nextDueAt === Infinity ? null : wallet.nextDueAt;

/** Runs what fell due up to and including `at`, in order of time; at the same time credits expire before others enter. */
export function settle(wallet: Wallet, at: number): JournalEntry[] {
  const entries: JournalEntry[] = [];
  while (wallet.nextDueAt <= at) {
    const grant = firstDue(wallet);
    const entry =
      grant.voidedAt !== null ? takeBack(grant, at) : grant.activated ? expiry(grant) : activation(wallet, grant);
    post(wallet, entry);
    entries.push(entry);
  }
  return entries;
}

function firstDue(wallet: Wallet): Grant {
  const due = [...wallet.grants.values()].filter((grant) => dueAt(grant) === wallet.nextDueAt);
  const first = due.find((grant) => grant.activated) ?? due[0];
  assert(first, "something is due when the wallet says so");
  return first;
}

/** The credits enter; what is owed is repaid first. */
function activation(wallet: Wallet, grant: Grant): JournalEntry {
  const repaid = minDecimal(wallet.owed, grant.amount);
  return {
    type: "grant",
    amount: grant.amount,
    reason: grant.reason,
    timestamp: grant.effectiveAt,
    grantId: grant.id,
    moves: [[grant.id, grant.amount - repaid]],
    owed: -repaid,
  };
}

function expiry(grant: Grant): JournalEntry {
  assert(grant.expiresAt !== null, "only a grant with an expiry expires");
  return {
    type: "expire",
    amount: -grant.remaining,
    reason: grant.reason,
    timestamp: grant.expiresAt,
    grantId: grant.id,
    moves: [[grant.id, -grant.remaining]],
    owed: 0n,
  };
}

/** Takes back what is left of a grant; one that has not taken effect never will. */
export function voidGrant(wallet: Wallet, grant: Grant, at: number): JournalEntry {
  const entry = takeBack(grant, at);
  post(wallet, entry);
  return entry;
}

const takeBack = (grant: Grant, at: number): JournalEntry => ({
  type: "void",
  amount: -grant.remaining,
  reason: grant.reason,
  timestamp: at,
  grantId: grant.id,
  moves: grant.remaining === 0n ? [] : [[grant.id, -grant.remaining]],
  owed: 0n,
});
