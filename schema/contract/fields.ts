/**
 * The fields that several resources share. Shapes only: the arithmetic meaning of a decimal is core/decimal's, and the
 * reader of each resource asks it, so that a rule about numbers exists once.
 */
import * as z from "zod";

/** For rules about several fields: they speak only where each field by itself is right. */
export const isSound = ({ issues }: { issues: readonly unknown[] }): boolean => issues.length === 0;

/** A JSON number that a double cannot carry, kept as its source text (core/exact-json.ts). */
const exactNumber = z.custom<{ rawJSON: string }>((value) => JSON.isRawJSON(value)).meta({ type: "number" });

/** A fault of a whole field, where what is missing is not merely wrong. */
const fault =
  (message: string) =>
  ({ input }: { input?: unknown }): string =>
    input === undefined ? "is required" : message;

const DECIMAL_CHARS_MAX = 128;
const decimalOptions = [z.string().max(DECIMAL_CHARS_MAX), z.number(), exactNumber] as const;
const decimalFault = fault("must be a number or decimal text");

export const decimalInput = z.union(decimalOptions, { error: decimalFault }).meta({
  id: "DecimalInput",
  description: "An exact decimal, as a string or as a number read by its source text; at most 12 places.",
  examples: ["0.25", 3],
});
export type DecimalInput = z.output<typeof decimalInput>;

export const decimalText = z.string().meta({
  id: "Decimal",
  description: "An exact decimal in canonical form: no exponent, no trailing zeros.",
  examples: ["450.25"],
});

/** 9999-12-31T23:59:59.999Z, as core/instant has it. */
const INSTANT_MS_MAX = 253_402_300_799_999;

/** RFC 3339 with `Z` or an offset, upper case. */
export const instant = z.iso
  .datetime({
    offset: true,
    abort: true,
    error: fault("must be an RFC 3339 date and time, like 2026-11-21T09:30:00Z"),
  })
  .max(64)
  .refine((text) => Date.parse(text) >= 0 && Date.parse(text) <= INSTANT_MS_MAX, "must lie between 1970 and 9999")
  .meta({ id: "Instant", description: "RFC 3339 date and time, 1970 to 9999.", examples: ["2026-11-21T09:30:00Z"] });

export const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
export const ulid = z
  .string()
  .regex(ULID, "must be a ULID")
  .meta({ id: "Ulid", examples: ["01JD8ZQ6M5T9W3XK2V7B4C1N0R"] });

/** Names come from outside and end in keys of storage: no NUL, no half characters, and a bound. */
export const NAME_CHARS_MAX = 512;
export const name = z
  .string()
  .min(1)
  .max(NAME_CHARS_MAX)
  .refine((text) => !text.includes("\0") && text.isWellFormed(), "must not contain NUL or a lone surrogate");

export const slug = z
  .string()
  .max(64)
  .regex(/^[a-z0-9]+(?:[_-][a-z0-9]+)*$/, "must be lower-case letters and digits, in parts joined by - or _");

/** What OpenMeter calls a key: of meters, features, plans. */
export const resourceKey = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-z0-9]+(?:_[a-z0-9]+)*$/, "must be lower-case letters and digits, in parts joined by _");

/** Text for people; Postgres stores no NUL. */
export const text = (charsMax: number) =>
  z
    .string()
    .max(charsMax)
    .refine((value) => !value.includes("\0") && value.isWellFormed(), "must not contain NUL or a lone surrogate");

const METADATA_ENTRIES_MAX = 50;
/** OpenMeter's Metadata. */
export const metadata = z
  .record(name, text(1_024))
  .refine(
    (map) => Object.keys(map).length <= METADATA_ENTRIES_MAX,
    `must have at most ${METADATA_ENTRIES_MAX} entries`,
  );

/** What a program decides by: ISO-8601 with fixed lengths only. */
export const duration = z
  .string()
  .max(64)
  .regex(
    /^P(?!$)(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?$/,
    "must be an ISO-8601 duration in weeks, days, hours, minutes or seconds",
  )
  .meta({ id: "Duration", examples: ["PT10M", "P1D"] });

export const PAGE_ITEMS_MAX = 100;
export const page = z.strictObject({
  cursor: z.string().min(1).max(512).optional(),
  limit: z.coerce.number().int().min(1).max(PAGE_ITEMS_MAX).default(PAGE_ITEMS_MAX),
});

/** A list whose cursors look like this: any other was never given out. */
export const pageBy = (cursor: RegExp) =>
  page.extend({
    cursor: z.string().regex(cursor, "is no cursor of this list; use the nextCursor of the page before").optional(),
  });

/** The body of a call that its path says everything of. */
export const noFields = { schema: z.strictObject({}), optional: true };

export const listOf = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), nextCursor: z.string().optional() });

export const customerParam = z.strictObject({
  customer: name.meta({ description: "A customer's id or key, or one of its subject keys." }),
});
