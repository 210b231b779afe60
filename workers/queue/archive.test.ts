/** The archive from accepted events to files in R2: redelivered, reordered, failing half way, and over many days. */
import { createMessageBatch } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { readLine, type ArchivedLine } from "../../core/archive-line";
import { parseExact } from "../../core/exact-json";
import { listArchiveFiles, listUnarchived } from "../../store/archive";
import { findObject } from "../../store/objects";
import { decodeFile, DAY_MS, indexKey } from "../archive/file";
import {
  copyOf,
  deliver as deliverTo,
  keysBelow,
  ship as shipObject,
  subjectObject,
  watch,
  type Sent,
} from "../archive/harness";
import { newTenant, someEvent, startWorker, type Tenant, type Worker, type WorkerOptions } from "../harness";
import { ARCHIVE_ATTEMPTS_MAX } from "./archive";
import { consumers } from "./index";

const worker = startWorker();
let tenant: Tenant;

beforeEach(async () => {
  tenant = await newTenant(worker);
});

const nameOf = (subject: string) => subjectObject(tenant, subject);
const ship = (subject: string) => shipObject(nameOf(subject));
const deliver = (messages: Sent[], to: Worker = worker) => deliverTo(to, messages);

const record = async (subject: string, events: object[]) => {
  await watch(nameOf(subject));
  const body = events.map((event) => someEvent({ subject, ...event }));
  expect((await worker.call("POST", "/api/v1/events", { key: tenant.apiKey, body })).status).toBe(204);
};

const failing = (bucket: Partial<R2Bucket>, options: WorkerOptions = {}) =>
  startWorker({
    ...options,
    bindings: {
      ARCHIVE: new Proxy(env.ARCHIVE, {
        get: (target, property) => {
          const value: unknown = Reflect.get(bucket, property) ?? Reflect.get(target, property);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      }),
    },
  });

const keyOf = ({ object, epoch, seq, index }: ArchivedLine) => `${object} ${epoch} ${seq} ${index}`;

/** Every line of the namespace, by file. */
async function linesByFile(): Promise<Map<string, ArchivedLine[]>> {
  const files = new Map<string, ArchivedLine[]>();
  for (const key of await keysBelow(`events/namespace=${tenant.id}/`)) {
    const stored = await env.ARCHIVE.get(key);
    files.set(key, decodeFile(await stored!.arrayBuffer()).map(readLine));
  }
  return files;
}

/** The archive as its readers count it: each line once. */
const counted = async (): Promise<ArchivedLine[]> => [
  ...new Map([...(await linesByFile()).values()].flat().map((line) => [keyOf(line), line])).values(),
];

const idsOf = (lines: ArchivedLine[]) => lines.map(({ event }) => event.id).toSorted();
const ids = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);
const archivedSeq = async (subject: string) =>
  (await findObject(worker.context().store, tenant.id, nameOf(subject)))?.archivedSeq;

describe("the archive", () => {
  it("holds every accepted event once, in the file of its namespace and UTC day, exactly as it came", async () => {
    const text = '{"n":0.12345678901234567890123}';
    const data = parseExact(text) as Record<string, unknown>;
    await record("acme", [
      { id: "late", time: "2026-11-20T23:59:59.999Z", data },
      { id: "early", time: "2026-11-21T01:00:00+01:00", tenant: "eu", source: "svc" },
    ]);
    await record("other", [{ id: "o", time: "2026-11-21T12:00:00Z", type: "chat" }]);
    const messages = [...(await ship("acme")), ...(await ship("other"))];
    expect(await deliver(messages)).toEqual({ acked: messages.map(({ id }) => id).toSorted(), retried: [] });

    const files = await linesByFile();
    const byDay = (day: string) =>
      [...files].filter(([key]) => key.startsWith(`events/namespace=${tenant.id}/day=${day}/`)).flatMap(([, of]) => of);
    expect(idsOf(byDay("2026-11-20"))).toEqual(["late"]);
    expect(idsOf(byDay("2026-11-21"))).toEqual(["early", "o"]);
    expect([...files.values()].flat()).toHaveLength(3);
    expect(JSON.stringify(byDay("2026-11-20")[0]!.event.data)).toBe(text);
    expect(byDay("2026-11-21").find(({ event }) => event.id === "early")).toMatchObject({
      object: nameOf("acme"),
      event: { source: "svc", subject: "acme", time: Date.UTC(2026, 10, 21), ext: { tenant: "eu" } },
    });
  });

  it("says beside each file what is in it, in the bucket and in the index", async () => {
    await record("acme", [
      { id: "a", time: "2026-11-20T10:00:00Z" },
      { id: "b", time: "2026-11-20T11:00:00Z" },
    ]);
    await deliver(await ship("acme"));
    const [[file, lines]] = [...(await linesByFile())] as [[string, ArchivedLine[]]];
    const beside = JSON.parse(await (await env.ARCHIVE.get(indexKey(file)))!.text()) as Record<string, unknown>;
    const stored = new Date(lines[0]!.storedAt).toISOString();
    expect(beside).toMatchObject({
      v: 1,
      namespace: tenant.id,
      file,
      events: 2,
      fromTime: "2026-11-20T10:00:00.000Z",
      toTime: "2026-11-20T11:00:00.000Z",
      fromStored: stored,
      toStored: stored,
      parts: [{ object: nameOf("acme"), key: "acme", fromSeq: 1, toSeq: 1, events: 2 }],
    });
    const rows = (await listArchiveFiles(worker.context().store, tenant.id, { cursor: null, limit: 10 })).items;
    expect(rows).toMatchObject([
      {
        file,
        day: Date.UTC(2026, 10, 20) / DAY_MS,
        events: 2,
        bytes: beside.bytes,
        fromTime: Date.UTC(2026, 10, 20, 10),
        toTime: Date.UTC(2026, 10, 20, 11),
      },
    ]);
    expect(await archivedSeq("acme")).toBe(1);
  });

  it("ends the same however its messages are redelivered, reordered and split", async () => {
    const messages: Sent[] = [];
    for (const round of [0, 1, 2]) {
      for (const subject of ["a", "b"]) {
        await record(
          subject,
          ids(`${subject}${round}/`, 20).map((id, i) => ({
            id,
            time: new Date(1e12 + (i % 3) * DAY_MS).toISOString(),
          })),
        );
        messages.push(...(await ship(subject)));
      }
    }
    expect(messages).toHaveLength(6);
    const again = messages.map(copyOf);
    await deliver([messages[4]!, again[1]!, messages[0]!]);
    await deliver([...again.toReversed(), messages[2]!]);
    await deliver(messages.slice(0, 3));
    await deliver(messages);
    const expected = [0, 1, 2].flatMap((round) => ["a", "b"].flatMap((subject) => ids(`${subject}${round}/`, 20)));
    expect(idsOf(await counted())).toEqual(expected.toSorted());
    expect([await archivedSeq("a"), await archivedSeq("b")]).toEqual([3, 3]);
    expect(await listUnarchived(worker.context().store, tenant.id, 10)).toEqual([]);
  });

  it("writes the same file when a batch comes again as it was, and leaves no gap behind one that never came", async () => {
    await record("acme", [{ id: "1" }]);
    const first = await ship("acme");
    await deliver(first);
    const before = [...(await linesByFile()).keys()];
    await deliver(first);
    expect([...(await linesByFile()).keys()]).toEqual(before);
    await record("acme", [{ id: "2" }]);
    const lost = await ship("acme");
    await record("acme", [{ id: "3" }]);
    await deliver(await ship("acme"));
    expect(await archivedSeq("acme")).toBe(1);
    await deliver(lost);
    expect(await archivedSeq("acme")).toBe(3);
  });

  it("tries again what failed half way, alone, and gives up in the end with the reason, from where it can be filed", async () => {
    await record("acme", [{ id: "1" }]);
    await record("fine", [{ id: "2" }]);
    const [acme, fine] = [(await ship("acme"))[0]!, (await ship("fine"))[0]!];
    const put = (key: string) =>
      key.startsWith("index/") ? Promise.reject(new Error("the bucket is down")) : Promise.resolve(null as never);
    const down = failing({ put } as never);
    expect(await deliver([acme, fine], down)).toEqual({ acked: [], retried: [acme.id, fine.id].toSorted() });
    expect(await archivedSeq("acme")).toBeUndefined();
    expect(await deliver([{ ...acme, attempts: ARCHIVE_ATTEMPTS_MAX }], down)).toEqual({
      acked: [acme.id],
      retried: [],
    });
    expect(await deliver([{ ...fine, attempts: 2 }])).toEqual({ acked: [fine.id], retried: [] });

    const { items } = (
      await worker.call<{ items: { id: string; queue: string; reason: string }[] }>("GET", "/api/v1/dead-letters", {
        key: tenant.apiKey,
      })
    ).body;
    expect(items).toMatchObject([
      { queue: "archive", reason: `gave up after ${ARCHIVE_ATTEMPTS_MAX} attempts: the bucket is down` },
    ]);
    const replay = `/api/v1/dead-letters/${items[0]!.id}/replay`;
    expect((await worker.call("POST", replay, { key: tenant.apiKey })).status).toBe(200);
    expect(idsOf(await counted())).toEqual(["1", "2"]);
    expect(await archivedSeq("acme")).toBe(1);
  });

  it("gives up at once what is no message of its, and files the others", async () => {
    await record("acme", [{ id: "1" }]);
    const [good] = await ship("acme");
    const poison = [
      { id: "p1", body: new TextEncoder().encode("nonsense").buffer },
      { id: "p2", body: { v: 1 } },
      { id: "p3", body: new TextEncoder().encode('{"v":2}\n').buffer },
    ];
    expect((await deliver([...poison, good!])).acked).toEqual([good!.id, "p1", "p2", "p3"].toSorted());
    expect(idsOf(await counted())).toEqual(["1"]);
  });

  it("is recorded as a dead letter with its bytes when the platform gives it up", async () => {
    await record("acme", [{ id: "1" }]);
    const [message] = await ship("acme");
    const batch = createMessageBatch("dead", [{ ...message!, attempts: 1, timestamp: new Date() }]);
    await consumers.dead!(batch, worker.context());
    const { items } = (
      await worker.call<{ items: { id: string; queue: string }[] }>("GET", "/api/v1/dead-letters", {
        key: tenant.apiKey,
      })
    ).body;
    expect(items).toMatchObject([{ queue: "archive" }]);
    await worker.call("POST", `/api/v1/dead-letters/${items[0]!.id}/replay`, { key: tenant.apiKey });
    expect(idsOf(await counted())).toEqual(["1"]);
  });

  it("files a message whose page waits in the bucket, once, and takes the page away", async () => {
    const noise = () => Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64");
    await record("acme", [
      { id: "1", data: { noise: noise() } },
      { id: "2", data: { noise: noise() } },
    ]);
    const messages = await ship("acme");
    expect(await keysBelow(`shipping/${nameOf("acme")}`)).toHaveLength(1);
    await deliver(messages);
    await deliver(messages);
    expect(idsOf([...(await linesByFile()).values()].flat())).toEqual(["1", "2"]);
    expect(await keysBelow(`shipping/${nameOf("acme")}`)).toEqual([]);
  });

  it("files a backfill over hundreds of days within what one run may do, over several deliveries", async () => {
    const days = 450;
    await record(
      "acme",
      ids("d", days).map((id, day) => ({ id, time: new Date(day * DAY_MS).toISOString() })),
    );
    const [message, ...more] = await ship("acme");
    expect(more).toEqual([]);
    expect(await deliver([message!])).toEqual({ acked: [], retried: [message!.id] });
    expect(await archivedSeq("acme")).toBeUndefined();
    expect(await deliver([{ ...message!, attempts: 2 }])).toEqual({ acked: [message!.id], retried: [] });
    expect(await archivedSeq("acme")).toBe(1);
    expect(await keysBelow(`events/namespace=${tenant.id}/`)).toHaveLength(days);
    expect(idsOf(await counted())).toHaveLength(days);
  }, 60_000);

  it("has a line for every correction, on the day of what it corrects, whatever was corrected before it", async () => {
    const day = (date: number) => new Date(Date.UTC(2026, 10, date)).toISOString();
    await record("acme", [
      { id: "void", source: "svc", time: day(1) },
      { id: "amend", source: "svc", time: day(2) },
    ]);
    const correct = async (what: string, body: object) => {
      const corrected = await worker.call("POST", `/api/v1/events/${what}`, {
        key: tenant.apiKey,
        body: { subject: "acme", source: "svc", reason: "wrong", ...body },
      });
      expect(corrected).toMatchObject({ status: 200 });
    };
    await correct("void", { id: "void" });
    await correct("amend", { id: "amend", time: day(3), data: { n: 1 } });
    await correct("amend", { id: "amend", time: day(4) });
    await deliver(await ship("acme"));
    const of = (seq: number, index: number) => ({ object: nameOf("acme"), seq, index });
    const lines = (await counted()).sort((a, b) => a.event.time - b.event.time || b.index - a.index || a.seq - b.seq);
    expect(
      lines.map(({ event, seq, index, amends, correction }) => [
        event.id,
        new Date(event.time).toISOString(),
        seq,
        index,
        correction ?? amends,
      ]),
    ).toEqual([
      ["void", day(1), 1, 0, null],
      ["void", day(1), 2, -1, { kind: "void", of: of(1, 0), present: null, reason: "wrong" }],
      ["amend", day(2), 1, 1, null],
      ["amend", day(2), 3, -1, { kind: "amend", of: of(1, 1), present: { seq: 3, index: 0 }, reason: "wrong" }],
      ["amend", day(3), 3, 0, of(1, 1)],
      ["amend", day(3), 4, -1, { kind: "amend", of: of(3, 0), present: { seq: 4, index: 0 }, reason: "wrong" }],
      ["amend", day(4), 4, 0, of(3, 0)],
    ]);
  });
});
