/**
 * Meters as OpenMeter has them: create answers 200, lists are bare arrays, unknown fields are ignored. The rules of a definition are
 * core/meter-body's, those of a query core/meter-query's.
 */
import * as z from "zod";
import type { Aggregation } from "../../core/aggregation";
import { instant, metadata, name, resourceKey, text, ULID } from "./fields";
import { filterString, filterStringInQuery } from "./filters";
import type { Resource } from "./route";

const AGGREGATIONS = ["SUM", "COUNT", "UNIQUE_COUNT", "AVG", "MIN", "MAX", "LATEST"] as const satisfies Aggregation[];

const groupBy = z.record(z.string(), z.string()).meta({
  description: "Dimension → JSONPath into the event's data. Paths name one value: names and indexes only.",
  examples: [{ model: "$.model" }],
});

const changeable = {
  name: text(256).min(1).optional().meta({ description: "Default: the slug." }),
  description: text(1_024).optional(),
  metadata: metadata.nullable().optional(),
  groupBy: groupBy.optional(),
};

export const meterInput = z
  .object({
    ...changeable,
    slug: resourceKey,
    aggregation: z.enum(AGGREGATIONS),
    eventType: name,
    eventFrom: instant.optional().meta({ description: "Events before it do not count." }),
    valueProperty: z
      .string()
      .min(1)
      .optional()
      .meta({ description: "JSONPath into the event's data. Not with COUNT, needed with any other aggregation." }),
  })
  .meta({ id: "MeterCreate" });

/** What is left out becomes empty: OpenMeter's PUT replaces. */
export const meterChange = z.object(changeable).meta({ id: "MeterUpdate" });

export const meterView = z
  .object({
    id: z.string().regex(ULID),
    slug: z.string(),
    name: z.string(),
    description: z.string().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
    aggregation: z.enum(AGGREGATIONS),
    eventType: z.string(),
    eventFrom: instant.optional(),
    valueProperty: z.string().optional(),
    groupBy: groupBy.optional(),
    createdAt: instant,
    updatedAt: instant,
    deletedAt: instant.optional(),
  })
  .meta({ id: "Meter" });

const meterParam = z.strictObject({
  meterIdOrSlug: name.max(64).meta({ description: "A meter's id or slug." }),
});

const list = z.object({
  page: z.coerce.number().int().min(1).max(1_000_000).optional(),
  pageSize: z.coerce.number().int().min(1).max(1_000).optional(),
  order: z.enum(["ASC", "DESC"]).default("ASC"),
  orderBy: z.enum(["key", "name", "aggregation", "createdAt", "updatedAt"]).default("key"),
  includeDeleted: z.enum(["true", "false"]).default("false"),
});

/** As many as a POST may name: more customers than a report of one page. */
const QUERY_NAMES_MAX = 100;
const names = z.array(name).max(QUERY_NAMES_MAX);
/** Progress is kept under it. */
const clientId = name.max(36);

const queryFields = {
  clientId: clientId.optional().meta({ description: "Follow the query at /api/v1/info/progress/{clientId}." }),
  from: instant.optional().meta({ description: "Inclusive." }),
  to: instant.optional().meta({ description: "Exclusive." }),
  windowSize: z.enum(["MINUTE", "HOUR", "DAY", "MONTH"]).optional(),
  windowTimeZone: z.string().min(1).max(64).optional().meta({ description: "IANA name. Default UTC." }),
  filterCustomerId: names.optional(),
  groupBy: z
    .array(z.string().max(64))
    .max(QUERY_NAMES_MAX)
    .optional()
    .meta({ description: "Dimensions of the meter, `subject`, or `customer_id`." }),
};

/** A URL is shorter than this many subjects. */
const URL_SUBJECTS_MAX = 1_000;

export const query = z.object({
  ...queryFields,
  subject: z.array(name).max(URL_SUBJECTS_MAX).optional(),
  filterGroupBy: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  advancedMeterGroupByFilters: z.record(z.string(), filterStringInQuery).optional(),
});

export const meterQueryInput = z
  .object({
    ...queryFields,
    subject: names.optional(),
    filterGroupBy: z.record(z.string(), z.array(z.string())).optional(),
    advancedMeterGroupByFilters: z.record(z.string(), filterString).optional(),
  })
  .meta({ id: "MeterQueryRequest" });

export const meterQueryResult = z
  .object({
    from: instant.optional(),
    to: instant.optional(),
    windowSize: z.enum(["MINUTE", "HOUR", "DAY", "MONTH"]).optional(),
    data: z.array(
      z
        .object({
          value: z.number().meta({ description: "Printed exactly; a reader of doubles rounds it." }),
          windowStart: instant,
          windowEnd: instant,
          subject: z.string().nullable(),
          customerId: z.string().optional(),
          groupBy: z.record(z.string(), z.string().nullable()),
        })
        .meta({ id: "MeterQueryRow" }),
    ),
  })
  .meta({ id: "MeterQueryResult" });

export const meterQueryStyles = {
  subject: "list",
  filterCustomerId: "list",
  filterGroupBy: "map",
  advancedMeterGroupByFilters: "json",
  groupBy: "list",
} as const;

export const QUERY_REPLY = {
  200: {
    description: "The usage, or with `Accept: text/csv` the same as a file. Windows without events have no row.",
    schema: meterQueryResult,
  },
} as const;

export const QUERY_REFUSALS = {
  422: "`at-bound`: more rows, windows, customers or distinct values than one answer may have; ask for less.",
  503: "`folding`: the meter is being built from events that are older than it; the problem says how far it is.",
} as const;

const period = z.object({ from: instant.optional(), to: instant.optional() });

export const meters = {
  list: {
    method: "GET",
    path: "/api/v1/meters",
    access: "read",
    summary: "List meters",
    description: "Without `page` and `pageSize`: the first 1,000.",
    query: list,
    replies: { 200: { description: "A bare array.", schema: z.array(meterView) } },
  },
  create: {
    method: "POST",
    path: "/api/v1/meters",
    access: "write",
    summary: "Make a meter",
    description: "It counts all events there ever were, from `eventFrom` on if that is given.",
    body: { schema: meterInput },
    idempotency: "store",
    refusals: {
      409: "The slug is taken, or `idempotency-conflict`.",
      422: "`at-bound`: the namespace's configuration would be larger than 1 MB.",
    },
    replies: { 200: { description: "Made.", schema: meterView } },
  },
  get: {
    method: "GET",
    path: "/api/v1/meters/{meterIdOrSlug}",
    access: "read",
    summary: "Read a meter",
    description: "A deleted one is found by its id.",
    params: meterParam,
    replies: { 200: { description: "The meter.", schema: meterView } },
  },
  update: {
    method: "PUT",
    path: "/api/v1/meters/{meterIdOrSlug}",
    access: "write",
    summary: "Change a meter's name, description, metadata or dimensions",
    description: "What is left out becomes empty. With other dimensions all events are counted again.",
    params: meterParam,
    body: { schema: meterChange },
    refusals: {
      409: "A feature filters by a dimension that would go.",
      422: "`at-bound`: the namespace's configuration would be larger than 1 MB.",
    },
    replies: { 200: { description: "Changed.", schema: meterView } },
  },
  delete: {
    method: "DELETE",
    path: "/api/v1/meters/{meterIdOrSlug}",
    access: "write",
    summary: "Delete a meter",
    description: "Its events stay. Deleting it again, by its id, changes nothing.",
    params: meterParam,
    refusals: { 409: "A feature uses it." },
    replies: { 204: { description: "It is gone." } },
  },
  query: {
    method: "GET",
    path: "/api/v1/meters/{meterIdOrSlug}/query",
    access: "read",
    summary: "Query a meter",
    params: meterParam,
    query,
    queryStyles: meterQueryStyles,
    refusals: QUERY_REFUSALS,
    replies: QUERY_REPLY,
  },
  queryPost: {
    method: "POST",
    path: "/api/v1/meters/{meterIdOrSlug}/query",
    access: "read",
    summary: "Query a meter",
    description: "For queries that are longer than a URL.",
    params: meterParam,
    body: { schema: meterQueryInput },
    idempotency: "nothing",
    refusals: QUERY_REFUSALS,
    replies: QUERY_REPLY,
  },
  subjects: {
    method: "GET",
    path: "/api/v1/meters/{meterIdOrSlug}/subjects",
    access: "read",
    summary: "List the subjects that a meter has counted",
    params: meterParam,
    query: period,
    refusals: QUERY_REFUSALS,
    replies: { 200: { description: "A bare array, ascending.", schema: z.array(z.string()) } },
  },
  groupByValues: {
    method: "GET",
    path: "/api/v1/meters/{meterIdOrSlug}/group-by/{groupByKey}/values",
    access: "read",
    summary: "List the values of a meter's dimension",
    description: "Of the last 24 hours unless `from` says otherwise; at most 90 days back, and 30 days at once.",
    params: meterParam.extend({ groupByKey: name }),
    query: period,
    refusals: QUERY_REFUSALS,
    replies: { 200: { description: "A bare array, ascending.", schema: z.array(z.string()) } },
  },
} as const satisfies Resource;
