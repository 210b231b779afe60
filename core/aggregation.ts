/**
 * The seven aggregations as one record: what a cell of each keeps, how a reading is added, how two cells merge.
 * A cell keeps what its aggregation needs and no more. Cells of any split of the same events, merged in any order, are equal;
 * LATEST among events of one time takes the one that arrived last. To add an aggregation: an entry here, a row in the test.
 */
import { mulDiv } from "./decimal";
import { formatQuantity, ONE_QUANTITY, quantity, wholeOf, type Quantity } from "./quantity";

/** What an aggregation sees of one event. */
export interface Reading {
  /** null when the value is missing or no number. */
  quantity: Quantity | null;
  /** null when the value is missing, null or no scalar. */
  text: string | null;
  /** Event time, epoch ms. */
  at: number;
  /** Rises with arrival. */
  order: number;
}

export interface Cell {
  /** Events that contributed a value. */
  count: number;
}

interface Total extends Cell {
  value: Quantity;
}

interface Last extends Total {
  at: number;
  order: number;
}

interface Distinct extends Cell {
  /** null: forgotten, so their number is unknown, or `known` for as long as nothing is merged in. */
  values: Set<string> | null;
  units: number;
  /** How many there are, where that is all that was kept of them. */
  known?: number;
}

interface Cells {
  COUNT: Cell;
  SUM: Total;
  AVG: Total;
  MIN: Total;
  MAX: Total;
  UNIQUE_COUNT: Distinct;
  LATEST: Last;
}

export type Aggregation = keyof Cells;

/** What is stored of a cell: compact, and read again by every later version. */
export type CellJson = number | string | null | CellJson[];

/** The columns of a rollup row that an aggregation fills. */
export interface RollupValue {
  sum?: string;
  min?: string;
  max?: string;
  latest?: string;
  latestAt?: number;
}

/** What rollup rows say, read: what the aggregation does not keep is 0 or null. */
export interface RollupColumns {
  count: number;
  sum: Quantity;
  min: Quantity | null;
  max: Quantity | null;
  latest: { value: Quantity; at: number } | null;
}

/** Method syntax on purpose: it lets a Fold of its own cells stand in a list of Folds of any cells. */
export interface Fold<C extends Cell> {
  /** What it needs of an event. Without a quantity the event is no part of any cell; without a text it makes a cell but no value. */
  reads: "nothing" | "quantity" | "text";
  init(reading: Reading): C;
  add(cell: C, reading: Reading): void;
  /** Adds `from` to `into`; `from` stays as it is. */
  merge(into: C, from: C): void;
  copy(cell: C): C;
  /** A cell of no events, for a total whose events were all corrected away. Never within a window: windows without events are omitted. */
  nothing(): C;
  /** Takes `part`, which was added before, out of a total again. False: what is left cannot be told, and the total is as it was. */
  takeOut(total: C, part: C): boolean;
  /** The aggregate; null when it is unknown, because its values were forgotten. */
  value(cell: C): Quantity | null;
  rollup(cell: C): RollupValue;
  /** The cell that these columns tell of; null: it has no events any more. Of distinct values a rollup knows the events only. */
  fromRollup(columns: RollupColumns): C | null;
  /** What the cell keeps beyond a fixed size, in units of 64 characters. */
  units(cell: C): number;
  /** Lets go of it, for good: the cell goes on counting events. */
  forget(cell: C): void;
  /** Pieces of bounded size that `fromJSON` reads and `merge` puts together; nearly always one. */
  toJSON(cell: C): CellJson[];
  fromJSON(piece: CellJson): C;
  /** What a window without a neighbour needs of the cell: the cell itself, but how many distinct values there are in place of them. */
  summary(cell: C): CellJson;
}

/** A distinct value weighs one unit for every 64 characters begun. */
const UNIT_CHARS = 64;
/** A longer one is no identifier. It weighs more than any bound, so its window becomes unknown rather than wrong. */
const DISTINCT_CHARS_MAX = 4_096;
/** Distinct values are stored in pieces of this many units: some 130,000 characters, far below the platform's 2 MB a row. */
const PIECE_UNITS = 2_000;

/** What all aggregations have in common that keep a fixed number of fields. */
const fixed = {
  copy: <C extends Cell>(cell: C): C => ({ ...cell }),
  units: () => 0,
  forget: () => {},
};

/** SUM, AVG, MIN and MAX are one number under an associative operation. */
const numeric = (
  combine: (a: Quantity, b: Quantity) => Quantity,
  column: "sum" | "min" | "max",
  takeOut: (total: Total, part: Total) => boolean,
  value: (cell: Total) => Quantity = (cell) => cell.value,
): Fold<Total> => ({
  ...fixed,
  reads: "quantity",
  init: (reading) => ({ count: 1, value: reading.quantity ?? 0n }),
  add(cell, reading) {
    cell.value = cell.count++ === 0 ? (reading.quantity ?? 0n) : combine(cell.value, reading.quantity ?? 0n);
  },
  merge(into, from) {
    if (from.count === 0) return;
    into.value = into.count === 0 ? from.value : combine(into.value, from.value);
    into.count += from.count;
  },
  nothing: () => ({ count: 0, value: 0n }),
  takeOut,
  value,
  rollup: (cell) => ({ [column]: formatQuantity(cell.value) }),
  fromRollup(columns) {
    const value = columns[column];
    return columns.count === 0 || value === null ? null : { count: columns.count, value };
  },
  toJSON: (cell) => [totalJson(cell)],
  fromJSON(piece) {
    const [count, kept] = fields(piece);
    return { count: count as number, value: readQuantity(kept) };
  },
  summary: totalJson,
});

/** A sum gives back what it took. */
function subtract(total: Total, part: Total): boolean {
  total.count -= part.count;
  total.value -= part.value;
  return true;
}

/** An extreme stays what it is as long as another event holds it; all parts out, nothing is left. */
function outlive(total: Total, part: Total): boolean {
  if (part.value === total.value && part.count !== total.count) return false;
  total.count -= part.count;
  if (total.count === 0) total.value = 0n;
  return true;
}

const sum = (a: Quantity, b: Quantity): Quantity => a + b;
const lesser = (a: Quantity, b: Quantity): Quantity => (b < a ? b : a);
const greater = (a: Quantity, b: Quantity): Quantity => (b > a ? b : a);

export const aggregations = {
  COUNT: {
    ...fixed,
    reads: "nothing",
    init: () => ({ count: 1 }),
    add(cell) {
      cell.count++;
    },
    merge(into, from) {
      into.count += from.count;
    },
    nothing: () => ({ count: 0 }),
    takeOut(total, part) {
      total.count -= part.count;
      return true;
    },
    value: (cell) => BigInt(cell.count) * ONE_QUANTITY,
    rollup: () => ({}),
    fromRollup: ({ count }) => (count === 0 ? null : { count }),
    toJSON: (cell) => [cell.count],
    fromJSON: (piece) => ({ count: piece as number }),
    summary: (cell) => cell.count,
  },
  SUM: numeric(sum, "sum", subtract),
  AVG: numeric(sum, "sum", subtract, (cell) => mulDiv(cell.value, 1n, BigInt(cell.count))),
  MIN: numeric(lesser, "min", outlive),
  MAX: numeric(greater, "max", outlive),
  UNIQUE_COUNT: {
    reads: "text",
    init(reading) {
      const cell: Distinct = { count: 0, values: new Set(), units: 0 };
      addText(cell, reading);
      return cell;
    },
    add: addText,
    merge(into, from) {
      into.count += from.count;
      if (from.values === null) forget(into);
      else for (const text of from.values) keep(into, text);
    },
    nothing: () => ({ count: 0, values: null, units: 0 }),
    // Only of totals, which know no values: a set cannot tell whether another event had the same.
    takeOut(total, part) {
      total.count -= part.count;
      return total.values === null;
    },
    copy: (cell) => ({ ...cell, values: cell.values && new Set(cell.values) }),
    value(cell) {
      const size = sizeOf(cell);
      return size === null ? null : BigInt(size) * ONE_QUANTITY;
    },
    rollup: () => ({}),
    fromRollup: ({ count }) => ({ count, values: null, units: 0 }),
    units: (cell) => cell.units,
    forget,
    toJSON: distinctPieces,
    fromJSON(piece) {
      const [count, kept] = fields(piece);
      const cell: Distinct = { count: count as number, values: Array.isArray(kept) ? new Set() : null, units: 0 };
      if (Array.isArray(kept)) for (const text of kept) keep(cell, text as string);
      else if (typeof kept === "number") cell.known = kept;
      return cell;
    },
    summary: (cell) => [cell.count, sizeOf(cell)],
  },
  LATEST: {
    ...fixed,
    reads: "quantity",
    init: ({ quantity: value, at, order }) => ({ count: 1, value: value ?? 0n, at, order }),
    add(cell, { quantity: value, at, order }) {
      cell.count++;
      takeLater(cell, value ?? 0n, at, order);
    },
    merge(into, from) {
      into.count += from.count;
      takeLater(into, from.value, from.at, from.order);
    },
    nothing: () => ({ count: 0, value: 0n, at: 0, order: -1 }),
    takeOut(total, part) {
      if (part.at === total.at && part.order === total.order && part.count !== total.count) return false;
      total.count -= part.count;
      if (total.count === 0) Object.assign(total, { value: 0n, at: 0, order: -1 });
      return true;
    },
    value: (cell) => cell.value,
    rollup: (cell) => ({ latest: formatQuantity(cell.value), latestAt: cell.at }),
    fromRollup: ({ count, latest }) => (count === 0 || latest === null ? null : { count, ...latest, order: 0 }),
    toJSON: (cell) => [lastJson(cell)],
    fromJSON(piece) {
      const [count, value, at, order] = fields(piece);
      return { count: count as number, value: readQuantity(value), at: at as number, order: order as number };
    },
    summary: lastJson,
  },
} satisfies { [A in Aggregation]: Fold<Cells[A]> };

export const AGGREGATIONS = Object.keys(aggregations) as Aggregation[];

/** Orders of different objects, and of rollups, say nothing; the greater value makes their merge the same in any order. */
function takeLater(cell: Last, value: Quantity, at: number, order: number): void {
  if (at < cell.at) return;
  if (at === cell.at && (order < cell.order || (order === cell.order && value <= cell.value))) return;
  cell.value = value;
  cell.at = at;
  cell.order = order;
}

function addText(cell: Distinct, { text }: Reading): void {
  if (text === null) return;
  cell.count++;
  keep(cell, text);
}

const sizeOf = ({ values, known }: Distinct): number | null => (values === null ? (known ?? null) : values.size);

function keep(cell: Distinct, text: string): void {
  if (cell.known !== undefined) cell.known = undefined;
  if (cell.values === null || cell.values.has(text)) return;
  cell.units += unitsOf(text);
  if (text.length > DISTINCT_CHARS_MAX) cell.values = null;
  else cell.values.add(text);
}

const unitsOf = (text: string): number =>
  text.length > DISTINCT_CHARS_MAX ? Infinity : 1 + Math.floor(text.length / UNIT_CHARS);

function forget(cell: Distinct): void {
  cell.values = null;
  cell.units = 0;
  if (cell.known !== undefined) cell.known = undefined;
}

function distinctPieces({ count, values, known }: Distinct): CellJson[] {
  if (values === null) return [[count, known ?? null]];
  let texts: string[] = [];
  const pieces: CellJson[] = [[count, texts]];
  let units = 0;
  for (const text of values) {
    units += unitsOf(text);
    if (units > PIECE_UNITS) {
      units = unitsOf(text);
      pieces.push([0, (texts = [])]);
    }
    texts.push(text);
  }
  return pieces;
}

function totalJson(cell: Total): CellJson {
  return [cell.count, quantityJson(cell.value)];
}

function lastJson(cell: Last): CellJson {
  return [cell.count, quantityJson(cell.value), cell.at, cell.order];
}

/** Whole quantities as numbers, which is short and quick to read; others as decimal text. */
const quantityJson = (value: Quantity): number | string => wholeOf(value) ?? formatQuantity(value);

const readQuantity = (json: CellJson | undefined): Quantity =>
  typeof json === "number" ? BigInt(json) * ONE_QUANTITY : quantity(json as string);

const fields = (json: CellJson): CellJson[] => json as CellJson[];
