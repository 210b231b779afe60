/** Usage in by name: track records it, check and quote only tell what it would cost. */
import * as z from "zod";
import { decimalInput, decimalText, instant, name } from "./fields";
import type { Resource } from "./route";
import { walletView } from "./wallets";

/** What a burn rule may look at; inside `data` they are ours, so metadata must not carry them. */
export const RESERVED_METADATA = ["usage", "provider", "model", "feature"] as const;

export const usageInput = z
  .record(z.string(), decimalInput)
  .meta({ description: "Dimension → quantity, zero or more.", examples: [{ inputTokens: 1200, outputTokens: 87 }] });

const usage = { feature: name, usage: usageInput, provider: name.optional(), model: name.optional() };

export const costView = z
  .object({
    amount: decimalText,
    currency: z.string(),
    lines: z.array(
      z.object({
        dimension: z.string(),
        quantity: decimalText,
        rate: decimalText,
        per: decimalText,
        amount: decimalText,
      }),
    ),
    burnTable: z.object({ key: z.string(), version: z.number().int() }),
    priceBook: z.object({ name: z.string(), version: z.string() }).optional(),
  })
  .meta({ id: "Cost" });

export const trackInput = z
  .strictObject({
    customer: name,
    ...usage,
    id: name.optional().meta({
      description: "Default: one made from the Idempotency-Key (which no `id` of yours can equal), else a new one.",
    }),
    source: name.optional(),
    time: instant.optional().meta({ description: "Default: now." }),
    metadata: z
      .record(z.string(), z.unknown())
      .refine((metadata) => RESERVED_METADATA.every((key) => !Object.hasOwn(metadata, key)), {
        message: `must not contain ${RESERVED_METADATA.join(", ")}`,
      })
      .optional(),
    enforce: z
      .boolean()
      .optional()
      .meta({ description: "true: refuse instead of going below what the wallet may spend." }),
  })
  .meta({ id: "Track" });

export const DENIALS = [
  "insufficient-credits",
  "over-limit",
  "no-entitlement",
  "unpriced-usage",
  "wallet-frozen",
  "spend-cap",
] as const;

export const track = {
  track: {
    method: "POST",
    path: "/api/v1/track",
    access: "ingest",
    summary: "Record usage and debit it",
    description:
      "Durable before the answer. A repeated `(source, id)` answers the original outcome with `duplicate: true`. " +
      "With `enforce` it is consume: 402 when credits do not cover it, and nothing is recorded.",
    body: { schema: trackInput },
    idempotency: "claim",
    refusals: {
      402: "With `enforce`: `insufficient-credits`.",
      403: "`missing-scope`; with `enforce`: `wallet-frozen`.",
      404: "`unknown-customer`: the name looks like an id, and no customer has it.",
      409: "`idempotency-conflict`: the id or the Idempotency-Key was used for other usage.",
      422: "With `enforce`: `unpriced-usage`. `currency-mismatch`, `at-bound`.",
    },
    replies: {
      200: {
        description: "Recorded.",
        schema: z
          .object({ eventId: z.string(), duplicate: z.boolean(), cost: costView.nullable(), wallet: walletView })
          .meta({ id: "Tracked" }),
      },
    },
  },
  check: {
    method: "POST",
    path: "/api/v1/check",
    access: "read",
    summary: "May this usage happen?",
    description: "Changes and creates nothing, so that an `Idempotency-Key` has no meaning here.",
    body: { schema: z.strictObject({ customer: name, ...usage, usage: usageInput.optional() }).meta({ id: "Check" }) },
    idempotency: "nothing",
    refusals: {
      404: "`unknown-customer`: the name looks like an id, and no customer has it.",
      422: "`currency-mismatch`: the burn table's currency is not the wallet's.",
    },
    replies: {
      200: {
        description: "The decision, and what it rests on.",
        schema: z
          .object({
            allowed: z.boolean(),
            reason: z.enum(DENIALS).nullable(),
            cost: costView.optional(),
            wallet: walletView.optional(),
          })
          .meta({ id: "Checked" }),
      },
    },
  },
  quote: {
    method: "POST",
    path: "/api/v1/quote",
    access: "read",
    summary: "What would this usage cost?",
    description: "Changes and creates nothing, so that an `Idempotency-Key` has no meaning here.",
    body: {
      schema: z.strictObject({ ...usage, time: instant.optional(), customer: name.optional() }).meta({ id: "Quote" }),
    },
    idempotency: "nothing",
    refusals: {
      404: "`unknown-customer`: the name looks like an id, and no customer has it.",
      422: "`unpriced-usage`, `currency-mismatch`.",
    },
    replies: { 200: { description: "The cost that a debit of it would have.", schema: costView } },
  },
} as const satisfies Resource;
