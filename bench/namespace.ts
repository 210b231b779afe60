/** A namespace of its own with chosen meters, for figures that must not share the seeded ones; and waiting until its events have landed. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import type { Stream } from "./bodies";
import { planOf, type Route } from "./contest";
import type { Instance } from "./instance";
import type { LoadPlan } from "./load";
import { idle } from "./settled";

const OPERATOR = "Bearer tg_admin_local";
const POLL_MS = 250;

export interface Namespace {
  id: string;
  authorization: string;
}

/** As bodies.ts makes events: two dimensions, and numbers and texts to aggregate. */
export interface BenchMeter {
  slug: string;
  aggregation: string;
  valueProperty?: string;
}

const AGGREGATIONS = ["SUM", "COUNT", "MAX", "MIN", "LATEST", "AVG", "UNIQUE_COUNT"];
const VALUES = ["$.tokens", "$.usage.inputTokens", "$.usage.outputTokens"];

/** So many meters on the event type of `events`, of all aggregations in turn. */
export const someMeters = (count: number): BenchMeter[] =>
  Array.from({ length: count }, (_, place) => {
    const aggregation = AGGREGATIONS[place % AGGREGATIONS.length]!;
    const valueProperty = aggregation === "UNIQUE_COUNT" ? "$.usage.inputTokens" : VALUES[place % VALUES.length]!;
    return { slug: `meter_${place}`, aggregation, ...(aggregation !== "COUNT" && { valueProperty }) };
  });

export async function newNamespace(instance: Instance, key: string, meters: readonly BenchMeter[]): Promise<Namespace> {
  const { id, apiKey } = await post<{ id: string; apiKey: string }>(instance, OPERATOR, "/api/v1/namespaces", {
    key: `${key}-${process.pid}`,
    kind: "live",
  });
  const namespace = { id, authorization: `Bearer ${apiKey}` };
  for (const meter of meters) await newMeter(instance, namespace, meter);
  return namespace;
}

export const newMeter = (instance: Instance, { authorization }: Namespace, meter: BenchMeter): Promise<unknown> =>
  post(instance, authorization, "/api/v1/meters", {
    ...meter,
    eventType: "prompt",
    groupBy: { model: "$.model", type: "$.type" },
  });

export async function post<T>({ port }: Instance, authorization: string, path: string, body: unknown): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { authorization, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${text}`);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export const planIn = (
  { authorization }: Namespace,
  instance: Instance,
  route: Route,
  stream: Stream,
  offset: number,
  count: number,
): LoadPlan => {
  const plan = planOf(instance, route, stream, offset, count);
  return { ...plan, headers: { ...plan.headers, authorization } };
};

/** Waits until the store knows that these customers have so many events in all, and the process has nothing left to do. */
export async function counted(instance: Instance, { id }: Namespace, events: number, limitMs: number): Promise<void> {
  using db = new DatabaseSync(d1File(instance), { readOnly: true });
  const query = db.prepare("SELECT coalesce(sum(event_count), 0) AS events FROM objects WHERE namespace_id = ?");
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = (query.get(id) as { events: number }).events;
    if (found === events) break;
    if (found > events) throw new Error(`the store counts ${found} events of ${events}`);
    if (performance.now() > deadline)
      throw new Error(`the store counts ${found} events of ${events} after ${limitMs} ms`);
    await delay(POLL_MS);
  }
  await idle(instance, limitMs);
}

function d1File({ stateDir }: Instance): string {
  const directory = join(stateDir, "d1", "miniflare-D1DatabaseObject");
  const file = readdirSync(directory).find((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (file === undefined) throw new Error(`there is no database in ${directory}`);
  return join(directory, file);
}
