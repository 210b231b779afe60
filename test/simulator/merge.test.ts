/** Two objects with data become one, whatever is lost on the way. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { Customer } from "../../durable-objects/customer";
import type { AccountStore } from "../../durable-objects/account-store";
import type { UsageEvent } from "../../core/event";
import { parseExact } from "../../core/exact-json";
import { decodeEntry } from "../../core/log-entry";
import { compileMeters } from "../../core/meter";
import { formatQuantity, quantity } from "../../core/quantity";
import type { Call, ConfigSnapshot } from "../../durable-objects/rpc";
import { Crash, Platform, storedRollups } from "./objects";

vi.mock("cloudflare:workers", async () => (await import("./objects")).platformModule);
vi.useFakeTimers({ toFake: ["Date"] });

const NAMESPACE = "01JD0000000000000000000000";
/** Some days ago: the store keeps no minutes of older events. */
const TIME = Date.now() - 10 * 24 * 3_600_000;

/** Pages of a few events, so that a short history takes several. */
class SmallPages extends Customer {
  protected override readonly pageLimits = { events: 3, chars: 2_000 };
}

const meter = (aggregation: ConfigSnapshot["meters"][number]["aggregation"]): ConfigSnapshot["meters"][number] => ({
  id: aggregation,
  key: aggregation.toLowerCase(),
  eventType: "chat",
  aggregation,
  valueProperty: aggregation === "COUNT" ? null : "$.usage.tokens",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
});

/** One credit a token; images have a price from version 2 on. */
const snapshot = (version: number): ConfigSnapshot => ({
  version,
  defaults: [{ key: "credits", from: 0 }],
  burnTables: [
    {
      key: "credits",
      version: 1,
      currency: "CREDITS",
      effectiveFrom: 0,
      markup: "1",
      priceBook: null,
      mappings: [],
      rules: ["tokens", ...(version > 1 ? ["images"] : [])].map((dimension) => ({ dimension, rate: "1", per: "1" })),
    },
  ],
  meters: [meter("SUM"), meter("COUNT"), meter("MIN"), meter("MAX"), meter("UNIQUE_COUNT")],
});
const meters = compileMeters(snapshot(1).meters);

const eventOf = (id: string, usage: Record<string, number>, subject = "shared"): UsageEvent => ({
  id,
  source: "test",
  type: "chat",
  subject,
  time: TIME + (createHash("sha1").update(id).digest().readUInt32BE() % 100_000) * 1_000,
  data: { usage, model: `m${id.length % 2}` },
});

/** Two objects and what people do to them. */
function world(customerClass: new (ctx: never, env: never) => Customer = SmallPages) {
  const platform = new Platform(NAMESPACE, customerClass, (ms) => vi.setSystemTime(ms));
  vi.stubGlobal("scheduler", platform);
  const of = (name: string) => {
    const named = platform.nameOf(name);
    const rpc = platform.object(named);
    const call: Call = { namespaceId: NAMESPACE, name, configVersion: 0 };
    return {
      name: named,
      rpc,
      call,
      configure: (version: number) => platform.configure(named, snapshot(version)),
      record: (...events: UsageEvent[]) => rpc.record(call, JSON.stringify(events), false),
      track: (event: UsageEvent) => rpc.track(call, { eventJson: JSON.stringify(event), enforce: false }),
      grant: (amount: string, id: string | null = null, opId = crypto.randomUUID() as string) =>
        rpc.grant(call, {
          id,
          opId,
          bodyHash: amount,
          amount,
          currency: null,
          kind: "paid",
          priority: 0,
          effectiveAt: null,
          expiresAt: null,
          reason: "top up",
        }),
      correct: (id: string, tokens: number | null) =>
        rpc.correct(call, {
          source: "test",
          id,
          reason: "wrong",
          version: tokens === null ? null : { dataJson: JSON.stringify({ usage: { tokens }, model: "m0" }) },
          opId: `correct ${id} ${tokens}`,
          bodyHash: "",
        }),
      rate: () => rpc.rateUnrated(call, { from: null, to: null, after: null }),
      wallet: async () => {
        const answer = await rpc.wallet(call);
        if (!answer.ok) throw new Error(answer.reason);
        return answer.wallet;
      },
      /** By meter and group, from the folds that the object has. */
      totals: () => {
        const { store } = platform.instance(named) as unknown as {
          store: { folds: { totals: (m: unknown) => object[] } };
        };
        return [...meters.meters.values()].map((each) =>
          store.folds.totals(each).toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b))),
        );
      },
      verified: async () => {
        const answer = await rpc.verify(call, null);
        return answer.ok && answer.valid;
      },
    };
  };
  return { platform, of };
}

/** Asks for the merge until it is done, as the control plane does: what fails is asked again. */
async function merged(platform: Platform, source: string, home: string, tries = 200): Promise<void> {
  const object = platform.object(source);
  for (let attempt = 0; attempt < tries; attempt++) {
    try {
      const call = { namespaceId: NAMESPACE, name: "", configVersion: 0 };
      const answer = await object.mergeInto(call, { id: source, home });
      if (!answer.ok && answer.reason !== "merging") throw new Error(answer.reason);
      if (answer.ok && answer.done) return;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
    }
    if (attempt % 3 === 2) await platform.ring();
  }
  throw new Error("the merge never ends");
}

/** A past of everything that moves: on both sides debits, grants, an event that waits for a price, one priced later, corrections, a repeat. */
async function withPasts() {
  const { platform, of } = world();
  const home = of("home");
  const source = of("source");
  for (const [side, prefix] of [
    [home, "h"],
    [source, "s"],
  ] as const) {
    await side.configure(1);
    await side.record(...[1, 2, 3, 4, 5].map((n) => eventOf(`${prefix}${n}`, { tokens: n })));
    await side.record(eventOf(`${prefix}-late`, { images: 5 }));
    await side.grant("40", "bonus", `grant bonus of ${prefix}`);
    await side.track(eventOf(`${prefix}-tracked`, { tokens: 7 }));
    await side.correct(`${prefix}2`, null);
    await side.correct(`${prefix}3`, 10);
    await side.correct(`${prefix}3`, 20);
    await side.configure(2);
    await side.rate();
    await side.record(eventOf("both", { tokens: 100 }), eventOf(`${prefix}-waits`, { videos: 1 }));
    await side.track(eventOf(`${prefix}-last`, { tokens: 1 }));
  }
  await platform.ring();
  platform.evictAll();
  return { platform, home, source };
}

/** 1 + 4 + 5 + 20 + 5 (images) + 7 + 1 each, 100 once, of 80. */
const SPENT_EACH = 43;
const BALANCE = String(80 - 2 * SPENT_EACH - 100);
const EVENTS = 2 * 9 + 1;

/** Everything that must hold when it is over. */
async function expectMerged({ platform, home, source }: Awaited<ReturnType<typeof withPasts>>): Promise<void> {
  await platform.ring();
  platform.evictAll();
  // All names lead home, and nothing is left behind.
  expect(await source.rpc.wallet(source.call)).toEqual({ ok: false, reason: "moved", home: home.name });
  expect(await home.wallet()).toMatchObject({ balance: BALANCE, unrated: 2 });
  const { store, account } = platform.instance(source.name) as unknown as {
    store: { log: { head: number } };
    account: { wallet: { balance: bigint; owed: bigint }; unrated: { count: number } };
  };
  expect(account).toMatchObject({ wallet: { balance: 0n, owed: 0n }, unrated: { count: 0 } });
  expect(store.log.head).toBeGreaterThan(0);
  expect(await home.verified()).toBe(true);

  // Every event is known, once, and a repeat gets its original answer.
  const { account: homeAccount } = platform.instance(home.name) as unknown as { account: { events: number } };
  expect(homeAccount.events).toBe(EVENTS);
  const repeats = ["h", "s"].flatMap((p) => [1, 2, 3, 4, 5].map((n) => eventOf(`${p}${n}`, { tokens: 1 })));
  expect(await home.record(...repeats, eventOf("both", {}))).toEqual({ ok: true, recorded: 0, duplicates: 11 });
  expect(await home.track(eventOf("s-tracked", { tokens: 7 }))).toMatchObject({
    ok: true,
    duplicate: true,
    cost: { amount: "7" },
    wallet: { balance: "18" },
  });
  expect(await home.grant("40", "bonus", "grant bonus of s")).toMatchObject({
    ok: true,
    duplicate: true,
    grant: { id: "bonus", amount: "40" },
  });
  expect(await home.correct("s2", null)).toMatchObject({ ok: true, before: "2", after: "0" });

  // Totals: of each side 1 + 4 + 5 + 20 + 7 + 1, and 100.
  const [sum, count] = home.totals() as { sum: string; count: number }[][];
  expect(sum!.reduce((all, row) => all + Number(row.sum), 0)).toBe(2 * 38 + 100);
  expect(count!.reduce((all, row) => all + row.count, 0)).toBe(2 * 8 + 1);

  // The store ends with the same, all of it under the home.
  for (const resolution of ["minute", "quarter"]) {
    const rows = [...storedRollups(platform.messages)].filter(
      ([key]) => key.includes(resolution) && key.includes("SUM."),
    );
    expect(rows.filter(([, row]) => row.object === source.name && row.count > 0)).toEqual([]);
    const stored = rows.reduce((all, [, row]) => all + quantity(row.sum), 0n);
    expect(formatQuantity(stored)).toBe(String(2 * 38 + 100));
  }
  const lastOf = (object: string) =>
    platform.messages
      .filter((message) => message.object === object)
      .toSorted((a, b) => a.seq - b.seq)
      .at(-1);
  expect(lastOf(source.name)).toMatchObject({ closed: true, eventCount: 0, wallet: { balance: "0", unrated: 0 } });
  expect(lastOf(home.name)).toMatchObject({ eventCount: EVENTS, wallet: { balance: BALANCE, unrated: 2 } });
}

describe("two objects with data", () => {
  it("become one that has both pasts, an event that both had once", async () => {
    const both = await withPasts();
    const { messages } = both.platform;
    const before = messages.length;
    await merged(both.platform, both.source.name, both.home.name);
    await expectMerged(both);
    // The store hears what has come before it hears what has gone.
    for (let heard = before; heard <= messages.length; heard++) {
      const rows = [...storedRollups(messages.slice(0, heard))];
      const minutes = rows.filter(([key]) => key.includes("minute") && key.includes("SUM."));
      expect(minutes.reduce((all, [, { sum }]) => all + Number(sum), 0)).toBeGreaterThanOrEqual(2 * 38 + 100);
    }
  });

  it("go on being one account: what moved in is corrected, priced and refunded like its own", async () => {
    const both = await withPasts();
    const { platform, home, source } = both;
    await merged(platform, source.name, home.name);
    expect(await home.correct("s4", 1)).toMatchObject({ ok: true, before: "4", after: "1", adjustment: "3" });
    expect(await home.correct("s3", null)).toMatchObject({ ok: true, before: "20", after: "0", adjustment: "20" });
    expect(await home.correct("s-late", null)).toMatchObject({ ok: true, before: "5", after: "0", adjustment: "5" });
    const priced = snapshot(3);
    priced.burnTables[0]!.rules.push({ dimension: "videos", rate: "1", per: "1" });
    await platform.configure(home.name, priced);
    expect(await home.rate()).toMatchObject({ rated: 2, remaining: 0 });
    expect(await home.wallet()).toMatchObject({ balance: String(Number(BALANCE) + 28 - 2), unrated: 0 });
    platform.evictAll();
    expect(await home.wallet()).toMatchObject({ balance: String(Number(BALANCE) + 26) });
    expect(await home.verified()).toBe(true);
    const [sum] = home.totals() as { sum: string }[][];
    expect(sum!.reduce((all, row) => all + Number(row.sum), 0)).toBe(2 * 38 + 100 - 23);
  });

  it("crash at any write, and nothing is lost or there twice", async () => {
    let writes = 0;
    const dry = await withPasts();
    dry.platform.beforeWrite = () => void writes++;
    await merged(dry.platform, dry.source.name, dry.home.name);
    await dry.platform.ring();
    expect(writes).toBeGreaterThan(20);
    for (let last = 1; last <= writes; last++) {
      const both = await withPasts();
      let left = last;
      both.platform.beforeWrite = () => {
        if (--left === 0) throw new Crash("here");
      };
      await merged(both.platform, both.source.name, both.home.name);
      await expectMerged(both);
    }
  }, 120_000);

  it("crash again and again, and it ends all the same", async () => {
    for (const every of [3, 5, 7]) {
      const both = await withPasts();
      let writes = 0;
      both.platform.beforeWrite = () => {
        if (++writes % every === 0 && writes < 200) throw new Crash("again");
      };
      await merged(both.platform, both.source.name, both.home.name);
      await expectMerged(both);
    }
  }, 60_000);

  it("lose any call between them, or any answer, or get it twice", async () => {
    let calls = 0;
    const dry = await withPasts();
    dry.platform.beforeCall = () => void calls++;
    await merged(dry.platform, dry.source.name, dry.home.name);
    await dry.platform.ring();
    expect(calls).toBeGreaterThan(4);
    for (const lost of ["beforeCall", "beforeReply"] as const) {
      for (let which = 1; which <= calls; which++) {
        const both = await withPasts();
        let left = which;
        both.platform[lost] = () => {
          if (--left === 0) throw new Crash("lost");
        };
        await merged(both.platform, both.source.name, both.home.name);
        await expectMerged(both);
      }
    }
  }, 120_000);

  it("are finished by the alarm when nobody asks again", async () => {
    const both = await withPasts();
    let left = 8;
    both.platform.beforeWrite = () => {
      if (--left === 0) throw new Crash("here");
    };
    const call = { namespaceId: NAMESPACE, name: "", configVersion: 0 };
    const asked = both.source.rpc.mergeInto(call, { id: "m", home: both.home.name });
    await expect(asked).rejects.toThrow(Crash);
    await expectMerged(both);
  });
});

// ---- Any two pasts

type Side = ReturnType<ReturnType<typeof world>["of"]>;

const command = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("record" as const),
      ids: fc.array(fc.nat(9), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("shared" as const),
      ids: fc.array(fc.nat(5), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("track" as const), id: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("grant" as const), amount: fc.integer({ min: 1, max: 60 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("correct" as const), id: fc.nat(9), tokens: fc.option(fc.nat(20)) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: "rate" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "evict" as const }) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

/** Every third event is of images, which nothing prices at first. */
const someEvent = (prefix: string, n: number): UsageEvent =>
  eventOf(`${prefix}${n}`, n % 3 === 2 ? { images: n + 1 } : { tokens: n + 1 });

/** Always priced: what a track answered stays its answer, whatever is priced later. */
const trackedEvent = (prefix: string, n: number): UsageEvent => eventOf(`${prefix}t${n}`, { tokens: n + 1 });

async function run(side: Side, prefix: string, commands: readonly Command[], evict: () => void): Promise<void> {
  for (const [step, c] of commands.entries()) {
    switch (c.do) {
      case "record":
        await side.record(...c.ids.map((n) => someEvent(prefix, n)));
        break;
      case "shared":
        await side.record(...c.ids.map((n) => someEvent("both", n)));
        break;
      case "track":
        await side.track(trackedEvent(prefix, c.id));
        break;
      case "grant":
        await side.grant(String(c.amount), step % 2 ? `${prefix}g${step}` : null, `${prefix} grant ${step}`);
        break;
      case "correct":
        await side.correct(`${prefix}${c.id}`, c.tokens);
        break;
      case "rate":
        await side.configure(2);
        await side.rate();
        break;
      case "evict":
        evict();
        // An object that never wrote has forgotten what the edge told it.
        await side.configure(1);
    }
  }
}

/** All that a customer may ask about, after everything that can be priced was. */
async function answers(side: Side) {
  await side.configure(2);
  await side.rate();
  const { balance, unrated } = await side.wallet();
  const tracked = [];
  for (const event of ["h", "s"].flatMap((prefix) => Array.from({ length: 10 }, (_, n) => trackedEvent(prefix, n)))) {
    const answer = await side.track(event);
    tracked.push(answer.ok && [event.id, answer.duplicate, answer.cost?.amount]);
  }
  return { balance, unrated, tracked, totals: side.totals(), verified: await side.verified() };
}

describe("any two pasts", () => {
  const commands = fc.array(command, { minLength: 1, maxLength: 12 });

  it("end in the wallet, totals and answers of one object that had seen both", async () => {
    await fc.assert(
      fc.asyncProperty(commands, commands, commands, async (homes, sources, later) => {
        const { platform, of } = world();
        const [home, source, one] = [of("home"), of("source"), of("one")];
        for (const side of [home, source, one]) await side.configure(1);
        await home.rpc.adopt(home.call, { customerId: "01JD8ZQ6M5T9W3XK2V7B4C1N0R", key: "home" });
        await run(home, "h", homes, () => platform.evict(home.name));
        await run(source, "s", sources, () => platform.evict(source.name));
        await run(one, "h", homes, () => undefined);
        await run(one, "s", sources, () => undefined);
        await merged(platform, source.name, home.name);
        for (const side of [home, one]) {
          await run(side, "s", later, () => platform.evict(side.name));
          await run(side, "h", later, () => platform.evict(side.name));
        }
        const [there, here] = [await answers(home), await answers(one)];
        expect(there).toEqual(here);
        expect(there.verified).toBe(true);
      }),
      { numRuns: 40 },
    );
  }, 120_000);
});

it("a grant whose id both wallets had is renamed, and what it paid for goes back to it", async () => {
  const { platform, of } = world();
  const [home, source] = [of("home"), of("source")];
  for (const side of [home, source]) {
    await side.configure(2);
    await side.grant("10", "g", `grant of ${side.name}`);
  }
  await source.record(eventOf("s1", { tokens: 4 }));
  await home.record(eventOf("h1", { tokens: 5 }));
  await merged(platform, source.name, home.name);
  const remaining = async () => {
    const page = await home.rpc.grants(home.call, { cursor: null, limit: 10 });
    return page.ok && page.items.map(({ id, remaining: left }) => [id, left]).toSorted();
  };
  expect(await remaining()).toEqual([
    ["g", "5"],
    ["g~2", "6"],
  ]);
  await home.correct("s1", null);
  expect(await remaining()).toEqual([
    ["g", "5"],
    ["g~2", "10"],
  ]);
});

describe("objects on their way", () => {
  const mergeCall: Call = { namespaceId: NAMESPACE, name: "", configVersion: 0 };
  const pasts = async (...names: string[]) => {
    const { platform, of } = world();
    const sides = names.map(of);
    for (const [n, side] of sides.entries()) {
      await side.configure(2);
      await side.grant("10");
      await side.record(...[1, 2, 3, 4, 5, 6, 7].map((i) => eventOf(`${names[n]}${i}`, { tokens: 1 })));
      await side.record(eventOf("both", { tokens: 1 }));
    }
    return { platform, sides };
  };

  it("answer `merging` by their names until everything is there, `moved` afterwards, and take nothing in between", async () => {
    const { platform, sides } = await pasts("a", "b");
    const [a, b] = sides as [Side, Side];
    const seen = new Set<string>();
    platform.beforeCall = () => {
      const { merge } = (platform.instance(a.name) as unknown as { account: { merge: { done: boolean } | null } })
        .account;
      seen.add(merge === null ? "before" : "during");
    };
    platform.beforeReply = (_object, method) => {
      if (method !== "importPage") return;
      platform.beforeReply = () => undefined;
      throw new Crash("lost");
    };
    await expect(a.rpc.mergeInto(mergeCall, { id: "m", home: b.name })).rejects.toThrow(Crash);
    for (const asked of [a.wallet(), a.rpc.track(a.call, { eventJson: "{}", enforce: false })])
      await expect(asked.catch((error: Error) => ({ reason: error.message }))).resolves.toMatchObject({
        reason: "merging",
      });
    expect(await a.rpc.mergeInto(mergeCall, { id: "m", home: b.name })).toMatchObject({ ok: true, done: true });
    expect(await a.rpc.wallet(a.call)).toEqual({ ok: false, reason: "moved", home: b.name });
    expect(await a.rpc.mergeInto(mergeCall, { id: "m", home: b.name })).toMatchObject({ ok: true, done: true });
    expect(seen).toEqual(new Set(["before", "during"]));
  });

  it("may be several at once into one home, which goes on working meanwhile", async () => {
    const { platform, sides } = await pasts("a", "b", "c");
    const [a, b, c] = sides as [Side, Side, Side];
    let calls = 0;
    platform.beforeReply = (object, method) => {
      if (object === c.name && method === "importPage" && ++calls % 2 === 0) throw new Crash("lost");
    };
    for (let round = 0; round < 40; round++) {
      for (const side of [a, b]) await side.rpc.mergeInto(mergeCall, { id: side.name, home: c.name }).catch(() => null);
      await c.record(eventOf(`c-more${round}`, { tokens: 1 }));
    }
    await platform.ring();
    expect(await c.wallet()).toMatchObject({ balance: String(30 - 3 * 7 - 1 - 40) });
    for (const side of [a, b])
      expect(await side.rpc.wallet(side.call)).toMatchObject({ reason: "moved", home: c.name });
    expect(await c.verified()).toBe(true);
  });

  it("follow a home that moves on itself, with all that had moved into it, and what moved twice is corrected like anything else", async () => {
    const { platform, sides } = await pasts("a", "b", "c");
    const [a, b, c] = sides as [Side, Side, Side];
    await b.correct("b1", 5);
    await merged(platform, b.name, a.name);
    await merged(platform, a.name, c.name);
    platform.evictAll();
    expect(await b.rpc.wallet(b.call)).toMatchObject({ reason: "moved", home: a.name });
    expect(await a.rpc.wallet(a.call)).toMatchObject({ reason: "moved", home: c.name });
    expect(await c.wallet()).toMatchObject({ balance: String(30 - 3 * 7 - 1 - 4) });
    expect(await c.correct("b2", 8)).toMatchObject({ ok: true, before: "1", after: "8" });
    expect(await c.correct("b1", null)).toMatchObject({ ok: true, before: "5", after: "0" });
    expect(await c.record(eventOf("a1", {}), eventOf("b1", {}), eventOf("b7", {}), eventOf("both", {}))).toMatchObject({
      recorded: 0,
    });
    expect(await c.wallet()).toMatchObject({ balance: "2" });
    expect(await c.verified()).toBe(true);
  });

  it("whose last answer was lost know that they have arrived, wherever the home has gone since", async () => {
    for (const gone of [false, true]) {
      const { platform, sides } = await pasts("a", "b", "c");
      const [a, b, c] = sides as [Side, Side, Side];
      const arrived = () =>
        [
          ...(platform.instance(b.name) as unknown as { account: { imports: Map<string, { next: number }> } }).account
            .imports,
        ].some(([, { next }]) => next === Number.MAX_SAFE_INTEGER);
      platform.beforeReply = (object) => {
        if (object === b.name && arrived()) throw new Crash("lost");
      };
      await a.rpc.mergeInto(mergeCall, { id: "m", home: b.name }).catch(() => null);
      platform.beforeReply = () => undefined;
      expect(await a.rpc.wallet(a.call)).toMatchObject({ reason: "merging" });
      if (gone) await merged(platform, b.name, c.name);
      else {
        // On its way, too: it answers for what it has.
        platform.beforeCall = (object, method) => {
          if (object === c.name && method === "importPage") throw new Crash("unreachable");
        };
        await b.rpc.mergeInto(mergeCall, { id: "n", home: c.name }).catch(() => null);
        expect(await b.rpc.wallet(b.call)).toMatchObject({ reason: "merging" });
        platform.beforeCall = () => undefined;
      }
      await merged(platform, a.name, b.name);
      await merged(platform, b.name, c.name);
      expect(await c.wallet()).toMatchObject({ balance: String(30 - 3 * 7 - 1) });
      expect(await c.verified()).toBe(true);
    }
  });

  it("into a home that is to move on itself arrive there first", async () => {
    const { platform, sides } = await pasts("a", "b", "c");
    const [a, b, c] = sides as [Side, Side, Side];
    platform.beforeReply = (object) => {
      if (object === b.name) throw new Crash("lost");
    };
    const arriving = () => a.rpc.mergeInto(mergeCall, { id: "m", home: b.name }).catch(() => null);
    const leaving = () => b.rpc.mergeInto(mergeCall, { id: "n", home: c.name });
    // The answers are lost: of the wallet, and that one was asked before.
    await arriving();
    platform.beforeReply = (object, method) => {
      if (object === b.name && method === "importPage") throw new Crash("lost");
    };
    await arriving();
    expect(await leaving()).toMatchObject({ ok: true, done: false, moved: 0 });
    expect(await b.wallet()).toMatchObject({ balance: "4" });
    platform.beforeReply = () => undefined;
    await merged(platform, a.name, b.name);
    await merged(platform, b.name, c.name);
    expect(await c.wallet()).toMatchObject({ balance: String(30 - 3 * 7 - 1) });
    expect(await c.verified()).toBe(true);
  });

  it("into each other end as one", async () => {
    const { platform, sides } = await pasts("a", "b");
    const [a, b] = sides as [Side, Side];
    const into = async (side: Side, home: Side) =>
      side.rpc.mergeInto(mergeCall, { id: side.name, home: home.name }).catch(() => null);
    let first = true;
    platform.beforeCall = () => {
      if (!first) return;
      first = false;
      throw new Crash("lost");
    };
    for (let round = 0; round < 10; round++) await Promise.all([into(a, b), into(b, a)]);
    await platform.ring();
    const ends = [await a.rpc.wallet(a.call), await b.rpc.wallet(b.call)];
    expect(ends.filter((answer) => answer.ok)).toMatchObject([{ wallet: { balance: String(20 - 2 * 7 - 1) } }]);
    expect(ends.filter((answer) => !answer.ok)).toMatchObject([{ reason: "moved" }]);
    for (const answer of [await into(a, b), await into(b, a)]) expect(answer).toMatchObject({ ok: true, done: true });
  });

  it("leave behind what was corrected of an event that the home has too", async () => {
    const { platform, of } = world();
    const [home, source] = [of("home"), of("source")];
    for (const side of [home, source]) {
      await side.configure(2);
      await side.record(eventOf("both", { tokens: 100 }), eventOf("voided", { tokens: 10 }));
    }
    await source.correct("both", 30);
    await source.correct("both", 40);
    await source.correct("voided", null);
    await merged(platform, source.name, home.name);
    expect(await home.wallet()).toMatchObject({ balance: "-110" });
    expect(await home.correct("both", 1)).toMatchObject({ ok: true, before: "100", after: "1" });
    expect(await home.wallet()).toMatchObject({ balance: "-11" });
    expect(home.totals()[0]).toMatchObject([{ sum: "11" }]);
    expect(await home.verified()).toBe(true);
  });

  it("are in the store once, also when the queue was down while they moved", async () => {
    const { platform, of } = world();
    const [home, source] = [of("home"), of("source")];
    for (const side of [home, source]) {
      await side.configure(2);
      await side.record(eventOf(side.name, { tokens: 3 }));
    }
    platform.beforeSend = ({ object }) => {
      if (object === home.name) throw new Error("the queue is down");
    };
    const asked = await source.rpc.mergeInto(mergeCall, { id: "m", home: home.name });
    expect(asked).toMatchObject({ ok: true, done: false, moved: 1, total: 1 });
    expect(await source.rpc.wallet(source.call)).toMatchObject({ reason: "moved" });
    for (const side of [source, home]) await platform.instance(side.name).alarm();
    platform.beforeSend = () => undefined;
    await platform.ring();
    expect(await source.rpc.mergeInto(mergeCall, { id: "m", home: home.name })).toMatchObject({ done: true });
    const rows = [...storedRollups(platform.messages)].filter(
      ([key]) => key.includes("quarter") && key.includes("SUM."),
    );
    expect(rows.reduce((all, [, { sum }]) => all + Number(sum), 0)).toBe(6);
    expect(rows.filter(([, { object }]) => object === source.name).map(([, { count }]) => count)).toEqual(
      rows.filter(([, { object }]) => object === source.name).map(() => 0),
    );
  });

  it("stay what they are when the home has another currency, and nothing was moved", async () => {
    const { platform, sides } = await pasts("a", "b");
    const [a, b] = sides as [Side, Side];
    const { of } = { of: (name: string) => platform.nameOf(name) };
    const dollars = platform.object(of("d"));
    const call: Call = { namespaceId: NAMESPACE, name: "d", configVersion: 0 };
    await dollars.grant(call, {
      id: null,
      opId: "o",
      bodyHash: "",
      amount: "5",
      currency: "USD",
      kind: "paid",
      priority: 0,
      effectiveAt: null,
      expiresAt: null,
      reason: "",
    });
    expect(await a.rpc.mergeInto(mergeCall, { id: "m", home: of("d") })).toEqual({
      ok: false,
      reason: "currency_mismatch",
      wallet: "USD",
      table: "CREDITS",
    });
    // Also when the home's first movement comes between the question and the wallet.
    const fresh = platform.object(of("f"));
    platform.beforeReply = (object, method) => {
      if (object !== of("f") || method !== "identify") return;
      platform.beforeReply = () => undefined;
      void fresh.grant(
        { ...call, name: "f" },
        {
          id: null,
          opId: "o",
          bodyHash: "",
          amount: "5",
          currency: "USD",
          kind: "paid",
          priority: 0,
          effectiveAt: null,
          expiresAt: null,
          reason: "",
        },
      );
    };
    expect(await b.rpc.mergeInto(mergeCall, { id: "m", home: of("f") })).toMatchObject({ reason: "currency_mismatch" });
    for (const side of [a, b]) {
      expect(await side.track(eventOf("after", { tokens: 1 }))).toMatchObject({ ok: true, wallet: { balance: "1" } });
      expect(await side.verified()).toBe(true);
    }
    // A wallet that never moved has no currency yet.
    const metered = platform.object(of("metered"));
    await metered.record({ ...call, name: "metered" }, JSON.stringify([eventOf("m", {})]), false);
    await merged(platform, of("metered"), of("d"));
    expect(await dollars.wallet(call)).toMatchObject({ wallet: { currency: "USD", balance: "5" } });
  });

  it("bring their grants as they are: pending, expiring, spent, voided; and owe what they owed", async () => {
    const { platform, of } = world();
    const [home, source] = [of("home"), of("source")];
    for (const side of [home, source]) await side.configure(2);
    const now = Date.now();
    const grant = (side: Side, id: string, amount: string, over: object) =>
      side.rpc.grant(side.call, {
        id,
        opId: id,
        bodyHash: "",
        amount,
        currency: null,
        kind: "promo",
        priority: 0,
        effectiveAt: null,
        expiresAt: null,
        reason: id,
        ...over,
      });
    await grant(source, "spent", "3", {});
    await source.record(eventOf("s1", { tokens: 3 }));
    await grant(source, "voided", "9", {});
    await source.rpc.voidGrant(source.call, "voided");
    await grant(source, "pending", "20", { effectiveAt: now + 60_000 });
    await grant(source, "expiring", "7", { expiresAt: now + 120_000 });
    await home.record(eventOf("h1", { tokens: 5 }));
    // What falls due while it stands still is the home's to write down: both must say the same of what moved.
    platform.beforeReply = (_object, method) => {
      if (method === "importPage") throw new Crash("lost");
    };
    const call: Call = { namespaceId: NAMESPACE, name: "", configVersion: 0 };
    await expect(source.rpc.mergeInto(call, { id: "m", home: home.name })).rejects.toThrow(Crash);
    vi.setSystemTime(now + 90_000);
    platform.beforeCall = () => {
      throw new Crash("unreachable");
    };
    await platform.instance(source.name).alarm();
    platform.beforeCall = platform.beforeReply = () => undefined;
    vi.setSystemTime(now + 1_000);
    await merged(platform, source.name, home.name);
    const transfers = (side: Side) => {
      const { store } = platform.instance(side.name) as unknown as { store: AccountStore };
      const entries = [...store.log.forward(1)].map(({ json }) => decodeEntry(json, parseExact));
      return entries.flatMap(({ journal }) => journal.filter(({ type }) => type === "transfer"));
    };
    expect(transfers(source).map(({ amount }) => -amount)).toEqual(transfers(home).map(({ amount }) => amount));
    expect(await home.wallet()).toMatchObject({ balance: "2" });
    const states = async () => {
      const page = await home.rpc.grants(home.call, { cursor: null, limit: 10 });
      return page.ok && Object.fromEntries(page.items.map(({ id, status, remaining }) => [id, [status, remaining]]));
    };
    expect(await states()).toEqual({
      spent: ["exhausted", "0"],
      voided: ["voided", "0"],
      pending: ["pending", "20"],
      expiring: ["active", "2"],
    });
    // What falls due from now on falls due here.
    vi.setSystemTime(now + 200_000);
    platform.evictAll();
    expect(await home.wallet()).toMatchObject({ balance: "20" });
    expect(await states()).toMatchObject({ pending: ["active", "20"], expiring: ["expired", "0"] });
    expect(await source.rpc.wallet(source.call)).toMatchObject({ reason: "moved" });
    // The other way round: what comes owes, and is repaid from what is there.
    const debtor = of("debtor");
    await debtor.configure(2);
    await debtor.record(eventOf("d1", { tokens: 30 }));
    await merged(platform, debtor.name, home.name);
    expect(await home.wallet()).toMatchObject({ balance: "-10" });
    await grant(home, "repays", "15", {});
    expect(await states()).toMatchObject({ repays: ["active", "5"] });
    expect(await home.verified()).toBe(true);
  });
});
