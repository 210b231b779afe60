/** Corrections: what was recorded is voided or replaced; the log keeps both, and whatever counts events ends as if it had always been so. */
import * as z from "zod";
import { decimalText, instant, name } from "./fields";
import type { Resource } from "./route";
import { walletView } from "./wallets";

const REASON_CHARS_MAX = 512;

const recorded = z.strictObject({
  subject: name.meta({
    description:
      "The event's subject, or any other name of its customer: its id, too, which finds events from before a subject changed hands.",
  }),
  source: name,
  id: name,
  reason: z.string().min(1).max(REASON_CHARS_MAX),
});

export const voidInput = recorded.meta({ id: "EventVoid" });

export const amendInput = recorded
  .extend({
    data: z
      .record(z.string(), z.unknown())
      .nullable()
      .optional()
      .meta({ description: "In place of the event's data, as a whole." }),
    time: instant.optional(),
  })
  .refine(({ data, time }) => data !== undefined || time !== undefined, "must have data, time or both")
  .meta({ id: "EventAmend" });

export const correction = z
  .object({
    subject: z.string(),
    source: z.string(),
    id: z.string(),
    status: z.enum(["voided", "amended"]),
    cost: z
      .object({ before: decimalText, after: decimalText })
      .meta({ description: "What the event cost the wallet, and costs now." }),
    adjustment: decimalText.meta({
      description: "The compensating `adjust` entry: positive, credits came back; 0, there is none.",
    }),
    unrated: z
      .boolean()
      .meta({ description: "No rule prices the event as it is now; see `POST /api/v1/events/rate`." }),
    wallet: walletView,
  })
  .meta({ id: "Correction" });

const replies = { 200: { description: "What changed.", schema: correction } };
const refusals = {
  404: "`unknown-event`: this customer has no event of this source and id.",
  409: "`already-voided`: a voided event stays voided. `idempotency-conflict`: the Idempotency-Key was used for another correction.",
  422: "`at-bound`: this customer's events were corrected too often.",
};

export const corrections = {
  void: {
    method: "POST",
    path: "/api/v1/events/void",
    access: "write",
    summary: "Void an event",
    description:
      "The event counts no more, in no meter and no balance; credits return to the grants that they came from. Past refusals are not reconsidered.",
    body: { schema: voidInput },
    idempotency: "object",
    replies,
    refusals,
  },
  amend: {
    method: "POST",
    path: "/api/v1/events/amend",
    access: "write",
    summary: "Amend an event",
    description:
      "Replaces data or time of an event, or both. It is rated again at its (new) time, and the wallet gets the difference in one entry.",
    body: { schema: amendInput },
    idempotency: "object",
    replies,
    refusals,
  },
} as const satisfies Resource;
