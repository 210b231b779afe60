/**
 * Reads the body of `POST /events`: checks every event, normalizes it, and groups the batch by subject.
 * All or nothing: the first bad event refuses the batch. Written by hand because it runs for every event there is; its verdicts
 * are those of schema/contract/events.ts (property test). What leaves is JSON text, so that numbers stay exact on the way.
 */
import type { Json, JsonObject, UsageEvent } from "../../core/event";
import { INSTANT_MS_MAX, parseInstant } from "../../core/instant";
import { ok, refuse, type Result } from "../../core/result";
import {
  EVENT_BYTES_MAX,
  EVENTS_PER_BATCH_MAX,
  EXTENSION_NAME,
  type EVENT_CONTENT_TYPES,
} from "../../schema/contract/events";
import { NAME_CHARS_MAX } from "../../schema/contract/fields";

/** What to change, and where. `index` is the event's place in the batch; absent when the body is one event or no batch at all. */
export interface BadEvent {
  index?: number;
  field: string;
  message: string;
}

/** A customer's part of a batch, in the order of the batch. */
export interface Part {
  subject: string;
  events: UsageEvent[];
}

export type Shape = (typeof EVENT_CONTENT_TYPES)[keyof typeof EVENT_CONTENT_TYPES];

/**
 * `body` is what core/exact-json read from a text of `bodyChars`, which tells whether an event can be too large at all; `nowMs`
 * becomes the time of events that carry none.
 */
export function readEvents(body: unknown, shape: Shape, nowMs: number, bodyChars: number): Result<Part[], BadEvent> {
  const many = Array.isArray(body);
  if (many && shape === "one")
    return refuse({ field: "", message: "must be one event; send arrays as application/cloudevents-batch+json" });
  if (!many && shape === "many")
    return refuse({ field: "", message: "must be an array of events; send one event as application/cloudevents+json" });
  const values: unknown[] = many ? body : [body];
  if (values.length === 0) return refuse({ field: "", message: "must contain at least one event" });
  if (values.length > EVENTS_PER_BATCH_MAX) {
    return refuse({
      field: "",
      message: `must contain at most ${EVENTS_PER_BATCH_MAX} events; this batch has ${values.length}`,
    });
  }
  const measured = bodyChars * UTF8_BYTES_PER_CHAR_MAX > EVENT_BYTES_MAX;
  const parts = new Map<string, Part>();
  let part: Part | undefined;
  for (let index = 0; index < values.length; index++) {
    const event = readEvent(values[index], nowMs);
    if (event instanceof BadField) return refuse(badEvent(event, many ? index : undefined));
    if (measured && isLongerThan(JSON.stringify(event), EVENT_BYTES_MAX)) {
      return refuse(badEvent(new BadField("", EVENT_TOO_LARGE), many ? index : undefined));
    }
    // Neighbours are mostly of one customer.
    if (part?.subject !== event.subject) part = parts.get(event.subject);
    if (part === undefined) parts.set(event.subject, (part = { subject: event.subject, events: [] }));
    part.events.push(event);
  }
  return ok([...parts.values()]);
}

const badEvent = (bad: BadField, index: number | undefined): BadEvent => ({
  ...(index !== undefined && { index }),
  field: bad.field,
  message: bad.message,
});

/** Of a UTF-16 unit. Most texts are seen to be small without counting. */
export const UTF8_BYTES_PER_CHAR_MAX = 3;

export const isLongerThan = (text: string, bytes: number): boolean =>
  text.length * UTF8_BYTES_PER_CHAR_MAX > bytes && (text.length > bytes || Buffer.byteLength(text) > bytes);

export const EVENT_TOO_LARGE = `must be at most ${EVENT_BYTES_MAX} bytes of JSON`;

export class BadField {
  constructor(
    readonly field: string,
    readonly message: string,
  ) {}
}

/** What is wrong with a name, or null. Names end in storage keys: no NUL, no half characters, and a bound. */
export function nameFault(value: unknown): string | null {
  if (typeof value !== "string") return value === undefined ? "is required" : "must be a string";
  if (value.length === 0) return "must not be empty";
  if (value.length > NAME_CHARS_MAX) return `must be at most ${NAME_CHARS_MAX} characters`;
  if (!value.isWellFormed() || value.includes("\0")) return "must not contain NUL or a lone surrogate";
  return null;
}

/** One CloudEvent as Tollgate keeps it, or what is wrong with it. */
export function readEvent(value: unknown, nowMs: number): UsageEvent | BadField {
  if (typeof value !== "object" || value === null || Array.isArray(value) || JSON.isRawJSON(value)) {
    return new BadField("", "must be an event, a JSON object");
  }
  const given = value as Record<string, unknown>;
  if (given.specversion !== "1.0") return new BadField("specversion", 'must be "1.0"');
  const event: UsageEvent = { id: "", source: "", type: "", subject: "", time: nowMs };
  // Own keys only: what JSON.parse makes inherits nothing enumerable.
  for (const key in given) {
    const attribute = given[key];
    switch (key) {
      case "specversion":
        break;
      case "id":
      case "source":
      case "type":
      case "subject": {
        const fault = nameFault(attribute);
        if (fault !== null) return new BadField(key, fault);
        event[key] = attribute as string;
        break;
      }
      case "time": {
        if (attribute === null) break;
        const time = typeof attribute === "string" ? parseInstant(attribute) : null;
        if (time === null) return new BadField("time", TIME_FAULT);
        event.time = time;
        break;
      }
      case "data": {
        if (typeof attribute !== "object" || Array.isArray(attribute) || JSON.isRawJSON(attribute)) {
          return new BadField("data", "must be a JSON object or null");
        }
        event.data = attribute as JsonObject | null;
        break;
      }
      case "datacontenttype":
        if (attribute === null) break;
        if (attribute !== "application/json") return new BadField(key, 'must be "application/json" or absent');
        event.datacontenttype = attribute;
        break;
      case "dataschema": {
        if (attribute === null) break;
        const fault = nameFault(attribute);
        if (fault !== null) return new BadField(key, fault);
        event.dataschema = attribute as string;
        break;
      }
      default: {
        if (!EXTENSION_NAME.test(key)) return new BadField(key, extensionNameFault(key));
        if (typeof attribute === "object" && attribute !== null && !JSON.isRawJSON(attribute)) {
          return new BadField(key, "an extension attribute must be a string, a number or a boolean");
        }
        (event.ext ??= {})[key] = attribute as Json;
      }
    }
  }
  if (event.id === "") return new BadField("id", "is required");
  if (event.source === "") return new BadField("source", "is required");
  if (event.type === "") return new BadField("type", "is required");
  if (event.subject === "") return new BadField("subject", "is required");
  return event;
}

export const TIME_FAULT = `must be an RFC 3339 date and time from 1970 to ${new Date(INSTANT_MS_MAX).getUTCFullYear()}, like 2026-11-21T09:30:00Z`;

const extensionNameFault = (key: string): string =>
  key === "data_base64"
    ? "is not supported: send `data` as a JSON object"
    : "is not a CloudEvents attribute; extension attributes are named with 1 to 20 of a-z and 0-9";
