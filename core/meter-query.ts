/**
 * What is asked of one meter: as a request says it, and checked and made plain, as it goes to whoever knows the meter's cells. Those
 * answer with parts (query-part.ts), and parts make rows (query-rows.ts). Not known here: where cells are kept, HTTP.
 */
import { isEmptyFilter, readFilter, type FilterString } from "./filter";
import { ok, refuse, type Result } from "./result";
import { readZone, type WindowSize } from "./window";

/** A group's two names that are no dimensions: the event's subject, and, where several customers are asked for, whose usage it is. */
export const SUBJECT = "subject";
export const CUSTOMER_ID = "customer_id";

/** Subjects and group-bys of one query, as OpenMeter bounds them. */
export const QUERY_NAMES_MAX = 100;
export interface MeterQuery {
  /** Epoch ms as they were asked for, from inclusive, to exclusive; null: since ever, for ever. Events are compared by `rangeOf`. */
  from: number | null;
  to: number | null;
  /** null: one row a group for all of it. */
  windowSize: WindowSize | null;
  /** An IANA name that `readZone` knows. */
  timeZone: string;
  /** Names of dimensions, "subject", "customer_id"; each once, in the order they were asked for. */
  groupBy: string[];
  /** By dimension; all must match. */
  filters: { [dimension: string]: FilterString };
  /** null: all of them. */
  subjects: string[] | null;
  /** Only which groups there are is of interest: parts carry no cells. */
  namesOnly?: true;
}

/** What a request asked for, read by its shape only. */
export interface AskedQuery {
  from: number | null;
  to: number | null;
  windowSize: WindowSize | null;
  /** null: UTC. */
  timeZone: string | null;
  groupBy: readonly string[];
  /** null: none was given. A list, an empty one too, groups by subject. */
  subjects: readonly string[] | null;
  /** How many customers it filters by; 0: by none. They are the caller's business, but for their group. */
  customers: number;
  /** Values by dimension, of which one must match. */
  filterGroupBy: { readonly [dimension: string]: readonly string[] } | null;
  /** Filters by dimension, unread. */
  advancedFilters: { readonly [dimension: string]: unknown } | null;
}

/** What is wrong with a request (400), and where. */
export interface QueryFault {
  field: string;
  message: string;
}

/** The events that count, epoch ms, from inclusive to exclusive. OpenMeter keeps times to the second, and so both ends fall on one. */
export const rangeOf = ({ from, to }: Pick<MeterQuery, "from" | "to">): { from: number; to: number } => ({
  from: from === null ? -Infinity : toSecond(from),
  to: to === null ? Infinity : toSecond(to),
});

const toSecond = (ms: number): number => Math.floor(ms / 1_000) * 1_000;

// ---- Reading what was asked

/** The query that a request asks of a meter with these dimensions, or all that is wrong with it. */
export function readQuery(
  { groupBy: dimensions }: { groupBy: { readonly [dimension: string]: unknown } },
  asked: AskedQuery,
): Result<MeterQuery, QueryFault[]> {
  const faults: QueryFault[] = [];
  const { from, to, windowSize, subjects, customers } = asked;
  const isDimension = (name: string): boolean => Object.hasOwn(dimensions, name);

  if (from !== null && from === to) faults.push({ field: "to", message: "from and to cannot be equal" });
  if (from !== null && to !== null && from > to) faults.push({ field: "to", message: "from must be before to" });

  const zone = readZone(asked.timeZone ?? "UTC");
  if (!zone.ok) faults.push({ field: "windowTimeZone", message: `invalid time zone: ${zone.refusal.detail}` });

  const groupBy = new Set(asked.groupBy);
  for (const name of groupBy) {
    if (name !== SUBJECT && name !== CUSTOMER_ID && !isDimension(name))
      faults.push({ field: "groupBy", message: `invalid group by: ${name}` });
  }
  if (groupBy.has(CUSTOMER_ID) && customers === 0)
    faults.push({ field: "groupBy", message: "customer filter is required with customer_id group by" });
  if (subjects !== null) groupBy.add(SUBJECT);
  if (customers > 1) groupBy.add(CUSTOMER_ID);
  for (const [field, count] of [
    ["groupBy", asked.groupBy.length],
    ["subject", subjects?.length ?? 0],
  ] as const) {
    if (count > QUERY_NAMES_MAX) faults.push({ field, message: `must have at most ${QUERY_NAMES_MAX} values` });
  }

  const filters = readFilters(isDimension, asked, faults);
  if (faults.length > 0) return refuse(faults);
  return ok({
    from,
    to,
    windowSize,
    timeZone: asked.timeZone ?? "UTC",
    groupBy: [...groupBy],
    filters,
    subjects: subjects === null || subjects.length === 0 ? null : [...new Set(subjects)],
  });
}

/** Both forms of filters as one; what is wrong with them is added to the faults. */
function readFilters(
  isDimension: (name: string) => boolean,
  { filterGroupBy, advancedFilters }: AskedQuery,
  faults: QueryFault[],
): MeterQuery["filters"] {
  const filters: MeterQuery["filters"] = Object.create(null) as MeterQuery["filters"];
  const plain = Object.entries(filterGroupBy ?? {});
  const advanced = Object.entries(advancedFilters ?? {});
  if (plain.length > 0 && advanced.length > 0) {
    const message = "advanced meter group by filters and filter group by cannot be used together";
    faults.push({ field: "filterGroupBy", message });
  }
  for (const [name, values] of plain) {
    const field = `filterGroupBy.${name}`;
    if (!isDimension(name)) faults.push({ field, message: `invalid group by filter: ${name}` });
    else if (values.length > 0) addFilter({ $in: values }, name, field);
  }
  for (const [name, value] of advanced) {
    const field = `advancedMeterGroupByFilters.${name}`;
    if (!isDimension(name)) faults.push({ field, message: `meter does not have group by: ${name}` });
    else addFilter(value, name, field);
  }
  return { ...filters };

  function addFilter(value: unknown, name: string, field: string): void {
    const filter = readFilter(value);
    if (filter.ok) {
      if (!isEmptyFilter(filter.value)) filters[name] = filter.value;
    } else {
      const { at, detail } = filter.refusal;
      faults.push({ field: at === "" ? field : `${field}.${at}`, message: detail });
    }
  }
}

/** Which values of a dimension, or which subjects, counted in this time. `groupNames` reads the answer. */
export const namesQuery = (name: string, { from, to }: Pick<MeterQuery, "from" | "to">): MeterQuery => ({
  from,
  to,
  windowSize: null,
  timeZone: "UTC",
  groupBy: [name],
  filters: {},
  subjects: null,
  namesOnly: true,
});
