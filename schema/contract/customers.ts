/**
 * Customers as OpenMeter has them: who is billed, and which subjects' usage is theirs. Unknown fields are ignored. Which names may belong
 * to whom is the store's rule (store/customer-subjects.ts).
 */
import * as z from "zod";
import { instant, isSound, metadata, name, text, ULID } from "./fields";
import type { Resource } from "./route";

/** OpenMeter has no bound. Each is a name that must lead to the customer's object, at once or within minutes. */
export const SUBJECT_KEYS_MAX = 1_000;
const KEY_CHARS_MAX = 256;

const address = z
  .object({
    country: z
      .string()
      .regex(/^[A-Z]{2}$/, "must be two capital letters (ISO 3166-1 alpha-2)")
      .optional(),
    postalCode: text(256).optional(),
    state: text(256).optional(),
    city: text(256).optional(),
    line1: text(256).optional(),
    line2: text(256).optional(),
    phoneNumber: text(256).optional(),
  })
  .meta({ id: "Address" });

const usageAttribution = z
  .object({ subjectKeys: z.array(name).max(SUBJECT_KEYS_MAX) })
  .meta({ id: "CustomerUsageAttribution", description: "The subjects whose usage is the customer's." });

const fields = {
  name: text(256).min(1),
  description: text(1_024).optional(),
  metadata: metadata.nullable().optional(),
  key: name.max(KEY_CHARS_MAX).optional().meta({ description: "Its own name, and a subject of its own." }),
  usageAttribution: usageAttribution.optional(),
  primaryEmail: text(512).optional(),
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, "must be three capital letters (ISO 4217)")
    .optional(),
  billingAddress: address.optional(),
};

const isCalledSomething = ({ key, usageAttribution }: { key?: string; usageAttribution?: { subjectKeys: string[] } }) =>
  key !== undefined || (usageAttribution?.subjectKeys.length ?? 0) > 0;
const CALLED = { error: "either key or usageAttribution.subjectKeys must be provided", when: isSound };

export const customerInput = z.object(fields).refine(isCalledSomething, CALLED).meta({ id: "CustomerCreate" });
export const customerChange = z.object(fields).refine(isCalledSomething, CALLED).meta({ id: "CustomerReplaceUpdate" });

export const customerView = z
  .object({
    id: z.string().regex(ULID),
    key: z.string().optional(),
    name: z.string().meta({ description: "Its key, while nobody gave a customer that usage or a grant made one." }),
    description: z.string().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
    usageAttribution: z.object({ subjectKeys: z.array(z.string()) }).optional(),
    primaryEmail: z.string().optional(),
    currency: z.string().optional(),
    billingAddress: address.optional(),
    currentSubscriptionId: z.string().optional(),
    createdAt: instant,
    updatedAt: instant,
    deletedAt: instant.optional(),
  })
  .meta({ id: "Customer" });

const customerParam = z.strictObject({
  customerIdOrKey: name.max(KEY_CHARS_MAX).meta({ description: "A customer's id or key." }),
});

const expand = z.array(z.enum(["subscriptions"])).optional();
/** Postgres has no NUL to look for. */
const part = text(512).optional().meta({ description: "Part of it; capital and small letters are the same." });

export const customers = {
  list: {
    method: "GET",
    path: "/api/v1/customers",
    access: "read",
    summary: "List customers",
    description: "Those that the API made, and those that a track, a grant or a wallet's settings made.",
    query: z.object({
      page: z.coerce.number().int().min(1).max(1_000_000).default(1),
      pageSize: z.coerce.number().int().min(1).max(1_000).default(100),
      order: z.enum(["ASC", "DESC"]).default("ASC"),
      orderBy: z.enum(["id", "name", "createdAt"]).default("name"),
      includeDeleted: z.enum(["true", "false"]).default("false"),
      key: part,
      name: part,
      primaryEmail: part,
      subject: part,
      planKey: text(512).optional().meta({ description: "Customers with an active subscription of this plan." }),
      expand,
    }),
    queryStyles: { expand: "list" },
    replies: {
      200: {
        description: "A page of them.",
        schema: z
          .object({
            items: z.array(customerView),
            totalCount: z.number().int(),
            page: z.number().int(),
            pageSize: z.number().int(),
          })
          .meta({ id: "CustomerPaginatedResponse" }),
      },
    },
  },
  create: {
    method: "POST",
    path: "/api/v1/customers",
    access: "write",
    summary: "Make a customer",
    description:
      "Its key and its subjects lead to one wallet and one usage from then on. What was already sent or granted under one of these names is the customer's, ids included.",
    body: { schema: customerInput },
    idempotency: "store",
    refusals: {
      409: "The key or a subject is another customer's; `idempotency-conflict`.",
      422: "`currency-mismatch`: wallets under these names hold different currencies.",
    },
    replies: { 201: { description: "Made.", schema: customerView } },
  },
  get: {
    method: "GET",
    path: "/api/v1/customers/{customerIdOrKey}",
    access: "read",
    summary: "Read a customer",
    description: "A deleted one is found by its id.",
    params: customerParam,
    query: z.object({ expand }),
    queryStyles: { expand: "list" },
    replies: { 200: { description: "The customer.", schema: customerView } },
  },
  update: {
    method: "PUT",
    path: "/api/v1/customers/{customerIdOrKey}",
    access: "write",
    summary: "Replace a customer",
    description:
      "What is left out becomes empty. A subject that is taken away keeps the usage and the credits it brought with the customer, and starts anew.",
    params: customerParam,
    body: { schema: customerChange },
    refusals: {
      409: "The key or a subject is another customer's.",
      412: "The customer is deleted.",
      422: "`currency-mismatch`: wallets under these names hold different currencies.",
    },
    replies: { 200: { description: "Replaced.", schema: customerView } },
  },
  delete: {
    method: "DELETE",
    path: "/api/v1/customers/{customerIdOrKey}",
    access: "write",
    summary: "Delete a customer",
    description: "Its names are free; its usage and its wallet stay under its id.",
    params: customerParam,
    refusals: { 412: "It is deleted already." },
    replies: { 204: { description: "Deleted." } },
  },
} as const satisfies Resource;
