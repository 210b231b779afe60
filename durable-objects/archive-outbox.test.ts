import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { Account } from "../core/account";
import type { UsageEvent } from "../core/event";
import { encodeEntry, type Identity, type LogEntry } from "../core/log-entry";
import { decodeArchiveMessage, MESSAGE_BYTES_MAX } from "../schema/messages";
import { ArchiveOutbox, type ArchiveRoad } from "./archive-outbox";
import { Log } from "./log";
import { decodeBlock, decodeBody, decodeDirectory } from "./log-format";
import { migrate } from "./migrations";
import { State } from "./state";

const identity: Identity = {
  namespaceId: "01JNS",
  object: "01JNS/YWNtZQ",
  customerId: "01JC",
  key: "acme",
  epoch: "01JFIRST",
  tag: "TAGS",
  createdAt: 5,
  sandbox: false,
};

const entryJson = (seq: number, events: UsageEvent[]) => {
  const entry: LogEntry = {
    seq,
    at: seq,
    ...(seq === 1 && { identity }),
    events,
    rated: [],
    unrated: [],
    grants: [],
    journal: [],
    before: { balance: 0n, head: "" },
  };
  return encodeEntry(entry);
};

const eventsOf = (seq: number, count: number, chars = 20): UsageEvent[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `${seq}/${index}`,
    source: "test",
    type: "prompt",
    subject: "acme",
    time: 0,
    data: { text: randomText(chars) },
  }));

/** Deflates to little less than it is. */
const randomText = (chars: number): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(Math.min(chars, 65_536))))
    .toString("base64")
    .repeat(Math.ceil(chars / 65_536))
    .slice(0, chars);

interface Shipped {
  from: number;
  to: number;
  /** `seq/index` of each event. */
  ids: string[];
}

/** A queue and a bucket that keep what they get, and an outbox over real storage with every row write counted. */
function outboxOver(storage: DurableObjectStorage) {
  const cursors: { rowsWritten: number }[] = [];
  const exec: SqlStorage["exec"] = (query, ...bindings) => {
    const cursor = storage.sql.exec(query, ...bindings);
    cursors.push(cursor);
    return cursor as never;
  };
  const sql = { exec } as SqlStorage;
  const log = new Log(sql, (work) => storage.transactionSync(work));
  const state = new State(sql);
  const messages: Uint8Array[] = [];
  const pages = new Map<string, Uint8Array>();
  const queue = { refuses: false };
  const road = {
    ARCHIVING: {
      send(message: Uint8Array, options: unknown) {
        if (queue.refuses) throw new Error("the queue is down");
        expect(options).toEqual({ contentType: "bytes" });
        expect(message.length).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
        messages.push(message);
      },
    },
    ARCHIVE: { put: (key: string, body: Uint8Array) => void pages.set(key, body) },
  } as unknown as ArchiveRoad;
  const account = { seq: 0, events: 0, declared: false };
  return {
    log,
    account,
    queue,
    pages,
    /** What one instance of the object knows; a new one knows only what is stored. */
    outbox: () => new ArchiveOutbox(log, state),
    ship: (outbox: ArchiveOutbox, nowMs = 0) => outbox.ship(account as Account, identity, road, () => nowMs),
    dueAt: (outbox: ArchiveOutbox, nowMs: number) => outbox.dueAt(account as Account, nowMs),
    append(...lists: UsageEvent[][]) {
      for (const events of lists) {
        account.seq++;
        account.events += events.length;
        log.append(account.seq, entryJson(account.seq, events), { journal: 0, events: events.length });
      }
    },
    shipped: (): Shipped[] =>
      messages.splice(0).map((message) => {
        const { header, body } = decodeArchiveMessage(message);
        const page = header.page === undefined ? body : pages.get(header.page)!;
        const entries = decodeDirectory(header.directory)
          .flatMap((block) => decodeBlock(block, page.subarray(block.offset, block.offset + block.bytes)))
          .filter(({ seq }) => seq >= header.from && seq <= header.to);
        const ids = entries.flatMap(({ body }) =>
          ((JSON.parse(decodeBody(body, () => [])) as { events?: UsageEvent[] }).events ?? []).map(({ id }) => id),
        );
        return { from: header.from, to: header.to, ids };
      }),
    rowsWritten: () => cursors.splice(0).reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
  };
}

let objects = 0;
const inObject = (test: (o: ReturnType<typeof outboxOver>) => Promise<void>): Promise<void> =>
  runInDurableObject(env.CUSTOMER.getByName(`test/archive-outbox-${++objects}`), async (_, { storage }) => {
    storage.transactionSync(() => migrate(storage.sql));
    await test(outboxOver(storage));
  });

describe("the archive's outbox", () => {
  it("ships every entry once, as it lies in the log, for one row write", () =>
    inObject(async (o) => {
      const outbox = o.outbox();
      // One plain, one deflated, one without events, and enough to be merged into pages.
      o.append(eventsOf(1, 1), eventsOf(2, 100), []);
      for (let seq = 4; seq <= 140; seq++) o.append(eventsOf(seq, 1));
      while (o.log.mergeStep().more);
      o.append(eventsOf(141, 2));
      o.rowsWritten();
      await o.ship(outbox);
      expect(o.rowsWritten()).toBe(1);
      const [first, ...more] = o.shipped();
      expect(more).toEqual([]);
      expect(first).toMatchObject({ from: 1, to: 141 });
      expect(first!.ids).toHaveLength(1 + 100 + 137 + 2);
      o.append(eventsOf(142, 1));
      await o.ship(outbox);
      expect(o.shipped()).toEqual([{ from: 142, to: 142, ids: ["142/0"] }]);
      await o.ship(outbox);
      expect(o.shipped()).toEqual([]);
    }));

  it("moves its position only when the queue has taken the message, and an instance that knows nothing goes on from there", () =>
    inObject(async (o) => {
      const outbox = o.outbox();
      o.append(eventsOf(1, 3));
      o.queue.refuses = true;
      await expect(o.ship(outbox)).rejects.toThrow("the queue is down");
      expect(outbox.archivedSeq).toBe(0);
      o.queue.refuses = false;
      await o.ship(outbox);
      o.append(eventsOf(2, 1));
      const reborn = o.outbox();
      expect(reborn.archivedSeq).toBe(1);
      await o.ship(reborn);
      expect(o.shipped().map(({ ids }) => ids)).toEqual([["1/0", "1/1", "1/2"], ["2/0"]]);
    }));

  it("sends again what a crash between the queue and the position leaves in doubt, and never leaves any out", () =>
    inObject(async (o) => {
      o.append(eventsOf(1, 2));
      const crashing = o.outbox();
      // The queue has it, and the write of the position is the crash.
      const exec = Object.getOwnPropertyDescriptor(State.prototype, "write")!;
      State.prototype.write = () => {
        throw new Error("crash");
      };
      await expect(o.ship(crashing)).rejects.toThrow("crash");
      Object.defineProperty(State.prototype, "write", exec);
      o.append(eventsOf(2, 1));
      await o.ship(o.outbox());
      expect(o.shipped().map(({ ids }) => ids)).toEqual([
        ["1/0", "1/1"],
        ["1/0", "1/1", "2/0"],
      ]);
    }));

  it("cuts a backlog into messages that the queue takes, in order and without a gap", () =>
    inObject(async (o) => {
      for (let seq = 1; seq <= 300; seq++) o.append(eventsOf(seq, seq % 3 === 0 ? 30 : 1, 100));
      while (o.log.mergeStep().more);
      await o.ship(o.outbox());
      const shipped = o.shipped();
      expect(shipped.length).toBeGreaterThan(3);
      let next = 1;
      for (const { from, to } of shipped) {
        expect(from).toBe(next);
        next = to + 1;
      }
      expect(next).toBe(301);
      expect(new Set(shipped.flatMap(({ ids }) => ids)).size).toBe(100 * 30 + 200);
    }));

  it("lays a page that no message carries into the bucket, under the same name when it is sent again", () =>
    inObject(async (o) => {
      o.append(eventsOf(1, 1), eventsOf(2, 4, 60_000), eventsOf(3, 1));
      await o.ship(o.outbox());
      expect(o.shipped()).toEqual([
        { from: 1, to: 1, ids: ["1/0"] },
        { from: 2, to: 2, ids: ["2/0", "2/1", "2/2", "2/3"] },
        { from: 3, to: 3, ids: ["3/0"] },
      ]);
      expect([...o.pages.keys()]).toEqual(["shipping/01JNS/YWNtZQ/01JFIRST/2-2"]);
    }));

  it("reads an entry past what one row holds, and its events are whole", () =>
    inObject(async (o) => {
      o.append(eventsOf(1, 60, 60_000));
      await o.ship(o.outbox());
      expect(o.shipped()[0]!.ids).toHaveLength(60);
    }));

  it("waits until 500 events have gathered or five seconds have passed since the last time, but never with the first", () =>
    inObject(async (o) => {
      const outbox = o.outbox();
      expect(o.dueAt(outbox, 1_000)).toBe(null);
      o.append(eventsOf(1, 1));
      expect(o.dueAt(outbox, 1_000)).toBe(1_000);
      await o.ship(outbox, 1_000);
      expect(o.dueAt(outbox, 1_500)).toBe(null);
      o.append(eventsOf(2, 499));
      expect(o.dueAt(outbox, 1_500)).toBe(6_000);
      o.append(eventsOf(3, 1));
      expect(o.dueAt(outbox, 1_500)).toBe(1_500);
    }));
});
