/**
 * Features as OpenMeter has them, and their cost, which its v3 has: as a meter query asks for usage, in that resource's words, with
 * exact amounts as text. The rules of a definition are core/feature's, those of a cost core/feature-cost's.
 */
import * as z from "zod";
import { decimalInput, instant, metadata, name, resourceKey, text, ULID } from "./fields";
import { filterString } from "./filters";
import { meterQueryInput, QUERY_REFUSALS } from "./meters";
import type { Resource } from "./route";

const manual = z.literal("manual");
const llm = z.literal("llm");
const llmFields = {
  provider: name.optional(),
  providerProperty: name.optional().meta({ description: "The meter's dimension that holds the provider." }),
  model: name.optional(),
  modelProperty: name.optional().meta({ description: "The meter's dimension that holds the model." }),
  tokenType: name
    .optional()
    .meta({ description: "input, output, cache_read, cache_write, reasoning, request, response." }),
  tokenTypeProperty: name.optional().meta({ description: "The meter's dimension that holds the type of token." }),
};
const unitCostInput = z
  .discriminatedUnion("type", [
    z.object({ type: manual, amount: decimalInput.meta({ description: "US dollars a unit." }) }),
    z.object({ type: llm, ...llmFields }),
  ])
  .meta({ id: "FeatureUnitCostCreate", description: "Of type llm: of each pair exactly one." });

/** OpenMeter's Numeric: no exponent, any number of places. */
const numeric = z.string();
const pricing = z
  .object({
    inputPerToken: numeric,
    outputPerToken: numeric,
    cacheReadPerToken: numeric.optional(),
    cacheWritePerToken: numeric.optional(),
    reasoningPerToken: numeric.optional(),
  })
  .meta({
    description: "Today's published prices, where provider and model are certain. Only when one feature is read.",
  });
const unitCostView = z
  .discriminatedUnion("type", [
    z.object({ type: manual, amount: numeric }),
    z.object({ type: llm, ...llmFields, pricing: pricing.optional() }),
  ])
  .meta({ id: "FeatureUnitCost" });

const filters = z.record(z.string(), filterString);

export const featureInput = z
  .object({
    key: resourceKey,
    name: text(256).min(1),
    metadata: metadata.nullable().optional(),
    meterSlug: resourceKey.optional(),
    meterGroupByFilters: z
      .record(z.string(), z.string())
      .optional()
      .meta({ deprecated: true, description: "The same as `$eq` filters; not read when those are given." }),
    advancedMeterGroupByFilters: filters.optional().meta({ description: "By dimension of the meter." }),
    unitCost: unitCostInput.optional(),
  })
  .meta({ id: "FeatureCreateInputs" });

export const featureView = z
  .object({
    id: z.string().regex(ULID),
    key: z.string(),
    name: z.string(),
    metadata: z.record(z.string(), z.string()).optional(),
    meterSlug: z.string().optional(),
    meterGroupByFilters: z
      .record(z.string(), z.string())
      .optional()
      .meta({ deprecated: true, description: "Present when every filter is an `$eq`." }),
    advancedMeterGroupByFilters: filters.optional(),
    unitCost: unitCostView.optional(),
    createdAt: instant,
    updatedAt: instant,
    archivedAt: instant.optional(),
  })
  .meta({ id: "Feature" });

const paginated = z.object({
  items: z.array(featureView),
  totalCount: z.number().int(),
  page: z.number().int(),
  pageSize: z.number().int(),
});

const METER_SLUGS_MAX = 100;
const ITEMS_MAX = 1_000;
const list = z.object({
  meterSlug: z.array(resourceKey).max(METER_SLUGS_MAX).optional(),
  includeArchived: z.enum(["true", "false"]).default("false"),
  page: z.coerce.number().int().min(1).max(1_000_000).optional(),
  pageSize: z.coerce.number().int().min(1).max(ITEMS_MAX).optional(),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
  limit: z.coerce.number().int().min(1).max(ITEMS_MAX).default(100),
  order: z.enum(["ASC", "DESC"]).default("ASC"),
  orderBy: z.enum(["id", "key", "name", "createdAt", "updatedAt"]).default("key"),
});

const featureParam = z.strictObject({ featureId: name.meta({ description: "A feature's id or key." }) });

export const featureCostResult = z
  .object({
    from: instant.optional(),
    to: instant.optional(),
    windowSize: z.enum(["MINUTE", "HOUR", "DAY", "MONTH"]).optional(),
    data: z.array(
      z
        .object({
          usage: numeric,
          cost: numeric.nullable().meta({ description: "null: nothing of this usage has a price." }),
          currency: z.string(),
          detail: z.string().optional().meta({ description: "What of the usage is not in `cost`, and why." }),
          windowStart: instant,
          windowEnd: instant,
          subject: z.string().nullable(),
          customerId: z.string().optional(),
          groupBy: z.record(z.string(), z.string().nullable()),
        })
        .meta({ id: "FeatureCostQueryRow" }),
    ),
  })
  .meta({ id: "FeatureCostQueryResult" });

export const features = {
  list: {
    method: "GET",
    path: "/api/v1/features",
    access: "read",
    summary: "List features",
    query: list,
    queryStyles: { meterSlug: "list" },
    replies: {
      200: {
        description: "A bare array, by `offset` and `limit`; with `page` or `pageSize` a page.",
        schema: z.union([z.array(featureView), paginated]),
      },
    },
  },
  create: {
    method: "POST",
    path: "/api/v1/features",
    access: "write",
    summary: "Make a feature",
    description: "With a meterSlug it is metered: a part of what that meter counts.",
    body: { schema: featureInput },
    idempotency: "store",
    refusals: { 404: "There is no such meter.", 409: "A feature has this key, or `idempotency-conflict`." },
    replies: { 201: { description: "Made.", schema: featureView } },
  },
  get: {
    method: "GET",
    path: "/api/v1/features/{featureId}",
    access: "read",
    summary: "Read a feature",
    params: featureParam,
    replies: { 200: { description: "The feature.", schema: featureView } },
  },
  delete: {
    method: "DELETE",
    path: "/api/v1/features/{featureId}",
    access: "write",
    summary: "Archive a feature",
    description: "For good. Its key is free again.",
    params: featureParam,
    replies: { 204: { description: "Archived." } },
  },
} as const satisfies Resource;

export const featureCosts = {
  query: {
    method: "POST",
    path: "/api/v1/features/{featureId}/cost/query",
    access: "read",
    summary: "Query what a feature's usage costs",
    description:
      "Each event at the price of its own time. The feature's filters stand above those of the query. The dearest first, what has no price last.",
    params: featureParam,
    body: { schema: meterQueryInput, optional: true },
    idempotency: "nothing",
    refusals: QUERY_REFUSALS,
    replies: { 200: { description: "Usage and cost. Windows without events have no row.", schema: featureCostResult } },
  },
} as const satisfies Resource;
