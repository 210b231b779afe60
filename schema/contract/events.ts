/**
 * Usage events in, as OpenMeter takes them: CloudEvents 1.0 in three content types, compared exactly.
 * `/events` is the hot road, so workers/api/read-events.ts checks it by hand; a property test holds the two together.
 */
import * as z from "zod";
import { instant, isSound, name } from "./fields";
import type { Resource } from "./route";

export const EVENTS_PER_BATCH_MAX = 10_000;
export const EVENTS_BODY_BYTES_MAX = 10 * 1024 * 1024;
export const EVENT_BYTES_MAX = 256 * 1024;
export const EXTENSION_NAME = /^[a-z0-9]{1,20}$/;
const ATTRIBUTES = ["specversion", "id", "source", "type", "subject", "time", "data", "datacontenttype", "dataschema"];

export const eventInput = z
  .looseObject({
    specversion: z.literal("1.0"),
    id: name,
    source: name,
    type: name,
    subject: name,
    time: instant.nullable().optional().meta({ description: "Default: now." }),
    data: z
      .custom<Record<string, unknown> | null>(
        (value) =>
          value === undefined ||
          (typeof value === "object" && !Array.isArray(value) && !JSON.isRawJSON(value as object)),
        "must be a JSON object or null",
      )
      .optional()
      .meta({ type: ["object", "null"] }),
    datacontenttype: z.literal("application/json").nullable().optional(),
    dataschema: name.nullable().optional(),
  })
  .superRefine((event, issues) => {
    for (const [key, value] of Object.entries(event)) {
      if (ATTRIBUTES.includes(key)) continue;
      if (!EXTENSION_NAME.test(key)) {
        issues.addIssue({
          code: "custom",
          path: [key],
          message: "extension attributes are named with 1 to 20 of a-z and 0-9",
        });
      } else if (typeof value === "object" && value !== null && !JSON.isRawJSON(value)) {
        issues.addIssue({
          code: "custom",
          path: [key],
          message: "extension attributes are strings, numbers or booleans",
        });
      }
    }
  })
  .meta({
    id: "Event",
    description: "A CloudEvent 1.0. `(source, id)` identifies it within its subject's customer, for ever.",
  });

export const eventBatch = z.array(eventInput).min(1).max(EVENTS_PER_BATCH_MAX);

/** One event or many, by content type. */
export const EVENT_CONTENT_TYPES = {
  "application/json": "either",
  "application/cloudevents+json": "one",
  "application/cloudevents-batch+json": "many",
} as const;

export const events = {
  ingest: {
    method: "POST",
    path: "/api/v1/events",
    access: "ingest",
    summary: "Record usage events",
    description:
      "204 once every event is durable and counted; repeats change nothing. One bad event refuses the whole batch and nothing of it is kept. " +
      "503 with Retry-After: some customers' events are kept, some are not; sending the same batch again is harmless. " +
      "202: accepted into the overflow queue, because you asked (`Prefer: respond-async`), the batch names more than 200 customers, or one is overloaded.",
    body: {
      schema: z.union([eventInput, eventBatch]),
      contentTypes: Object.keys(EVENT_CONTENT_TYPES),
      contentSchemas: {
        "application/cloudevents+json": eventInput,
        "application/cloudevents-batch+json": eventBatch,
      },
    },
    idempotency: "claim",
    refusals: { 422: "`at-bound`: a customer holds as many events as it can." },
    replies: { 202: { description: "Accepted, counted soon." }, 204: { description: "Durable and counted." } },
  },
  rate: {
    method: "POST",
    path: "/api/v1/events/rate",
    access: "write",
    summary: "Price events that had no price",
    description:
      "At the event's time, oldest first. Ask again while `remaining` is above zero. " +
      "Without `customer` it asks the customers that the shared store knows to have such events: those written within the last seconds are found by the next call.",
    body: {
      schema: z
        .strictObject({ customer: name.optional(), from: instant.optional(), to: instant.optional() })
        .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) <= Date.parse(to), {
          path: ["from"],
          error: "must not be after `to`",
          when: isSound,
        })
        .meta({ id: "RateUnrated" }),
    },
    idempotency: "claim",
    refusals: { 404: "`unknown-customer`: the name looks like an id, and no customer has it." },
    replies: {
      200: {
        description: "What was priced now, and what still has no price.",
        schema: z.object({ rated: z.number().int(), remaining: z.number().int() }),
      },
    },
  },
} as const satisfies Resource;
