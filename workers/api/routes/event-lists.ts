/** Lists of events: what a request asks for, and how a page is written. Where the events come from is event-list.ts's business. */
import { decodeKey, encodeKey, type EventKey, type EventQuery, type ListedEvent } from "../../../core/event-listing";
import { readFilter, readTimeFilter, type FilterRefusal, type FilterTime } from "../../../core/filter";
import { formatInstant, parseInstant } from "../../../core/instant";
import type { Result } from "../../../core/result";
import { eventLists } from "../../../schema/contract/event-lists";
import type { Context } from "../../context";
import { sandboxTime, type Tenant } from "../../customers";
import { listEvents, tooMuch, type ListedOf } from "../../event-list";
import { implement, JSON_HEADERS } from "../app";
import { invalid } from "../problem";

const DAY_MS = 24 * 60 * 60_000;
/** OpenMeter's bound of a v1 list; its default begins a second later. */
const AGE_MS_MAX = 32 * DAY_MS;
const SECOND_MS = 1_000;
/** OpenMeter's bound of a v2 filter: `$and` or `$or` of plain ones. */
const FILTER_DEPTH_MAX = 1;

export const eventListRoutes = implement<typeof eventLists>(eventLists, {
  async list({ context, principal, query }) {
    const oldest = (await nowOf(context, principal)) - AGE_MS_MAX;
    const from = parseInstant(query.from ?? "");
    const ingestedFrom = parseInstant(query.ingestedAtFrom ?? "");
    const ingestedTo = parseInstant(query.ingestedAtTo ?? "");
    for (const [field, at] of [
      ["from", from],
      ["ingestedAtFrom", ingestedFrom],
    ] as const) {
      if (at !== null && at < oldest)
        throw invalid([{ field, message: `must be at most 32 days ago, after ${formatInstant(oldest)}` }]);
    }
    const ingestedAt: FilterTime[] = [];
    if (ingestedFrom !== null) ingestedAt.push({ $gte: ingestedFrom });
    if (ingestedTo !== null) ingestedAt.push({ $lt: ingestedTo });
    const asked: EventQuery = {
      from: from ?? oldest + SECOND_MS,
      to: parseInstant(query.to ?? ""),
      ...(ingestedAt.length > 0 && { ingestedAt: { $and: ingestedAt } }),
      ...(query.id !== undefined && { idPart: query.id }),
      ...(query.subject !== undefined && { subject: { $eq: query.subject } }),
      after: null,
      resume: null,
      limit: query.limit,
    };
    const of: ListedOf = query.customerId
      ? { customerIds: [...new Set(query.customerId)] }
      : query.subject === undefined
        ? null
        : { subjects: [query.subject] };
    const { items, next } = await listEvents(context, principal, of, asked);
    // A bare array cannot say that it ends early.
    if (items.length < query.limit && next !== null) throw tooMuch();
    return new Response(`[${items.map(rowOf).join(",")}]`, { headers: JSON_HEADERS });
  },

  async listV2({ context, principal, query }) {
    const { filter = {} } = query;
    const time = accepted("time", filter.time, readTimeFilter);
    const ingestedAt = accepted("ingestedAt", filter.ingestedAt, readTimeFilter);
    if (time !== undefined && ingestedAt !== undefined)
      throw invalid([{ field: "filter.ingestedAt", message: "cannot be set together with `time`" }]);
    const subject = accepted("subject", filter.subject, readFilter);
    const asked: EventQuery = {
      from: null,
      to: null,
      ...defined({
        time,
        ingestedAt,
        id: accepted("id", filter.id, readFilter),
        source: accepted("source", filter.source, readFilter),
        subject,
        type: accepted("type", filter.type, readFilter),
      }),
      after: query.cursor === undefined ? null : keyIn(query.cursor),
      resume: null,
      limit: query.limit,
    };
    const customerIds = customersIn(filter.customerId);
    const subjects = subject?.$in ?? (subject?.$eq === undefined ? null : [subject.$eq]);
    const of: ListedOf = customerIds ? { customerIds } : subjects ? { subjects: [...new Set(subjects)] } : null;
    const { items, next } = await listEvents(context, principal, of, asked);
    const cursor = next === null ? "" : `,"nextCursor":${JSON.stringify(cursorOf(next))}`;
    return new Response(`{"items":[${items.map(rowOf).join(",")}]${cursor}}`, { headers: JSON_HEADERS });
  },
});

const nowOf = async (context: Context, tenant: Tenant): Promise<number> =>
  tenant.kind === "sandbox" ? await sandboxTime(context, tenant.namespaceId) : context.now();

/** Text, because the event's own text is in it. */
function rowOf({ key, eventJson, customerId, validationError }: ListedEvent): string {
  const storedAt = formatInstant(key.storedAt);
  const rest = {
    ...(customerId !== null && { customerId }),
    ...(validationError !== null && { validationError }),
    ingestedAt: storedAt,
    storedAt,
  };
  return `{"event":${eventJson},${JSON.stringify(rest).slice(1)}`;
}

function accepted<F extends object>(
  field: string,
  value: unknown,
  read: (value: unknown, depthMax: number) => Result<F, FilterRefusal>,
): F | undefined {
  if (value === undefined) return undefined;
  const filter = read(value, FILTER_DEPTH_MAX);
  if (!filter.ok) {
    const { at, detail } = filter.refusal;
    throw invalid([{ field: `filter.${field}${at === "" ? "" : `.${at}`}`, message: detail }]);
  }
  return Object.keys(filter.value).length === 0 ? undefined : filter.value;
}

const defined = <T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** Each is an object to ask. */
const CUSTOMERS_MAX = 100;

function customersIn(filter: { [operator: string]: unknown } | undefined): string[] | null {
  const field = "filter.customerId";
  if (filter === undefined) return null;
  const { $in, ...others } = filter;
  if (Object.values(others).some((operand) => operand !== null && operand !== undefined))
    throw invalid([{ field, message: "knows the operator $in only" }]);
  if ($in === null || $in === undefined) return null;
  const ids = ($in as string[]).map((id) => id.toUpperCase());
  if (!ids.every((id) => ULID.test(id))) throw invalid([{ field, message: "must be a list of ULIDs" }]);
  if (ids.length > CUSTOMERS_MAX) throw invalid([{ field, message: `names at most ${CUSTOMERS_MAX} customers` }]);
  return [...new Set(ids)];
}

const cursorOf = (key: EventKey): string => Buffer.from(encodeKey(key)).toString("base64url");

function keyIn(cursor: string): EventKey {
  const key = decodeKey(Buffer.from(cursor, "base64url").toString("utf8"));
  if (key === null)
    throw invalid([{ field: "cursor", message: "is no cursor of this list; use the nextCursor of the page before" }]);
  return key;
}
