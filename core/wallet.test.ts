import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decimal, formatDecimal } from "./decimal";
import { grantStatus, type Grant } from "./grant";
import type { JournalEntry } from "./journal";
import {
  addGrant,
  available,
  debit,
  emptyWallet,
  nextDeadline,
  post,
  settle,
  spendable,
  voidGrant,
  walletStatus,
  type Wallet,
} from "./wallet";

const grant = (wallet: Wallet, given: Partial<Grant> & { amount: bigint }): Grant => ({
  id: `g${wallet.grants.size}`,
  remaining: 0n,
  kind: "paid",
  priority: 0,
  effectiveAt: 0,
  expiresAt: null,
  reason: "top up",
  createdAt: 0,
  order: wallet.grants.size,
  activated: false,
  voidedAt: null,
  ...given,
});

/** A wallet with these grants, settled at `at`. */
function walletWith(grants: (Partial<Grant> & { amount: bigint })[], at = 0): Wallet {
  const wallet = emptyWallet();
  for (const given of grants) addGrant(wallet, grant(wallet, given));
  settle(wallet, at);
  return wallet;
}

const units = (text: string): bigint => decimal(text);
const usage = (timestamp = 0) => ({ reason: "gpt-4", timestamp, event: { index: 0, id: "e" } });
const left = (wallet: Wallet): Record<string, string> =>
  Object.fromEntries([...wallet.grants.values()].map((g) => [g.id, formatDecimal(g.remaining)]));
const amounts = (entries: JournalEntry[]): [string, string][] => entries.map((e) => [e.type, formatDecimal(e.amount)]);

describe("burn order", () => {
  it("burns by priority, then earliest expiry, then creation", () => {
    const wallet = walletWith([
      { id: "late", amount: units("10"), priority: 1 },
      { id: "never expires", amount: units("10") },
      { id: "expires second", amount: units("10"), expiresAt: 200 },
      { id: "expires first", amount: units("10"), expiresAt: 100 },
      { id: "expires first, made later", amount: units("10"), expiresAt: 100 },
    ]);
    debit(wallet, units("45"), usage());
    expect(left(wallet)).toEqual({
      "expires first": "0",
      "expires first, made later": "0",
      "expires second": "0",
      "never expires": "0",
      late: "5",
    });
    const again = walletWith([
      { id: "a", amount: units("10") },
      { id: "b", amount: units("10"), expiresAt: 9 },
    ]);
    debit(again, units("12"), usage());
    expect(left(again)).toEqual({ a: "8", b: "0" });
  });
});

describe("debit of a fact", () => {
  it("takes what there is as a debit and records the rest as a shortfall", () => {
    const wallet = walletWith([{ amount: units("10") }]);
    expect(amounts(debit(wallet, units("12.5"), usage()))).toEqual([
      ["debit", "-10"],
      ["shortfall", "-2.5"],
    ]);
    expect(formatDecimal(wallet.balance)).toBe("-2.5");
    expect(walletStatus(wallet)).toBe("EXHAUSTED");
  });

  it("counts the overdraft limit as covered, not as shortfall", () => {
    const wallet = walletWith([{ amount: units("10") }]);
    wallet.overdraftLimit = units("2");
    expect(amounts(debit(wallet, units("12.5"), usage()))).toEqual([
      ["debit", "-12"],
      ["shortfall", "-0.5"],
    ]);
    expect(spendable(wallet)).toBe(0n);
  });

  it("leaves no entry for a cost of zero", () => {
    expect(debit(walletWith([]), 0n, usage())).toEqual([]);
  });

  it("is repaid first by the next grant", () => {
    const wallet = walletWith([]);
    debit(wallet, units("4"), usage());
    addGrant(wallet, grant(wallet, { id: "new", amount: units("10"), effectiveAt: 5 }));
    expect(amounts(settle(wallet, 5))).toEqual([["grant", "10"]]);
    expect(left(wallet)).toEqual({ new: "6" });
    expect(formatDecimal(wallet.balance)).toBe("6");
    expect(wallet.owed).toBe(0n);
  });
});

describe("time", () => {
  it("lets credits in at effectiveAt and takes what is left at expiresAt", () => {
    const wallet = walletWith([{ amount: units("10"), effectiveAt: 100, expiresAt: 200 }], 99);
    expect(wallet.balance).toBe(0n);
    expect(nextDeadline(wallet)).toBe(100);
    settle(wallet, 100);
    debit(wallet, units("3"), usage(150));
    expect(nextDeadline(wallet)).toBe(200);
    expect(settle(wallet, 199)).toEqual([]);
    const [expired] = settle(wallet, 1_000);
    expect(expired).toMatchObject({ type: "expire", amount: units("-7"), timestamp: 200 });
    expect(wallet.balance).toBe(0n);
    expect(nextDeadline(wallet)).toBe(null);
  });

  it("runs what fell due in order of time, expiry before entry at the same time", () => {
    const wallet = walletWith(
      [
        { id: "a", amount: units("1"), expiresAt: 10 },
        { id: "b", amount: units("2"), effectiveAt: 10, expiresAt: 30 },
        { id: "c", amount: units("3"), effectiveAt: 5 },
      ],
      1,
    );
    expect(settle(wallet, 30).map((e) => [e.type, e.grantId])).toEqual([
      ["grant", "c"],
      ["expire", "a"],
      ["grant", "b"],
      ["expire", "b"],
    ]);
  });

  it("knows a grant as pending, active, exhausted, expired and voided", () => {
    const wallet = walletWith(
      [
        { amount: units("1"), effectiveAt: 10, expiresAt: 20 },
        { id: "v", amount: units("1") },
      ],
      0,
    );
    const first = wallet.grants.get("g0")!;
    expect(grantStatus(first, 9)).toBe("pending");
    settle(wallet, 10);
    expect(grantStatus(first, 10)).toBe("active");
    voidGrant(wallet, wallet.grants.get("v")!, 11);
    expect(grantStatus(wallet.grants.get("v")!, 11)).toBe("voided");
    debit(wallet, units("1"), usage(12));
    expect(grantStatus(first, 12)).toBe("exhausted");
    expect(grantStatus(first, 20)).toBe("expired");
  });

  it("takes back what is left of a voided grant, and a pending one never enters", () => {
    const wallet = walletWith([
      { id: "now", amount: units("10") },
      { id: "later", amount: units("5"), effectiveAt: 50 },
    ]);
    debit(wallet, units("4"), usage());
    expect(voidGrant(wallet, wallet.grants.get("now")!, 1).amount).toBe(units("-6"));
    expect(voidGrant(wallet, wallet.grants.get("later")!, 1).amount).toBe(0n);
    expect(settle(wallet, 100)).toEqual([]);
    expect(wallet.balance).toBe(0n);
  });
});

describe("any sequence of grants, debits, voids and time", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("grant" as const),
      amount: fc.bigInt(1n, 10n ** 15n),
      priority: fc.nat(3),
      wait: fc.nat(50),
      lives: fc.option(fc.integer({ min: 1, max: 100 })),
    }),
    fc.record({ kind: fc.constant("debit" as const), amount: fc.bigInt(0n, 10n ** 15n) }),
    fc.record({ kind: fc.constant("void" as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant("time" as const), by: fc.nat(60) }),
    fc.record({ kind: fc.constant("overdraft" as const), limit: fc.bigInt(0n, 10n ** 14n) }),
  );

  it("keeps balance = Σ journal = credits − owed, and the journal replays to the same wallet", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const wallet = emptyWallet();
        const twin = emptyWallet();
        const journal: JournalEntry[] = [];
        const apply = (entries: JournalEntry[]) => {
          journal.push(...entries);
          for (const entry of entries) post(twin, entry);
        };
        let at = 0;
        for (const s of steps) {
          if (s.kind === "time") at += s.by;
          apply(settle(wallet, at));
          if (s.kind === "grant") {
            const effectiveAt = at + s.wait;
            const made = {
              amount: s.amount,
              priority: s.priority,
              effectiveAt,
              expiresAt: s.lives === null ? null : effectiveAt + s.lives,
            };
            addGrant(wallet, grant(wallet, made));
            addGrant(twin, grant(twin, made));
          } else if (s.kind === "debit") {
            const before = { free: spendable(wallet), balance: wallet.balance };
            const entries = debit(wallet, s.amount, usage(at));
            apply(entries);
            expect(wallet.balance).toBe(before.balance - s.amount);
            const short = entries.find((e) => e.type === "shortfall");
            expect(short !== undefined).toBe(s.amount > before.free);
          } else if (s.kind === "void") {
            const which = [...wallet.grants.values()][s.which];
            if (which && which.voidedAt === null && (which.expiresAt ?? Infinity) > at)
              apply([voidGrant(wallet, which, at)]);
          } else if (s.kind === "overdraft") wallet.overdraftLimit = s.limit;
          const credits = [...wallet.grants.values()].reduce((sum, g) => sum + g.remaining, 0n);
          expect(wallet.balance).toBe(journal.reduce((sum, e) => sum + e.amount, 0n));
          expect(wallet.balance).toBe(credits - wallet.owed);
          expect(wallet.owed === 0n || credits === 0n).toBe(true);
          expect(available(wallet)).toBe(wallet.balance);
        }
        twin.overdraftLimit = wallet.overdraftLimit;
        expect(twin).toEqual(wallet);
      }),
    );
  });
});
