import { createHash } from "node:crypto";
import { decodeTime, isValid } from "ulid";
import { describe, expect, it } from "vitest";
import { decimal } from "./decimal";
import { base32, chain, GENESIS_HASH, locateTransaction, makeTag, type JournalEntry } from "./journal";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const movement = (amount: string, more: Partial<JournalEntry> = {}): JournalEntry => ({
  type: "debit",
  amount: decimal(amount),
  reason: "gpt-4",
  timestamp: 1_700_000_000_000,
  moves: [],
  owed: 0n,
  ...more,
});
const start = { at: 1_700_000_000_000, tag: makeTag(77), seq: 12, balance: decimal("10"), head: GENESIS_HASH };

describe("the journal's chain", () => {
  it("can be checked from the listed transactions and docs/journal.md alone", () => {
    const { transactions, balance, head } = chain(
      [movement("-2.5", { event: { index: 0, id: "evt-1" } }), movement("4", { type: "grant", grantId: "g" })],
      start,
      sha256,
    );
    const lines = transactions.map((t) => [t.type, t.amount, t.reason, t.eventId, t.grantId, t.timestamp]);
    const form = JSON.stringify(["0".repeat(64), transactions[0]!.id, transactions.at(-1)!.balanceAfter, lines]);
    expect(transactions.map((t) => t.hash)).toEqual([sha256(form), sha256(form)]);
    expect(transactions.map((t) => t.balanceAfter)).toEqual(["7.5", "11.5"]);
    expect(balance).toBe(decimal("11.5"));
    expect(head).toBe(sha256(form));
  });

  it("changes with every field of every entry", () => {
    const base = chain([movement("-1")], start, sha256).head;
    const changed = [
      movement("-2"),
      movement("-1", { reason: "x" }),
      movement("-1", { timestamp: 1 }),
      movement("-1", { type: "shortfall" }),
      movement("-1", { event: { index: 0, id: "e" } }),
      movement("-1", { grantId: "g" }),
    ];
    for (const entry of changed) expect(chain([entry], start, sha256).head).not.toBe(base);
    for (const other of [{ seq: 13 }, { at: 1 }, { balance: 0n }, { head: "f".repeat(64) }]) {
      expect(chain([movement("-1")], { ...start, ...other }, sha256).head).not.toBe(base);
    }
  });
});

describe("a transaction id", () => {
  it("is a ULID of the entry's time that says where the entry is", () => {
    const [, second] = chain([movement("-1"), movement("-1")], start, sha256).transactions;
    expect(isValid(second!.id)).toBe(true);
    expect(decodeTime(second!.id)).toBe(start.at);
    expect(locateTransaction(second!.id, start.tag)).toEqual({ seq: 12, index: 1 });
    expect(locateTransaction(second!.id, makeTag(78))).toBe(null);
    expect(locateTransaction("not an id", start.tag)).toBe(null);
  });

  it("sorts by entry, then by place in it", () => {
    const ids = [
      [1, 0],
      [1, 1],
      [1, 31],
      [1, 32],
      [2, 0],
      [40, 0],
    ].map(([seq, index]) => base32(seq!, 8) + base32(index!, 4));
    expect(ids.toSorted()).toEqual(ids);
  });
});
