/** Projections: whatever the queue does to a message, the rows end the same. */
import * as fc from "fast-check";
import { ulid } from "ulid";
import { expect, it } from "vitest";
import { ratingMessage, type RatingMessage, type Rollup } from "../../schema/messages";
import { applyRating, ROLLUPS_PER_STATEMENT_MAX } from "../apply-rating";
import { countUnrated, listFullest, listUnrated } from "../attention";
import { findCustomer, listCustomers } from "../customers";
import { countObjects, findObject, listObjects, listToday } from "../objects";
import { MINUTE_RETENTION_MS, purgeMinutes, totalByMeter, type RollupRow } from "../rollups";
import type { Store } from "../store";
import { findWallet, listWallets } from "../wallets";
import { ALL_CUSTOMERS, customer, EVER, everyPage, MINUTE_MS, newNamespace, NOW, rating, rollup } from "./builders";

const OLD_EPOCH = "01J00000000000000000000000";
const NEW_EPOCH = "01JZZZZZZZZZZZZZZZZZZZZZZZ";

/** Raw rows, in the order of the key. */
async function rollupRows(store: Store, namespaceId: string): Promise<RollupRow[]> {
  const { rollups } = store.tables;
  const rows = await store.db.select().from(rollups);
  const key = (row: RollupRow) => [row.meterKey, row.resolution, row.windowStart, row.object, row.groupKey].join(" ");
  return rows.filter((row) => row.namespaceId === namespaceId).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** The whole of what a namespace's projections say, its own id taken out. */
async function projections(store: Store, namespaceId: string): Promise<unknown> {
  const whole = { cursor: null, limit: 100 };
  const rows = [
    await rollupRows(store, namespaceId),
    (await listObjects(store, namespaceId, whole)).items,
    (await listCustomers(store, namespaceId, ALL_CUSTOMERS)).items,
    (await listWallets(store, namespaceId, whole)).items,
  ];
  return JSON.parse(JSON.stringify(rows).replaceAll(namespaceId, "NS"));
}

/** An object's life as messages: growing totals over three minutes and a quarter, a wallet, and one restore into a new epoch. */
function life(namespaceId: string): RatingMessage[] {
  const minutes = (step: number): Rollup[] =>
    [0, 1, 2]
      .filter((minute) => minute <= step)
      .flatMap((minute) =>
        ["[]", '["gpt-4"]'].map((group) =>
          rollup({
            windowStart: NOW + minute * MINUTE_MS,
            group,
            count: step + 1,
            sum: `${step}.000000000001`,
            max: String(step),
            latest: String(step),
          }),
        ),
      );
  return [OLD_EPOCH, OLD_EPOCH, OLD_EPOCH, OLD_EPOCH, NEW_EPOCH, NEW_EPOCH].map((epoch, step) =>
    rating({
      namespaceId,
      epoch,
      seq: epoch === OLD_EPOCH ? step + 10 : step - 3,
      sentAt: NOW + step,
      eventCount: 10 * step,
      wallet: {
        balance: `-${step}.5`,
        held: "0",
        currency: "CREDITS",
        status: step % 2 ? "ACTIVE" : "EXHAUSTED",
        unrated: step,
      },
      rollups: [...minutes(step), rollup({ resolution: "quarter", count: step })],
    }),
  );
}

/** The same message as two, as the outbox sends it when it outgrows one. */
const split = (message: RatingMessage): RatingMessage[] => {
  const middle = message.rollups.length >> 1;
  return [
    { ...message, rollups: message.rollups.slice(middle) },
    { ...message, rollups: message.rollups.slice(0, middle) },
  ];
};

export function projectionSuite(open: () => Store): void {
  it("ends in the same rows however messages are redelivered, reordered, split and batched", async () => {
    const store = open();
    const reference = await newNamespace(store);
    for (const message of life(reference)) await applyRating(store, [message]);
    const wanted = await projections(store, reference);
    expect(wanted).toMatchObject([
      { length: 7 },
      [{ epoch: NEW_EPOCH, lastSeq: 2, eventCount: 50 }],
      { length: 1 },
      [{ balance: "-5.5" }],
    ]);

    const schedules = fc.sample(
      fc.array(fc.record({ pick: fc.nat(11), cut: fc.boolean() }), { minLength: 4, maxLength: 14 }),
      { numRuns: 12, seed: 7 },
    );
    for (const schedule of schedules) {
      const namespaceId = await newNamespace(store);
      const parts = life(namespaceId).flatMap(split);
      const batch: RatingMessage[] = [];
      for (const { pick, cut } of schedule) {
        batch.push(parts[pick]!);
        if (cut) await applyRating(store, batch.splice(0));
      }
      // Delivery is at least once: what the schedule left out comes at the end, backwards.
      await applyRating(store, [...batch, ...parts.toReversed()]);
      expect(await projections(store, namespaceId)).toEqual(wanted);
    }
  });

  it("lets a new epoch win over any sequence of an older one, and no older one over it", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const at = (epoch: string, seq: number, count: number) =>
      applyRating(store, [rating({ namespaceId, epoch, seq, eventCount: count, rollups: [rollup({ count })] })]);
    const stored = async () => [
      (await findObject(store, namespaceId, `${namespaceId}/YWNtZQ`))?.eventCount,
      (await rollupRows(store, namespaceId))[0]?.count,
    ];
    await at(OLD_EPOCH, 900, 7);
    await at(NEW_EPOCH, 1, 3);
    expect(await stored()).toEqual([3, 3]);
    await at(OLD_EPOCH, 901, 8);
    expect(await stored()).toEqual([3, 3]);
    await at(NEW_EPOCH, 10, 5);
    await at(NEW_EPOCH, 9, 4);
    expect(await stored()).toEqual([5, 5]);
  });

  it("says what changed, and a message that is known changes nothing", async () => {
    const store = open();
    const message = rating({ namespaceId: await newNamespace(store), rollups: [rollup(), rollup({ group: "[1]" })] });
    expect(await applyRating(store, [message])).toMatchObject({ changed: 4 });
    expect(await applyRating(store, [message, message])).toEqual({ changed: 0, rowsWritten: 0 });
    expect(await applyRating(store, [])).toEqual({ changed: 0, rowsWritten: 0 });
  });

  it("applies one batch for many namespaces and objects, and more rollups than one statement takes", async () => {
    const store = open();
    const ids = await Promise.all([1, 2, 3].map(() => newNamespace(store)));
    const perMessage = Math.ceil(ROLLUPS_PER_STATEMENT_MAX / 4);
    const messages = [...ids, ...ids].map((namespaceId, turn) =>
      rating({
        namespaceId,
        object: `${namespaceId}/${turn}`,
        customer: { id: `c${turn}`, key: `k${turn}`, name: null, home: `${namespaceId}/${turn}`, createdAt: NOW },
        eventCount: perMessage,
        rollups: Array.from({ length: perMessage }, (_, n) => rollup({ windowStart: NOW + n * MINUTE_MS })),
      }),
    );
    await applyRating(store, messages);
    for (const namespaceId of ids) {
      expect(await countObjects(store, namespaceId)).toEqual({ objects: 2, events: 2 * perMessage });
      expect(await totalByMeter(store, namespaceId, { resolution: "minute", ...EVER })).toMatchObject([
        { count: 2 * perMessage },
      ]);
    }
  });

  it("survives many consumers applying the same objects at once, in any order", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const message = (object: number, seq: number) =>
      rating({
        namespaceId,
        seq,
        object: `${namespaceId}/${object}`,
        eventCount: seq,
        customer: { id: `c${object}`, key: `k${object}`, name: null, home: "h", createdAt: NOW },
        rollups: Array.from({ length: 20 }, (_, n) => rollup({ windowStart: NOW + n * MINUTE_MS, count: seq })),
      });
    const batches = [1, 2, 3, 4].map((seq) => [1, 2, 3, 4, 5].map((object) => message(object, seq)));
    await Promise.all(batches.map((batch, turn) => applyRating(store, turn % 2 ? batch : batch.toReversed())));
    expect(await countObjects(store, namespaceId)).toEqual({ objects: 5, events: 20 });
    expect(await totalByMeter(store, namespaceId, { resolution: "minute", ...EVER })).toMatchObject([
      { count: 5 * 20 * 4 },
    ]);
  });

  it("adopts a customer once, and neither overwrites it nor fails on a taken key", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const say = (seq: number, id: string, name: string) =>
      applyRating(store, [
        rating({
          namespaceId,
          seq,
          customer: { id, key: "acme", name, home: `${namespaceId}/${id}`, createdAt: NOW + seq },
        }),
      ]);
    await say(1, "first", "Acme");
    await say(2, "first", "Acme, renamed by nobody");
    await say(3, "second", "Another Acme");
    expect(await findCustomer(store, namespaceId, "acme")).toEqual(
      customer({
        namespaceId,
        id: "first",
        key: "acme",
        name: "Acme",
        home: `${namespaceId}/first`,
        createdAt: NOW + 1,
        updatedAt: NOW + 1,
      }),
    );
    expect(await findCustomer(store, namespaceId, "second")).toBe(null);
    expect(await findObject(store, namespaceId, `${namespaceId}/YWNtZQ`)).toMatchObject({
      customerId: "second",
      firstSeenAt: NOW + 1,
      updatedAt: NOW,
    });
  });

  it("keeps hostile names as they are", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const names = [
      "'; drop table rollups; --",
      'a"b',
      "\\u0000",
      "%_",
      "\t\n",
      "🦊",
      "null",
      "1e3",
      "",
      "$1",
      "?1",
      "[1,2]",
      "x".repeat(512),
    ];
    await applyRating(
      store,
      names.map((name, seq) =>
        rating({
          namespaceId,
          seq,
          object: name,
          customer: { id: `c${seq}`, key: name, name, home: name, createdAt: NOW },
          rollups: [rollup({ meter: name, group: name })],
        }),
      ),
    );
    expect((await rollupRows(store, namespaceId)).map(({ groupKey }) => groupKey).sort()).toEqual([...names].sort());
    expect(
      (await everyPage((page) => listObjects(store, namespaceId, page), 4)).map(({ name }) => name).sort(),
    ).toEqual([...names].sort());
    for (const name of names) expect(await findCustomer(store, namespaceId, name)).toMatchObject({ key: name, name });
    // What Postgres cannot store is refused at the consumer's door, so that it never stops a batch.
    for (const name of ["a\0b", "\ud800"])
      expect(ratingMessage.safeParse(rating({ namespaceId, object: name })).success).toBe(false);
  });

  it("forgets minutes after 35 days, some at a time, and never a quarter hour", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const edge = NOW - MINUTE_RETENTION_MS;
    const windows = [edge - 3 * MINUTE_MS, edge - 2 * MINUTE_MS, edge - MINUTE_MS, edge, NOW];
    await applyRating(store, [
      rating({
        namespaceId,
        rollups: windows.flatMap((windowStart) => [
          rollup({ windowStart }),
          rollup({ windowStart, meter: "requests" }),
          rollup({ windowStart, resolution: "quarter" }),
        ]),
      }),
    ]);
    const left = async () => (await rollupRows(store, namespaceId)).map(({ resolution }) => resolution);
    expect(await purgeMinutes(store, namespaceId, NOW, 4)).toBe(4);
    expect(await purgeMinutes(store, namespaceId, NOW, 4)).toBe(2);
    expect(await purgeMinutes(store, namespaceId, NOW, 4)).toBe(0);
    expect((await left()).filter((resolution) => resolution === "quarter")).toHaveLength(5);
    expect((await left()).filter((resolution) => resolution === "minute")).toHaveLength(4);
  });

  it("keeps the newest word on each wallet", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const wallet = { balance: "0.000000000001", held: "2", currency: "USD", status: "FROZEN", unrated: 4 } as const;
    await applyRating(store, [rating({ namespaceId }), rating({ namespaceId, seq: 2, wallet })]);
    const customerId = rating({ namespaceId }).customer.id;
    expect(await findWallet(store, namespaceId, customerId)).toEqual({
      namespaceId,
      customerId,
      ...wallet,
      epoch: OLD_EPOCH,
      seq: 2,
      closed: false,
      updatedAt: NOW,
    });
    expect(await findWallet(store, namespaceId, ulid())).toBe(null);
  });

  it("knows what each object accepted on its last day, in that day's list only", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    const of = (namespaceId: string, object: string, seq: number, today?: [number, [string, number][]]) =>
      rating({ namespaceId, object, seq, ...(today && { today }) });
    const hostile = "ä'\"\\";
    await applyRating(store, [
      of(ours, "a", 2, [
        20_000,
        [
          ["x", 2],
          [hostile, 1],
        ],
      ]),
      of(ours, "a", 1, [20_000, [["x", 1]]]),
      of(ours, "b", 1, [19_999, [["y", 9]]]),
      of(ours, "c", 1),
      of(ours, "d", 1, [20_000, [["x", 3]]]),
      of(theirs, "a", 1, [20_000, [["z", 5]]]),
    ]);
    expect(await everyPage((page) => listToday(store, ours, 20_000, page), 1)).toEqual([
      {
        name: "a",
        todayCounts: [
          ["x", 2],
          [hostile, 1],
        ],
      },
      { name: "d", todayCounts: [["x", 3]] },
    ]);
    expect(await everyPage((page) => listToday(store, ours, 20_001, page), 5)).toEqual([]);
  });

  it("finds the customers with unpriced usage, and those near what one object holds", async () => {
    const store = open();
    const [ours, theirs] = [await newNamespace(store), await newNamespace(store)];
    const wallet = (unrated: number) => ({
      balance: "0",
      held: "0",
      currency: "CREDITS",
      status: "ACTIVE" as const,
      unrated,
    });
    const customer = (n: number) => ({ id: `c${n}`, key: `k${n}`, name: null, home: `h${n}`, createdAt: NOW });
    const of = (namespaceId: string, n: number, unrated: number) =>
      rating({ namespaceId, object: `o${n}`, customer: customer(n), eventCount: n * 100, wallet: wallet(unrated) });
    await applyRating(store, [of(ours, 1, 3), of(ours, 2, 0), of(ours, 3, 4), of(theirs, 4, 5)]);

    expect(await listUnrated(store, ours, { afterId: null, limit: 1 })).toEqual([{ customerId: "c1", unrated: 3 }]);
    expect(await listUnrated(store, ours, { afterId: "c1", limit: 5 })).toEqual([{ customerId: "c3", unrated: 4 }]);
    expect(await countUnrated(store, ours)).toBe(7);
    expect(await countUnrated(store, ulid())).toBe(0);
    expect(await listFullest(store, ours, { eventsMin: 100, limit: 5 })).toEqual([
      { customerKey: "k3", events: 300 },
      { customerKey: "k2", events: 200 },
    ]);
  });

  it("ends an object that moved into another for good, however late its older messages come", async () => {
    const store = open();
    const wallet = (balance: string) => ({
      balance,
      held: "0",
      currency: "CREDITS",
      status: "ACTIVE" as const,
      unrated: 0,
    });
    const customerOf = (object: string, namespaceId: string) => ({
      id: `of ${object}`,
      key: object,
      name: null,
      home: `${namespaceId}/${object}`,
      createdAt: NOW,
    });
    const says = (namespaceId: string, object: string, of: Partial<RatingMessage>) =>
      rating({ namespaceId, object: `${namespaceId}/${object}`, customer: customerOf(object, namespaceId), ...of });
    const life = (namespaceId: string) => [
      says(namespaceId, "source", { seq: 1, rollups: [rollup({ count: 1, sum: "1" })], wallet: wallet("5") }),
      says(namespaceId, "source", { seq: 2, rollups: [rollup({ count: 2, sum: "3" })], wallet: wallet("4") }),
      says(namespaceId, "source", {
        seq: 9,
        rollups: [rollup({ count: 0, sum: "0", min: null, max: null, latest: null, latestAt: null })],
        wallet: wallet("0"),
        eventCount: 0,
        declared: true,
        closed: true,
      }),
      says(namespaceId, "home", { seq: 5, rollups: [rollup({ count: 2, sum: "3" })], wallet: wallet("4") }),
    ];
    const orders = [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
      [2, 0, 3, 1],
      [0, 2, 1, 3, 0, 1],
    ];
    for (const order of orders) {
      for (const size of [1, 4]) {
        const namespaceId = await newNamespace(store);
        const messages = order.map((n) => life(namespaceId)[n]!);
        while (messages.length > 0) await applyRating(store, messages.splice(0, size));
        const [home, source] = [`${namespaceId}/home`, `${namespaceId}/source`];
        const whole = { cursor: null, limit: 10 };
        expect((await listObjects(store, namespaceId, whole)).items.map(({ name }) => name)).toEqual([home]);
        expect((await findObject(store, namespaceId, source))?.closed).toBe(true);
        expect(await countObjects(store, namespaceId)).toEqual({ objects: 1, events: 1 });
        expect((await listWallets(store, namespaceId, whole)).items).toMatchObject([{ customerId: "of home" }]);
        expect(await findWallet(store, namespaceId, "of source")).toBe(null);
        expect((await listCustomers(store, namespaceId, ALL_CUSTOMERS)).items).toMatchObject([{ id: "of home" }]);
        expect(await findCustomer(store, namespaceId, "source")).toBe(null);
        expect(await totalByMeter(store, namespaceId, { resolution: "minute", ...EVER })).toMatchObject([
          { count: 2, sum: 3n * 10n ** 24n },
        ]);
      }
    }
  });

  it("makes no customer of a subject that only sent events, and one as soon as it is more", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    await applyRating(store, [rating({ namespaceId, seq: 1, declared: false })]);
    expect((await listCustomers(store, namespaceId, ALL_CUSTOMERS)).items).toEqual([]);
    expect(await countObjects(store, namespaceId)).toMatchObject({ objects: 1 });
    await applyRating(store, [rating({ namespaceId, seq: 2, declared: true })]);
    await applyRating(store, [rating({ namespaceId, seq: 1, declared: false })]);
    expect((await listCustomers(store, namespaceId, ALL_CUSTOMERS)).items).toMatchObject([{ key: "acme", name: null }]);
    // An older program did not tell them apart, and listed all.
    const { declared: _, ...older } = rating({ namespaceId, object: "o", seq: 1 });
    await applyRating(store, [{ ...older, customer: { ...older.customer, id: "older", key: null } }]);
    expect(await findCustomer(store, namespaceId, "older")).toMatchObject({ key: null });
  });
}
