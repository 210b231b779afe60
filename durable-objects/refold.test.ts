/** Meters that come after the events, rebuilding, auditing and lists, through the object's calls and its alarm. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { EventQuery, ListedEvent } from "../core/event-listing";
import type { UsageEvent } from "../core/event";
import { compileMeters, foldKeyOf, type Meter } from "../core/meter";
import type { MeterQuery } from "../core/meter-query";
import { objectName } from "../core/object-name";
import type { RatingMessage } from "../schema/messages";
import type { AccountStore } from "./account-store";
import type { Customer } from "./customer";
import type { AuditSlice, Call, ConfigSnapshot, CustomerRpc, FoldedPage } from "./rpc";
import { sha256 } from "./sha256";

const NAMESPACE = "01JD0000000000000000000000";
/** A full hour, lately: the store keeps minutes for five weeks. */
const START = Math.floor(Date.now() / 3_600_000 - 72) * 3_600_000;

const meter = (id: string, part: Partial<Meter> = {}): Meter => ({
  id,
  key: id,
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.tokens",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
  ...part,
});
const snapshot = (version: number, meters: Meter[]): ConfigSnapshot => ({
  version,
  defaults: [],
  burnTables: [],
  meters,
});
const everything: MeterQuery = {
  from: null,
  to: null,
  windowSize: null,
  timeZone: "UTC",
  groupBy: [],
  filters: {},
  subjects: null,
};

let minted = 0;
const event = (tokens: number, part: Partial<UsageEvent> = {}): UsageEvent => ({
  id: `e${++minted}`,
  source: "test",
  type: "prompt",
  subject: "ada",
  time: START + minted * 1_000,
  data: { tokens, model: tokens % 2 === 0 ? "even" : "odd" },
  ...part,
});

let names = 0;
/** A customer nobody has used, configured with these meters. */
async function customer(meters: Meter[] = []) {
  const name = `refolded-${++names}`;
  const stub = env.CUSTOMER.getByName(objectName(NAMESPACE, name, sha256));
  const rpc = stub as unknown as CustomerRpc;
  const call: Call = { namespaceId: NAMESPACE, name, configVersion: 1 };
  await rpc.configure(call, snapshot(1, meters));
  const inside = <T>(work: (store: AccountStore, sql: SqlStorage) => T): Promise<T> =>
    runInDurableObject(stub, (object: Customer, state) =>
      work((object as unknown as { store: AccountStore }).store, state.storage.sql),
    );
  return {
    rpc,
    call,
    inside,
    evict: () => evictDurableObject(stub),
    ring: () => runDurableObjectAlarm(stub),
    record: (events: UsageEvent[]) => rpc.record(call, JSON.stringify(events), true),
    configure: (given: Meter[]) => {
      call.configVersion++;
      return rpc.configure(call, snapshot(call.configVersion, given));
    },
    async sum(of: Meter) {
      const answer = await rpc.queryMeter(call, { foldKey: foldKeyOf(of), query: everything, alone: true });
      return answer.ok ? answer.part.rows.map(({ cell }) => cell[0]) : answer;
    },
    /** Asks until nothing is left to count. */
    async refold() {
      for (let calls = 1; ; calls++) {
        const answer = await rpc.refold(call);
        if (!answer.ok) throw new Error(answer.reason);
        if (answer.left === null) return calls;
      }
    },
    async told() {
      const pages: FoldedPage[] = [];
      for (let written: string | null = null; ;) {
        const answer = await rpc.foldedRollups(call, { written, take: true });
        if (!answer.ok) throw new Error(answer.reason);
        pages.push(answer);
        if (answer.page === null) return pages;
        written = answer.page;
      }
    },
    async audit() {
      let from: string | null = null;
      const totals: AuditSlice["totals"] = [];
      for (;;) {
        const answer = await rpc.audit(call, from);
        if (!answer.ok) throw new Error(answer.reason);
        totals.push(...answer.totals);
        if (answer.next === null) return { ...answer.report!, totals };
        from = answer.next;
      }
    },
    async list(part: Partial<EventQuery> = {}) {
      const items: ListedEvent[] = [];
      const query: EventQuery = { from: null, to: null, after: null, resume: null, limit: 100, ...part };
      let calls = 0;
      for (let resume: string | null = null; ; calls++) {
        const answer = await rpc.listEvents(call, { ...query, resume, limit: query.limit - items.length });
        if (!answer.ok) throw new Error(answer.reason);
        items.push(...answer.items);
        resume = answer.resume;
        if (resume === null) return { items, calls: calls + 1 };
      }
    },
    /** What the alarm sends to the queue from now on, in place of the queue. */
    async listen() {
      const sent: RatingMessage[] = [];
      await runInDurableObject(stub, (object: Customer) => {
        const RATING = {
          sendBatch: (batch: { body: RatingMessage }[]) => {
            sent.push(...batch.map(({ body }) => body));
            return Promise.resolve();
          },
        };
        Object.defineProperty(object, "env", { value: { ...env, RATING }, configurable: true });
      });
      return sent;
    },
  };
}

const sum = meter("sum");
const count = meter("count", { aggregation: "COUNT", valueProperty: null });

describe("a meter that is made after the events", () => {
  it("counts them, once, whatever comes meanwhile, in a log of many entries and wherever the object is evicted", async () => {
    const c = await customer([count]);
    for (let batch = 0; batch < 20; batch++) await c.record([event(1), event(2)]);
    await c.configure([count, sum]);
    await c.record([event(10)]);
    await c.evict();
    await c.record([event(100)]);
    await c.evict();
    expect(await c.sum(sum)).toEqual([[42, 170]]);
    expect(await c.sum(count)).toEqual([42]);
    await c.evict();
    expect(await c.sum(sum)).toEqual([[42, 170]]);
    expect((await c.audit()).differences).toEqual([]);
  });

  it("is counted by the alarm, when nobody asks and the object only wakes for it", async () => {
    const c = await customer();
    await c.record([event(1), event(2)]);
    await c.configure([sum]);
    expect(await c.inside((store) => store.counts.left)).toMatchObject({ done: 0, total: 1 });
    await c.evict();
    expect(await c.ring()).toBe(true);
    // Nothing but the alarm has run in this instance.
    expect(await c.inside((store) => [store.counts.left, store.counts.isWhole(foldKeyOf(sum))])).toEqual([null, true]);
  });

  it("answers how far it is while a large log is counted, and never a smaller number", async () => {
    const c = await customer();
    const large = Array.from({ length: 10_000 }, () => event(1));
    for (let batch = 0; batch < 7; batch++)
      await c.record(large.map((each) => ({ ...each, id: `${each.id}/${batch}` })));
    await c.configure([sum]);
    const answers: unknown[] = [];
    for (let asked = 0; asked < 5; asked++) answers.push(await c.sum(sum));
    expect(answers[0]).toEqual({ ok: false, reason: "folding", done: 5, total: 7 });
    expect(answers.slice(1)).toEqual(Array(4).fill([[70_000, 70_000]]));
  });

  it("that was removed and comes back is counted again from the start, and shows nothing of before", async () => {
    const c = await customer([sum]);
    await c.record([event(1)]);
    await c.configure([]);
    expect(await c.sum(sum)).toMatchObject({ ok: false });
    expect(await c.inside((_store, sql) => sql.exec("SELECT * FROM folds").toArray().length)).toBe(0);
    await c.record([event(2)]);
    await c.configure([sum]);
    expect(await c.sum(sum)).toEqual([[2, 3]]);
  });

  it("with other dimensions is another meter", async () => {
    const c = await customer([sum]);
    await c.record([event(1), event(2)]);
    const changed = meter("sum", { groupBy: {} });
    await c.configure([changed]);
    expect(await c.sum(changed)).toEqual([[2, 3]]);
    expect((await c.audit()).totals.map(({ group }) => group)).toEqual(['["ada"]']);
  });
});

describe("the rollups of a meter that was counted from the log", () => {
  it("go to the store in order, not through the queue, and then it may believe them whole", async () => {
    const c = await customer([count]);
    await c.record([event(1), event(2, { time: START }), event(4, { time: START })]);
    await c.ring();
    await c.configure([count, sum]);
    const sent = await c.listen();
    await c.ring();
    await c.record([event(8, { time: START })]);
    await c.ring();
    const key = foldKeyOf(sum);
    const ofSum = (messages: RatingMessage[]) =>
      messages.flatMap(({ rollups }) => rollups).filter(({ meter: of }) => of === key);
    expect(sent.length).toBeGreaterThan(0);
    expect([ofSum(sent), sent.map(({ foldedVersion }) => foldedVersion)]).toEqual([[], sent.map(() => 1)]);

    const pages = await c.told();
    const rows = pages.flatMap(({ messages }) => messages.flatMap(({ rollups }) => rollups));
    const minutes = rows.filter(({ resolution }) => resolution === "minute");
    expect(minutes.map(({ meter: of, group, sum: total }) => [of, group, total]).sort()).toEqual(
      [
        [key, '["ada","odd"]', "1"],
        [key, '["ada","even"]', "14"],
      ].sort(),
    );
    expect([pages.at(-1)!.messages, pages.at(-1)!.foldedVersion]).toEqual([[], 2]);

    await c.evict();
    const later = await c.listen();
    await c.record([event(16, { time: START })]);
    await c.ring();
    expect(ofSum(later).map(({ sum: total }) => total)).toEqual(["30", "30"]);
    expect(later.at(-1)!.foldedVersion).toBe(2);
    // Asked once more there is nothing to tell.
    expect(await c.told()).toEqual([{ ok: true, messages: [], page: null, foldedVersion: 2 }]);
  });

  it("that nobody has written are told again, also after an eviction", async () => {
    const c = await customer();
    await c.record([event(1), event(2)]);
    await c.configure([sum]);
    await c.refold();
    const page = await c.rpc.foldedRollups(c.call, { written: null, take: true });
    expect(page).toMatchObject({ ok: true, page: expect.any(String) as string });
    // Somebody else must wait for it, as long as its receiver may be alive.
    expect(await c.rpc.foldedRollups(c.call, { written: null, take: true })).toMatchObject({ reason: "folding" });
    await c.evict();
    const told = await c.told();
    const rows = told.flatMap(({ messages }) => messages.flatMap(({ rollups }) => rollups));
    expect(rows.map(({ sum: total }) => total).sort()).toEqual(["1", "1", "2", "2"]);
  });

  it("of an object that was there before its first meter are believed from its birth on", async () => {
    const c = await customer([sum]);
    const sent = await c.listen();
    await c.record([event(1)]);
    await c.ring();
    expect(sent.map(({ foldedVersion }) => foldedVersion)).toEqual([1]);
  });
});

describe("rebuilding an object", () => {
  it("makes its folds again from the log and sends all of them under a newer epoch; auditing sees before and after", async () => {
    const c = await customer([sum, count]);
    await c.record([event(1), event(2), event(4)]);
    await c.ring();
    await c.inside((store) => store.checkpoint());
    const before = await c.audit();
    expect([before.differences, before.events, before.totals.length]).toEqual([[], 3, 4]);

    await c.inside((store) => {
      const [group] = store.folds.groupsOf(metersOf(store).meters.get(foldKeyOf(sum))!).byKey.values();
      (group!.total as unknown as { count: number }).count += 5;
    });
    expect((await c.audit()).differences).toEqual([expect.stringContaining('meter sum, group ["ada","odd"]: folded')]);

    const sent = await c.listen();
    const rebuilt = await c.rpc.rebuild(c.call);
    if (!rebuilt.ok || rebuilt.epoch === null) throw new Error("not rebuilt");
    expect(rebuilt.epoch > before.epoch!).toBe(true);
    expect(await c.sum(sum)).toEqual([[3, 7]]);
    await c.ring();
    expect(new Set(sent.map(({ epoch }) => epoch))).toEqual(new Set([rebuilt.epoch]));
    expect(sent.flatMap(({ rollups }) => rollups).length).toBe(8);
    await c.evict();
    expect(await c.audit()).toMatchObject({ differences: [], epoch: rebuilt.epoch, events: 3 });
  });

  it("finds events whose time the index does not know, and makes it anew", async () => {
    const c = await customer();
    await c.record([event(1)]);
    await c.inside((store) => store.checkpoint());
    await c.inside((_store, sql) => sql.exec("DELETE FROM time_index").toArray());
    expect((await c.audit()).differences).toEqual([
      expect.stringContaining("the time index does not find log entry 1 at"),
    ]);
    await c.rpc.rebuild(c.call);
    expect((await c.audit()).differences).toEqual([]);
  });

  it("that was stored before meters were counted from the log counts everything again when it wakes", async () => {
    const c = await customer([sum]);
    await c.record([event(1), event(2)]);
    await c.inside((store, sql) => {
      store.checkpoint();
      const checkpoint = JSON.parse(store.state.read("checkpoint")!) as { [key: string]: unknown };
      delete checkpoint.refolds;
      store.state.write("checkpoint", JSON.stringify(checkpoint));
      sql.exec("DROP TABLE time_index; DELETE FROM migrations WHERE id >= 5");
    });
    await c.evict();
    await c.record([event(4)]);
    expect(await c.sum(sum)).toEqual([[3, 7]]);
    expect((await c.list()).items.length).toBe(3);
    expect((await c.audit()).differences).toEqual([]);
  });
});

describe("a list of an object's events", () => {
  it("holds the event acknowledged a moment ago, newest time first, and what is wrong with each", async () => {
    const c = await customer([sum]);
    const late = event(3, { time: START - 1_000 });
    await c.record([event(1, { id: "a", time: START }), event(2, { id: "b", time: START + 1 })]);
    await c.record([late, event(0, { id: "c", time: START, type: "other", data: null })]);
    const { items } = await c.list();
    expect(items.map(({ eventJson }) => (JSON.parse(eventJson) as { id: string }).id)).toEqual([
      "b",
      "c",
      "a",
      late.id,
    ]);
    expect(items.map(({ validationError }) => validationError)).toEqual([
      "no customer found for event subject: ada",
      "no meter found for event type: other\nno customer found for event subject: ada",
      "no customer found for event subject: ada",
      "no customer found for event subject: ada",
    ]);
    expect(items.map(({ customerId }) => customerId)).toEqual([null, null, null, null]);
    // A setting makes a customer of whoever only sent events.
    await c.rpc.patchWallet(c.call, { overdraftLimit: "5" });
    const declared = await c.list({ limit: 1 });
    expect(declared.items[0]).toMatchObject({ validationError: null, customerId: expect.any(String) as string });
  });

  it("says why a debitable event has no price", async () => {
    const c = await customer();
    const burnTables = [
      {
        key: "credits",
        version: 1,
        currency: "CREDITS",
        effectiveFrom: 0,
        markup: "1",
        priceBook: null,
        mappings: [],
        rules: [{ dimension: "images", rate: "2", per: "1" }],
      },
    ];
    c.call.configVersion = 2;
    await c.rpc.configure(c.call, {
      version: 2,
      defaults: [{ key: "credits", from: 0 }],
      burnTables,
      meters: [meter("m", { eventType: "chat", aggregation: "COUNT", valueProperty: null })],
    });
    await c.rpc.patchWallet(c.call, { overdraftLimit: "5" });
    const eventJson = JSON.stringify(event(0, { type: "chat", data: { usage: { tokens: 5 } } }));
    await c.rpc.track(c.call, { eventJson, enforce: false });
    expect((await c.list()).items[0]!.validationError).toMatch(/^unpriced usage: .*tokens/);
  });

  it("of a minute with more events than one call reads comes in several calls, whole and in order", async () => {
    const c = await customer();
    const many = Array.from({ length: 5_000 }, (_, i) => event(i, { time: START + ((i * 7_919) % 60_000) }));
    for (let batch = 0; batch < 5; batch++)
      await c.record(many.map((each) => ({ ...each, id: `${each.id}/${batch}` })));
    const newest = many.toSorted((a, b) => b.time - a.time);
    const { items, calls } = await c.list();
    expect(calls).toBeGreaterThan(1);
    expect(items.map(({ key }) => key.time)).toEqual(newest.slice(0, 20).flatMap(({ time }) => Array(5).fill(time)));
    const second = await c.list({ after: items.at(-1)!.key });
    expect(second.items.map(({ key }) => key.time)).toEqual(
      newest.slice(20, 40).flatMap(({ time }) => Array(5).fill(time)),
    );
  });

  it("reads little of the log for a page, however long the log is", async () => {
    const c = await customer();
    for (let batch = 0; batch < 60; batch++)
      await c.record(Array.from({ length: 500 }, (_, i) => event(i, { time: START + batch * 3_600_000 + i * 1_000 })));
    await c.inside((store) => {
      while (store.tidy());
    });
    const read = await c.inside((store) => {
      const seen = new Set<number>();
      const forward = store.log.forward.bind(store.log);
      store.log.forward = function* (...args) {
        for (const entry of forward(...args)) {
          seen.add(entry.seq);
          yield entry;
        }
      };
      return seen;
    });
    expect((await c.list()).items.length).toBe(100);
    expect(read.size).toBeLessThanOrEqual(2);
    expect((await c.list({ from: START, to: START + 3_600_000 })).items.length).toBe(100);
    expect(read.size).toBeLessThanOrEqual(4);
  });
});

describe("a name that was never written", () => {
  it("has no events, folds or rollups, and stores nothing for being asked", async () => {
    const c = await customer([sum]);
    expect(await c.list()).toEqual({ items: [], calls: 1 });
    expect(await c.refold()).toBe(1);
    expect(await c.told()).toEqual([{ ok: true, messages: [], page: null, foldedVersion: 1 }]);
    expect(await c.rpc.rebuild(c.call)).toEqual({ ok: true, epoch: null });
    expect(await c.audit()).toMatchObject({ object: null, events: 0, differences: [] });
    expect(await c.inside((store) => store.empty)).toBe(true);
  });
});

/** The compiled meters that the object counts by. */
const metersOf = (store: AccountStore) =>
  compileMeters([sum, count].filter((each) => store.counts.isWhole(foldKeyOf(each))));
