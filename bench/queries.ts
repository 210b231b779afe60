/**
 * What questions cost: a customer's 30 days by the hour whatever the log holds, a meter that is younger than a million events, and a
 * whole namespace by the day.
 */
import { bodyOf } from "./bodies";
import { processCpuMs } from "./cpu";
import { atLeast, atMost, fixed, median, whole, type Bench, type Figure } from "./figure";
import { freshState, startInstrumented, startProduct, type Instance } from "./instance";
import { counted, newMeter, newNamespace, planIn, post, someMeters, type Namespace } from "./namespace";
import { idle } from "./settled";
import { newStream, ROUTES } from "./stage";
import type { WriteCounts } from "./subject";

const BATCH = 1_000;
const DAY_MS = 86_400_000;
const SPAN_MS = 30 * DAY_MS;
const BATCHES = { long: { full: 1_000, quick: 50 }, short: 10 };
const ROUNDS = { full: 7, quick: 3 };
const QUERIES = { full: 60, quick: 30 };
const LIMIT_MS = 600_000;
const GOALS = { query: 1.3, retroactive: 0.5 };
const POLL_MS = 50;

export const longQuery: Figure = {
  name: "query",
  promise: "30 days by HOUR for one customer, 1,000,000 events ÷ 10,000; a retroactive meter over 1,000,000 events",
  slow: true,
  async measure(bench) {
    const { quick, progress, load } = bench;
    const size = quick ? "quick" : "full";
    const stateDir = await freshState("queries");
    const filling = await startProduct(stateDir);
    const namespace = await newNamespace(filling, "queries", someMeters(1));
    const fromMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - SPAN_MS;
    const streamOf = (customer: string, batches: number) => ({
      ...newStream("events", customer, BATCH),
      fromMs,
      spanMs: SPAN_MS,
      cycle: batches * BATCH,
    });
    const events = { long: BATCHES.long[size] * BATCH, short: BATCHES.short * BATCH };
    for (const [customer, batches] of [
      ["long", BATCHES.long[size]],
      ["short", BATCHES.short],
    ] as const) {
      progress(`queries: sending ${whole(batches * BATCH)} events for ${customer}`);
      const plan = planIn(namespace, filling, ROUTES.events, streamOf(customer, batches), 0, batches);
      await load.send({ ...plan, connections: 4, limitMs: LIMIT_MS });
    }
    progress("queries: waiting until all is counted");
    await counted(filling, namespace, events.long + events.short, LIMIT_MS);
    await filling.close();

    const instance = await startInstrumented(stateDir, { counted: true });
    const path = (customer: string) =>
      `/api/v1/meters/meter_0/query?subject=${customer}&windowSize=HOUR&from=${at(fromMs)}&to=${at(fromMs + SPAN_MS)}`;
    const cpuUs = { long: [] as number[], short: [] as number[] };
    const latency = { long: [] as number[], short: [] as number[] };
    const rows = (await get<{ data: unknown[] }>(instance, namespace, path("long"))).data.length;
    for (let round = 0; round <= ROUNDS[size]; round++) {
      for (const name of ["long", "short"] as const) {
        progress(`queries: round ${round} of ${ROUNDS[size]}, ${name}`);
        const before = processCpuMs(instance.pid);
        const plan = planIn(
          namespace,
          instance,
          { method: "GET", path: path(name) },
          newStream("read", name),
          0,
          QUERIES[size],
        );
        const played = await load.send({ ...plan, connections: 1 });
        if (round === 0) continue;
        cpuUs[name].push(((processCpuMs(instance.pid) - before) * 1_000) / QUERIES[size]);
        latency[name].push(played.p50Ms);
      }
    }
    const ratios = cpuUs.long.map((us, round) => us / cpuUs.short[round]!);
    const found = median(ratios);

    progress("queries: a meter made after the events");
    const object = await objectOf(instance, "long");
    const bare: number[] = [];
    for (let round = 0; round < 3; round++) bare.push(await cpuOf(instance, () => inflate(instance, object)));
    // By the API first: the object must not know a newer configuration yet.
    const startMs = performance.now();
    let waitMs = 0;
    const wholeCpuMs = await cpuOf(instance, async () => {
      await newMeter(instance, namespace, { slug: "later", aggregation: "COUNT" });
      const counts = await untilFolded(instance, namespace, "/api/v1/meters/later/query?subject=long");
      if (counts !== events.long) throw new Error(`a meter made later counts ${counts} of ${events.long} events`);
      waitMs = performance.now() - startMs;
      await untilFolded(instance, namespace, "/api/v1/meters/later/query");
      await idle(instance, LIMIT_MS);
    });
    const ours: number[] = [];
    for (let round = 0; round < 3; round++)
      ours.push(
        await cpuOf(instance, () => refold(instance, { object, namespace: namespace.id, name: "long", round })),
      );
    await instance.close();
    const share = median(bare) / median(ours);
    return {
      rows: [
        {
          figure: `30 days by HOUR for one customer, CPU with ${whole(events.long)} events ÷ with ${whole(events.short)}`,
          measured: fixed(found),
          goal: `≤ ${GOALS.query}`,
          met: atMost(found, GOALS.query),
          detail: [
            `${fixed(Math.min(...ratios))}–${fixed(Math.max(...ratios))}; ${whole(median(cpuUs.long))} µs a query against ${whole(median(cpuUs.short))}, p50 ${fixed(median(latency.long), 1)} ms against ${fixed(median(latency.short), 1)}, ${whole(rows)} rows`,
          ],
        },
        {
          figure: `retroactive meter over ${whole(events.long)} events: CPU of a loop that only inflates and parses them ÷ ours`,
          measured: fixed(share),
          goal: `≥ ${GOALS.retroactive}`,
          met: atLeast(share, GOALS.retroactive),
          detail: [
            `${whole(median(bare))} ms against ${whole(median(ours))} ms of CPU: one SUM by two dimensions, checkpoints included`,
            `by the API, from making the meter to the customer's first answer ${fixed(waitMs / 1_000, 1)} s; with all its windows told to D1 ${whole(wholeCpuMs)} ms of CPU`,
          ],
        },
      ],
      data: { cpuUs, latency, bare, ours, waitMs, wholeCpuMs },
    };
  },
};

const at = (ms: number): string => encodeURIComponent(new Date(ms).toISOString());

async function get<T>({ port }: Instance, { authorization }: Namespace, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization } });
  const text = await response.text();
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** Asks until the meter is built; the value of the only row. */
async function untilFolded({ port }: Instance, { authorization }: Namespace, path: string): Promise<number> {
  const deadline = performance.now() + LIMIT_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization } });
    const text = await response.text();
    if (response.ok) return (JSON.parse(text) as { data: { value: number }[] }).data[0]?.value ?? 0;
    if (response.status !== 503 || performance.now() > deadline) throw new Error(`${path}: ${response.status} ${text}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function cpuOf({ pid }: Instance, work: () => Promise<unknown>): Promise<number> {
  const before = processCpuMs(pid);
  await work();
  return processCpuMs(pid) - before;
}

async function objectOf(instance: Instance, customer: string): Promise<string> {
  const db = (await instance.miniflare.getD1Database("DB")) as unknown as D1Database;
  const row = db.prepare("SELECT name FROM objects WHERE customer_key = ?").bind(customer);
  return (await row.first<string>("name")) ?? "";
}

async function refold({ port }: Instance, asked: { object: string; namespace: string; name: string; round: number }) {
  const query = new URLSearchParams(Object.entries(asked).map(([key, value]) => [key, String(value)]));
  const response = await fetch(`http://127.0.0.1:${port}/__bench/refold?${query.toString()}`);
  if (!response.ok) throw new Error(`folding again: ${response.status} ${await response.text()}`);
}

async function inflate({ port }: Instance, object: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/__bench/inflate?object=${encodeURIComponent(object)}`);
  if (!response.ok) throw new Error(`inflating: ${response.status} ${await response.text()}`);
}

// ---- A whole namespace

const CUSTOMERS = { full: 1_000, quick: 100 };
const DAYS = 30;
const CUSTOMERS_PER_REQUEST = 100;
const NAMESPACE_QUERIES = { full: 15, quick: 5 };

export const namespaceQuery: Figure = {
  name: "namespace",
  promise: "a namespace of 1,000 customers, 30 days by DAY: milliseconds and rows read",
  slow: true,
  async measure({ quick, progress }: Bench) {
    const size = quick ? "quick" : "full";
    const stateDir = await freshState("namespace-query");
    await (await startProduct(stateDir)).close();
    const instance = await startInstrumented(stateDir, { counted: true });
    const namespace = await newNamespace(instance, "wide", someMeters(1));
    const fromMs = Math.floor(Date.now() / DAY_MS) * DAY_MS - DAYS * DAY_MS;
    const customers = CUSTOMERS[size];
    for (let first = 0; first < customers; first += CUSTOMERS_PER_REQUEST) {
      progress(`namespace query: customers ${whole(first)} of ${whole(customers)}`);
      const body = Array.from({ length: CUSTOMERS_PER_REQUEST }, (_, place) => {
        const stream = {
          ...newStream("events", `customer-${first + place}`, DAYS),
          // Within the day, whatever a thirtieth of the span rounds to.
          fromMs: fromMs + DAY_MS / 2,
          spanMs: DAYS * DAY_MS,
          cycle: DAYS,
        };
        return JSON.parse(bodyOf(stream, 0)) as unknown[];
      }).flat();
      await post(instance, namespace.authorization, "/api/v1/events", body);
    }
    await counted(instance, namespace, customers * DAYS, LIMIT_MS);
    const path = `/api/v1/meters/meter_0/query?windowSize=DAY&from=${at(fromMs)}&to=${at(fromMs + DAYS * DAY_MS)}`;
    const ms: number[] = [];
    let rows = 0;
    const readBefore = await rowsRead(instance);
    for (let query = 0; query < NAMESPACE_QUERIES[size]; query++) {
      progress(`namespace query: ${query + 1} of ${NAMESPACE_QUERIES[size]}`);
      const startMs = performance.now();
      rows = (await get<{ data: unknown[] }>(instance, namespace, path)).data.length;
      ms.push(performance.now() - startMs);
    }
    const read = ((await rowsRead(instance)) - readBefore) / NAMESPACE_QUERIES[size];
    await instance.close();
    if (rows !== DAYS) throw new Error(`the namespace's answer has ${rows} rows of ${DAYS}`);
    return {
      rows: [
        {
          figure: `namespace of ${whole(customers)} customers, ${DAYS} days by DAY, ms`,
          measured: fixed(median(ms), 1),
          goal: "reported",
          met: null,
          detail: [
            `${fixed(Math.min(...ms), 1)}–${fixed(Math.max(...ms), 1)}; ${whole(read)} rows of D1 read a query, ${whole(customers * DAYS)} windows of customers`,
          ],
        },
      ],
      data: { ms, read },
    };
  },
};

const rowsRead = async ({ port }: Instance): Promise<number> =>
  ((await (await fetch(`http://127.0.0.1:${port}/__bench/writes`)).json()) as WriteCounts).d1RowsRead;
