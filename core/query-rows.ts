/**
 * The rows that parts of a query make together, in OpenMeter's order and by its rules, and how OpenMeter prints them: JSON with exact
 * numbers, and CSV. Not known here: where the parts come from.
 */
import { aggregations, type Aggregation, type Cell, type Fold } from "./aggregation";
import { mulDiv } from "./decimal";
import { compareTexts } from "./filter";
import { MINUTE_MS } from "./fold";
import { formatInstant } from "./instant";
import { CUSTOMER_ID, SUBJECT, type MeterQuery } from "./meter-query";
import { formatQuantity, type Quantity } from "./quantity";
import {
  DISTINCT_UNKNOWN,
  QUERY_DISTINCT_MAX,
  QUERY_ROWS_MAX,
  TOO_MANY_DISTINCT,
  TOO_MANY_ROWS,
  zoneOf,
  type QueryPart,
  type QueryRefusal,
} from "./query-part";
import { ok, refuse, type Result } from "./result";
import { windowsOf, type Window } from "./window";

export interface MeterRow {
  windowStart: number;
  windowEnd: number;
  value: Quantity;
  subject: string | null;
  customerId?: string;
  groupBy: { [dimension: string]: string };
}

/** The rows that all parts together make, in the order of windows and then of groups. */
export function answerQuery(
  aggregation: Aggregation,
  query: MeterQuery,
  parts: readonly QueryPart[],
): Result<MeterRow[], QueryRefusal> {
  const merged = mergeParts(aggregations[aggregation], parts);
  if (!merged.ok) return merged;
  const fold: Fold<Cell> = aggregations[aggregation];
  const bounds = boundsOf(query);
  const rows: SortedRow[] = [];
  for (const { cell, ...row } of merged.value) {
    const value = fold.value(cell);
    if (value === null) return refuse(DISTINCT_UNKNOWN);
    const { start, end } = bounds(row);
    rows.push({ ...row, start, end, value });
  }
  rows.sort(inOrder);
  if (rows.length === 0 && isTotal(query) && COUNTS.has(aggregation)) {
    const { start, end } = bounds({ window: 0, first: 0, last: 0 });
    rows.push({ window: 0, start, end, customerId: undefined, group: [], value: 0n });
  }
  return ok(rows.map((row) => meterRow(row, query)));
}

/** These answer 0 where nothing was counted, if there is only one number to answer. */
const COUNTS: ReadonlySet<Aggregation> = new Set(["COUNT", "UNIQUE_COUNT"]);
const isTotal = ({ windowSize, groupBy }: MeterQuery): boolean => windowSize === null && groupBy.length === 0;

interface MergedRow {
  window: number;
  customerId: string | undefined;
  group: string[];
  first: number;
  last: number;
  cell: Cell;
}

function mergeParts(fold: Fold<Cell>, parts: readonly QueryPart[]): Result<Iterable<MergedRow>, QueryRefusal> {
  const merged = new Map<string, MergedRow>();
  let units = 0;
  for (const { rows, customerId } of parts) {
    for (const { window, group, first, last, cell: pieces } of rows) {
      const key = JSON.stringify([window, customerId ?? null, ...group]);
      let row = merged.get(key);
      const before = row === undefined ? 0 : fold.units(row.cell);
      for (const piece of pieces) {
        const cell = fold.fromJSON(piece);
        if (row === undefined) merged.set(key, (row = { window, customerId, group, first, last, cell }));
        else fold.merge(row.cell, cell);
      }
      if (row === undefined) continue;
      row.first = Math.min(row.first, first);
      row.last = Math.max(row.last, last);
      units += fold.units(row.cell) - before;
      if (units > QUERY_DISTINCT_MAX) return refuse(TOO_MANY_DISTINCT);
    }
    if (merged.size > QUERY_ROWS_MAX) return refuse(TOO_MANY_ROWS);
  }
  return ok(merged.values());
}

/** Where a row starts and ends: its window; or what was asked for; or the minutes of its data, which ClickHouse has in 1970 when there are none. */
function boundsOf(query: MeterQuery): (row: Pick<MergedRow, "window" | "first" | "last">) => Window {
  const { windowSize, from, to } = query;
  if (windowSize === null) return ({ first, last }) => ({ start: from ?? first, end: to ?? last + MINUTE_MS });
  const windowAt = windowsOf(windowSize, zoneOf(query));
  return ({ window }) => windowAt(window);
}

interface SortedRow extends Window {
  window: number;
  customerId: string | undefined;
  group: string[];
  value: Quantity;
}

function inOrder(a: SortedRow, b: SortedRow): number {
  if (a.window !== b.window) return a.window - b.window;
  const byCustomer = compareTexts(a.customerId ?? "", b.customerId ?? "");
  if (byCustomer !== 0) return byCustomer;
  for (const [place, value] of a.group.entries()) {
    const byValue = compareTexts(value, b.group[place]!);
    if (byValue !== 0) return byValue;
  }
  return 0;
}

function meterRow({ start, end, customerId, group, value }: SortedRow, query: MeterQuery): MeterRow {
  const row: MeterRow = { windowStart: start, windowEnd: end, value, subject: null, groupBy: {} };
  const names = query.groupBy.filter((name) => name !== CUSTOMER_ID);
  if (names.length < query.groupBy.length && customerId !== undefined) row.customerId = customerId;
  for (const [place, name] of names.entries()) {
    if (name === SUBJECT) row.subject = group[place]!;
    else row.groupBy[name] = group[place]!;
  }
  return row;
}

// ---- As OpenMeter prints them

/** OpenMeter's MeterQueryResult, for JSON.stringify: values are exact, and a reader of doubles rounds them by itself. */
export function resultJson(query: MeterQuery, rows: readonly MeterRow[]): object {
  return {
    ...(query.from !== null && { from: moment(query.from) }),
    ...(query.to !== null && { to: moment(query.to) }),
    ...(query.windowSize !== null && { windowSize: query.windowSize }),
    data: rows.map(({ value, windowStart, windowEnd, subject, customerId, groupBy }) => ({
      value: JSON.rawJSON(formatQuantity(value)),
      windowStart: moment(windowStart),
      windowEnd: moment(windowEnd),
      subject,
      ...(customerId !== undefined && { customerId }),
      groupBy,
    })),
  };
}

/** As Go writes it: without a fraction where there is none. */
const moment = (ms: number): string => formatInstant(ms).replace(".000Z", "Z");

/** The same as CSV (RFC 4180, lines ended as Go ends them). `customerOf` knows the names of customers. */
export function resultCsv(
  { groupBy }: MeterQuery,
  rows: readonly MeterRow[],
  customerOf: (id: string) => { key: string | null; name: string | null } = () => ({ key: null, name: null }),
): string {
  const bySubject = groupBy.includes(SUBJECT);
  const byCustomer = groupBy.includes(CUSTOMER_ID);
  const dimensions = groupBy.filter((name) => name !== SUBJECT && name !== CUSTOMER_ID);
  const header = [
    "window_start",
    "window_end",
    ...(bySubject ? ["subject"] : []),
    ...(byCustomer ? ["customer_id", "customer_key", "customer_name"] : []),
    ...dimensions,
    "value",
  ];
  const records = rows.map(({ windowStart, windowEnd, subject, customerId = "", groupBy: group, value }) => {
    const { key, name } = byCustomer ? customerOf(customerId) : { key: null, name: null };
    return [
      formatInstant(windowStart).replace(/\.\d+Z$/, "Z"),
      formatInstant(windowEnd).replace(/\.\d+Z$/, "Z"),
      ...(bySubject ? [subject ?? ""] : []),
      ...(byCustomer ? [customerId, key ?? "", name ?? ""] : []),
      ...dimensions.map((dimension) => group[dimension] ?? ""),
      toSixPlaces(value),
    ];
  });
  return [header, ...records].map((record) => `${record.map(csvField).join()}\n`).join("");
}

/** Quoted where a reader would take it apart otherwise. Formulas are left as they are: it is data, and not ours to change. */
const csvField = (text: string): string => (/[",\r\n]|^\s/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** C's `%f`, half-even of the exact value. */
function toSixPlaces(value: Quantity): string {
  const millionths = mulDiv(value < 0n ? -value : value, 1n, 10n ** 18n);
  const digits = millionths.toString().padStart(7, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -6)}.${digits.slice(-6)}`;
}
