/** Subjects as OpenMeter has them, and has deprecated: what is known of a subject beside its usage. Lists are bare arrays. */
import * as z from "zod";
import { instant, name, text, ULID } from "./fields";
import type { Resource } from "./route";

export const SUBJECTS_PER_CALL_MAX = 1_000;
const METADATA_CHARS_MAX = 16_384;

const metadata = z
  .record(name, z.unknown())
  .refine(
    (value) => JSON.stringify(value).length <= METADATA_CHARS_MAX,
    `must be at most ${METADATA_CHARS_MAX} characters of JSON`,
  );

const stripeCustomerId = text(256).regex(/^cus_/, "must start with cus_");

/** null forgets; what is left out stays. */
export const subjectInput = z
  .object({
    key: name,
    displayName: text(512).nullable().optional(),
    metadata: metadata.nullable().optional(),
    currentPeriodStart: instant.optional(),
    currentPeriodEnd: instant.optional(),
    stripeCustomerId: stripeCustomerId.nullable().optional(),
  })
  .meta({ id: "SubjectUpsert" });

export const subjectView = z
  .object({
    id: z.string().regex(ULID),
    key: z.string(),
    displayName: z.string().optional(),
    metadata: z.record(z.string(), z.unknown()).optional(),
    currentPeriodStart: instant.optional(),
    currentPeriodEnd: instant.optional(),
    stripeCustomerId: z.string().optional(),
    createdAt: instant,
    updatedAt: instant,
    deletedAt: instant.optional(),
  })
  .meta({ id: "Subject" });

const subjectParam = z.strictObject({ subjectIdOrKey: name.meta({ description: "A subject's id or key." }) });

export const subjects = {
  list: {
    method: "GET",
    path: "/api/v1/subjects",
    access: "read",
    summary: "List subjects",
    description: "Those that were written here or are a customer's; subjects that only sent events are not among them.",
    refusals: { 422: "`at-bound`: more than 100,000." },
    replies: { 200: { description: "All of them, the oldest first, as a bare array.", schema: z.array(subjectView) } },
  },
  upsert: {
    method: "POST",
    path: "/api/v1/subjects",
    access: "write",
    summary: "Make or change subjects",
    body: { schema: z.array(subjectInput).max(SUBJECTS_PER_CALL_MAX) },
    idempotency: "store",
    replies: { 200: { description: "As they are now, as a bare array.", schema: z.array(subjectView) } },
  },
  get: {
    method: "GET",
    path: "/api/v1/subjects/{subjectIdOrKey}",
    access: "read",
    summary: "Read a subject",
    description: "A deleted one is found by its id.",
    params: subjectParam,
    replies: { 200: { description: "The subject.", schema: subjectView } },
  },
  delete: {
    method: "DELETE",
    path: "/api/v1/subjects/{subjectIdOrKey}",
    access: "write",
    summary: "Delete a subject",
    description: "Its usage stays, and stays its customer's. Deleting it again, by its id, changes nothing.",
    params: subjectParam,
    replies: { 204: { description: "Deleted." } },
  },
} as const satisfies Resource;
