/**
 * Reads the body of `POST /track` as the event that it is. Written by hand because it is a hot road; its verdicts are those of
 * schema/contract/track.ts together with core/usage (property test).
 */
import type { Json, JsonObject, UsageEvent } from "../../core/event";
import { parseInstant } from "../../core/instant";
import { readUsage } from "../../core/usage";
import { RESERVED_METADATA } from "../../schema/contract/track";
import { BadField, nameFault, TIME_FAULT } from "./read-events";

export const TRACK_SOURCE = "tollgate/track";

/** What an Idempotency-Key names is an event of its own, and never the one to which a caller gave the same text as its `id`. */
export const keyedEventId = (idempotencyKey: string): string => `tollgate/idempotency-key/${idempotencyKey}`;

export interface Track {
  /** Its subject is the customer as the caller named it. */
  event: UsageEvent;
  enforce: boolean;
}

/** `newId` names the event when the body does not; `nowMs` is its time when the body has none. */
export function readTrack(body: unknown, newId: () => string, nowMs: number): Track | BadField {
  if (typeof body !== "object" || body === null || Array.isArray(body) || JSON.isRawJSON(body)) {
    return new BadField("", "must be a JSON object");
  }
  const given = body as Record<string, unknown>;
  const data: JsonObject = {};
  const event: UsageEvent = { id: "", source: TRACK_SOURCE, type: "", subject: "", time: nowMs, data };
  let enforce = false;
  let metadata: JsonObject | undefined;
  for (const key in given) {
    const value = given[key];
    switch (key) {
      case "customer":
      case "feature":
      case "provider":
      case "model":
      case "id":
      case "source": {
        // What is absent may also be undefined in a body that was never JSON; what is null was said, and is wrong.
        const fault = nameFault(value);
        if (fault !== null) return new BadField(key, fault);
        const name = value as string;
        if (key === "customer") event.subject = name;
        else if (key === "feature") event.type = name;
        else if (key === "provider" || key === "model") data[key] = name;
        else event[key] = name;
        break;
      }
      case "usage": {
        const usage = readUsage(value);
        if (!usage.ok) return new BadField(usage.refusal.field, usage.refusal.detail);
        data.usage = value as Json;
        break;
      }
      case "time": {
        const time = typeof value === "string" ? parseInstant(value) : null;
        if (time === null) return new BadField("time", TIME_FAULT);
        event.time = time;
        break;
      }
      case "metadata":
        if (typeof value !== "object" || value === null || Array.isArray(value) || JSON.isRawJSON(value)) {
          return new BadField("metadata", "must be a JSON object");
        }
        metadata = value as JsonObject;
        break;
      case "enforce":
        if (typeof value !== "boolean") return new BadField("enforce", "must be true or false");
        enforce = value;
        break;
      default:
        return new BadField(key, "is not a known field");
    }
  }
  if (event.subject === "") return new BadField("customer", "is required");
  if (event.type === "") return new BadField("feature", "is required");
  if (data.usage === undefined) return new BadField("usage", "is required");
  if (event.id === "") event.id = newId();
  if (metadata !== undefined) {
    for (const reserved of RESERVED_METADATA) {
      if (Object.hasOwn(metadata, reserved))
        return new BadField(`metadata.${reserved}`, "is a name of ours; use another");
    }
    // Spread defines own properties, whatever they are called; assignment would not.
    event.data = { ...data, ...metadata };
  }
  return { event, enforce };
}
