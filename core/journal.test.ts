import { createHash } from "node:crypto";
import { decodeTime, isValid } from "ulid";
import { describe, expect, it } from "vitest";
import { decimal } from "./decimal";
import {
  base32,
  chainEntries,
  GENESIS_HASH,
  listEntries,
  locateTransaction,
  makeTag,
  type JournalEntry,
} from "./journal";

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
    const calls = [
      [movement("-2.5", { event: { index: 0, id: "evt-1" } }), movement("4", { type: "grant", grantId: "g" })],
      [movement("-1")],
    ];
    let at = start;
    let head = GENESIS_HASH;
    const balances: string[] = [];
    for (const call of calls) {
      const listed = listEntries(call, at, sha256);
      for (const t of listed) {
        const form = [head, t.id, t.type, t.amount, t.balanceAfter, t.reason, t.eventId, t.grantId, t.timestamp];
        expect(t.hash).toBe(sha256(JSON.stringify(form)));
        balances.push(t.balanceAfter);
      }
      const lines = listed.map((t) => [t.type, t.amount, t.reason, t.eventId, t.grantId, t.timestamp]);
      head = sha256(JSON.stringify([head, listed[0]!.id, listed.at(-1)!.balanceAfter, lines]));
      const chained = chainEntries(call, at, sha256);
      expect(chained.head).toBe(head);
      at = { ...at, seq: at.seq + 1, ...chained };
    }
    expect(balances).toEqual(["7.5", "11.5", "10.5"]);
  });

  it("changes with every field of every entry, and with what came before", () => {
    const hashes = (entry: JournalEntry, from = start) => [
      chainEntries([entry], from, sha256).head,
      listEntries([entry], from, sha256)[0]!.hash,
    ];
    const base = hashes(movement("-1"));
    const changed = [
      movement("-2"),
      movement("-1", { reason: "x" }),
      movement("-1", { timestamp: 1 }),
      movement("-1", { type: "shortfall" }),
      movement("-1", { event: { index: 0, id: "e" } }),
      movement("-1", { grantId: "g" }),
    ].map((entry) => hashes(entry));
    const moved = [{ seq: 13 }, { at: 1 }, { balance: 0n }, { head: "f".repeat(64) }].map((other) =>
      hashes(movement("-1"), { ...start, ...other }),
    );
    for (const [head, hash] of [...changed, ...moved]) {
      expect(head).not.toBe(base[0]);
      expect(hash).not.toBe(base[1]);
    }
  });

  it("lists a part of a call's entries as it lists them all", () => {
    const call = Array.from({ length: 9 }, (_, i) => movement(`-${i + 1}`));
    expect(listEntries(call, start, sha256, { from: 3, to: 6 })).toEqual(listEntries(call, start, sha256).slice(3, 6));
  });
});

describe("a transaction id", () => {
  it("is a ULID of the entry's time that says where the entry is", () => {
    const [, second] = listEntries([movement("-1"), movement("-1")], start, sha256);
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
