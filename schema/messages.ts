/**
 * What travels through the queues. Every message says its version `v`; a consumer reads every version ever sent, because a queue
 * may hold messages of the deployment before. Parsed at the consumer's door and trusted after it: what does not parse is a dead letter.
 */
import * as z from "zod";

/** A queue takes 128,000 bytes a message, its metadata included, and answers an opaque error past it. */
export const MESSAGE_BYTES_MAX = 120_000;
/** And 256,000 bytes a `sendBatch`. */
export const SEND_BATCH_BYTES_MAX = 240_000;
export const SEND_BATCH_MESSAGES_MAX = 100;

const utf8 = new TextEncoder();

/** The size that counts against MESSAGE_BYTES_MAX. */
export const messageBytes = (message: unknown): number => utf8.encode(JSON.stringify(message)).length;

/** Postgres stores neither NUL nor half a character, and one bad name must not stop the batch it came in. */
const text = z
  .string()
  .refine((value) => !value.includes("\0") && value.isWellFormed(), "contains NUL or a lone surrogate");

/** Money: canonical (core/decimal.ts formatDecimal). A total may be longer than any single input. */
const decimal = z.string().regex(/^-?\d{1,30}(?:\.\d{1,12})?$/);
/** Digits before the point of what a meter adds up to: ten billion of the greatest values, 500 times the events of one object. */
export const TOTAL_WHOLE_DIGITS_MAX = 36;
/** What a meter adds up to, finer than money: canonical (core/quantity.ts formatQuantity). */
const quantity = z.string().regex(new RegExp(`^-?\\d{1,${TOTAL_WHOLE_DIGITS_MAX}}(?:\\.\\d{1,24})?$`));
const whole = z.number().int().nonnegative();
const epochMs = z.number().int();

export const rollup = z.object({
  /** The meter's fold key (core/meter.ts): its id and a fingerprint of its definition, so another definition is another meter. */
  meter: text,
  resolution: z.enum(["minute", "quarter"]),
  /** Epoch ms. */
  windowStart: epochMs,
  /** Canonical JSON of [subject, …values in the order of the dimensions' names]; null where a dimension has gone coarse. */
  group: text,
  count: whole,
  sum: quantity,
  min: quantity.nullable(),
  max: quantity.nullable(),
  latest: quantity.nullable(),
  latestAt: epochMs.nullable(),
});
export type Rollup = z.output<typeof rollup>;

/**
 * What an object counted, as running totals: applying it twice, late or out of order changes nothing. Totals that do not fit one
 * message go in several with the same (epoch, seq), each window and group in one of them.
 */
export const ratingMessage = z.object({
  v: z.literal(1),
  namespaceId: text,
  /** The object's name. */
  object: text,
  /** A ULID; a restored or rebuilt object takes a new one. */
  epoch: text,
  /** Grows within an epoch. */
  seq: whole,
  /** When the object said so, epoch ms. */
  sentAt: epochMs,
  customer: z.object({
    id: text,
    /** null: the customer has none. */
    key: text.nullable(),
    name: text.nullable(),
    /** The name of the object that holds its data. */
    home: text,
    createdAt: epochMs,
  }),
  wallet: z
    .object({
      balance: decimal,
      held: decimal,
      currency: text,
      status: z.enum(["ACTIVE", "EXHAUSTED", "FROZEN"]),
      /** Debitable events that no rule priced yet. */
      unrated: whole,
    })
    .optional(),
  rollups: z.array(rollup),
  /** All events of this object so far. */
  eventCount: whole,
  /** The UTC day on which events were accepted last, and how many then, by subject (core/today.ts). */
  today: z.tuple([whole, z.array(z.tuple([text, whole]))]).optional(),
  /** A customer, and not only a subject that sent events. Absent: from before that was told apart, when all were listed. */
  declared: z.boolean().optional(),
  /** All that was here has moved into another object, for good: this is the last version of everything. */
  closed: z.boolean().optional(),
  /** The newest configuration version by whose meters the whole log is folded, and all of whose rollups came before or with this. */
  foldedVersion: whole.optional(),
});
export type RatingMessage = z.output<typeof ratingMessage>;

/** Events accepted while their object could not take them; the consumer makes the same call the edge would have made. */
export const spillMessage = z.object({
  v: z.literal(1),
  namespaceId: text,
  /** The subject key that the object is named by. */
  name: text,
  configVersion: whole,
  /** JSON array of normalized events (durable-objects/rpc.ts `record`); text, so that numbers stay exact. */
  eventsJson: z.string(),
  receivedAt: epochMs,
});
export type SpillMessage = z.output<typeof spillMessage>;

/**
 * Accepted events on their way to the archive, as bytes: this header as JSON, a newline, and a page of the log as it lies there
 * (durable-objects/log-format.ts), which is deflated already.
 */
export const archiveHeader = z.object({
  v: z.literal(1),
  namespaceId: text,
  /** The object's name. */
  object: text,
  /** A ULID, given to the log with its first entry. */
  epoch: text,
  customer: z.object({
    id: text,
    key: text.nullable(),
    createdAt: epochMs,
    /** A customer, and not only a subject that sent events. */
    declared: z.boolean(),
  }),
  /** Log entries; the page may begin with earlier ones, which another message carries. */
  from: whole,
  to: whole,
  /** Of the page. */
  directory: z.string(),
  /** Where in R2 the page is, when it is too large for a message. */
  page: text.optional(),
});
export type ArchiveHeader = z.output<typeof archiveHeader>;

export interface ArchiveMessage {
  header: ArchiveHeader;
  body: Uint8Array;
}

const NEWLINE = 10;

export function encodeArchiveMessage({ header, body }: ArchiveMessage): Uint8Array {
  const head = utf8.encode(`${JSON.stringify(header)}\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/** Throws for whatever is no such message. */
export function decodeArchiveMessage(body: unknown): ArchiveMessage {
  if (!(body instanceof ArrayBuffer || body instanceof Uint8Array)) throw new TypeError("not bytes");
  const bytes = body instanceof ArrayBuffer ? new Uint8Array(body) : body;
  const end = bytes.indexOf(NEWLINE);
  if (end < 0) throw new TypeError("no header");
  const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
  return { header: archiveHeader.parse(header), body: bytes.subarray(end + 1) };
}

/** A message of bytes, as it is recorded when it is given up. */
export const bytesRecord = z.object({ v: z.literal(1), namespaceId: text.nullable(), base64: z.base64() });
export type BytesRecord = z.output<typeof bytesRecord>;

/** What the consumer of the dead-letter queue records of a message that was given up, and what a replay sends again. */
export const deadRecord = z.object({
  v: z.literal(1),
  /** The queue that gave up. */
  queue: z.string(),
  /** null: the message does not say. */
  namespaceId: text.nullable(),
  reason: z.string(),
  attempts: whole,
  /** The message as it was sent. */
  body: z.unknown(),
});
export type DeadRecord = z.output<typeof deadRecord>;
