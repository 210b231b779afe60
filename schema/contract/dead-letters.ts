/** Queue messages that could not be applied: kept with their reason, listed, and replayed once the cause is gone. */
import * as z from "zod";
import { instant, listOf, name, noFields, pageBy, ULID, ulid } from "./fields";
import type { Resource } from "./route";

export const deadLetterView = z
  .object({
    id: ulid,
    queue: z.string(),
    reason: z.string(),
    createdAt: instant,
    replayedAt: instant.nullable(),
    message: z.unknown(),
  })
  .meta({ id: "DeadLetter" });

export const deadLetters = {
  list: {
    method: "GET",
    path: "/api/v1/dead-letters",
    access: "admin",
    summary: "List dead letters",
    query: pageBy(ULID),
    replies: { 200: { description: "Newest first.", schema: listOf(deadLetterView) } },
  },
  replay: {
    method: "POST",
    path: "/api/v1/dead-letters/{id}/replay",
    access: "admin",
    summary: "Apply a dead letter again",
    description: "Harmless if it was applied before.",
    params: z.strictObject({ id: name }),
    body: noFields,
    idempotency: "claim",
    refusals: { 422: "The message still cannot be applied." },
    replies: { 200: { description: "Applied.", schema: deadLetterView } },
  },
} as const satisfies Resource;
