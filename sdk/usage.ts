/**
 * Input as the caller writes it → bodies as the server reads them: `userId` becomes `customer`, a usage fact becomes the
 * CloudEvent that the server itself would make of it. Pure, but for the ids that the caller hands in.
 */
import { InvalidInputError } from "./errors";
import { NumberText } from "./exact-json";
import type { CustomerRef, EventInput, JsonValue, Time, TrackFact } from "./types";

/** What a client fills in when a fact names no source. One for both roads, so that a repeat by the other road is a repeat. */
export const SOURCE_DEFAULT = "@tollgate/sdk";

export const timestamp = (time: Time): string => {
  if (typeof time === "string") return time;
  if (Number.isNaN(time.getTime())) throw new InvalidInputError("time is an invalid date.");
  return time.toISOString();
};

export function customerOf({
  customer,
  userId,
}: {
  customer?: string | undefined;
  userId?: string | undefined;
}): string {
  if (customer !== undefined && userId !== undefined && customer !== userId) {
    throw new InvalidInputError("customer and userId are two names of one field; they name different customers here.");
  }
  const name = customer ?? userId;
  if (typeof name !== "string" || name === "")
    throw new InvalidInputError("Say whose usage it is: userId (or customer).");
  return name;
}

/** The same body with `customer` in place of its alias. Other fields pass, so that the server can name a misspelt one. */
export function withCustomer<T extends object>(
  input: T & CustomerRef,
): Omit<T, "customer" | "userId"> & { customer: string } {
  const { customer, userId, ...rest } = input;
  return { ...(rest as Omit<T, "customer" | "userId">), customer: customerOf({ customer, userId }) };
}

/** The CloudEvent with everything filled in: from here on its text does not change, however often it is sent. */
export function completeEvent(event: EventInput, newId: () => string): EventInput {
  return {
    ...event,
    id: event.id ?? newId(),
    source: event.source ?? SOURCE_DEFAULT,
    specversion: event.specversion ?? "1.0",
  };
}

/** A track is a CloudEvent; this is the one. */
export function eventOfTrack(input: CustomerRef & TrackFact): EventInput {
  const { customer, feature, usage, provider, model, id, source, time, metadata, ...unknown } = withCustomer(input);
  const extra = Object.keys(unknown)[0];
  // The single road gets a 400 for it from the server; here it would silently become an extension attribute.
  if (extra !== undefined)
    throw new InvalidInputError(`A batch takes no "${extra}": it records facts, and asks nothing.`);
  const reserved = RESERVED_METADATA.find((key) => metadata !== undefined && key in metadata);
  if (reserved !== undefined)
    throw new InvalidInputError(`metadata.${reserved} is a name of Tollgate's own; choose another.`);
  const event: EventInput = { type: feature, subject: customer, data: { ...metadata, usage: numbersOf(usage) } };
  if (provider !== undefined) event.data!.provider = provider;
  if (model !== undefined) event.data!.model = model;
  if (id !== undefined) event.id = id;
  if (source !== undefined) event.source = source;
  if (time !== undefined) event.time = timestamp(time);
  return event;
}

/** Inside an event's data these say what is priced; the single road gets a 400 for them in metadata. */
const RESERVED_METADATA = ["usage", "provider", "model", "feature"];

const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** In an event, `data.usage` is an object of numbers: decimal text becomes the number it spells, digit by digit. */
function numbersOf(usage: { [dimension: string]: unknown }): { [dimension: string]: JsonValue } {
  const numbers: { [dimension: string]: unknown } = {};
  for (const [dimension, quantity] of Object.entries(usage)) {
    if (typeof quantity !== "string") numbers[dimension] = quantity;
    else if (JSON_NUMBER.test(quantity)) numbers[dimension] = new NumberText(quantity);
    else throw new InvalidInputError(`usage.${dimension} is "${quantity}", which is not a decimal.`);
  }
  return numbers as { [dimension: string]: JsonValue };
}
