/** Burn tables: versioned, effective-dated prices of usage. The exact rules of a table's body are core/burn-table-body's. */
import * as z from "zod";
import { decimalInput, decimalText, instant, listOf, name, pageBy } from "./fields";
import type { Resource } from "./route";

const jsonPath = z.string().min(1).max(256);
const ruleOf = <D extends z.ZodType>(decimal: D) => ({
  feature: name.optional(),
  provider: name.optional(),
  model: name.optional().meta({ description: "Exact, or a prefix that ends in `*`." }),
  dimension: name,
  rate: decimal,
  per: decimal,
  roundUpTo: decimal.optional(),
});
const mapping = {
  eventType: name,
  where: z.record(jsonPath, z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
  feature: name,
  provider: name.optional(),
  model: name.optional(),
  usage: z.record(name, jsonPath),
};
const priceBook = z.literal("genai-prices").nullable();

export const burnTableInput = z
  .strictObject({
    key: z.string(),
    currency: z.string(),
    effectiveFrom: instant.optional().meta({
      description:
        "The first version: default now. Later versions in live namespaces: at least 60 s ahead, which is the default.",
    }),
    rules: z.array(z.strictObject(ruleOf(decimalInput))),
    default: z.boolean().optional(),
    mappings: z.array(z.strictObject(mapping)).optional(),
    markup: decimalInput.optional().meta({ description: "Multiplies price-book rates only. Default 1." }),
    priceBook: priceBook.optional(),
  })
  .meta({ id: "BurnTableCreate" });

export const burnTableView = z
  .object({
    key: z.string(),
    version: z.number().int(),
    currency: z.string(),
    effectiveFrom: instant,
    rules: z.array(z.object(ruleOf(decimalText))),
    mappings: z.array(z.object(mapping)),
    markup: decimalText,
    priceBook,
    default: z.boolean(),
  })
  .meta({ id: "BurnTable" });

const keyParam = z.strictObject({ key: name });

export const burnTables = {
  list: {
    method: "GET",
    path: "/api/v1/burn-tables",
    access: "read",
    summary: "List burn tables",
    query: pageBy(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/),
    replies: { 200: { description: "The newest version of each, by key.", schema: listOf(burnTableView) } },
  },
  create: {
    method: "POST",
    path: "/api/v1/burn-tables",
    access: "write",
    summary: "Make a burn table, or its next version",
    description: "Past usage is never repriced.",
    body: { schema: burnTableInput },
    idempotency: "store",
    refusals: { 422: "`at-bound`: the namespace's configuration would be larger than 1 MB." },
    replies: { 201: { description: "Published.", schema: burnTableView } },
  },
  get: {
    method: "GET",
    path: "/api/v1/burn-tables/{key}",
    access: "read",
    summary: "Read a burn table",
    params: keyParam,
    replies: { 200: { description: "Its newest version.", schema: burnTableView } },
  },
  versions: {
    method: "GET",
    path: "/api/v1/burn-tables/{key}/versions",
    access: "read",
    summary: "List a burn table's versions",
    params: keyParam,
    query: pageBy(/^[1-9]\d{0,8}$/),
    replies: { 200: { description: "Newest first.", schema: listOf(burnTableView) } },
  },
} as const satisfies Resource;
