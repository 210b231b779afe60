/**
 * What a feature's usage costs: the rows of a meter query, priced at the time of the events. A period in which a published price
 * changes is cut there, and each piece has one price. Sums are exact to 24 places, each piece rounded half-even once.
 * Usage without a price stays in its row, outside the cost, and the row says so. Not known here: where usage comes from.
 */
import type { Aggregation } from "./aggregation";
import { decimal, mulDiv, ONE, type Decimal } from "./decimal";
import { isTokenType, pricedDimensions, type LlmUnitCost, type TokenType, type UnitCost } from "./feature";
import type { MeterRow } from "./query-rows";
import type { DatedPriceBook } from "./price";
import { formatQuantity, ONE_QUANTITY, type Quantity } from "./quantity";
import { ok, refuse, type Result } from "./result";

/** Manual costs and published prices alike. */
export const COST_CURRENCY = "USD";

export interface CostRow extends Omit<MeterRow, "value"> {
  usage: Quantity;
  /** null: nothing of the usage has a price. */
  cost: Quantity | null;
  /** What has no price, and why. */
  detail: string | null;
}

export interface Period {
  /** Epoch ms: [from, to). */
  from: number;
  to: number;
}

/** Usage of a period in which no price changes. */
export interface Piece {
  period: Period;
  rows: readonly MeterRow[];
}

/** The times within the period at which the price of anything in these rows changes, ascending. */
export function priceChanges(
  unitCost: UnitCost,
  rows: readonly MeterRow[],
  period: Period,
  book: DatedPriceBook,
): number[] {
  if (unitCost.type === "manual") return [];
  const models = new Map<string, Model>();
  for (const row of rows) {
    const model = modelOf(unitCost, row);
    if (model.ok) models.set(JSON.stringify(model.value), model.value);
  }
  const changes = models.values().flatMap((model) => book.changes({ ...model, ...period }));
  return [...new Set(changes)].toSorted((a, b) => a - b);
}

/**
 * The periods to ask usage of when prices change at these times. Usage that adds up is asked piece by piece. Distinct values do not:
 * they are asked from the beginning to each change, and the growth is what the piece adds. Of LATEST only the last value counts, and it
 * is priced at the end.
 */
export function periodsToAsk(aggregation: Aggregation, { from, to }: Period, changes: readonly number[]): Period[] {
  const starts = [from, ...changes];
  const ends = [...changes, to];
  switch (aggregation) {
    case "LATEST":
      return [{ from, to }];
    case "UNIQUE_COUNT":
      return ends.map((end) => ({ from, to: end }));
    case "SUM":
    case "COUNT":
    case "AVG":
    case "MIN":
    case "MAX":
      return ends.map((end, place) => ({ from: starts[place]!, to: end }));
  }
}

export interface CostQuery {
  unitCost: UnitCost;
  aggregation: Aggregation;
  /** What the caller asked to see; the query groups by `pricedDimensions` besides. */
  groupBy: readonly string[];
  /** Windows, or the whole period as one. */
  windowed: boolean;
  changes: readonly number[];
}

/**
 * The rows of the answer, dearest first, those without a price last. `whole` is the period asked at once: it names each row's window.
 * `pieces` are the answers of `periodsToAsk`, in order.
 */
export function costRows(
  { unitCost, aggregation, groupBy, windowed, changes }: CostQuery,
  whole: readonly MeterRow[],
  pieces: readonly Piece[],
  book: DatedPriceBook,
): CostRow[] {
  const hidden = new Set(pricedDimensions(unitCost).filter((dimension) => !groupBy.includes(dimension)));
  const rows = new Map<string, Sum>();
  const keyOf = (row: MeterRow) =>
    JSON.stringify([windowed ? row.windowStart : null, row.subject, row.customerId, shown(row, hidden)]);
  for (const row of whole) {
    const key = keyOf(row);
    const known = rows.get(key);
    if (known === undefined) rows.set(key, new Sum(row, shown(row, hidden)));
    else known.cover(row);
  }
  for (const { row, value, at } of pricedUsage(aggregation, pieces, changes, windowed)) {
    const key = keyOf(row);
    let sum = rows.get(key);
    // An event that came between two questions.
    if (sum === undefined) rows.set(key, (sum = new Sum(row, shown(row, hidden))));
    sum.add(value, unitPrice(unitCost, row, at, book));
  }
  return rows
    .values()
    .map((sum) => sum.row())
    .toArray()
    .toSorted(byCost);
}

interface PricedUsage {
  row: MeterRow;
  value: Quantity;
  /** A time whose price is that of all this usage. */
  at: number;
}

function pricedUsage(
  aggregation: Aggregation,
  pieces: readonly Piece[],
  changes: readonly number[],
  windowed: boolean,
): PricedUsage[] {
  if (aggregation === "LATEST") {
    return pieces.flatMap(({ period, rows }) =>
      rows.map((row) => ({ row, value: row.value, at: Math.min(row.windowEnd, period.to) - 1 })),
    );
  }
  if (aggregation !== "UNIQUE_COUNT") {
    return pieces.flatMap(({ period, rows }) => rows.map((row) => ({ row, value: row.value, at: period.from })));
  }
  const before = new Map<string, Quantity>();
  return pieces.flatMap(({ period, rows }, place) => {
    const at = place === 0 ? period.from : changes[place - 1]!;
    return rows.map((row) => {
      const key = JSON.stringify([windowed ? row.windowStart : null, row.subject, row.customerId, row.groupBy]);
      const value = row.value - (before.get(key) ?? 0n);
      before.set(key, row.value);
      return { row, value, at };
    });
  });
}

const shown = ({ groupBy }: MeterRow, hidden: ReadonlySet<string>): Record<string, string> =>
  Object.fromEntries(Object.entries(groupBy).filter(([dimension]) => !hidden.has(dimension)));

interface Rate {
  rate: Decimal;
  per: Decimal;
}

/** A row of the answer while it is added up. */
class Sum {
  private usage: Quantity = 0n;
  private cost: Quantity | null = null;
  private windowStart: number;
  private windowEnd: number;
  /** Reason → how much has no price because of it. */
  private readonly unpriced = new Map<string, Quantity>();

  constructor(
    private readonly first: MeterRow,
    private readonly groupBy: Record<string, string>,
  ) {
    this.windowStart = first.windowStart;
    this.windowEnd = first.windowEnd;
  }

  /** Without from and to, each group's window is that of its own events. */
  cover({ windowStart, windowEnd }: MeterRow): void {
    this.windowStart = Math.min(this.windowStart, windowStart);
    this.windowEnd = Math.max(this.windowEnd, windowEnd);
  }

  add(value: Quantity, price: Result<Rate, string>): void {
    this.usage += value;
    if (price.ok) this.cost = (this.cost ?? 0n) + mulDiv(value, price.value.rate, price.value.per);
    else this.unpriced.set(price.refusal, (this.unpriced.get(price.refusal) ?? 0n) + value);
  }

  row(): CostRow {
    const { usage, cost, windowStart, windowEnd, groupBy } = this;
    const { subject, customerId } = this.first;
    const reasons = this.unpriced
      .entries()
      .map(([reason, value]) => (cost === null ? reason : `${formatQuantity(value)} without a price: ${reason}`))
      .toArray();
    const detail = reasons.length === 0 ? null : reasons.join("; ");
    return {
      windowStart,
      windowEnd,
      subject,
      ...(customerId !== undefined && { customerId }),
      groupBy,
      usage,
      cost,
      detail,
    };
  }
}

function byCost(a: CostRow, b: CostRow): number {
  if (a.cost === null || b.cost === null) return Number(a.cost === null) - Number(b.cost === null) || byWindow(a, b);
  if (a.cost !== b.cost) return a.cost > b.cost ? -1 : 1;
  return byWindow(a, b);
}

const byWindow = (a: CostRow, b: CostRow): number => a.windowStart - b.windowStart;

function unitPrice(unitCost: UnitCost, row: MeterRow, at: number, book: DatedPriceBook): Result<Rate, string> {
  if (unitCost.type === "manual") return ok({ rate: decimal(unitCost.amount), per: ONE });
  const model = modelOf(unitCost, row);
  if (!model.ok) return model;
  const type = valueOf(unitCost, "tokenType", row);
  if (!type.ok) return type;
  if (!isTokenType(type.value)) return refuse(`${quoted(type.value)} is no type of token`);
  const name = `${quoted(model.value.model)} of ${quoted(model.value.provider)}`;
  const prices = book.unitPrices({ ...model.value, quantities: new Map(), at });
  if (prices === null) return refuse(`${book.name} ${book.version} does not list ${name}`);
  const price = prices.get(DIMENSIONS[type.value]);
  return price === undefined
    ? refuse(`${book.name} ${book.version} has no price of ${type.value} for ${name}`)
    : ok(price);
}

const DIMENSIONS: Record<TokenType, string> = {
  input: "inputTokens",
  request: "inputTokens",
  output: "outputTokens",
  response: "outputTokens",
  cache_read: "cacheReadTokens",
  cache_write: "cacheWriteTokens",
  reasoning: "reasoningTokens",
};

/** What one unit of each kind costs at a time, for those who look at a feature. null: a model that the list does not know. */
export function modelPrices(
  { provider, model }: { provider: string; model: string },
  at: number,
  book: DatedPriceBook,
): Partial<Record<TokenType, Quantity>> | null {
  const prices = book.unitPrices({ provider, model, quantities: new Map(), at });
  if (prices === null) return null;
  const listed: Partial<Record<TokenType, Quantity>> = {};
  for (const type of ["input", "output", "cache_read", "cache_write", "reasoning"] as const) {
    const price = prices.get(DIMENSIONS[type]);
    if (price !== undefined) listed[type] = mulDiv(ONE_QUANTITY, price.rate, price.per);
  }
  return listed;
}

interface Model {
  provider: string;
  model: string;
}

function modelOf(unitCost: LlmUnitCost, row: MeterRow): Result<Model, string> {
  const provider = valueOf(unitCost, "provider", row);
  if (!provider.ok) return provider;
  const model = valueOf(unitCost, "model", row);
  return model.ok ? ok({ provider: provider.value, model: model.value }) : model;
}

function valueOf(
  unitCost: LlmUnitCost,
  what: "provider" | "model" | "tokenType",
  { groupBy }: MeterRow,
): Result<string, string> {
  const given = unitCost[what];
  if (given !== undefined) return ok(given);
  const dimension = unitCost[`${what}Property`] ?? "";
  const value = groupBy[dimension];
  if (value === undefined || value === "") return refuse(`the events have no ${dimension}`);
  return ok(value);
}

/** Names come from strangers, and are cut. */
const NAME_CHARS_SHOWN_MAX = 100;
const quoted = (name: string): string =>
  JSON.stringify(name.length > NAME_CHARS_SHOWN_MAX ? `${name.slice(0, NAME_CHARS_SHOWN_MAX)}…` : name);
