/**
 * What the local launcher asks for before it says "ready": a live namespace `default`, a key for it that the launcher names, and
 * OpenMeter's quickstart meters. Not part of the contract. It exists for the launcher alone: whoever does not send the token of this
 * start gets the 404 of a path that is none. No key is spelled out anywhere in the Worker.
 */
import * as z from "zod";
import type { Meter } from "../../../core/meter";
import { SCOPES } from "../../../schema/contract/route";
import { findNamespace } from "../../../store/namespaces";
import { seedNamespace } from "../../../store/seed";
import { publish } from "../../config";
import type { Context } from "../../context";
import { withMeters, type MadeMeter } from "../../meters";
import type { Mounted } from "../app";
import { sameText } from "../auth";
import { newApiKey } from "../new-key";
import { notFound } from "../problem";

export const LOCAL_NAMESPACE = "default";

const request = { method: "$.method", route: "$.route" };

/** As OpenMeter's quickstart has them. */
const METERS: Pick<Meter, "key" | "eventType" | "aggregation" | "valueProperty" | "groupBy">[] = [
  { key: "api_requests_total", eventType: "request", aggregation: "COUNT", valueProperty: null, groupBy: request },
  {
    key: "api_requests_duration",
    eventType: "request",
    aggregation: "SUM",
    valueProperty: "$.duration_ms",
    groupBy: request,
  },
  {
    key: "tokens_total",
    eventType: "prompt",
    aggregation: "SUM",
    valueProperty: "$.tokens",
    groupBy: { model: "$.model", type: "$.type" },
  },
];

const body = z.strictObject({ apiKey: z.string().regex(/^tg_[A-Za-z0-9_-]{1,128}$/) });

export const localRoutes: Mounted[] = [
  {
    route: {
      method: "POST",
      path: "/__local/seed",
      access: "public",
      summary: "Make what a local server starts with",
      body: { schema: body },
      idempotency: "nothing",
      replies: { 204: { description: "It is there." } },
    },
    available: ({ env }, request) =>
      env.TOLLGATE_LOCAL === "1" &&
      !!env.TOLLGATE_SEED_TOKEN &&
      sameText(request.headers.get("authorization") ?? "", `Bearer ${env.TOLLGATE_SEED_TOKEN}`),
    raw: false,
    async handle(ask) {
      await seed(ask.context, (ask.body as unknown as z.output<typeof body>).apiKey);
      return { status: 204 };
    },
  },
];

/** A second time it changes nothing: data outlives a restart. */
async function seed(context: Context, apiKey: string): Promise<void> {
  const { store } = context;
  const existing = await findNamespace(store, LOCAL_NAMESPACE);
  const namespace = existing ?? {
    id: context.newId(),
    key: LOCAL_NAMESPACE,
    kind: "live" as const,
    createdAt: context.now(),
  };
  const { id, key, kind, createdAt } = namespace;
  const { row } = newApiKey(context, { name: "local", scopes: SCOPES, expiresAt: null }, apiKey);
  await seedNamespace(store, { id, key, kind, createdAt }, [row]);
  if (existing !== null && existing.configVersion > 0) return;
  const made = await findNamespace(store, LOCAL_NAMESPACE);
  if (made === null) throw notFound("the namespace that was just made");
  const now = context.now();
  const meters = METERS.map((meter): MadeMeter => ({
    ...meter,
    id: context.newId(),
    eventFrom: null,
    name: meter.key,
    description: null,
    metadata: null,
    createdAt: now,
    updatedAt: now,
  }));
  await publish(
    context,
    made.id,
    (current) => ({ ...withMeters(context, made.id, current, meters), answer: null }),
    // The meters exist: another start was faster.
    () => "stop",
  );
}
