/**
 * The price book "genai-prices": the price list published in @pydantic/genai-prices, in exact decimals.
 * Which model a name means is the package's own matching; prices, dates, hours and tiers are read from its data and never from its
 * float arithmetic. Prices are US dollars: a table in another currency reads one dollar as one of its units, times its markup.
 * All that is remembered is remembered per instance, in bounded maps.
 */
import { calcPrice, type ConditionalPrice, type ModelPrice, type TieredPrices } from "@pydantic/genai-prices";
import { ONE, parseDecimal, type Decimal } from "../../core/decimal";
import { DIMENSIONS } from "../../core/dimension";
import type { DatedPriceBook, PriceQuery, UnitPrice } from "../../core/price";

/** The pinned version of the package, recorded on every debit that it prices (a test compares it with package.json). */
export const GENAI_PRICES_VERSION = "0.1.8";

/** Matching a name costs 18 µs, so matches and misses are remembered. Names come from strangers: past this, all are forgotten. */
const REMEMBERED_NAMES_MAX = 4_096;
/** No model or provider has a longer name; a longer one is not listed. */
const NAME_CHARS_MAX = 256;
const DAY_MS = 86_400_000;

/** Names that OpenTelemetry and OpenMeter give to providers and that the package's own matching misses. */
const PROVIDER_IDS: ReadonlyMap<string, string> = new Map([
  ["x_ai", "x-ai"],
  ["az.ai.inference", "azure"],
  ["az.ai.openai", "azure"],
  ["azure.ai.inference", "azure"],
  ["azure_ai", "azure"],
]);

/** How a price's name in the package says its unit: `input_mtok` is the price of 10⁶ `inputTokens`. */
const UNITS: readonly (readonly [suffix: string, noun: string, per: Decimal])[] = [
  ["_mtok", "Tokens", 1_000_000n * ONE],
  ["_kcount", "", 1_000n * ONE],
  ["_hours", "Seconds", 3_600n * ONE],
  ["_mchars", "Characters", 1_000_000n * ONE],
  ["_gpixels", "Pixels", 1_000_000_000n * ONE],
  ["_kpages", "Pages", 1_000n * ONE],
];

/** Groq transcribes at least ten seconds, which the package has as code, not as data. */
const SECONDS_MIN: ReadonlyMap<string, Decimal> = new Map([
  ["groq:whisper-large-v3", 10n * ONE],
  ["groq:whisper-large-v3-turbo", 10n * ONE],
]);

type Prices = ReadonlyMap<string, UnitPrice>;

/** The prices of one model in one period of its history. */
interface Period {
  holds: (at: number) => boolean;
  /** When it may begin or cease to hold: on one day, and at these times of every day. */
  dates: readonly number[];
  timesOfDay: readonly number[];
  /** Ascending. A request is in the tier of the largest threshold that its inputTokens exceed, with all its units. */
  thresholds: readonly Decimal[];
  /** One more than thresholds: prices below the first, above the first, … */
  tiers: readonly Prices[];
}

interface ListedModel {
  periods: readonly Period[];
  secondsMin: Decimal | null;
}

export function genaiPrices(): DatedPriceBook {
  const models = new Map<string, ListedModel>();
  const names = new Map<string, ListedModel | null>();

  /** The listed model that a name means. Its periods are read once, however many names it has. */
  function find(provider: string | undefined, model: string): ListedModel | null {
    const providerId = provider === undefined ? undefined : (PROVIDER_IDS.get(provider.toLowerCase()) ?? provider);
    const match = calcPrice({}, model, providerId === undefined ? {} : { providerId });
    if (!match) return null;
    const id = `${match.provider.id}:${match.model.id}`;
    let listed = models.get(id);
    if (!listed) {
      const history = Array.isArray(match.model.prices) ? match.model.prices : [{ prices: match.model.prices }];
      listed = { periods: history.map(readPeriod), secondsMin: SECONDS_MIN.get(id) ?? null };
      models.set(id, listed);
    }
    return listed;
  }

  function recall(provider: string | undefined, model: string): ListedModel | null {
    if (model.length > NAME_CHARS_MAX || (provider?.length ?? 0) > NAME_CHARS_MAX) return null;
    const name = `${provider?.length ?? "-"}:${provider ?? ""}:${model}`;
    const known = names.get(name);
    if (known !== undefined) return known;
    if (names.size >= REMEMBERED_NAMES_MAX) names.clear();
    const found = find(provider, model);
    names.set(name, found);
    return found;
  }

  return {
    name: "genai-prices",
    version: GENAI_PRICES_VERSION,
    unitPrices({ provider, model, quantities, at }) {
      const listed = recall(provider, model);
      if (!listed) return null;
      const period = periodAt(listed, at);
      if (!period) return null;
      const prices = period.tiers[tierOf(period, quantities)] ?? null;
      return prices && listed.secondsMin !== null ? withSecondsMin(prices, listed.secondsMin, quantities) : prices;
    },
    changes({ provider, model, from, to }) {
      const listed = recall(provider, model);
      if (!listed) return [];
      const edges = listed.periods.flatMap(({ dates, timesOfDay }) => [...dates, ...daily(timesOfDay, from, to)]);
      return [...new Set(edges)]
        .filter((at) => at > from && at < to && periodAt(listed, at) !== periodAt(listed, at - 1))
        .toSorted((a, b) => a - b);
    },
  };
}

/** The latest entry whose condition holds; the first is what held before all others. */
const periodAt = ({ periods }: ListedModel, at: number): Period | undefined =>
  periods.findLast(({ holds }) => holds(at)) ?? periods[0];

/** These times on every UTC day that [from, to) touches. */
function daily(timesOfDay: readonly number[], from: number, to: number): number[] {
  if (timesOfDay.length === 0) return [];
  const times: number[] = [];
  for (let day = Math.floor(from / DAY_MS) * DAY_MS; day < to; day += DAY_MS)
    for (const time of timesOfDay) times.push(day + time);
  return times;
}

function tierOf({ thresholds }: Period, quantities: PriceQuery["quantities"]): number {
  if (thresholds.length === 0) return 0;
  const size = quantities.get("inputTokens") ?? 0n;
  return thresholds.findLastIndex((threshold) => size > threshold) + 1;
}

function readPeriod({ constraint, prices }: ConditionalPrice): Period {
  const starts = [...new Set(Object.values(prices).flatMap(tierStarts))].sort((a, b) => a - b);
  const tiers = [null, ...starts].map((start) => readPrices(prices, start));
  return {
    holds: readConstraint(constraint),
    ...edgesOf(constraint),
    thresholds: starts.map((start) => BigInt(start) * ONE),
    tiers,
  };
}

const isTiered = (price: number | TieredPrices | undefined): price is TieredPrices => typeof price === "object";
const tierStarts = (price: number | TieredPrices | undefined): number[] =>
  isTiered(price) ? price.tiers.map(({ start }) => start) : [];

/** Prices past a threshold (null: below all), by standard dimension. Names that are no standard dimension are not ours to price. */
function readPrices(prices: ModelPrice, past: number | null): Prices {
  const read = new Map<string, UnitPrice>();
  for (const [key, price] of Object.entries(prices)) {
    const unit = unitOf(key);
    if (!unit || price === undefined) continue;
    read.set(unit.dimension, exactPrice(isTiered(price) ? tierPrice(price, past) : price, unit.per));
  }
  return read;
}

function tierPrice({ base, tiers }: TieredPrices, past: number | null): number {
  const reached = tiers.filter(({ start }) => past !== null && start <= past);
  return reached.toSorted((a, b) => a.start - b.start).at(-1)?.price ?? base;
}

/** The dimension and unit of a price's name, or null when it names no standard dimension. */
export function unitOf(priceKey: string): { dimension: string; per: Decimal } | null {
  for (const [suffix, noun, per] of UNITS) {
    if (!priceKey.endsWith(suffix)) continue;
    const stem = priceKey.slice(0, -suffix.length).replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const dimension = stem + noun === "outputReasoningTokens" ? "reasoningTokens" : stem + noun;
    return DIMENSIONS.has(dimension) ? { dimension, per } : null;
  }
  return null;
}

/** A float's shortest decimal text is what its author wrote; when that has more than 12 places, rate and per are scaled alike. */
export function exactPrice(price: number, per: Decimal): UnitPrice {
  const [digits = "", exponent = "0"] = String(price).split("e");
  for (let places = 0; places <= 24; places++) {
    const rate = parseDecimal(`${digits}e${Number(exponent) + places}`);
    if (rate.ok) return { rate: rate.value, per: per * 10n ** BigInt(places) };
  }
  throw new Error(`a published price is not a decimal: ${price}`);
}

/** Always, from a date, or within hours of the UTC day (which may pass midnight). */
export function readConstraint(constraint: ConditionalPrice["constraint"]): (at: number) => boolean {
  if (constraint === undefined) return () => true;
  switch (constraint.type) {
    case "start_date": {
      const start = Date.parse(constraint.start_date);
      return (at) => at >= start;
    }
    case "time_of_date": {
      const start = timeOfDayMs(constraint.start_time);
      const end = timeOfDayMs(constraint.end_time);
      return (at) => {
        const time = ((at % DAY_MS) + DAY_MS) % DAY_MS;
        return end < start ? time >= start || time < end : time >= start && time < end;
      };
    }
  }
}

function edgesOf(constraint: ConditionalPrice["constraint"]): Pick<Period, "dates" | "timesOfDay"> {
  if (constraint === undefined) return { dates: [], timesOfDay: [] };
  switch (constraint.type) {
    case "start_date":
      return { dates: [Date.parse(constraint.start_date)], timesOfDay: [] };
    case "time_of_date":
      return { dates: [], timesOfDay: [timeOfDayMs(constraint.start_time), timeOfDayMs(constraint.end_time)] };
  }
}

/** "16:30:00Z" as ms of the UTC day. */
const timeOfDayMs = (text: string): number => ((Date.parse(`1970-01-01T${text}`) % DAY_MS) + DAY_MS) % DAY_MS;

/** Seconds are charged once: as `audioSeconds` when the usage has them, else as `inputAudioSeconds`. Both have one price. */
function withSecondsMin(prices: Prices, minimum: Decimal, quantities: PriceQuery["quantities"]): Prices {
  const dimension = (quantities.get("audioSeconds") ?? 0n) > 0n ? "audioSeconds" : "inputAudioSeconds";
  const price = prices.get(dimension);
  return new Map(price ? [[dimension, { ...price, minimum }]] : []);
}
