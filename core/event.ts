/**
 * A usage event: a CloudEvent 1.0 as Tollgate keeps it. `(source, id)` identifies it within one customer, for ever.
 * Known here: the stored shape, and how a number inside `data` becomes an exact decimal. Not known: HTTP, storage, prices.
 */
import { ONE, parseDecimal, type Decimal, type DecimalRefusal } from "./decimal";
import { ok, refuse, type Result } from "./result";

/** Numbers are exact: those that a double cannot carry are `JSON.rawJSON` values (core/exact-json.ts). */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export interface UsageEvent {
  id: string;
  source: string;
  type: string;
  subject: string;
  /** Event time, epoch ms. */
  time: number;
  /** What the event says; meters and burn tables read it. */
  data?: JsonObject | null;
  dataschema?: string;
  datacontenttype?: string;
  /** CloudEvents extension attributes, as received. */
  ext?: { [name: string]: Json };
}

/** The dedup key of an event. NUL cannot occur in either part (refused at the door), so the join is unambiguous. */
export const eventKey = (source: string, id: string): string => `${source}\u0000${id}`;

/** The exact decimal in a JSON value: a number by its source text, or a numeric string. */
export function decimalOf(value: unknown): Result<Decimal, DecimalRefusal> {
  if (typeof value === "number")
    return Number.isSafeInteger(value) ? ok(BigInt(value) * ONE) : parseDecimal(String(value));
  if (typeof value === "string") return parseDecimal(value);
  if (JSON.isRawJSON(value)) return parseDecimal(value.rawJSON);
  return refuse({ reason: "not_a_number", text: typeof value });
}
