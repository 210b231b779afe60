/** Wallets: a customer's prepaid credits, the grants they are made of, and the journal of every movement. */
import * as z from "zod";
import {
  customerParam,
  decimalInput,
  decimalText,
  instant,
  isSound,
  listOf,
  name,
  noFields,
  page,
  ulid,
} from "./fields";
import type { Resource } from "./route";

export const currency = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{1,23}$/, "must be 2 to 24 capital letters, digits or underscores, such as CREDITS")
  .meta({ id: "Currency", examples: ["CREDITS", "USD"] });

export const walletView = z
  .object({
    customerId: ulid.nullable().meta({ description: "null: nothing was ever written for this name." }),
    userId: z.string().meta({ description: "The customer's key." }),
    balance: decimalText.meta({ description: "available + held" }),
    held: decimalText,
    available: decimalText,
    overdraftLimit: decimalText,
    currency,
    status: z.enum(["ACTIVE", "EXHAUSTED", "FROZEN"]),
    unrated: z.number().int().meta({ description: "Debitable events that no rule prices yet." }),
    burnTable: z.string().nullable().meta({ description: "null: the namespace's default." }),
    lastTransaction: z.object({ amount: decimalText, reason: z.string(), timestamp: instant }).nullable(),
  })
  .meta({ id: "Wallet" });

export const grantView = z
  .object({
    id: z.string(),
    amount: decimalText,
    remaining: decimalText,
    kind: z.enum(["paid", "promo"]),
    priority: z.number().int(),
    effectiveAt: instant,
    expiresAt: instant.nullable(),
    status: z.enum(["pending", "active", "exhausted", "expired", "voided"]),
    reason: z.string(),
    createdAt: instant,
    voidedAt: instant.nullable(),
  })
  .meta({ id: "Grant" });

export const transactionView = z
  .object({
    id: ulid,
    type: z.enum([
      "grant",
      "debit",
      "shortfall",
      "hold",
      "capture",
      "release",
      "expire",
      "void",
      "refund",
      "adjust",
      "transfer",
    ]),
    amount: decimalText,
    held: decimalText.optional(),
    balanceAfter: decimalText,
    reason: z.string(),
    eventId: z.string().optional(),
    grantId: z.string().optional(),
    timestamp: instant,
    hash: z.string().meta({ description: "Hex sha-256 over the canonical form and the hash before it." }),
  })
  .meta({ id: "Transaction" });

export const wallets = {
  get: {
    method: "GET",
    path: "/api/v1/wallets/{customer}",
    access: "read",
    summary: "Read a wallet",
    description: "A customer never seen has an empty one; reading it creates nothing.",
    params: customerParam,
    replies: { 200: { description: "The wallet as it is now.", schema: walletView } },
  },
  patch: {
    method: "PATCH",
    path: "/api/v1/wallets/{customer}",
    access: "write",
    summary: "Change a wallet's terms",
    params: customerParam,
    body: {
      schema: z
        .strictObject({
          overdraftLimit: decimalInput.optional(),
          currency: currency.optional(),
          burnTable: z.string().min(1).max(64).nullable().optional(),
          status: z.enum(["ACTIVE", "FROZEN"]).optional(),
        })
        .refine((patch) => Object.keys(patch).length > 0, { error: "must change something", when: isSound })
        .meta({ id: "WalletPatch" }),
    },
    refusals: { 422: "`unknown-burn-table`, `currency-mismatch`." },
    replies: { 200: { description: "The wallet after the change.", schema: walletView } },
  },
  grant: {
    method: "POST",
    path: "/api/v1/wallets/{customer}/grants",
    access: "write",
    summary: "Grant credits",
    description: "What the wallet owes is repaid first. A repeated `id` answers the original grant.",
    params: customerParam,
    body: {
      schema: z
        .strictObject({
          amount: decimalInput,
          currency: currency
            .optional()
            .meta({ description: "Of the wallet's first grant: fixes its currency. Later: must be it." }),
          kind: z.enum(["paid", "promo"]),
          priority: z
            .number()
            .int()
            .min(0)
            .max(255)
            .optional()
            .meta({ description: "0 burns first, and is the default." }),
          effectiveAt: instant.optional().meta({ description: "Default: now." }),
          expiresAt: instant.nullable().optional(),
          reason: z.string().min(1).max(256).optional(),
          id: name.optional().meta({ description: "Your own id for this grant; unique per customer." }),
        })
        .meta({ id: "GrantCreate" }),
    },
    idempotency: "object",
    refusals: {
      409: "`idempotency-conflict`: the `id` or the Idempotency-Key was used with another body.",
      422: "`currency-mismatch`; `at-bound`: the wallet holds as many grants as it can.",
    },
    replies: { 201: { description: "Granted.", schema: grantView } },
  },
  grants: {
    method: "GET",
    path: "/api/v1/wallets/{customer}/grants",
    access: "read",
    summary: "List grants",
    params: customerParam,
    query: page,
    replies: { 200: { description: "The grants of this wallet.", schema: listOf(grantView) } },
  },
  voidGrant: {
    method: "POST",
    path: "/api/v1/wallets/{customer}/grants/{grantId}/void",
    access: "write",
    summary: "Void a grant",
    description: "Takes back what is left of it.",
    params: customerParam.extend({ grantId: name }),
    body: noFields,
    idempotency: "claim",
    refusals: { 404: "`unknown-grant`, `unknown-customer`.", 409: "`grant-closed`, `idempotency-conflict`." },
    replies: { 200: { description: "Voided.", schema: grantView } },
  },
  transactions: {
    method: "GET",
    path: "/api/v1/wallets/{customer}/transactions",
    access: "read",
    summary: "List transactions",
    params: customerParam,
    query: page,
    replies: { 200: { description: "Newest first.", schema: listOf(transactionView) } },
  },
  verify: {
    method: "GET",
    path: "/api/v1/wallets/{customer}/transactions/verify",
    access: "read",
    summary: "Verify the journal",
    description: "Recomputes every hash and the balance from the log.",
    params: customerParam,
    replies: {
      200: {
        description: "Whether the chain holds, and its head.",
        schema: z.object({
          valid: z.boolean(),
          entries: z.number().int(),
          balance: decimalText,
          head: z.string(),
          detail: z.string().optional().meta({ description: "Where it breaks." }),
        }),
      },
    },
  },
} as const satisfies Resource;
