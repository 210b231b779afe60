/**
 * What the readers of both encodings share: which signals there are, what they find, and how they say that a body is none. A reader
 * hands over one record at a time, so that a large export is never in memory as objects.
 */
import type { AttributeValue, TelemetryRecord } from "../../core/gen-ai";

export type Signal = "traces" | "logs";

/** Called for each span or log record; `resource` is one map for all records of a service. */
export type Visit = (record: TelemetryRecord) => void;

/** The body is no export request; the message says where it ceased to be one. */
export class Undecodable extends Error {}

const NANOS_PER_MS = 1_000_000n;

/** Times are nanoseconds, which in 64 bits end in the year 2554; 0 is none. */
export const msOf = (nanos: bigint): number | null => (nanos <= 0n ? null : Number(nanos / NANOS_PER_MS));

/** Exact: as a number where a double carries it. */
export const integer = (value: bigint): AttributeValue => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : JSON.rawJSON(String(value));
};

/** What is no number, as the encodings write NaN and the infinities, says nothing. */
export const double = (value: number): AttributeValue => (Number.isFinite(value) ? value : null);
