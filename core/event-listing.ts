/**
 * Event listings: which events a list asks for, in which order they come across any number of objects, how one reads on the wire, and
 * what, as the listing says, is wrong with it. Pure; where events come from (an object's log, the archive) is the caller's.
 */
import type { Json, UsageEvent } from "./event";
import { matches, matchesTime, type FilterString, type FilterTime } from "./filter";
import { formatInstant } from "./instant";
import { valueAt } from "./json-path";
import type { CompiledMeters, MeterType } from "./meter";
import { UNPRICED } from "./price";
import { quantityOf } from "./quantity";

/** What an event is found by again, in any listing: its place in one object's log, and what it is sorted by. */
export interface EventKey {
  /** Event time, epoch ms. */
  time: number;
  /** When it was accepted, epoch ms. */
  storedAt: number;
  /** The object's name. */
  object: string;
  seq: number;
  index: number;
}

export interface EventQuery {
  /** Event time, epoch ms, from inclusive, to exclusive; null: since ever, for ever. */
  from: number | null;
  to: number | null;
  /** All of these must match. */
  time?: FilterTime;
  ingestedAt?: FilterTime;
  id?: FilterString;
  source?: FilterString;
  subject?: FilterString;
  type?: FilterString;
  /** Part of the id, capital and small letters told apart. */
  idPart?: string;
  /** Only events that come after this one: the last of the page before, of whatever object. */
  after: EventKey | null;
  /** What the answer before had left of its work, with the same query. */
  resume: string | null;
  limit: number;
}

export interface ListedEvent {
  key: EventKey;
  /** The CloudEvent, its numbers as they were received. */
  eventJson: string;
  customerId: string | null;
  validationError: string | null;
}

/** Newest event time first; of one time the newest accepted first; then object by object, the newest of each first. */
export function compareKeys(a: EventKey, b: EventKey): number {
  if (a.time !== b.time) return b.time - a.time;
  if (a.storedAt !== b.storedAt) return b.storedAt - a.storedAt;
  if (a.object !== b.object) return a.object < b.object ? -1 : 1;
  return b.seq - a.seq || b.index - a.index;
}

/** A key as a cursor, and back; null when the text is none. */
export const encodeKey = ({ time, storedAt, object, seq, index }: EventKey): string =>
  JSON.stringify([time, storedAt, seq, index, object]);

export function decodeKey(text: string): EventKey | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(read) || read.length !== 5) return null;
  const [time, storedAt, seq, index, object] = read as unknown[];
  const numbers = [time, storedAt, seq, index];
  if (typeof object !== "string" || !numbers.every((number) => Number.isSafeInteger(number) && (number as number) >= 0))
    return null;
  return { time, storedAt, seq, index, object } as EventKey;
}

/** Whether the list asks for this event; its place in the order is not looked at. */
export function isAsked(query: EventQuery, event: UsageEvent, storedAt: number): boolean {
  const { from, to, time, ingestedAt, id, source, subject, type, idPart } = query;
  return (
    (from === null || event.time >= from) &&
    (to === null || event.time < to) &&
    (time === undefined || matchesTime(time, event.time)) &&
    (ingestedAt === undefined || matchesTime(ingestedAt, storedAt)) &&
    (type === undefined || matches(type, event.type)) &&
    (subject === undefined || matches(subject, event.subject)) &&
    (source === undefined || matches(source, event.source)) &&
    (id === undefined || matches(id, event.id)) &&
    (idPart === undefined || event.id.includes(idPart))
  );
}

/** Event times outside of this range are not asked for: epoch ms, from inclusive, to exclusive. */
export function timesOf({ from, to, time }: EventQuery): { from: number; to: number } {
  const bounds = time === undefined ? ANY_TIME : boundsOf(time);
  return { from: Math.max(from ?? -Infinity, bounds.from), to: Math.min(to ?? Infinity, bounds.to) };
}

const ANY_TIME = { from: -Infinity, to: Infinity };

function boundsOf({ $gt, $gte, $lt, $lte, $and, $or }: FilterTime): { from: number; to: number } {
  if ($gt !== undefined) return { from: $gt + 1, to: Infinity };
  if ($gte !== undefined) return { from: $gte, to: Infinity };
  if ($lt !== undefined) return { from: -Infinity, to: $lt };
  if ($lte !== undefined) return { from: -Infinity, to: $lte + 1 };
  const inner = ($and ?? $or ?? []).map(boundsOf);
  if (inner.length === 0) return ANY_TIME;
  const [farthest, nearest] = $and === undefined ? [Math.min, Math.max] : [Math.max, Math.min];
  return { from: farthest(...inner.map(({ from }) => from)), to: nearest(...inner.map(({ to }) => to)) };
}

/** The event as CloudEvents JSON, extension attributes beside the others. Numbers keep their source text. */
export function cloudEventJson({ id, source, type, subject, time, ext, ...rest }: UsageEvent): string {
  return JSON.stringify({ specversion: "1.0", id, source, type, subject, time: formatInstant(time), ...rest, ...ext });
}

/** What else there is to say of an event. */
export interface EventStanding {
  /** Its subject is a customer's. */
  declared: boolean;
  /** Why a debitable event has no price; null: it has one, or needs none. */
  unpriced: string | null;
}

/** What is wrong with an event, one problem a line, in OpenMeter's words; null: nothing. */
export function validationErrorOf(
  meters: CompiledMeters,
  event: UsageEvent,
  { declared, unpriced }: EventStanding,
): string | null {
  const type = meters.types.get(event.type);
  const problems = type === undefined ? [`no meter found for event type: ${event.type}`] : valueProblems(type, event);
  if (!declared) problems.push(`no customer found for event subject: ${event.subject}`);
  if (unpriced !== null) problems.push(UNPRICED + unpriced);
  return problems.length === 0 ? null : [...new Set(problems)].join("\n");
}

/** Why meters of its type cannot read it. */
function valueProblems({ meters, values, paths }: MeterType, { data }: UsageEvent): string[] {
  const problems: string[] = [];
  for (const { meter, fold, reading } of meters) {
    if (fold.reads === "nothing") continue;
    const path = paths[values[reading]!.path]!;
    const problem =
      data === undefined || data === null
        ? "null and missing value property"
        : valueProblem(valueAt(path, data), fold.reads, meter.valueProperty ?? "");
    if (problem !== null) problems.push(`invalid event: ${problem}`);
  }
  return problems;
}

const NAN = /^[+-]?nan$/i;
const INFINITY = /^[+-]?inf(inity)?$/i;
/** A value that is shown because it is no number: longer ones are cut. */
const SHOWN_CHARS_MAX = 64;

function valueProblem(value: Json | undefined, reads: "quantity" | "text", path: string): string | null {
  if (value === undefined) return `missing value property: ${JSON.stringify(path)}`;
  if (value === null) return "value cannot be null";
  if (reads === "text") return isScalar(value) ? null : unsupported(value);
  const read = quantityOf(value);
  if (read.ok) return null;
  if (read.refusal.reason === "out_of_range") return "value is out of range";
  if (typeof value !== "string") return unsupported(value);
  if (NAN.test(value)) return "value cannot be NaN";
  if (INFINITY.test(value)) return "value cannot be infinity";
  return `value cannot be parsed as float64: ${value.slice(0, SHOWN_CHARS_MAX).toWellFormed()}`;
}

const isScalar = (value: Json): boolean => typeof value !== "object" || JSON.isRawJSON(value);

/** OpenMeter names the types as Go does. */
const unsupported = (value: Json): string => {
  const type = Array.isArray(value)
    ? "[]interface {}"
    : typeof value === "boolean"
      ? "bool"
      : "map[string]interface {}";
  return `unsupported value property type: ${type}`;
};
