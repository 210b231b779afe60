/** The archive's index: recorded again it changes nothing, and no gap is ever taken for archived. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import {
  customersOfObjects,
  listArchiveFiles,
  listFilesByTime,
  listUnarchived,
  recordArchive,
  recordedFiles,
  type ArchivedObject,
  type ArchiveFile,
  type ArchivePart,
} from "../archive";
import { applyRating } from "../apply-rating";
import { finishMerge, startMerge } from "../merges";
import { findObject } from "../objects";
import type { Store } from "../store";
import { DAY_MS, everyPage, newNamespace, NOW, rating } from "./builders";

const EPOCH = "01J00000000000000000000000";
const CUSTOMER = "01JCUST0000000000000000000";

const object = (name: string): ArchivedObject => ({
  name,
  epoch: EPOCH,
  customerId: CUSTOMER,
  customerKey: "acme",
  firstSeenAt: NOW,
});

const file = (name: string, over: Partial<ArchiveFile> = {}): ArchiveFile => ({
  day: Math.floor(NOW / DAY_MS),
  file: name,
  events: 1,
  bytes: 100,
  fromTime: NOW,
  toTime: NOW,
  fromStored: NOW,
  toStored: NOW,
  createdAt: NOW,
  ...over,
});

const part = (name: string, fromSeq: number, toSeq: number, over: Partial<ArchivePart> = {}): ArchivePart => ({
  object: name,
  epoch: EPOCH,
  fromSeq,
  toSeq,
  day: Math.floor(NOW / DAY_MS),
  file: `${fromSeq}-${toSeq}`,
  events: 1,
  ...over,
});

export function archiveSuite(open: () => Store): void {
  const archived = async (store: Store, namespaceId: string, name: string) =>
    (await findObject(store, namespaceId, name))?.archivedSeq;

  it("knows an object whose entries were archived before its own message came, which then says the rest", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const name = `${namespaceId}/YWNtZQ`;
    await recordArchive(store, namespaceId, { files: [file("a")], parts: [part(name, 1, 4)], objects: [object(name)] });
    expect(await findObject(store, namespaceId, name)).toMatchObject({ lastSeq: 0, eventCount: 0, archivedSeq: 4 });
    await applyRating(store, [rating({ namespaceId, object: name, seq: 9, eventCount: 7 })]);
    expect(await findObject(store, namespaceId, name)).toMatchObject({ lastSeq: 9, eventCount: 7, archivedSeq: 4 });
    expect(await listUnarchived(store, namespaceId, 10)).toEqual([{ object: name, customerId: CUSTOMER }]);
    await recordArchive(store, namespaceId, {
      files: [],
      parts: [part(name, 5, 9, { file: "" })],
      objects: [object(name)],
    });
    expect(await listUnarchived(store, namespaceId, 10)).toEqual([]);
  });

  it("moves an object's position over what lies side by side, in whichever order it is recorded, how often, and however it overlaps", async () => {
    const store = open();
    const ranges = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.nat({ max: 4 })), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(ranges, fc.nat({ max: 3 }), async (starts, together) => {
        const namespaceId = await newNamespace(store);
        const name = `${namespaceId}/YWNtZQ`;
        const parts = starts.map(([from, length]) => part(name, from, from + length));
        for (let at = 0; at < parts.length; at += together + 1)
          await recordArchive(store, namespaceId, {
            files: [],
            parts: parts.slice(at, at + together + 1),
            objects: [object(name)],
          });
        const seqs = new Set(
          parts.flatMap(({ fromSeq, toSeq }) => Array.from({ length: toSeq - fromSeq + 1 }, (_, i) => fromSeq + i)),
        );
        let whole = 0;
        while (seqs.has(whole + 1)) whole++;
        expect(await archived(store, namespaceId, name)).toBe(whole);
      }),
      { numRuns: 40 },
    );
  });

  it("keeps positions of objects apart, and those of an older log of the same name", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const other = await newNamespace(store);
    const older = { epoch: "01H00000000000000000000000" };
    await recordArchive(store, namespaceId, {
      files: [],
      parts: [part("a", 2, 3, older), part("b", 1, 2)],
      objects: [object("a"), object("b")],
    });
    await recordArchive(store, namespaceId, { files: [], parts: [part("a", 1, 1)], objects: [object("a")] });
    expect(await archived(store, namespaceId, "a")).toBe(1);
    expect(await archived(store, namespaceId, "b")).toBe(2);
    expect(await listUnarchived(store, other, 10)).toEqual([]);
  });

  it("records files once, finds them by the times of their events, the latest first, and lists all of them page by page", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const today = Math.floor(NOW / DAY_MS);
    const made = [
      file("early", { day: today - 1, fromTime: NOW - DAY_MS, toTime: NOW - DAY_MS + 5, fromStored: 5, toStored: 9 }),
      file("late", { fromTime: NOW, toTime: NOW + 50 }),
      file("wide", { fromTime: NOW - 50, toTime: NOW + 10 }),
    ];
    for (const _ of [1, 2]) await recordArchive(store, namespaceId, { files: made, parts: [], objects: [] });
    const ever = { from: 0, to: Number.MAX_SAFE_INTEGER, storedFrom: 0, storedTo: Number.MAX_SAFE_INTEGER };
    const found = async (over: Partial<typeof ever>, limit = 10) =>
      (await listFilesByTime(store, namespaceId, { ...ever, ...over }, limit)).map((row) => row.file);
    expect(await found({})).toEqual(["late", "wide", "early"]);
    expect(await found({}, 2)).toEqual(["late", "wide"]);
    expect(await found({ from: NOW + 11 })).toEqual(["late"]);
    expect(await found({ to: NOW })).toEqual(["wide", "early"]);
    expect(await found({ to: NOW - 50 })).toEqual(["early"]);
    expect(await found({ storedTo: 9 })).toEqual(["early"]);
    expect(await found({ storedFrom: 10 })).toEqual(["late", "wide"]);
    expect(await recordedFiles(store, namespaceId, [made[1]!, file("never")])).toEqual(new Set(["late"]));
    for (const limit of [1, 2, 5]) {
      const all = await everyPage((request) => listArchiveFiles(store, namespaceId, request), limit);
      expect(all.map((row) => row.file)).toEqual(["early", "late", "wide"]);
    }
  });

  it("knows whose an object's events are now: its customer's, or that of the object it has moved into", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const customer = (object: string, id: string, declared: boolean) =>
      rating({
        namespaceId,
        object,
        customer: { id, key: object, name: null, home: object, createdAt: NOW },
        declared,
      });
    await applyRating(store, [
      customer("a", "01JCUSTA000000000000000000", false),
      customer("b", "01JCUSTB000000000000000000", false),
      customer("c", "01JCUSTC000000000000000000", true),
      customer("d", "01JCUSTD000000000000000000", false),
    ]);
    for (const [source, home] of [
      ["a", "b"],
      ["b", "c"],
    ] as const) {
      await startMerge(store, namespaceId, { source, home }, NOW);
      await finishMerge(store, namespaceId, source, NOW);
    }
    await startMerge(store, namespaceId, { source: "d", home: "c" }, NOW);
    const moved = { home: "c", customerId: "01JCUSTC000000000000000000" };
    expect(await customersOfObjects(store, namespaceId, ["a", "b", "c", "d", "e"])).toEqual(
      new Map<string, { home: string; customerId: string | null }>([
        ["a", moved],
        ["b", moved],
        ["c", moved],
        // Not yet.
        ["d", { home: "d", customerId: null }],
        ["e", { home: "e", customerId: null }],
      ]),
    );
  });
}
