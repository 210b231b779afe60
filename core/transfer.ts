/**
 * A wallet moves into another one: every grant with what is left of it, and what is owed. One `transfer` entry on each side, the one
 * the other's mirror image, so in both the balance stays the sum of the journal, and the sum of both balances is what it was.
 */
import { minDecimal, type Decimal } from "./decimal";
import { burn, burnOrder, type Grant } from "./grant";
import type { JournalEntry } from "./journal";
import { assert } from "./result";
import { addGrant, post, type Wallet } from "./wallet";

const REASON = "merge";

/** Takes everything out of a wallet. Its grants stay, empty. Null: there is nothing to take. */
export function moveOut(wallet: Wallet, at: number): JournalEntry | null {
  assert(wallet.held === 0n, "a wallet that moves holds nothing for anybody");
  const moves = [...wallet.grants.values()]
    .filter(({ remaining }) => remaining > 0n)
    .map(({ id, remaining }): [string, Decimal] => [id, -remaining]);
  if (moves.length === 0 && wallet.owed === 0n) return null;
  return posted(wallet, { amount: -wallet.balance, moves, owed: -wallet.owed }, at);
}

/**
 * Puts it into another wallet: `arriving` are the grants as they were (`remaining` is what comes with each), `owed` what was owed there.
 * Nobody owes while holding credits: what either side owed is repaid from what the other holds. Null: nothing comes.
 */
export function moveIn(wallet: Wallet, arriving: readonly Grant[], owed: Decimal, at: number): JournalEntry | null {
  for (const grant of arriving) addGrant(wallet, { ...grant, remaining: 0n });
  if (owed > 0n) {
    const { taken, overage } = burn(wallet.burnable, owed);
    return posted(wallet, { amount: -owed, moves: taken.map(([id, amount]) => [id, -amount]), owed: overage }, at);
  }
  const full = arriving.filter(({ remaining }) => remaining > 0n).sort(burnOrder);
  if (full.length === 0) return null;
  const amount = full.reduce((sum, { remaining }) => sum + remaining, 0n);
  const repaid = minDecimal(wallet.owed, amount);
  const spent = new Map(burn(full, repaid).taken);
  const moves = full.map(({ id, remaining }): [string, Decimal] => [id, remaining - (spent.get(id) ?? 0n)]);
  return posted(wallet, { amount, moves: moves.filter(([, delta]) => delta > 0n), owed: -repaid }, at);
}

function posted(
  wallet: Wallet,
  moved: Pick<JournalEntry, "amount" | "moves" | "owed">,
  timestamp: number,
): JournalEntry {
  const entry: JournalEntry = { type: "transfer", reason: REASON, timestamp, ...moved };
  post(wallet, entry);
  return entry;
}
