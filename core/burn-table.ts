/**
 * Burn tables: versioned, effective-dated price lists that turn usage into credits.
 * A rule prices one dimension; the most specific rule wins. Pure data and lookups; arithmetic is in price.ts, reading a table
 * from a request body in burn-table-body.ts, reading usage from an event in usage.ts.
 */
import { decimal, formatDecimal, type Decimal, type Stored } from "./decimal";
import { parsePath, type JsonPath } from "./json-path";
import { assert } from "./result";

export interface BurnRule {
  feature?: string;
  provider?: string;
  /** Exact, or a prefix ending in `*`. */
  model?: string;
  dimension: string;
  /** Credits per `per` units of the dimension. */
  rate: Decimal;
  per: Decimal;
  /** The quantity is rounded up to a multiple of this first. */
  roundUpTo?: Decimal;
}

/** Reads an event of another shape as usage: JSONPaths into its `data`. */
export interface UsageMapping {
  eventType: string;
  /** JSONPath → the value it must have. */
  where?: { [jsonPath: string]: string | number | boolean | null };
  /** JSONPath when it starts with `$`, else the literal; so are provider and model. */
  feature: string;
  provider?: string;
  model?: string;
  /** dimension → JSONPath. */
  usage: { [dimension: string]: string };
}

export interface BurnTable {
  key: string;
  version: number;
  currency: string;
  /** Epoch ms. The version in force at t is the one with the latest effectiveFrom ≤ t (ties: the higher version). */
  effectiveFrom: number;
  rules: BurnRule[];
  mappings: UsageMapping[];
  /** Multiplies price-book rates only. */
  markup: Decimal;
  priceBook: "genai-prices" | null;
}

/** What is priced: usage of a feature, by dimension, optionally of a provider's model. */
export interface Usage {
  feature: string;
  provider?: string;
  model?: string;
  /** dimension → quantity ≥ 0. A Map, because dimension names are chosen by strangers (`__proto__`). */
  quantities: ReadonlyMap<string, Decimal>;
  /** Set when an event says that it carries usage but its quantities cannot be used (negative, too many places): why. Never priced. */
  unreadable?: string;
}

/** From when on a table is the namespace's default. */
export interface DefaultTable {
  key: string;
  /** Epoch ms. */
  from: number;
}

/** The key of the default table at a time, of a list that ascends. Dated like versions, so that late events find their own. */
export const defaultTableAt = (defaults: readonly DefaultTable[], at: number): string | null =>
  defaults.findLast(({ from }) => from <= at)?.key ?? null;

/** The version in force at a time: the latest effectiveFrom that is not after it, of equals the higher version. */
export function tableInForce<T extends { readonly table: BurnTable }>(versions: readonly T[], at: number): T | null {
  let inForce: T | null = null;
  for (const version of versions) {
    const { effectiveFrom, version: number } = version.table;
    if (effectiveFrom > at) continue;
    const isLater =
      inForce === null ||
      effectiveFrom > inForce.table.effectiveFrom ||
      (effectiveFrom === inForce.table.effectiveFrom && number > inForce.table.version);
    if (isLater) inForce = version;
  }
  return inForce;
}

const isPrefix = (model: string): boolean => model.endsWith("*");

function matches(rule: BurnRule, usage: Usage): boolean {
  if (rule.feature !== undefined && rule.feature !== usage.feature) return false;
  if (rule.provider !== undefined && rule.provider !== usage.provider) return false;
  if (rule.model === undefined) return true;
  if (usage.model === undefined) return false;
  return isPrefix(rule.model) ? usage.model.startsWith(rule.model.slice(0, -1)) : usage.model === rule.model;
}

/** An exact model, then the longer prefix (`*` alone is the shortest), then no model. */
const modelRank = (rule: BurnRule): number =>
  rule.model === undefined ? -1 : isPrefix(rule.model) ? rule.model.length - 1 : Number.MAX_SAFE_INTEGER;

/**
 * The order of specificity, most specific first: by model (exact, longer prefix, shorter prefix, none), then with a provider before
 * without, then with a feature before without. Of the rules that match one usage, no two are equal in it unless their selectors
 * are the same, and such a table is refused when it is made; were there one, its later rule would win.
 */
const bySpecificity = (a: BurnRule, b: BurnRule): number =>
  modelRank(b) - modelRank(a) ||
  Number(b.provider !== undefined) - Number(a.provider !== undefined) ||
  Number(b.feature !== undefined) - Number(a.feature !== undefined);

/** Rules and selections remembered per compiled table, and the longest selection: 5 MB at worst, for names come from strangers. */
const REMEMBERED_MAX = 5_000;
const REMEMBERED_CHARS_MAX = 512;

/** The rule that prices each dimension of a given feature, provider and model. */
export type RulesByDimension = ReadonlyMap<string, BurnRule>;

export interface CompiledMapping {
  eventType: string;
  where: [path: JsonPath, value: string | number | boolean | null][];
  feature: string | JsonPath;
  provider?: string | JsonPath;
  model?: string | JsonPath;
  usage: [dimension: string, path: JsonPath][];
}

/** A table version ready for rating: rules in order of specificity, JSONPaths compiled, lookups remembered inside. */
export class CompiledTable {
  readonly mappings: readonly CompiledMapping[];
  readonly #rules: readonly BurnRule[];
  /** model → provider → feature → the rules for them. */
  #remembered = new Map<string | undefined, Map<string | undefined, Map<string, RulesByDimension>>>();
  #rememberedCount = 0;

  constructor(readonly table: BurnTable) {
    this.#rules = table.rules.toReversed().sort(bySpecificity);
    this.mappings = table.mappings.map(compileMapping);
  }

  /** The rules that price usage of this feature, provider and model: for each dimension the most specific one that matches. */
  rulesFor(usage: Usage): RulesByDimension {
    const known = this.#remembered.get(usage.model)?.get(usage.provider)?.get(usage.feature);
    if (known) return known;
    const rules = new Map<string, BurnRule>();
    for (const rule of this.#rules) {
      if (!rules.has(rule.dimension) && matches(rule, usage)) rules.set(rule.dimension, rule);
    }
    this.#remember(usage, rules);
    return rules;
  }

  #remember({ model, provider, feature }: Usage, rules: RulesByDimension): void {
    if (feature.length + (provider?.length ?? 0) + (model?.length ?? 0) > REMEMBERED_CHARS_MAX) return;
    this.#rememberedCount += rules.size + 1;
    if (this.#rememberedCount > REMEMBERED_MAX) {
      this.#remembered = new Map();
      this.#rememberedCount = rules.size + 1;
    }
    let byProvider = this.#remembered.get(model);
    if (!byProvider) this.#remembered.set(model, (byProvider = new Map()));
    let byFeature = byProvider.get(provider);
    if (!byFeature) byProvider.set(provider, (byFeature = new Map()));
    byFeature.set(feature, rules);
  }
}

export const compileTable = (table: BurnTable): CompiledTable => new CompiledTable(table);

function compileMapping(mapping: UsageMapping): CompiledMapping {
  return {
    eventType: mapping.eventType,
    where: Object.entries(mapping.where ?? {}).map(([path, value]) => [compilePath(path), value]),
    feature: literalOrPath(mapping.feature),
    ...(mapping.provider !== undefined && { provider: literalOrPath(mapping.provider) }),
    ...(mapping.model !== undefined && { model: literalOrPath(mapping.model) }),
    usage: Object.entries(mapping.usage).map(([dimension, path]) => [dimension, compilePath(path)]),
  };
}

const literalOrPath = (text: string): string | JsonPath => (text.startsWith("$") ? compilePath(text) : text);

function compilePath(text: string): JsonPath {
  const path = parsePath(text);
  assert(path.ok, "a stored burn table has only paths that were accepted");
  return path.value;
}

/** The table as JSON carries it. */
export function storeBurnTable(table: BurnTable): Stored<BurnTable> {
  return {
    ...table,
    markup: formatDecimal(table.markup),
    rules: table.rules.map(({ rate, per, roundUpTo, ...selector }) => ({
      ...selector,
      rate: formatDecimal(rate),
      per: formatDecimal(per),
      ...(roundUpTo !== undefined && { roundUpTo: formatDecimal(roundUpTo) }),
    })),
  };
}

/** The table that `storeBurnTable` stored. Throws on anything else. */
export function loadBurnTable(stored: Stored<BurnTable>): BurnTable {
  return {
    ...stored,
    markup: decimal(stored.markup),
    rules: stored.rules.map(({ rate, per, roundUpTo, ...selector }) => ({
      ...selector,
      rate: decimal(rate),
      per: decimal(per),
      ...(roundUpTo !== undefined && { roundUpTo: decimal(roundUpTo) }),
    })),
  };
}
