/**
 * The wallet's journal: append-only entries whose amounts sum to the balance, chained by hashes.
 * Knows the canonical form that is hashed and how a transaction id carries its place in the log; not what moves money or where it is kept.
 * The form is documented for outsiders in docs/journal.md: change neither without a new version there.
 */
import { formatDecimal, type Decimal } from "./decimal";

export const TRANSACTION_TYPES = [
  "grant",
  "debit",
  "shortfall",
  "hold",
  "capture",
  "release",
  "expire",
  "void",
  "refund",
  "adjust",
  "transfer",
] as const;
export type TransactionType = (typeof TRANSACTION_TYPES)[number];

/** One movement of a wallet. amount = Σ moves − owed, always. */
export interface JournalEntry {
  type: TransactionType;
  amount: Decimal;
  reason: string;
  /** Epoch ms: when the money moved; an expiry carries the time it expired, not the time it was noticed. */
  timestamp: number;
  /** The event that caused it: its position in the log entry, and its id. */
  event?: { index: number; id: string };
  /** The grant that entered, expired or was voided. */
  grantId?: string;
  /** What each grant gained (+) or gave (−). */
  moves: [grantId: string, delta: Decimal][];
  /** What the customer owes past its grants changed by this much. */
  owed: Decimal;
}

/** The hash before the first entry. */
export const GENESIS_HASH = "0".repeat(64);

/** sha-256 of UTF-8 text as lower-case hex; handed in by the platform. */
export type Sha256 = (text: string) => string;

/** Where a log entry's journal entries begin: its time, the object's tag, its number, and balance and hash before it. */
export interface ChainStart {
  at: number;
  tag: string;
  seq: number;
  balance: Decimal;
  head: string;
}

/**
 * What is hashed of journal entries, and stored of them: a JSON array of
 * [type, amount, reason, event id or null, grant id or null, timestamp in epoch ms].
 */
export function journalLines(entries: readonly JournalEntry[]): string {
  return JSON.stringify(
    entries.map(({ type, amount, reason, event, grantId, timestamp }) => [
      type,
      formatDecimal(amount),
      reason,
      event?.id ?? null,
      grantId ?? null,
      timestamp,
    ]),
  );
}

/**
 * The hash after the journal entries of one log entry: sha-256 of the JSON array [hash before, id of the first entry, balance after,
 * lines] without white space. One hash per call, not per line: a batch of 100 debits would spend half its CPU on a hundred of them.
 */
export function hashLines(lines: string, balanceAfter: Decimal, start: ChainStart, sha256: Sha256): string {
  return sha256(`["${start.head}","${firstId(start)}","${formatDecimal(balanceAfter)}",${lines}]`);
}

const firstId = ({ at, tag, seq }: ChainStart): string => transactionIdPrefix(at, tag, seq) + base32(0, INDEX_CHARS);

/** A journal entry as it is listed: numbered, with the balance after it and its hash. */
export interface Transaction {
  id: string;
  type: TransactionType;
  amount: string;
  balanceAfter: string;
  reason: string;
  eventId: string | null;
  grantId: string | null;
  timestamp: number;
  hash: string;
}

/**
 * A log entry's journal entries as they are listed, those from `from` up to `to`. The hash of one is sha-256 of the JSON array
 * [hash before, id, type, amount, balanceAfter, reason, event id or null, grant id or null, timestamp in epoch ms], where the hash before
 * is that of all entries before this log entry (`hashLines`).
 */
export function listEntries(
  entries: readonly JournalEntry[],
  start: ChainStart,
  sha256: Sha256,
  { from = 0, to = entries.length } = {},
): Transaction[] {
  const prefix = transactionIdPrefix(start.at, start.tag, start.seq);
  const listed: Transaction[] = [];
  let { balance } = start;
  for (let index = 0; index < to; index++) {
    const entry = entries[index]!;
    balance += entry.amount;
    if (index < from) continue;
    const line = {
      id: prefix + base32(index, INDEX_CHARS),
      type: entry.type,
      amount: formatDecimal(entry.amount),
      balanceAfter: formatDecimal(balance),
      reason: entry.reason,
      eventId: entry.event?.id ?? null,
      grantId: entry.grantId ?? null,
      timestamp: entry.timestamp,
    };
    listed.push({ ...line, hash: sha256(JSON.stringify([start.head, ...Object.values(line)])) });
  }
  return listed;
}

/** Balance and hash after the entries of one log entry. */
export function chainEntries(
  entries: readonly JournalEntry[],
  start: ChainStart,
  sha256: Sha256,
): { balance: Decimal; head: string } {
  if (entries.length === 0) return { balance: start.balance, head: start.head };
  const balance = entries.reduce((sum, { amount }) => sum + amount, start.balance);
  return { balance, head: hashLines(journalLines(entries), balance, start, sha256) };
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TAG_CHARS = 4;
const SEQ_CHARS = 8;
const INDEX_CHARS = 4;

/** `value` in Crockford base32, most significant first, `chars` wide. */
export function base32(value: number, chars: number): string {
  let text = "";
  let left = value;
  for (let i = 0; i < chars; i++) {
    text = CROCKFORD[left % 32]! + text;
    left = Math.floor(left / 32);
  }
  return text;
}

/**
 * A transaction id is a ULID: 48 bits of time, then, where a ULID has randomness, the object's random tag (20 bits),
 * the log entry's number (40 bits) and the position in it (20 bits). Sorted ids are creation order, and an id finds its entry.
 */
export function transactionIdPrefix(at: number, tag: string, seq: number): string {
  return base32(at, 10) + tag + base32(seq, SEQ_CHARS);
}

export function makeTag(random20Bits: number): string {
  return base32(random20Bits, TAG_CHARS);
}

/** Where the id says its journal entry is, or null when it is no transaction id of this object. */
export function locateTransaction(id: string, tag: string): { seq: number; index: number } | null {
  if (id.length !== 26 || id.slice(10, 10 + TAG_CHARS) !== tag) return null;
  const seq = readBase32(id.slice(10 + TAG_CHARS, 10 + TAG_CHARS + SEQ_CHARS));
  const index = readBase32(id.slice(26 - INDEX_CHARS));
  return seq === null || index === null ? null : { seq, index };
}

function readBase32(text: string): number | null {
  let value = 0;
  for (const char of text) {
    const digit = CROCKFORD.indexOf(char);
    if (digit < 0) return null;
    value = value * 32 + digit;
  }
  return value;
}
