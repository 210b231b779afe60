/**
 * The product under instruments: counts every row it writes as the platform bills them (object SQL and key-value rows, alarms, D1
 * rows) and lets the benchmark look into an object. It wraps the platform's own classes from outside, so the product has no
 * switch for it. Never the Worker whose CPU is measured: counting costs time.
 */
// This Worker is the product under instruments, which calls an object as the edge does.
// oxlint-disable-next-line no-restricted-imports
import type { Meter } from "../core/meter";
// oxlint-disable-next-line no-restricted-imports
import type { Call, ConfigSnapshot, CustomerRpc } from "../durable-objects/rpc";
import { Clock, Customer as Product } from "../workers/index";
import worker from "../workers/index";

export interface WriteCounts {
  /** `rowsWritten` of every statement that objects ran. */
  objectRows: number;
  alarms: number;
  d1Rows: number;
  d1RowsRead: number;
  /** By kind of statement: where the rows come from. */
  statements: Record<string, number>;
}

export interface Inside {
  dedupKeys: number;
  dedupBytes: number;
  logRows: number;
}

const counts: WriteCounts = { objectRows: 0, alarms: 0, d1Rows: 0, d1RowsRead: 0, statements: {} };

function count(kind: "objectRows" | "d1Rows", sql: string, rows: number): void {
  if (rows === 0) return;
  counts[kind] += rows;
  const name =
    `${kind === "d1Rows" ? "D1 " : ""}${/^\W*(\w+(?:\s+(?:or\s+\w+\s+)?(?:into|from|table))?\s+["`]?\w+)/i.exec(sql)?.[1] ?? "?"}`.replaceAll(
      /["`]/g,
      "",
    );
  counts.statements[name] = (counts.statements[name] ?? 0) + rows;
}

// ---- Objects: their storage classes are the isolate's, so one patch of the prototypes sees every object

interface Patchable {
  [method: string]: (...args: unknown[]) => unknown;
}

const patched = new WeakSet<object>();

function patch(prototype: Patchable, method: string, after: (result: unknown, args: unknown[]) => void): void {
  const original = prototype[method]!;
  prototype[method] = function (this: unknown, ...args: unknown[]) {
    const result = original.apply(this, args);
    after(result, args);
    return result;
  };
}

function instrument(storage: DurableObjectStorage): void {
  const prototype = Object.getPrototypeOf(storage) as Patchable;
  if (patched.has(prototype)) return;
  patched.add(prototype);
  // A statement that writes has run when exec returns, up to its first row: those with RETURNING are counted by what they return.
  patch(Object.getPrototypeOf(storage.sql) as Patchable, "exec", (cursor, [sql]) =>
    count("objectRows", String(sql), (cursor as SqlStorageCursor<Record<string, SqlStorageValue>>).rowsWritten),
  );
  patch(prototype, "setAlarm", () => void counts.alarms++);
  patch(prototype, "deleteAlarm", () => void counts.alarms++);
  for (const method of ["put", "delete", "deleteAll"])
    patch(prototype, method, () => count("objectRows", `storage ${method}`, 1));
}

export { Clock };

export class Customer extends Product {
  constructor(ctx: DurableObjectState, env: Env) {
    instrument(ctx.storage);
    super(ctx, env);
  }

  /** Reads the whole log and does nothing with it: the least that counting it again must do. */
  benchInflate(): number {
    const { store } = this as unknown as { store: { log: { forward(from: number): Iterable<{ json: string }> } } };
    let events = 0;
    for (const { json } of store.log.forward(1))
      events += (JSON.parse(json) as { events?: unknown[] }).events?.length ?? 0;
    return events;
  }

  benchInside(): Inside {
    // Private to TypeScript, not to the platform.
    const { store } = this as unknown as {
      store: { log: { rows: number }; dedup: { keys: number; memoryBytes: number; find(key: string): unknown } };
    };
    // Run indexes are read when a key is first looked for in them.
    store.dedup.find("bench");
    return { dedupKeys: store.dedup.keys, dedupBytes: store.dedup.memoryBytes, logRows: store.log.rows };
  }
}

// ---- D1: all roads of its client go through the session's two calls

interface D1Answer {
  meta: { rows_written: number; rows_read: number };
}

function instrumentD1(db: D1Database): void {
  const session = (db as unknown as { alwaysPrimarySession: object }).alwaysPrimarySession;
  const prototype = Object.getPrototypeOf(session) as Patchable;
  if (patched.has(prototype)) return;
  patched.add(prototype);
  const counted = async (answers: Promise<D1Answer | D1Answer[]>, texts: string[]) => {
    for (const [index, answer] of [await answers].flat().entries()) {
      count("d1Rows", texts[index] ?? "?", answer.meta.rows_written);
      counts.d1RowsRead += answer.meta.rows_read;
    }
  };
  const ignore = () => undefined; // the caller hears of it
  patch(
    prototype,
    "_send",
    (answers, [, query]) =>
      void counted(answers as Promise<D1Answer>, [query as string | string[]].flat()).catch(ignore),
  );
  patch(prototype, "_queryOrThrow", (answers, [asked]) => {
    const { queries } = asked as { queries: { sql: string }[] };
    void counted(
      answers as Promise<D1Answer>,
      queries.map(({ sql }) => sql),
    ).catch(ignore);
  });
}

// ---- The Worker

export default {
  fetch(request, env, lifetime) {
    instrumentD1(env.DB);
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/__bench/writes") return Response.json(counts);
    if (pathname === "/__bench/refold") return refolded(env, searchParams);
    if (pathname === "/__bench/inflate") return inflated(env, searchParams.get("object") ?? "");
    if (pathname === "/__bench/inside") return inside(env, searchParams.get("object") ?? "");
    return worker.fetch(request, env, lifetime);
  },
  queue(batch, env, lifetime) {
    instrumentD1(env.DB);
    return worker.queue(batch, env, lifetime);
  },
} satisfies ExportedHandler<Env>;

/** Gives an object one meter more, as an edge with a newer configuration does, and lets it count its log until it is whole. */
async function refolded(env: Env, asked: URLSearchParams): Promise<Response> {
  const [object, namespaceId, round] = [asked.get("object")!, asked.get("namespace")!, Number(asked.get("round"))];
  const latest = env.DB.prepare(
    "SELECT snapshot FROM config_versions WHERE namespace_id = ? ORDER BY version DESC LIMIT 1",
  );
  const snapshot = JSON.parse((await latest.bind(namespaceId).first<string>("snapshot")) ?? "{}") as ConfigSnapshot;
  const meter: Meter = {
    id: `bench_${round}`,
    key: `bench_${round}`,
    eventType: "prompt",
    aggregation: "SUM",
    valueProperty: "$.tokens",
    groupBy: { model: "$.model", type: "$.type" },
    eventFrom: null,
    createdAt: 0,
  };
  const version = snapshot.version + 1_000 + round;
  const call: Call = { namespaceId, name: asked.get("name")!, configVersion: version };
  const stub = env.CUSTOMER.getByName(object) as unknown as CustomerRpc;
  await stub.configure(call, { ...snapshot, version, meters: [...snapshot.meters, meter] });
  for (;;) {
    const answer = await stub.refold(call);
    if (!answer.ok) throw new Error(answer.reason);
    if (answer.left === null) return Response.json({ ok: true });
  }
}

async function inflated(env: Env, name: string): Promise<Response> {
  const object = env.CUSTOMER.getByName(name) as unknown as { benchInflate(): Promise<number> };
  return Response.json(await object.benchInflate());
}

async function inside(env: Env, name: string): Promise<Response> {
  const object = env.CUSTOMER.getByName(name) as unknown as { benchInside(): Promise<Inside> };
  return Response.json(await object.benchInside());
}
