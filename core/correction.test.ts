import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  correctEvent,
  draftEntry,
  grantCredits,
  isDue,
  newAccount,
  recordEvent,
  replay,
  seal,
  settleInto,
  takeBackGrant,
  type Account,
  type Rating,
} from "./account";
import { compileTable, type BurnTable } from "./burn-table";
import { decodeAccount, encodeAccount } from "./checkpoint";
import { isPresent, paidIn, presentPlace } from "./correction";
import { decimal, formatDecimal, ONE, type Decimal } from "./decimal";
import type { UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { decodeEntry, encodeEntry, type Identity, type LogEntry } from "./log-entry";
import { packRef, type EventRef } from "./unrated";

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

/** One credit a token, two from the time 1,000 on; images have no price. */
const table: BurnTable = {
  key: "credits",
  version: 1,
  currency: "CREDITS",
  effectiveFrom: 0,
  markup: ONE,
  priceBook: null,
  mappings: [],
  rules: [{ dimension: "tokens", rate: ONE, per: ONE }],
};
const later: BurnTable = {
  ...table,
  version: 2,
  effectiveFrom: 1_000,
  rules: [{ dimension: "tokens", rate: 2n * ONE, per: ONE }],
};
const rating: Rating = {
  tables: new Map([["credits", [compileTable(table), compileTable(later)]]]),
  defaults: [{ key: "credits", from: 0 }],
  priceBook: { name: "genai-prices", version: "test", unitPrices: () => null },
};

const event = (id: string, usage: Record<string, number>, time = 0): UsageEvent => ({
  id,
  source: "test",
  type: "chat",
  subject: "user",
  time,
  data: { usage },
});

const priceOf = ({ data, time }: UsageEvent): Decimal => {
  const { tokens } = (data?.["usage"] ?? {}) as { tokens?: number };
  return tokens === undefined ? 0n : BigInt(tokens) * ONE * (time >= 1_000 ? 2n : 1n);
};

/** Runs commands as the object does; every entry is kept as it would be stored. */
function world() {
  const account = newAccount();
  const entries: LogEntry[] = [];
  const places = new Map<string, EventRef>();
  const keep = (entry: LogEntry): LogEntry => {
    seal(account, entry, sha256);
    entries.push(decodeEntry(encodeEntry(entry), parseExact));
    return entry;
  };
  const at = (now: number): LogEntry => {
    if (account.identity && isDue(account, now)) {
      const entry = draftEntry(account, now, identity);
      settleInto(account, entry);
      keep(entry);
    }
    return draftEntry(account, now, identity);
  };
  const presentOf = (id: string): { at: EventRef; event: UsageEvent; entry: LogEntry } | null => {
    const place = presentPlace(account.corrections, places.get(id)!);
    if (!place) return null;
    const entry = entries[place.seq - 1]!;
    return { at: place, event: entry.events[place.index]!, entry };
  };
  return {
    account,
    entries,
    presentOf,
    ids: () => [...places.keys()],
    grant(id: string, amount: number, expiresAt: number | null, now: number) {
      const entry = at(now);
      const asked = {
        id,
        amount: BigInt(amount) * ONE,
        currency: null,
        kind: "paid",
        priority: 0,
        effectiveAt: null,
        expiresAt,
        reason: "top up",
      } as const;
      if (grantCredits(account, entry, asked).ok) keep(entry);
    },
    takeBack(id: string, now: number) {
      const entry = at(now);
      const grant = account.wallet.grants.get(id);
      if (grant?.voidedAt === null && takeBackGrant(account, entry, id).ok) keep(entry);
    },
    record(each: UsageEvent, now: number) {
      const entry = at(now);
      recordEvent(account, entry, each, rating);
      places.set(each.id, { seq: entry.seq, index: 0 });
      keep(entry);
    },
    correct(id: string, version: UsageEvent | null, now: number) {
      const present = presentOf(id);
      if (!present) return null;
      const entry = at(now);
      const { at: place, event: before, entry: recorded } = present;
      const corrected = correctEvent(
        account,
        entry,
        { of: places.get(id)!, at: place, event: before, tracked: false, paid: paidIn(recorded, place.index) },
        version,
        "wrong",
        rating,
      );
      if (!corrected.ok) throw new Error(corrected.refusal.detail);
      keep(entry);
      return corrected.value;
    },
  };
}

const stateOf = (account: Account): string => encodeAccount(account);
const sumOf = (entries: readonly LogEntry[]): Decimal =>
  entries.flatMap(({ journal }) => journal).reduce((sum, { amount }) => sum + amount, 0n);

describe("a correction", () => {
  it("gives the credits of a voided event back to the grant that they came from, in one adjust entry", () => {
    const w = world();
    w.grant("a", 10, null, 0);
    w.record(event("e", { tokens: 4 }), 1);
    const corrected = w.correct("e", null, 2);
    expect(corrected).toMatchObject({ before: 4n * ONE, cost: null, adjustment: 4n * ONE });
    expect(w.account.wallet.grants.get("a")?.remaining).toBe(10n * ONE);
    expect(w.entries.at(-1)?.journal.map(({ type, amount }) => [type, formatDecimal(amount)])).toEqual([
      ["adjust", "4"],
    ]);
  });

  it("undoes what is owed before any credits return", () => {
    const w = world();
    w.grant("a", 3, null, 0);
    w.record(event("e", { tokens: 5 }), 1);
    w.correct("e", event("e", { tokens: 4 }), 2);
    expect(w.account.wallet).toMatchObject({ owed: ONE, balance: -ONE });
    w.correct("e", event("e", { tokens: 1 }), 3);
    expect(w.account.wallet).toMatchObject({ owed: 0n, balance: 2n * ONE });
    expect(w.account.wallet.grants.get("a")?.remaining).toBe(2n * ONE);
  });

  it("returns the credits of a grant that repaid the shortfall to that grant", () => {
    const w = world();
    w.record(event("e", { tokens: 5 }), 1);
    w.grant("a", 8, null, 2);
    w.correct("e", null, 3);
    expect(w.account.wallet.grants.get("a")?.remaining).toBe(8n * ONE);
  });

  it("ends credits that return to an expired or a voided grant again at once, visibly", () => {
    const w = world();
    w.grant("a", 5, 10, 0);
    w.record(event("e", { tokens: 5 }), 1);
    w.correct("e", null, 20);
    expect(w.entries.at(-1)?.journal.map(({ type, amount }) => [type, formatDecimal(amount)])).toEqual([
      ["adjust", "5"],
      ["expire", "-5"],
    ]);
    w.grant("b", 5, null, 21);
    w.record(event("f", { tokens: 5 }), 22);
    w.takeBack("b", 23);
    w.correct("f", null, 24);
    expect(w.entries.at(-1)?.journal.map(({ type, amount }) => [type, formatDecimal(amount)])).toEqual([
      ["adjust", "5"],
      ["void", "-5"],
    ]);
    expect(w.account.wallet).toMatchObject({ balance: 0n, burnable: [] });
    expect(w.account.wallet.grants.get("b")?.voidedAt).toBe(23);
  });

  it("rates an amended event at its own time", () => {
    const w = world();
    w.grant("a", 100, null, 0);
    w.record(event("e", { tokens: 4 }, 999), 5_000);
    expect(w.correct("e", event("e", { tokens: 4 }, 1_000), 6_000)).toMatchObject({
      before: 4n * ONE,
      adjustment: -4n * ONE,
    });
  });

  it("makes an event unrated that no rule prices any more, and forgets that of a voided one", () => {
    const w = world();
    w.record(event("e", { tokens: 4 }), 1);
    w.correct("e", event("e", { images: 1 }), 2);
    expect(w.account.unrated.count).toBe(1);
    w.correct("e", null, 3);
    expect(w.account.unrated).toEqual({ count: 0, places: [] });
  });
});

describe("any sequence of events, grants and corrections", () => {
  const amount = fc.integer({ min: 0, max: 9 });
  const id = fc.integer({ min: 0, max: 9 });
  const step = fc.oneof(
    fc.record({ do: fc.constant("record" as const), tokens: amount, time: fc.constantFrom(0, 999, 1_000) }),
    fc.record({
      do: fc.constant("grant" as const),
      amount: fc.integer({ min: 1, max: 20 }),
      lasts: fc.option(fc.integer({ min: 1, max: 8 })),
    }),
    fc.record({ do: fc.constant("takeBack" as const), id }),
    fc.record({ do: fc.constant("void" as const), id }),
    fc.record({ do: fc.constant("amend" as const), id, tokens: fc.option(amount), time: fc.constantFrom(0, 1_000) }),
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
  const run = (steps: Step[]) => {
    const w = world();
    for (const [now, each] of steps.entries()) {
      const known = w.ids()[("id" in each ? each.id : 0) % Math.max(1, w.ids().length)];
      if (each.do === "record") w.record(event(`e${now}`, { tokens: each.tokens }, each.time), now);
      else if (each.do === "grant") w.grant(`g${now}`, each.amount, each.lasts === null ? null : now + each.lasts, now);
      else if (each.do === "takeBack") {
        const grants = [...w.account.wallet.grants.keys()];
        if (grants.length > 0) w.takeBack(grants[each.id % grants.length]!, now);
      } else if (known !== undefined) {
        const usage: Record<string, number> =
          each.do === "amend" && each.tokens === null
            ? { images: 1 }
            : { tokens: each.do === "amend" ? (each.tokens ?? 0) : 0 };
        w.correct(known, each.do === "void" ? null : event(known, usage, each.time), now);
      }
    }
    return w;
  };

  it("leaves each event paid at the price of its present version, and nothing else of it in the balance", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const w = run(steps);
        const others = w.entries
          .flatMap(({ journal }) => journal)
          .filter(({ event: of }) => of === undefined)
          .reduce((sum, { amount: moved }) => sum + moved, 0n);
        const prices = w
          .ids()
          .reduce((sum, each) => sum + (w.presentOf(each) ? priceOf(w.presentOf(each)!.event) : 0n), 0n);
        expect(w.account.wallet.balance).toBe(others - prices);
        expect(w.account.wallet.balance).toBe(sumOf(w.entries));
        expect(w.account.events).toBe(w.ids().length);
      }),
    );
  });

  it("replays to the very same account, from the start and from any checkpoint", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, cut) => {
        const w = run(steps);
        let replayed = newAccount();
        for (const [place, entry] of w.entries.entries()) {
          if (place === cut % Math.max(1, w.entries.length)) replayed = decodeAccount(encodeAccount(replayed));
          replay(replayed, entry, sha256);
        }
        expect(stateOf(replayed)).toBe(stateOf(w.account));
      }),
    );
  });

  it("counts exactly one version of each event that is not voided", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const w = run(steps);
        const counted = w.entries.flatMap(({ seq, events }) =>
          events.flatMap(({ id: of }, index) =>
            isPresent(w.account.corrections, { seq, index }) ? [[of, packRef({ seq, index })]] : [],
          ),
        );
        const present = w.ids().flatMap((each) => (w.presentOf(each) ? [[each, packRef(w.presentOf(each)!.at)]] : []));
        expect(counted.toSorted()).toEqual(present.toSorted());
      }),
    );
  });
});

describe("an entry with corrections", () => {
  it("is read as it was written", () => {
    const w = world();
    w.grant("a", 3, null, 0);
    w.record(event("e", { tokens: 5 }), 1);
    w.correct("e", event("e", { tokens: 9 }, 7), 2);
    expect(w.entries.at(-1)?.corrections).toEqual([
      {
        of: { seq: 2, index: 0 },
        was: { type: "chat", time: 0 },
        reason: "wrong",
        index: 0,
        tracked: false,
        paid: { moves: [["a", decimal("-3")]], owed: decimal("6") },
      },
    ]);
  });
});
