/**
 * Usage events out, as OpenMeter lists them: v1 a bare array of at most 32 days, v2 pages of any time with filters. Rows are written as
 * text (workers/api/routes/event-lists.ts), so that the numbers of an event are those that came in.
 */
import * as z from "zod";
import { instant, isSound, name, PAGE_ITEMS_MAX, ULID } from "./fields";
import { filterIdExact, filterString, filterTime } from "./filters";
import type { Resource } from "./route";

/** Each is an object to ask. A URL is shorter than many more. */
const CUSTOMERS_MAX = 100;
const CURSOR_CHARS_MAX = 2_048;

const clientId = name.max(36).optional().meta({ description: "Accepted; a list is answered at once." });
const limit = z.coerce.number().int().min(1).max(PAGE_ITEMS_MAX).default(PAGE_ITEMS_MAX);
/** OpenMeter takes ULIDs in small letters too. */
const customerIds = z
  .array(
    z
      .string()
      .transform((text) => text.toUpperCase())
      .pipe(z.string().regex(ULID, "must be a ULID")),
  )
  .max(CUSTOMERS_MAX);

const isOrdered = (from: string | undefined, to: string | undefined): boolean =>
  from === undefined || to === undefined || Date.parse(from) <= Date.parse(to);

const ingestedEvent = z
  .object({
    event: z.looseObject({
      specversion: z.literal("1.0"),
      id: z.string(),
      source: z.string(),
      type: z.string(),
      subject: z.string(),
      time: instant,
    }),
    customerId: z.string().optional().meta({ description: "The customer whose usage it is." }),
    validationError: z
      .string()
      .optional()
      .meta({ description: "What is wrong with it, a problem a line. It is kept all the same." }),
    ingestedAt: instant,
    storedAt: instant,
  })
  .meta({ id: "IngestedEvent" });

const DESCRIPTION =
  "Of given subjects or customers: every event acknowledged so far. Of the whole namespace: those of the last seconds may be missing. " +
  "Newest event time first.";

/** A page is cut short rather than refused, and says so by its cursor. */
const REFUSALS = {
  422: "`at-bound`: too much would have to be read to find what the filter lets through; ask for less time, or for subjects or customers.",
} as const;

export const eventLists = {
  list: {
    method: "GET",
    path: "/api/v1/events",
    access: "read",
    summary: "List usage events",
    description: DESCRIPTION,
    query: z
      .object({
        clientId,
        ingestedAtFrom: instant.optional().meta({ description: "Inclusive." }),
        ingestedAtTo: instant.optional().meta({ description: "Exclusive." }),
        id: z.string().max(512).optional().meta({ description: "A part of the id." }),
        subject: name.optional().meta({ description: "The subject, exactly." }),
        customerId: customerIds.optional(),
        from: instant.optional().meta({ description: "Inclusive; at most 32 days ago, which is the default." }),
        to: instant.optional().meta({ description: "Exclusive." }),
        limit,
      })
      .refine(({ from, to }) => isOrdered(from, to), {
        path: ["to"],
        error: "must not be before `from`",
        when: isSound,
      })
      .refine(({ ingestedAtFrom, ingestedAtTo }) => isOrdered(ingestedAtFrom, ingestedAtTo), {
        path: ["ingestedAtTo"],
        error: "must not be before `ingestedAtFrom`",
        when: isSound,
      }),
    queryStyles: { customerId: "list" },
    refusals: REFUSALS,
    replies: { 200: { description: "A bare array.", schema: z.array(ingestedEvent) } },
  },
  listV2: {
    method: "GET",
    path: "/api/v2/events",
    access: "read",
    summary: "List usage events, page by page",
    description:
      `${DESCRIPTION} Without \`nextCursor\` there are no more. A page may have fewer events than \`limit\` and a \`nextCursor\`: ` +
      "so much was read without finding more.",
    query: z.object({
      cursor: z.string().min(1).max(CURSOR_CHARS_MAX).optional(),
      limit,
      clientId,
      filter: z
        .strictObject({
          id: filterString.optional(),
          source: filterString.optional(),
          subject: filterString.optional(),
          type: filterString.optional(),
          customerId: filterIdExact.optional(),
          time: filterTime.optional(),
          ingestedAt: filterTime.optional(),
        })
        .optional()
        .meta({ description: "As JSON text. `time` and `ingestedAt` exclude each other." }),
    }),
    queryStyles: { filter: "json" },
    refusals: REFUSALS,
    replies: {
      200: {
        description: "A page.",
        schema: z.object({ items: z.array(ingestedEvent), nextCursor: z.string().optional() }),
      },
    },
  },
} as const satisfies Resource;
