import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  draftEntry,
  forgetRated,
  grantCredits,
  isDue,
  newAccount,
  patchWallet,
  rateLater,
  recordEvent,
  replay,
  seal,
  settleInto,
  takeBackGrant,
  trackEvent,
  type Account,
  type NewGrant,
  type Rating,
} from "./account";
import { compileTable, type BurnTable } from "./burn-table";
import { decodeAccount, encodeAccount } from "./checkpoint";
import { decimal, formatDecimal, ONE } from "./decimal";
import type { Json, UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { decodeEntry, encodeEntry, type Identity, type LogEntry } from "./log-entry";
import { trackedUsage } from "./tracked";
import { unratedAfter } from "./unrated";
import { eventUsage } from "./usage";
import { spendable } from "./wallet";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const identity = (): Identity => ({
  namespaceId: "ns",
  object: "ns/x",
  sandbox: false,
  customerId: "C",
  key: "user",
  epoch: "E",
  tag: "0000",
  createdAt: 0,
});

/** 2 credits per 1,000 tokens, and a table in dollars. */
const table = (over: Partial<BurnTable> = {}): BurnTable => ({
  key: "credits",
  version: 1,
  currency: "CREDITS",
  effectiveFrom: 0,
  markup: ONE,
  priceBook: null,
  mappings: [],
  rules: [{ dimension: "tokens", rate: decimal("2"), per: decimal("1000") }],
  ...over,
});
const ratingOf = (...tables: BurnTable[]): Rating => ({
  tables: new Map(Map.groupBy(tables.map(compileTable), ({ table: { key } }) => key)),
  defaults: tables.slice(0, 1).map(({ key }) => ({ key, from: 0 })),
  priceBook: { name: "genai-prices", version: "test", unitPrices: () => null },
});
const unpriced = ratingOf(table({ rules: [] }));
const rating = ratingOf(table(), table({ key: "usd", currency: "USD" }));

const event = (id: string, usage: Record<string, Json> | null, over: Partial<UsageEvent> = {}): UsageEvent => ({
  id,
  source: "test",
  type: "chat",
  subject: "user",
  time: 1_000,
  data: usage ? { usage } : { other: 1 },
  ...over,
});

/** Runs one command as the object does: settle what is due, decide, seal and keep the entry as it would be stored. */
function world() {
  const account = newAccount();
  const log: string[] = [];
  const keep = (entry: LogEntry) => {
    seal(account, entry, sha256);
    log.push(encodeEntry(entry));
  };
  const at = (now: number) => {
    if (account.identity && isDue(account, now)) {
      const entry = draftEntry(account, now, identity);
      settleInto(account, entry);
      keep(entry);
    }
    return draftEntry(account, now, identity);
  };
  return {
    account,
    log,
    settle: (now: number) => void at(now),
    grant(amount: string, over: Partial<NewGrant> = {}, now = 0) {
      const entry = at(now);
      const granted = grantCredits(account, entry, {
        id: `g${account.seq}`,
        amount: decimal(amount),
        currency: null,
        kind: "paid",
        priority: 0,
        effectiveAt: null,
        expiresAt: null,
        reason: "top up",
        ...over,
      });
      if (granted.ok) keep(entry);
      return granted;
    },
    record(events: UsageEvent[], now = 0, by = rating) {
      const entry = at(now);
      for (const each of events) recordEvent(account, entry, each, by);
      keep(entry);
    },
    track(each: UsageEvent, enforce: boolean, now = 0, by = rating) {
      const entry = at(now);
      const usage = trackedUsage(each);
      if (!usage.ok) throw new Error(usage.refusal.detail);
      const tracked = trackEvent(account, entry, { event: each, usage: usage.value, enforce }, by);
      if (tracked.ok) keep(entry);
      return tracked;
    },
    rateLater(by: Rating, now = 0) {
      const entry = at(now);
      for (const ref of unratedAfter(account.unrated, null, 100)) {
        const late = decodeEntry(log[ref.seq - 1]!, parseExact).events[ref.index]!;
        rateLater(account, entry, { ...ref, event: late, usage: eventUsage(late, [])! }, by);
      }
      forgetRated(account, entry);
      keep(entry);
    },
    patch(change: Parameters<typeof patchWallet>[2]) {
      const entry = at(0);
      const patched = patchWallet(account, entry, change, rating);
      if (patched.ok) keep(entry);
      return patched;
    },
    voidGrant(id: string, now = 0) {
      const entry = at(now);
      const voided = takeBackGrant(account, entry, id);
      if (voided.ok) keep(entry);
      return voided;
    },
  };
}

const replayed = (log: readonly string[], from: Account = newAccount()): Account => {
  for (const text of log) replay(from, decodeEntry(text, parseExact), sha256);
  return from;
};

const balance = ({ wallet }: Account): string => formatDecimal(wallet.balance);

describe("facts", () => {
  it("are debited in full, whatever the balance", () => {
    const w = world();
    w.grant("1");
    w.record([event("1", { tokens: 300 }), event("2", { tokens: 300 })]);
    expect(balance(w.account)).toBe("-0.2");
    expect(w.account.wallet.last).toMatchObject({ amount: decimal("-0.2"), reason: "chat" });
  });

  it("without usage are kept and move nothing", () => {
    const w = world();
    w.record([event("1", null)]);
    expect(w.account.events).toBe(1);
    expect(w.account.journalEntries).toBe(0);
    expect(w.account.unrated.count).toBe(0);
  });

  it("of a customer without a burn table are metered only", () => {
    const w = world();
    w.record([event("1", { tokens: 1000 })], 0, ratingOf());
    expect(w.account.unrated.count).toBe(0);
  });

  it("that nothing prices are kept as unrated and priced later at their own time", () => {
    const w = world();
    w.record([event("1", { tokens: 1000 }), event("2", { tokens: 500 })], 5_000, unpriced);
    expect(w.account.unrated.count).toBe(2);
    expect(balance(w.account)).toBe("0");
    w.rateLater(ratingOf(table(), table({ version: 2, effectiveFrom: 2_000, rules: [] })), 9_000);
    expect(w.account.unrated.count).toBe(0);
    expect(balance(w.account)).toBe("-3");
  });

  it("in another currency than the wallet's are unrated, and a track of them is refused", () => {
    const w = world();
    const usd = ratingOf(table({ currency: "USD" }));
    w.record([event("1", { tokens: 1000 })], 0, usd);
    expect(w.account.unrated.count).toBe(1);
    expect(w.track(event("2", { tokens: 1000 }), false, 0, usd)).toEqual({
      ok: false,
      refusal: { reason: "currency_mismatch", wallet: "CREDITS", table: "USD" },
    });
  });
});

describe("an enforced track", () => {
  it("takes exactly what is there and refuses the next, recording nothing", () => {
    const w = world();
    w.grant("1");
    expect(w.track(event("1", { tokens: 500 }), true).ok).toBe(true);
    const before = encodeAccount(w.account);
    expect(w.track(event("2", { tokens: 0.5 }), true)).toEqual({
      ok: false,
      refusal: { reason: "insufficient_credits", available: 0n, required: decimal("0.001"), currency: "CREDITS" },
    });
    expect(encodeAccount(w.account)).toBe(before);
  });

  it("may use the overdraft and no more", () => {
    const w = world();
    w.patch({ overdraftLimit: decimal("1") });
    expect(w.track(event("1", { tokens: 501 }), true).ok).toBe(false);
    expect(w.track(event("2", { tokens: 500 }), true).ok).toBe(true);
    expect(balance(w.account)).toBe("-1");
  });

  it("is refused when frozen or unpriced, where a fact is not", () => {
    const w = world();
    w.grant("10");
    expect(w.track(event("1", { images: 1 }), true)).toMatchObject({ refusal: { reason: "unpriced" } });
    expect(w.track(event("1", { images: 1 }), false)).toEqual({ ok: true, value: null });
    w.patch({ frozen: true });
    expect(w.track(event("2", { tokens: 1 }), true)).toMatchObject({ refusal: { reason: "wallet_frozen" } });
    expect(w.track(event("2", { tokens: 1 }), false).ok).toBe(true);
  });
});

describe("grants and settings", () => {
  it("refuses a grant that expires before it takes effect, and a second one of the same id", () => {
    const w = world();
    expect(w.grant("1", { expiresAt: 5 }, 5)).toMatchObject({ refusal: { reason: "invalid" } });
    w.grant("1", { id: "same" });
    expect(w.grant("1", { id: "same" })).toMatchObject({ refusal: { reason: "idempotency_conflict" } });
  });

  it("lets the first grant name the currency, and nothing change it afterwards", () => {
    const w = world();
    w.grant("1", { currency: "USD" });
    expect(w.account.wallet.currency).toBe("USD");
    expect(w.grant("1", { currency: "EUR" })).toMatchObject({ refusal: { reason: "currency_mismatch" } });
    expect(w.patch({ currency: "CREDITS" })).toMatchObject({ refusal: { reason: "currency_mismatch" } });
    expect(w.patch({ burnTable: "credits" })).toMatchObject({ refusal: { reason: "currency_mismatch" } });
    expect(w.patch({ burnTable: "nowhere" })).toMatchObject({ refusal: { reason: "unknown_burn_table" } });
    expect(w.patch({ burnTable: "usd" }).ok).toBe(true);
    w.record([event("1", { tokens: 100 })]);
    expect(balance(w.account)).toBe("0.8");
  });

  it("refuses to void what is unknown or expired", () => {
    const w = world();
    w.grant("1", { id: "g", expiresAt: 10 });
    expect(w.voidGrant("x")).toMatchObject({ refusal: { reason: "unknown_grant" } });
    expect(w.voidGrant("g", 10)).toMatchObject({ refusal: { reason: "grant_closed" } });
  });

  it("never lets time run backwards", () => {
    const w = world();
    w.grant("1", {}, 100);
    w.record([event("1", { tokens: 1 })], 50);
    expect(w.account.at).toBe(100);
  });
});

describe("any sequence of commands", () => {
  const command = fc.oneof(
    fc.record({
      kind: fc.constant("grant" as const),
      amount: fc.integer({ min: 1, max: 50 }),
      lives: fc.option(fc.integer({ min: 1, max: 40 })),
      wait: fc.nat(20),
    }),
    fc.record({
      kind: fc.constant("record" as const),
      tokens: fc.array(fc.oneof(fc.nat(9_000), fc.constant("0.1"), fc.constant(null)), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant("track" as const), tokens: fc.nat(20_000), enforce: fc.boolean() }),
    fc.record({ kind: fc.constant("unpriced" as const) }),
    fc.record({ kind: fc.constant("rate" as const) }),
    fc.record({ kind: fc.constant("overdraft" as const), limit: fc.nat(10) }),
    fc.record({ kind: fc.constant("void" as const), which: fc.nat(5) }),
    fc.record({ kind: fc.constant("time" as const), by: fc.nat(30) }),
  );

  it("replays from its log, whole or after any checkpoint, to the very account in memory; enforced ones never overspend", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), fc.nat(40), (commands, cut) => {
        const w = world();
        let now = 0;
        let checkpoint = { text: encodeAccount(w.account), entries: 0 };
        for (const [step, c] of commands.entries()) {
          const id = `e${step}`;
          if (c.kind === "time") w.settle((now += c.by));
          else if (c.kind === "grant")
            w.grant(String(c.amount), { effectiveAt: now + c.wait, expiresAt: c.lives && now + c.wait + c.lives }, now);
          else if (c.kind === "record")
            w.record(
              c.tokens.map((tokens, i) => event(`${id}.${i}`, tokens === null ? null : { tokens })),
              now,
            );
          else if (c.kind === "unpriced") w.record([event(id, { tokens: 7 })], now, unpriced);
          else if (c.kind === "rate") w.rateLater(rating, now);
          else if (c.kind === "overdraft") w.patch({ overdraftLimit: decimal(String(c.limit)) });
          else if (c.kind === "void") w.voidGrant(`g${c.which}`, now);
          else {
            w.settle(now);
            const free = spendable(w.account.wallet);
            const tracked = w.track(event(id, { tokens: c.tokens }), c.enforce, now);
            if (c.enforce) expect(tracked.ok).toBe(decimal(String(c.tokens)) * 2n <= free * 1000n);
          }
          if (step === cut) checkpoint = { text: encodeAccount(w.account), entries: w.log.length };
        }
        expect(encodeAccount(replayed(w.log))).toBe(encodeAccount(w.account));
        expect(encodeAccount(replayed(w.log.slice(checkpoint.entries), decodeAccount(checkpoint.text)))).toBe(
          encodeAccount(w.account),
        );
      }),
      { numRuns: 200 },
    );
  });
});
