/**
 * What one source (a customer's object, or rollup rows) knows of a query: cells by window and group, as plain data that crosses RPC.
 * Parts merge in any order, and any split of the events over any number of parts makes the same rows. The projection to the groups
 * asked for, the filters and the windows are applied here, for every source alike.
 */
import type { Cell, CellJson, Fold } from "./aggregation";
import { compareTexts, matches } from "./filter";
import { GROUPS_MAX } from "./fold-groups";
import type { CompiledMeter } from "./meter";
import { CUSTOMER_ID, SUBJECT, type MeterQuery } from "./meter-query";
import { assert, ok, refuse, type Result } from "./result";
import { readZone, windowsOf, type Window } from "./window";

/** Rows of a part and of an answer: some 10 MB of JSON, of an isolate's 128. Past it the query must be narrowed (422). */
export const QUERY_ROWS_MAX = 100_000;
/** Characters of all groups of a part together, each once: with the rows far below the 32 MB that a call between objects carries. */
const GROUP_CHARS_MAX = 8_000_000;
/**
 * Distinct values (in units of 64 characters) that a part carries and an answer is made of: 26 MB at the most, and a call carries 32.
 * One customer's windows are counted one after the other, so they may have so many each.
 */
export const QUERY_DISTINCT_MAX = 200_000;

/** Why there is no answer to a sound query (422). */
export interface QueryRefusal {
  reason: "at_bound";
  detail: string;
}

export interface PartRow {
  /** Where its window starts, epoch ms; 0 without windows. */
  window: number;
  /** The values of the query's `groupBy`, without customer_id. */
  group: string[];
  /** The earliest and the latest minute with an event in it, epoch ms. */
  first: number;
  last: number;
  /** As its aggregation wrote it. */
  cell: CellJson[];
}

/** What one source knows. */
export interface QueryPart {
  rows: PartRow[];
  /** Whose it is, where the query groups by customer_id: set by whoever asked the customer's objects. */
  customerId?: string;
}

/** The names that the parts of a `namesQuery` have, each once, in order. */
export const groupNames = (parts: readonly QueryPart[]): string[] =>
  [...new Set(parts.flatMap(({ rows }) => rows.map(({ group }) => group[0]!)))].sort(compareTexts);

interface OpenRow {
  row: PartRow;
  /** null when only names are of interest. */
  cell: Cell | null;
  /** It may be merged into: nobody else has it. */
  own: boolean;
}

/** The rows of one group, and its newest. */
interface Slot {
  group: string[];
  rows: Map<number, OpenRow>;
  newest: OpenRow | null;
}

export interface PartOptions {
  /** No other part has events of these windows and groups: of distinct values their number is enough. Cells must come in the order of time. */
  alone: boolean;
}

/**
 * Makes a part of cells that come one by one, each of one group of the meter. It does the projection to the groups asked for, the
 * filters and the windows; the caller brings cells whose events all lie in the query's range and in one window.
 */
export class PartBuilder {
  private readonly fold: Fold<Cell>;
  private readonly windowAt: (at: number) => Window;
  /** By the meter's own group: where it counts, or null when it is filtered out. */
  private readonly slots = new Map<string, Slot | null>();
  private readonly byGroup = new Map<string, Slot>();
  private readonly project: Projection;
  /** A window is closed when the next one begins: its distinct values have become a number. */
  private readonly closing: boolean;
  private rows = 0;
  private groupChars = 0;
  private units = 0;
  private refusal: QueryRefusal | null = null;

  constructor(
    meter: Pick<CompiledMeter, "fold" | "dimensions" | "meter">,
    private readonly query: MeterQuery,
    { alone }: PartOptions = { alone: false },
  ) {
    this.fold = meter.fold;
    this.closing = alone && meter.fold.reads === "text";
    this.project = new Projection(meter, query);
    this.windowAt = query.windowSize === null ? () => EVER : windowsOf(query.windowSize, zoneOf(query));
  }

  /** The window that a moment lies in. */
  window(at: number): Window {
    return this.windowAt(at);
  }

  /** Whether cells of these groups of the meter would meet in one group of the query. */
  meet(groups: Iterable<string>): boolean {
    const seen = new Set<Slot>();
    for (const key of groups) {
      const slot = this.slot(key);
      if (slot === null) continue;
      if (seen.has(slot)) return true;
      seen.add(slot);
    }
    return false;
  }

  /** Whether it is known that there will be no part. */
  get refused(): boolean {
    return this.refusal !== null;
  }

  /** The cell stays as it is. `first` and `last` are the minutes of its first and last event, epoch ms. */
  add(groupKey: string, cell: Cell | null, first: number, last: number): void {
    const slot = this.refusal === null ? this.slot(groupKey) : null;
    if (slot === null) return;
    const window = this.windowAt(first).start;
    const { newest } = slot;
    const known = newest?.row.window === window ? newest : slot.rows.get(window);
    if (known === undefined) this.open(slot, window, cell, first, last);
    else this.merge(known, cell, first, last);
  }

  part(): Result<QueryPart, QueryRefusal> {
    if (this.refusal !== null) return refuse(this.refusal);
    const rows: PartRow[] = [];
    for (const slot of this.byGroup.values()) {
      for (const open of slot.rows.values()) {
        this.close(open);
        rows.push(open.row);
      }
    }
    return ok({ rows });
  }

  private slot(groupKey: string): Slot | null {
    const known = this.slots.get(groupKey);
    if (known !== undefined) return known;
    const group = this.project.groupOf(groupKey);
    if (group === null || !group.ok) {
      if (group !== null) this.refusal ??= group.refusal;
      this.slots.set(groupKey, null);
      return null;
    }
    const name = JSON.stringify(group.value);
    let slot = this.byGroup.get(name);
    if (slot === undefined) {
      this.byGroup.set(name, (slot = { group: group.value, rows: new Map(), newest: null }));
      this.groupChars += name.length;
      if (this.groupChars > GROUP_CHARS_MAX) this.refusal ??= TOO_MANY_ROWS;
    }
    this.slots.set(groupKey, slot);
    return slot;
  }

  private open(slot: Slot, window: number, cell: Cell | null, first: number, last: number): void {
    if (slot.newest !== null && this.closing) this.close(slot.newest);
    if (++this.rows > QUERY_ROWS_MAX) this.refusal ??= TOO_MANY_ROWS;
    const kept = this.query.namesOnly ? null : cell;
    const open: OpenRow = { row: { window, group: slot.group, first, last, cell: [] }, cell: kept, own: false };
    slot.rows.set(window, open);
    slot.newest = open;
    if (kept !== null) this.weigh(this.fold.units(kept));
  }

  private merge(open: OpenRow, cell: Cell | null, first: number, last: number): void {
    const { row } = open;
    row.first = Math.min(row.first, first);
    row.last = Math.max(row.last, last);
    if (this.query.namesOnly || cell === null) return;
    assert(open.cell !== null, "cells come in the order of time when a part stands alone");
    if (!open.own) open.cell = this.fold.copy(open.cell);
    open.own = true;
    const before = this.fold.units(open.cell);
    this.fold.merge(open.cell, cell);
    this.weigh(this.fold.units(open.cell) - before);
  }

  /** Nothing more will come for it: what it weighs can go. */
  private close(open: OpenRow): void {
    if (open.cell === null) return;
    this.weigh(-this.fold.units(open.cell));
    open.row.cell = this.closing ? [this.fold.summary(open.cell)] : this.fold.toJSON(open.cell);
    open.cell = null;
  }

  private weigh(units: number): void {
    this.units += units;
    if (this.units > QUERY_DISTINCT_MAX) this.refusal ??= TOO_MANY_DISTINCT;
  }
}

/** Without windows everything lies in one. */
const EVER: Window = { start: 0, end: Infinity };

export const TOO_MANY_ROWS: QueryRefusal = {
  reason: "at_bound",
  detail: `the query has more than ${QUERY_ROWS_MAX} rows, or too long group values; ask for less time, larger windows or fewer groups`,
};
export const TOO_MANY_DISTINCT: QueryRefusal = {
  reason: "at_bound",
  detail: `more than ${QUERY_DISTINCT_MAX} distinct values would have to be compared; ask for less time or for one customer`,
};
export const DISTINCT_UNKNOWN: QueryRefusal = {
  reason: "at_bound",
  detail:
    "an hour in this time had more distinct values than are kept, so how many there were is unknown; ask for other times",
};

/** A stored query has a zone that `readZone` knew. */
export function zoneOf(query: MeterQuery): Parameters<typeof windowsOf>[1] {
  const zone = readZone(query.timeZone);
  assert(zone.ok, "the time zone of a query was read before");
  return zone.value;
}

/** The places of a meter's group (the subject is 0) that a query looks at: the others may be anything, null too. */
export function placesOf({ dimensions }: Pick<CompiledMeter, "dimensions">, query: MeterQuery): number[] {
  const names = new Set([
    ...query.groupBy,
    ...Object.keys(query.filters),
    ...(query.subjects === null ? [] : [SUBJECT]),
  ]);
  return [SUBJECT, ...dimensions].flatMap((name, place) => (names.has(name) ? [place] : []));
}

/** From a group of the meter to the group of the query, or out of it. */
class Projection {
  private readonly names: readonly string[];
  private readonly places: readonly number[];
  private readonly tests: { place: number; passes: (value: string) => boolean }[] = [];

  constructor(
    private readonly meter: Pick<CompiledMeter, "dimensions" | "meter">,
    { groupBy, filters, subjects }: MeterQuery,
  ) {
    this.names = [SUBJECT, ...meter.dimensions];
    this.places = groupBy.filter((name) => name !== CUSTOMER_ID).map((name) => this.placeOf(name));
    if (subjects !== null) {
      const wanted = new Set(subjects);
      this.tests.push({ place: 0, passes: (value) => wanted.has(value) });
    }
    for (const [name, filter] of Object.entries(filters))
      this.tests.push({ place: this.dimensionOf(name), passes: (value) => matches(filter, value) });
  }

  /** null when a filter keeps it out; refused when that, or its group, cannot be told any more. */
  groupOf(groupKey: string): Result<string[], QueryRefusal> | null {
    const values = JSON.parse(groupKey) as (string | null)[];
    let unknown = -1;
    for (const { place, passes } of this.tests) {
      const value = values[place] ?? null;
      if (value === null) unknown = place;
      else if (!passes(value)) return null;
    }
    const group: string[] = [];
    for (const place of this.places) {
      const value = values[place] ?? null;
      if (value === null) unknown = place;
      else group.push(value);
    }
    return unknown < 0 ? ok(group) : refuse(this.coarse(this.names[unknown]!));
  }

  private placeOf(name: string): number {
    return name === SUBJECT ? 0 : this.dimensionOf(name);
  }

  private dimensionOf(name: string): number {
    const place = this.meter.dimensions.indexOf(name);
    assert(place >= 0, "the dimensions of a query are the meter's");
    return place + 1;
  }

  private coarse(name: string): QueryRefusal {
    const detail = `one customer has more than ${GROUPS_MAX} groups of meter ${this.meter.meter.key}, so they are no longer told apart by ${name}; query without grouping or filtering by it`;
    return { reason: "at_bound", detail };
  }
}
