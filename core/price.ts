/**
 * Rates usage: one function under quote, check, track and every debit, so they cannot disagree.
 * amount = quantity × rate ÷ per, an exact rational rounded half-even to 10⁻¹² once per line; the cost is the sum of its lines.
 * Every dimension with a quantity is priced, or nothing is: by the most specific rule, as given, else by the price book, which
 * splits the standard dimensions so that no unit is charged twice (dimension.ts). A quantity of zero costs nothing and makes no line.
 */
import { tableInForce, type BurnRule, type CompiledTable, type Usage } from "./burn-table";
import { ceilTo, DECIMAL_MAX, maxDecimal, mulDiv, ONE, type Decimal } from "./decimal";
import { ownParts } from "./dimension";
import { ok, refuse, type Result } from "./result";

export interface CostLine {
  dimension: string;
  /** What is charged: rounded up by the rule, or the part with no price of its own. `amount` is quantity × rate ÷ per, rounded. */
  quantity: Decimal;
  rate: Decimal;
  per: Decimal;
  amount: Decimal;
}

export interface Cost {
  amount: Decimal;
  currency: string;
  lines: CostLine[];
  burnTable: { key: string; version: number };
  /** The published price list used, with its version, when any line came from it. */
  priceBook?: { name: string; version: string };
}

/** How every refusal to price begins. */
export const UNPRICED = "unpriced usage: ";

/** `detail` begins with UNPRICED and says which dimension of which model or feature has no price, or why. */
export type Unpriced = { reason: "unpriced"; detail: string };

export interface UnitPrice {
  rate: Decimal;
  per: Decimal;
  /** A quantity above zero is charged as at least this. */
  minimum?: Decimal;
}

/** The port to published price lists: exact unit prices, no arithmetic. See providers/price-book. */
export interface PriceBook {
  name: string;
  version: string;
  /**
   * The prices of a model at a time, by standard dimension (core/dimension.ts), of the tier that these quantities are in.
   * Null when the list does not know the model. A price per request is one of the dimension `requests`. What lies within a
   * priced dimension has the price of the whole unless it has its own.
   */
  unitPrices(query: PriceQuery): ReadonlyMap<string, UnitPrice> | null;
}

/** A list whose prices have dates, for whoever prices a whole period at once. */
export interface DatedPriceBook extends PriceBook {
  /** The times in (from, to) at which prices of this model may change, ascending: between two of them they stay as they are. */
  changes(query: PeriodQuery): readonly number[];
}

export interface PeriodQuery {
  provider?: string;
  model: string;
  /** Epoch ms. */
  from: number;
  to: number;
}

export interface PriceQuery {
  provider?: string;
  model: string;
  quantities: ReadonlyMap<string, Decimal>;
  /** Epoch ms. */
  at: number;
}

/** `versions` are all versions of one table (the customer's), compiled; the one in force at `at`, event time, prices the usage. */
export function rate(
  versions: readonly CompiledTable[],
  usage: Usage,
  at: number,
  priceBook: PriceBook,
): Result<Cost, Unpriced> {
  if (usage.unreadable !== undefined) return unpriced(usage.unreadable);
  const compiled = tableInForce(versions, at);
  if (!compiled) return unpriced(noTable(versions, at));
  const { table } = compiled;
  const rules = compiled.rulesFor(usage);
  const cost: Cost = {
    amount: 0n,
    currency: table.currency,
    lines: [],
    burnTable: { key: table.key, version: table.version },
  };
  let unruled: string | null = null;
  for (const [dimension, quantity] of usage.quantities) {
    if (quantity === 0n) continue;
    const rule = rules.get(dimension);
    if (rule) addLine(cost, dimension, chargedBy(rule, quantity), rule.rate, rule.per);
    else unruled ??= dimension;
  }
  if (unruled !== null) {
    const detail = addPublished(cost, compiled, usage, unruled, at, priceBook);
    if (detail !== null) return unpriced(detail);
  }
  return cost.amount > DECIMAL_MAX ? unpriced("the cost is out of range") : ok(cost);
}

const unpriced = (detail: string): { ok: false; refusal: Unpriced } =>
  refuse({ reason: "unpriced", detail: UNPRICED + detail });

const chargedBy = (rule: BurnRule, quantity: Decimal): Decimal =>
  rule.roundUpTo === undefined ? quantity : ceilTo(quantity, rule.roundUpTo);

function addLine(cost: Cost, dimension: string, quantity: Decimal, rate: Decimal, per: Decimal): void {
  const amount = mulDiv(quantity, rate, per);
  cost.lines.push({ dimension, quantity, rate, per, amount });
  cost.amount += amount;
}

/** Adds what the price book charges for the dimensions that no rule prices; answers why it cannot. */
function addPublished(
  cost: Cost,
  compiled: CompiledTable,
  usage: Usage,
  unruled: string,
  at: number,
  priceBook: PriceBook,
): string | null {
  const { table } = compiled;
  const { model, provider, quantities } = usage;
  if (table.priceBook === null) return `no rule prices ${unruled} of ${subject(usage)}`;
  if (model === undefined)
    return `no rule prices ${unruled} of ${subject(usage)}, and without a model there is no published price`;
  if (table.priceBook !== priceBook.name) return `the price book ${table.priceBook} is not available`;
  const prices = priceBook.unitPrices({ ...(provider !== undefined && { provider }), model, quantities, at });
  if (!prices)
    return `no rule prices ${unruled} of ${subject(usage)}, and ${priceBook.name} ${priceBook.version} does not list it`;
  const ruled = new Set(cost.lines.map((line) => line.dimension));
  const parts = ownParts(quantities, prices, ruled);
  if (!parts.ok) return `${parts.refusal} (${subject(usage)}, ${priceBook.name} ${priceBook.version})`;
  for (const { dimension, quantity } of parts.value) addPublishedLine(cost, dimension, quantity, prices, table.markup);
  // A price per request is due once for a call that does not say how many requests it was.
  if (!quantities.has("requests")) addPublishedLine(cost, "requests", ONE, prices, table.markup);
  if (cost.lines.length > ruled.size) cost.priceBook = { name: priceBook.name, version: priceBook.version };
  return null;
}

function addPublishedLine(
  cost: Cost,
  dimension: string,
  quantity: Decimal,
  prices: ReadonlyMap<string, UnitPrice>,
  markup: Decimal,
): void {
  const price = prices.get(dimension);
  if (!price) return;
  const { rate, per } = markedUp(price, markup);
  addLine(cost, dimension, price.minimum === undefined ? quantity : maxDecimal(quantity, price.minimum), rate, per);
}

/** rate × markup, exactly: where the product needs more than 12 places, both it and `per` are scaled until it does not. */
function markedUp(price: UnitPrice, markup: Decimal): { rate: Decimal; per: Decimal } {
  if (markup === ONE) return price;
  const product = price.rate * markup;
  let scale = 1n;
  while ((product * scale) % ONE !== 0n) scale *= 10n;
  return { rate: (product * scale) / ONE, per: price.per * scale };
}

/** Names shown in a detail are cut: they come from strangers. */
const NAME_CHARS_SHOWN_MAX = 100;
const shown = (name: string): string =>
  JSON.stringify(name.length > NAME_CHARS_SHOWN_MAX ? `${name.slice(0, NAME_CHARS_SHOWN_MAX)}…` : name);

function subject({ feature, provider, model }: Usage): string {
  const of = provider === undefined ? "" : ` of ${shown(provider)}`;
  return model === undefined ? `feature ${shown(feature)}` : `model ${shown(model)}${of}`;
}

function noTable(versions: readonly CompiledTable[], at: number): string {
  const [first] = versions;
  return first
    ? `burn table ${first.table.key} has no version in force at ${new Date(at).toISOString()}`
    : "there is no burn table";
}
