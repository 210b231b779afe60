/**
 * What is counted from the log, against one pass over it: under any sequence of calls, configurations, corrections, counting steps,
 * checkpoints, evictions, failed writes and crashes, a meter that is whole has exactly the folds of one pass, the time index finds every
 * event, lists are what sorting all events gives, and the rollups that left add up to the folds.
 */
import fc from "fast-check";
import { ulid } from "ulid";
import { describe, expect, it } from "vitest";
import { correctEvent, draftEntry, recordEvent, startEpoch, type Rating } from "../../core/account";
import { AGGREGATIONS, type Cell, type Fold } from "../../core/aggregation";
import { isPresent } from "../../core/correction";
import { compareKeys, type EventKey, type EventQuery } from "../../core/event-listing";
import type { UsageEvent } from "../../core/event";
import { parseExact } from "../../core/exact-json";
import { foldEvent, HOUR_MS, MemoryFolds, MINUTE_MS, windowCell, type FoldChunk } from "../../core/fold";
import { decodeEntry } from "../../core/log-entry";
import { compileMeters, type CompiledMeter, type Meter } from "../../core/meter";
import { TIME_INDEX } from "../../core/refold";
import { MINUTE_RETENTION_MS, type RollupRow } from "../../core/rollup";
import { AccountStore } from "../../durable-objects/account-store";
import { Audit } from "../../durable-objects/audit";
import { recordedEvent } from "../../durable-objects/corrections";
import { listEvents } from "../../durable-objects/event-list";
import { orderOf } from "../../durable-objects/fold-store";
import { FoldedRollups } from "../../durable-objects/folded-rollups";
import type { FoldedBy, LoggedEvent } from "../../durable-objects/log-folds";
import { TestSqlStorage } from "./sql-storage";

const HOUR = 472_000;
const rating: Rating = {
  tables: new Map(),
  defaults: [],
  priceBook: { key: "none", version: "0", price: () => [] } as never,
};

const every = AGGREGATIONS.map((aggregation): Meter => ({
  id: `m-${aggregation}`,
  key: aggregation.toLowerCase(),
  eventType: "prompt",
  aggregation,
  valueProperty: aggregation === "COUNT" ? null : "$.n",
  groupBy: { model: "$.model" },
  eventFrom: null,
  createdAt: 0,
}));
const [ofCount, ofSum] = every as [Meter, Meter];
/** One of each aggregation, another definition of one of them, one of another type and one that begins later. */
const METERS: readonly Meter[] = every.concat(
  { ...ofSum, groupBy: {} },
  { ...ofCount, id: "m-other", eventType: "call" },
  { ...ofSum, id: "m-late", eventFrom: HOUR * HOUR_MS + 30 * MINUTE_MS },
);

/** A step counts an entry or two, and so does every other small thing. */
const SMALL = { stepEvents: 8, saveEvents: 40, batchChars: 500 };
const SMALL_LISTS = { events: 10, windowEntriesMax: 8 };

/** A window that is gone, because its events were corrected. */
const EMPTY = ['"empty"', "[0,[]]"];

class World {
  readonly storage = new TestSqlStorage();
  readonly durable = {
    sql: this.storage,
    transactionSync: this.storage.transactionSync,
  } as unknown as DurableObjectStorage;
  by: FoldedBy = { meters: compileMeters([]), version: 0 };
  store = new AccountStore(this.durable, SMALL);
  /** What the shared store would have. */
  rows = new Map<string, { epoch: string; seq: number; row: string }>();
  private telling = this.newFolded();
  private now = HOUR * HOUR_MS;
  private minted = 0;
  readonly acknowledged = new Set<string>();

  private newFolded(): FoldedRollups {
    return new FoldedRollups(
      this.store,
      () => this.now,
      () => `t${this.minted++}`,
      2_000,
    );
  }

  /** A new instance: nothing in memory, the configuration as it was stored. */
  evict(): void {
    this.storage.beforeWrite = () => undefined;
    this.store = new AccountStore(this.durable, SMALL);
    this.telling = this.newFolded();
    const stored = this.store.empty ? null : this.store.state.read("config");
    if (stored === null && !this.store.empty) this.by = { meters: compileMeters([]), version: 0 };
    if (stored !== null) {
      const { version, meters } = JSON.parse(stored) as { version: number; meters: Meter[] };
      this.by = { version, meters: compileMeters(meters) };
    }
  }

  private entry() {
    const account = this.store.load(this.by);
    this.now += 7;
    return draftEntry(account, this.now, () => ({
      namespaceId: "01JD0000000000000000000000",
      object: "object",
      sandbox: false,
      customerId: "01JC0000000000000000000000",
      key: "ada",
      epoch: ulid(1),
      tag: "abcd",
      createdAt: 0,
    }));
  }

  record(events: readonly Omit<UsageEvent, "id">[]): void {
    const entry = this.entry();
    const account = this.store.load(this.by);
    const made = events.map((event) => ({ ...event, id: `e${this.minted++}` }));
    for (const event of made) recordEvent(account, entry, event, rating);
    const first = account.identity === null;
    this.store.commit(entry, this.by.meters, { plain: true });
    if (first) this.saveConfig();
    for (const { id } of made) this.acknowledged.add(id);
  }

  private saveConfig(by = this.by): void {
    const meters = [...by.meters.meters.values()].map(({ meter }) => meter);
    this.store.state.write("config", JSON.stringify({ version: by.version, meters }));
  }

  configure(places: number[]): void {
    this.store.load(this.by);
    const version = this.by.version + 1;
    const by = { version, meters: compileMeters(places.map((place) => METERS[place]!)) };
    this.store.adopt(by, () => this.saveConfig(by));
    this.by = by;
  }

  correct(pick: number, change: { n: number; minutes: number } | null): void {
    const account = this.store.load(this.by);
    if (this.store.foldUp(TIME_INDEX, this.by, 1_000) !== null) throw new Error("the index does not end");
    const present = this.present();
    const event = present[pick % Math.max(1, present.length)]?.event;
    if (!event) return;
    const found = recordedEvent(this.store, account, event);
    if (!found.ok) throw new Error(found.refusal.detail);
    const entry = this.entry();
    const version = change && {
      ...event,
      data: { n: change.n, model: "b" },
      time: event.time + change.minutes * MINUTE_MS,
    };
    correctEvent(account, entry, found.value, version, "wrong", rating);
    this.store.commit(entry, this.by.meters, { plain: true });
  }

  /** Longer than anybody holds a page of rollups. */
  wait(): void {
    this.now += 60_000;
  }

  rebuild(): void {
    const account = this.store.load(this.by);
    if (!account.identity) return;
    const entry = this.entry();
    startEpoch(account, entry, ulid(this.now));
    this.store.recount(entry, this.by.meters);
  }

  /** The alarm's shipping; `lost`: the queue refused it. */
  ship(bytes: number, lost: boolean): void {
    const account = this.store.load(this.by);
    const { folds, counts } = this.store;
    const taken = folds.takeUnsent(this.by.meters, bytes, counts.isTold, this.minutesFrom);
    if (!taken) return;
    if (lost) taken.putBack();
    else {
      this.apply(account.identity!.epoch, account.seq, taken.rows);
      taken.sent();
    }
  }

  /** One round of pages, or its first few; `dies`: whoever writes them does not come back. Answers whether the store was told everything. */
  tell(pages: number, dies = false): boolean {
    this.store.load(this.by);
    if (this.store.counts.left !== null) return false;
    let written: string | null = null;
    for (let page = 0; page < pages; page++) {
      const answer = this.telling.next(this.by, { written, take: true }, this.now);
      if (answer === null || (dies && page === pages - 1)) return false;
      for (const message of answer.messages) this.apply(message.epoch, message.seq, message.rollups);
      if (answer.page === null) return answer.foldedVersion === this.by.version;
      written = answer.page;
    }
    return this.telling.next(this.by, { written, take: false }, this.now) !== null;
  }

  private apply(
    epoch: string,
    seq: number,
    rows: readonly { meter: string; group: string; resolution: string; windowStart: number }[],
  ) {
    for (const row of rows) {
      const key = `${row.meter} ${row.resolution} ${row.windowStart} ${row.group}`;
      const known = this.rows.get(key);
      if (!known || known.epoch < epoch || (known.epoch === epoch && known.seq < seq))
        this.rows.set(key, { epoch, seq, row: JSON.stringify(row) });
    }
  }

  /** Every event that counts, read from the log without any help. */
  present(): LoggedEvent[] {
    const { corrections } = this.store.load(this.by);
    const found: LoggedEvent[] = [];
    for (const { json } of this.store.log.forward(1)) {
      const { seq, at, events } = decodeEntry(json, parseExact);
      for (const [index, event] of events.entries())
        if (isPresent(corrections, { seq, index })) found.push({ event, seq, index, storedAt: at });
    }
    return found;
  }

  finish(): void {
    this.store.load(this.by);
    for (let step = 0; this.store.foldStep(this.by); step++) expect(step).toBeLessThan(10_000);
  }

  /** Every whole meter has the folds of one pass. */
  check(): void {
    if (this.store.load(this.by).identity === null) return;
    const memory = new MemoryFolds();
    const hours = new Set<number>();
    for (const { event, seq, index } of this.present()) {
      foldEvent(memory, this.by.meters, event, orderOf(seq, index));
      hours.add(Math.floor(event.time / HOUR_MS));
    }
    for (const meter of this.by.meters.meters.values()) {
      if (!this.store.counts.isWhole(meter.foldKey)) continue;
      for (const hour of hours) {
        const is = cellsOf(this.store.folds.chunk(meter, hour));
        expect({ meter: meter.meter.id, hour, is }).toEqual({
          meter: meter.meter.id,
          hour,
          is: cellsOf(memory.chunk(meter, hour)),
        });
      }
      expect(totalsOf(meter, this.store)).toEqual(
        new Map(
          [...(memory.groups.get(meter.foldKey)?.byKey.values() ?? [])].flatMap(({ key, total }) =>
            total === null || total.count === 0 ? [] : [[key, jsonOf(meter.fold, total)]],
          ),
        ),
      );
    }
    if (this.store.counts.isWhole(TIME_INDEX)) this.checkEvents();
  }

  private checkEvents(): void {
    const present = this.present();
    for (const [from, to] of [
      [0, Infinity],
      [HOUR * HOUR_MS + 90_001, HOUR * HOUR_MS + 20 * MINUTE_MS + 1],
      [(HOUR - 2) * HOUR_MS, HOUR * HOUR_MS],
    ] as const) {
      expect([...this.store.events(from, to)]).toEqual(
        present.filter(({ event: { time } }) => time >= from && time < to),
      );
    }
  }

  audit(): readonly string[] | undefined {
    const audit = new Audit(this.store, { events: 20, groups: 3 });
    let slice = audit.next(this.by, null);
    while (slice.next !== null) slice = audit.next(this.by, slice.next);
    return slice.report?.differences;
  }

  /** What every window of every meter adds up to, quarters of an hour and such minutes as the store keeps. */
  windows(): Map<string, string> {
    const windows = new Map<string, string>();
    const hours = new Set(this.present().map(({ event }) => Math.floor(event.time / HOUR_MS)));
    for (const meter of this.by.meters.meters.values()) {
      const say = (resolution: string, start: number, group: string, cell: Cell) =>
        windows.set(
          `${meter.foldKey} ${resolution} ${start} ${group}`,
          JSON.stringify([cell.count, Object.values(meter.fold.rollup(cell))]),
        );
      for (const hour of hours) {
        const chunk = this.store.folds.chunk(meter, hour);
        for (const row of chunk.rows.values()) {
          for (const [place, minute] of row.minutes.entries()) {
            const start = hour * HOUR_MS + minute * MINUTE_MS;
            if (start >= this.minutesFrom) say("minute", start, row.group.key, row.cells[place]!);
          }
          for (let from = 0; from < 60; from += 15) {
            const cell = windowCell(chunk, row, from, 15);
            if (cell) say("quarter", hour * HOUR_MS + from * MINUTE_MS, row.group.key, cell);
          }
        }
      }
    }
    return windows;
  }

  /** What the store would have of them. */
  told(): Map<string, string> {
    const told = new Map<string, string>();
    for (const [key, { row }] of this.rows) {
      const { meter, count, sum, min, max, latest, latestAt } = JSON.parse(row) as RollupRow;
      const compiled = this.by.meters.meters.get(meter);
      if (compiled === undefined) continue;
      const { aggregation } = compiled.meter;
      const kept = {
        SUM: [sum],
        AVG: [sum],
        MIN: [min],
        MAX: [max],
        LATEST: [latest, latestAt],
        COUNT: [],
        UNIQUE_COUNT: [],
      };
      told.set(
        key,
        JSON.stringify(count === 0 && aggregation !== "UNIQUE_COUNT" ? "empty" : [count, kept[aggregation]]),
      );
    }
    return told;
  }

  private get minutesFrom(): number {
    return this.now - MINUTE_RETENTION_MS;
  }

  list(query: EventQuery): EventKey[] {
    const keys: EventKey[] = [];
    let after = query.after;
    let resume: string | null = null;
    for (let calls = 0; calls < 1_000; calls++) {
      const account = this.store.load(this.by);
      const page = listEvents(
        this.store,
        account,
        { meters: this.by.meters, rating },
        { ...query, after, resume },
        SMALL_LISTS,
      );
      keys.push(...page.items.map(({ key }) => key));
      ({ resume } = page);
      after = resume === null ? (keys.at(-1) ?? null) : after;
      if (resume === null && page.items.length < query.limit) return keys;
    }
    throw new Error("the list does not end");
  }
}

const jsonOf = (fold: Fold<Cell>, cell: Cell): string => {
  const [piece] = fold.toJSON(cell);
  // Distinct values have no order.
  if (Array.isArray(piece) && Array.isArray(piece[1])) piece[1].sort();
  return JSON.stringify(piece);
};

function cellsOf(chunk: FoldChunk): Map<string, string> {
  const cells = new Map<string, string>();
  for (const row of chunk.rows.values())
    for (const [place, minute] of row.minutes.entries())
      cells.set(`${row.group.key} ${minute}`, jsonOf(chunk.meter.fold, row.cells[place]!));
  return cells;
}

const totalsOf = (meter: CompiledMeter, { folds }: AccountStore): Map<string, string> =>
  new Map(
    [...folds.groupsOf(meter).byKey.values()].flatMap(({ key, total }): [string, string][] =>
      total === null || total.count === 0 ? [] : [[key, jsonOf(meter.fold, total)]],
    ),
  );

const eventArb = fc.record({
  source: fc.constant("test"),
  type: fc.constantFrom("prompt", "prompt", "prompt", "call", "unmetered"),
  subject: fc.constantFrom("ada", "bob"),
  time: fc
    .oneof(
      { weight: 6, arbitrary: fc.integer({ min: 0, max: 3 * 60_000 }) },
      { weight: 2, arbitrary: fc.constantFrom(0, MINUTE_MS - 1, MINUTE_MS) },
      { weight: 3, arbitrary: fc.integer({ min: -3 * HOUR_MS, max: 3 * HOUR_MS }) },
      { weight: 1, arbitrary: fc.integer({ min: -4_000, max: 40_000 }).map((hours) => hours * HOUR_MS) },
    )
    .map((offset) => HOUR * HOUR_MS + offset),
  data: fc.record({
    n: fc.oneof(fc.integer({ min: -5, max: 9 }), fc.constantFrom(0.1, 1e-9, "7.5", null, "x")),
    model: fc.constantFrom("a", "b", null),
  }),
});

const stepArb = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.array(eventArb, { minLength: 1, maxLength: 12 }).map((events) => ({ do: "record" as const, events })),
  },
  {
    weight: 4,
    arbitrary: fc
      .uniqueArray(fc.nat(METERS.length - 1), { maxLength: 6 })
      .map((places) => ({ do: "configure" as const, places })),
  },
  { weight: 5, arbitrary: fc.constant({ do: "step" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "checkpoint" as const }) },
  { weight: 2, arbitrary: fc.constant({ do: "tidy" as const }) },
  { weight: 4, arbitrary: fc.constant({ do: "evict" as const }) },
  { weight: 4, arbitrary: fc.nat(8).map((writes) => ({ do: "fail" as const, writes })) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.nat(),
        fc.option(fc.record({ n: fc.integer({ min: -9, max: 9 }), minutes: fc.integer({ min: -70, max: 70 }) })),
      )
      .map(([pick, change]) => ({ do: "correct" as const, pick, change })),
  },
  { weight: 1, arbitrary: fc.constant({ do: "rebuild" as const }) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat(3_000), fc.boolean()).map(([bytes, lost]) => ({ do: "ship" as const, bytes, lost })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.nat(3), fc.boolean()).map(([pages, dies]) => ({ do: "tell" as const, pages, dies })),
  },
  { weight: 1, arbitrary: fc.constant({ do: "wait" as const }) },
  { weight: 3, arbitrary: fc.constant({ do: "check" as const }) },
);
type Step = typeof stepArb extends fc.Arbitrary<infer S> ? S : never;

function take(world: World, step: Step): void {
  switch (step.do) {
    case "record":
      return world.record(step.events);
    case "configure":
      // Two definitions of one meter never stand in one configuration.
      return world.configure(step.places.includes(1) ? step.places.filter((place) => place !== 7) : step.places);
    case "step":
      world.store.load(world.by);
      return void world.store.foldStep(world.by);
    case "checkpoint":
      world.store.load(world.by);
      return world.store.checkpoint();
    case "tidy":
      world.store.load(world.by);
      return void (world.store.empty || world.store.tidy());
    case "evict":
      return world.evict();
    case "correct":
      return world.correct(step.pick, step.change);
    case "rebuild":
      return world.rebuild();
    case "ship":
      return world.ship(step.bytes, step.lost);
    case "tell":
      return void world.tell(step.pages, step.dies);
    case "wait":
      return world.wait();
    case "check":
      return world.check();
    case "fail":
  }
}

/** A write that fails is a crash: the instance is gone with all that it knew. */
function run(steps: readonly Step[]): World {
  const world = new World();
  for (const step of steps) {
    if (step.do === "fail") {
      let left = step.writes;
      world.storage.beforeWrite = () => {
        if (left-- === 0) throw new Error("the disk is full");
      };
      continue;
    }
    try {
      take(world, step);
    } catch (error) {
      if (!String(error).includes("the disk is full")) throw error;
      world.evict();
    }
  }
  world.storage.beforeWrite = () => undefined;
  return world;
}

/** Once the store is told what it lacks, it has what the folds add up to, and of every other window that it is empty. */
function expectTold(world: World): void {
  world.finish();
  world.wait();
  expect(world.tell(100)).toBe(true);
  for (const { counts, folds } = world.store; folds.hasUnsentOf(counts.isTold);) world.ship(5_000, false);
  const expected = world.windows();
  const told = world.told();
  for (const [key, value] of told)
    if (!expected.has(key)) expect([key, EMPTY]).toEqual([key, expect.arrayContaining([value])]);
  for (const [key, value] of expected) expect([key, told.get(key)]).toEqual([key, value]);
}

describe("what is counted from the log", () => {
  it("is what one pass over it gives, whatever was configured, corrected, evicted, interrupted or failed in between", () => {
    fc.assert(
      fc.property(fc.array(stepArb, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
        const world = run(steps);
        world.check();
        world.finish();
        world.check();
        world.evict();
        world.check();
        const ids = new Set(world.present().map(({ event }) => event.id));
        const { corrections } = world.store.load(world.by);
        const voided = [...corrections.present.values()].filter((place) => place === null).length;
        expect(world.acknowledged.size - voided).toBeLessThanOrEqual(ids.size);
        expect(world.audit()).toEqual([]);
      }),
      { numRuns: 100 },
    );
  }, 120_000);

  it("leaves as rollups that add up to it, once the store was told what meters had missed", () => {
    fc.assert(
      fc.property(fc.array(stepArb, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
        const world = run(steps);
        if (world.store.load(world.by).identity !== null) expectTold(world);
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it("is told as empty where all events of a window were corrected while their meter was away", () => {
    const event = {
      source: "test",
      type: "prompt",
      subject: "ada",
      time: HOUR * HOUR_MS,
      data: { n: 1, model: "a" },
    } as const;
    const world = run([
      { do: "configure", places: [1, 4] },
      { do: "record", events: [event, { ...event, time: event.time + HOUR_MS }] },
      { do: "ship", bytes: 9_000, lost: false },
      { do: "configure", places: [] },
      { do: "correct", pick: 0, change: null },
      { do: "configure", places: [1, 4] },
    ]);
    expectTold(world);
    expect([...world.told().values()].filter((value) => value === EMPTY[0]).length).toBe(4);
  });
});

describe("a list of events", () => {
  it("is all events sorted, whatever the size of its pages, filters included, at any point of a history", () => {
    fc.assert(
      fc.property(
        fc.array(stepArb, { minLength: 10, maxLength: 40, size: "max" }),
        fc.integer({ min: 1, max: 15 }),
        fc.constantFrom<Partial<EventQuery>>(
          {},
          { from: HOUR * HOUR_MS + 61_000, to: (HOUR + 1) * HOUR_MS },
          { type: { $eq: "prompt" } },
          { subject: { $in: ["bob"] }, time: { $gte: HOUR * HOUR_MS } },
          { idPart: "1" },
        ),
        (steps, limit, part) => {
          const world = run(steps);
          world.store.load(world.by);
          world.store.foldUp(TIME_INDEX, world.by, 1_000);
          const query: EventQuery = { from: null, to: null, after: null, resume: null, limit, ...part };
          const object = "object";
          const expected = world
            .present()
            .filter(
              ({ event }) =>
                (query.from === null || event.time >= query.from) && (query.to === null || event.time < query.to),
            )
            .filter(({ event }) => query.type === undefined || event.type === "prompt")
            .filter(
              ({ event }) => query.subject === undefined || (event.subject === "bob" && event.time >= HOUR * HOUR_MS),
            )
            .filter(({ event }) => query.idPart === undefined || event.id.includes("1"))
            .map(({ event: { time }, storedAt, seq, index }) => ({ time, storedAt, object, seq, index }))
            .sort(compareKeys);
          expect(world.list(query)).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  }, 120_000);
});
