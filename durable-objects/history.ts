/**
 * Reads the wallet's past out of the log: pages of transactions, newest first, and the check of the whole chain, in slices.
 * Read only; the answer of a slice carries all that the next one needs.
 */
import { chainStart, type Account } from "../core/account";
import { formatDecimal } from "../core/decimal";
import { parseExact } from "../core/exact-json";
import { chainEntries, GENESIS_HASH, listEntries, locateTransaction } from "../core/journal";
import { decodeEntry } from "../core/log-entry";
import { transactionView, type TransactionView } from "../core/views";
import type { AccountStore } from "./account-store";
import { sha256 } from "./sha256";

/** Journal entries checked by one `verify` call: about a tenth of a second. */
export const VERIFY_SLICE = 20_000;

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** Transactions before the one that `cursor` names (null: from the newest); null when the cursor names none of this wallet. */
export function transactionsPage(
  store: AccountStore,
  account: Account,
  cursor: string | null,
  limit: number,
): Page<TransactionView> | null {
  if (!account.identity) return { items: [], nextCursor: null };
  const { tag } = account.identity;
  const place = cursor === null ? { seq: account.seq + 1, index: 0 } : locateTransaction(cursor, tag);
  if (!place) return null;
  const items: TransactionView[] = [];
  for (const { json } of store.log.backward(place.seq + 1, { journalOnly: true })) {
    const entry = decodeEntry(json, parseExact);
    const to = entry.seq === place.seq ? Math.min(place.index, entry.journal.length) : entry.journal.length;
    // One more than the page takes tells whether there is a next one.
    const from = Math.max(0, to - (limit + 1 - items.length));
    const listed = listEntries(entry.journal, chainStart(entry, tag), sha256, { from, to });
    for (const transaction of listed.toReversed()) {
      if (items.length === limit) return { items, nextCursor: items.at(-1)!.id };
      items.push(transactionView(transaction));
    }
  }
  return { items, nextCursor: null };
}

export interface VerifySlice {
  valid: boolean;
  entries: number;
  balance: string;
  head: string;
  /** Where to go on; null: done. */
  next: string | null;
  /** What is wrong, when it is not valid. */
  detail: string | null;
}

interface VerifyState {
  seq: number;
  entries: number;
  balance: string;
  head: string;
}

/** Recomputes balances and hashes from the log, from `from` (null: the start) for about VERIFY_SLICE journal entries. */
export function verifySlice(store: AccountStore, account: Account, from: string | null): VerifySlice {
  const start: VerifyState =
    from === null ? { seq: 0, entries: 0, balance: "0", head: GENESIS_HASH } : (JSON.parse(from) as VerifyState);
  let { seq, entries, head } = start;
  let balance = BigInt(start.balance);
  const broken = (detail: string): VerifySlice => ({
    valid: false,
    entries,
    balance: formatDecimal(balance),
    head,
    next: null,
    detail,
  });
  if (account.identity) {
    const last = entries + VERIFY_SLICE;
    for (const stored of store.log.forward(seq + 1, { journalOnly: true })) {
      const entry = decodeEntry(stored.json, parseExact);
      if (entry.journal.length > 0) {
        if (entry.before.balance !== balance) return broken(`log entry ${entry.seq} starts from another balance`);
        if (entry.before.head !== head) return broken(`log entry ${entry.seq} does not follow the hash before it`);
        ({ balance, head } = chainEntries(entry.journal, chainStart(entry, account.identity.tag), sha256));
        entries += entry.journal.length;
      }
      seq = entry.seq;
      if (entries >= last && seq < account.seq) {
        const next: VerifyState = { seq, entries, balance: balance.toString(), head };
        return {
          valid: true,
          entries,
          balance: formatDecimal(balance),
          head,
          next: JSON.stringify(next),
          detail: null,
        };
      }
    }
  }
  if (balance !== account.wallet.balance) return broken("the balance is not the sum of the journal");
  if (head !== account.head) return broken("the last hash is not the head of the chain");
  if (entries !== account.journalEntries) return broken("the journal has another number of entries");
  return { valid: true, entries, balance: formatDecimal(balance), head, next: null, detail: null };
}
