/** Pages of a namespace's archive, whatever lies in which file. */
import { env } from "cloudflare:workers";
import * as fc from "fast-check";
import { beforeEach, expect, it } from "vitest";
import { correctionLine, entryLines, type LineSource } from "../../core/archive-line";
import { compareKeys, type EventKey, type EventQuery } from "../../core/event-listing";
import { encodeEntry } from "../../core/log-entry";
import { recordArchive } from "../../store/archive";
import { startWorker } from "../harness";
import { DAY_MS, dayOf, encodeFile, fileKey } from "./file";
import { readArchive, type ReadBounds } from "./read";

const worker = startWorker();
const context = worker.context();
let namespaceId: string;
beforeEach(() => {
  namespaceId = context.newId();
});

interface Made {
  /** Of the first file it is in; the second repeats it. */
  file: number;
  again: number | null;
  time: number;
  object: number;
  voided: boolean;
}

const sourceOf = (object: number): LineSource => ({
  namespaceId,
  object: `${namespaceId}/${object}`,
  epoch: "01J00000000000000000000000",
  customerId: null,
});

/** Writes events into files, some of them into two, and what voids them into a file of its own of the same day. */
async function archive(made: readonly Made[]): Promise<EventKey[]> {
  const files = new Map<string, { time: number; text: string }[]>();
  const put = (file: string, line: { time: number; text: string }) => {
    const key = fileKey(namespaceId, dayOf(line.time), file);
    files.set(key, [...(files.get(key) ?? []), line]);
  };
  const keys: EventKey[] = [];
  for (const [place, { file, again, time, object, voided }] of made.entries()) {
    const seq = place + 1;
    const event = { id: `e${place}`, source: "s", type: "t", subject: `c${object}`, time };
    const entry = { seq, at: 1_000 + (place % 3), events: [event], rated: [], unrated: [], grants: [], journal: [] };
    const text = encodeEntry({ ...entry, before: { balance: 0n, head: "" } });
    const [line] = entryLines(sourceOf(object), text, 1).lines;
    put(`f${file}`, line!);
    if (again !== null) put(`f${again}`, line!);
    const key = { time, storedAt: entry.at, object: sourceOf(object).object, seq, index: 0 };
    if (!voided) keys.push(key);
    else {
      const mark = { seq: 500 + place, at: 2_000, place: 0, of: key, event, present: null, reason: "" };
      put("marks", correctionLine(sourceOf(object), mark));
    }
  }
  const rows = [];
  for (const [file, lines] of files) {
    const times = lines.map(({ time }) => time);
    await env.ARCHIVE.put(file, encodeFile(lines.map(({ text }) => text)));
    rows.push({
      day: dayOf(times[0]!),
      file,
      events: lines.length,
      bytes: 1,
      fromTime: Math.min(...times),
      toTime: Math.max(...times),
      fromStored: 1_000,
      toStored: 2_000,
      createdAt: 1,
    });
  }
  await recordArchive(context.store, namespaceId, { files: rows, parts: [], objects: [] });
  return keys.sort(compareKeys);
}

const query = (over: Partial<EventQuery> = {}): EventQuery => ({
  from: null,
  to: null,
  after: null,
  resume: null,
  limit: 100,
  ...over,
});

async function everyPage(bounds: ReadBounds, limit: number): Promise<EventKey[]> {
  const keys: EventKey[] = [];
  let after: EventKey | null = null;
  for (let pages = 0; pages < 500; pages++) {
    const { items, until } = await readArchive(context, namespaceId, query({ after, limit }), () => false, bounds);
    const page = items.slice(0, limit).map(({ key }) => key);
    keys.push(...page);
    const next: EventKey | null = page.length === limit ? page.at(-1)! : until;
    if (next === null) return keys;
    // Where a single moment fills more than may be read at once nobody can go on: event-list.ts refuses it.
    if (after !== null && compareKeys(next, after) <= 0) throw new Error("stuck");
    after = next;
  }
  throw new Error("endless");
}

it("has every event once and in order, with any page size, however files overlap, repeat and correct each other", async () => {
  const made = fc.array(
    fc.record({
      file: fc.nat({ max: 5 }),
      again: fc.option(fc.nat({ max: 5 }), { freq: 4 }),
      time: fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 30 })).map(([day, ms]) => day * DAY_MS + ms),
      object: fc.nat({ max: 3 }),
      voided: fc.boolean(),
    }),
    { maxLength: 40 },
  );
  const bounds = fc.record({
    lines: fc.constantFrom(1_000, 100),
    files: fc.constantFrom(100, 8),
    spare: fc.nat({ max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(made, bounds, fc.integer({ min: 1, max: 9 }), async (made, bounds, limit) => {
      namespaceId = context.newId();
      const keys = await archive(made);
      expect(await everyPage(bounds, limit)).toEqual(keys);
    }),
    { numRuns: 40 },
  );
}, 60_000);

it("reads no more files than it may, and says up to where it knows", async () => {
  const made = Array.from({ length: 10 }, (_, i) => ({ file: i, again: null, time: i * 10, object: 0, voided: false }));
  const keys = await archive(made);
  const bounds = { lines: 1_000, files: 3, spare: 10 };
  const first = await readArchive(context, namespaceId, query(), () => false, bounds);
  expect(first.items.map(({ key }) => key)).toEqual(keys.slice(0, 3));
  expect(first.until!.time).toBe(60);
  expect(await everyPage(bounds, 100)).toEqual(keys);
});

it("reads only files that may hold what is asked for, and no further than a page needs", async () => {
  const made = Array.from({ length: 9 }, (_, i) => ({ file: i, again: null, time: i * 10, object: 0, voided: false }));
  await archive(made);
  const read: string[] = [];
  const watched = startWorker({
    bindings: {
      ARCHIVE: new Proxy(env.ARCHIVE, {
        get: (target, property) =>
          property === "get"
            ? (key: string) => {
                read.push(key.slice(-"f0.ndjson.gz".length, -".ndjson.gz".length));
                return target.get(key);
              }
            : (Reflect.get(target, property) as unknown),
      }),
    },
  }).context();
  await readArchive(watched, namespaceId, query({ from: 20, to: 41 }), () => false);
  expect(read.splice(0).toSorted()).toEqual(["f2", "f3", "f4"]);
  await readArchive(watched, namespaceId, query({ limit: 1 }), () => false);
  // The last one, and those that were on their way.
  expect(read.length).toBeLessThanOrEqual(5);
});
