/**
 * What every price book must keep, checked on queries that its test supplies. Answers a sentence per broken promise, none when
 * all are kept, so that it needs no test framework.
 */
import { DIMENSIONS } from "../../core/dimension";
import type { DatedPriceBook, PriceQuery, UnitPrice } from "../../core/price";

/** Names that no list knows: empty, huge, and those that a careless dictionary finds on every object. */
const STRANGERS = [
  "",
  " ",
  "__proto__",
  "constructor",
  "toString",
  "no-such-model",
  "x".repeat(100_000),
  "(a+)+$",
  "\u0000",
  "*",
];
/** Long enough for what changes by the hour, and by the season. */
const PERIOD_MS = 3 * 86_400_000;
/** More names than any adapter remembers. */
const NAMES = 10_000;

export function brokenPromises(book: DatedPriceBook, known: readonly PriceQuery[]): string[] {
  const broken: string[] = [];
  const promise = (kept: boolean, text: string): void => void (kept || broken.push(text));

  promise(book.name !== "" && book.version !== "", "a price book has a name and a version");
  promise(known.length > 0, "the suite is given queries");
  const first = known.map((query) => book.unitPrices(query));
  for (const [index, query] of known.entries()) {
    const what = `${query.provider ?? "any provider"} ${query.model}`;
    const prices = first[index];
    promise(prices !== null && prices !== undefined, `${what}: a listed model has prices`);
    if (prices) promisePrices(what, prices, promise);
    const before = [...query.quantities];
    book.unitPrices(query);
    promise(isSame(before, [...query.quantities]), `${what}: quantities are only read`);
    promiseChanges(book, query, what, promise);
  }
  for (const name of STRANGERS) {
    const quantities = new Map([["inputTokens", 1n]]);
    promise(
      book.unitPrices({ model: name, quantities, at: 0 }) === null,
      `a model ${JSON.stringify(name.slice(0, 20))} is not listed`,
    );
    const [query] = known;
    if (query && name.trim() !== "") {
      promise(
        book.unitPrices({ ...query, provider: name }) === null,
        `a provider ${JSON.stringify(name.slice(0, 20))} is not listed`,
      );
    }
  }
  for (let n = 0; n < NAMES; n++) book.unitPrices({ model: `stranger-${n}`, quantities: new Map(), at: 0 });
  const again = known.map((query) => book.unitPrices(query));
  promise(
    isSame(first.map(entries), again.map(entries)),
    "the same query has the same answer, whatever was asked in between",
  );
  return broken;
}

function promiseChanges(
  book: DatedPriceBook,
  { at, ...query }: PriceQuery,
  what: string,
  promise: (kept: boolean, text: string) => void,
): void {
  const [from, to] = [at - PERIOD_MS, at + PERIOD_MS];
  const changes = book.changes({ ...query, from, to });
  promise(
    changes.every((change, place) => change > (changes[place - 1] ?? from) && change < to),
    `${what}: changes are ascending, each once, and within the period`,
  );
  const prices = (time: number) => book.unitPrices({ ...query, at: time });
  for (const [place, start] of [from, ...changes].entries()) {
    const end = changes[place] ?? to;
    for (const time of [Math.floor((start + end) / 2), end - 1]) {
      promise(
        isSame(entries(prices(start)), entries(prices(time))),
        `${what}: prices stay as they are between two changes`,
      );
    }
  }
}

function promisePrices(
  what: string,
  prices: ReadonlyMap<string, UnitPrice>,
  promise: (kept: boolean, text: string) => void,
): void {
  for (const [name, { rate, per, minimum }] of prices) {
    const dimension = DIMENSIONS.get(name);
    promise(dimension !== undefined, `${what}: ${name} is a standard dimension`);
    promise(
      rate >= 0n && per > 0n && (minimum ?? 1n) > 0n,
      `${what}: ${name} has a rate of at least 0, and per and minimum above 0`,
    );
  }
  // Own parts are found by taking the inner from the outer, so whatever could hold a shared unit must have a price too.
  const dimensions = [...prices.keys()].flatMap((name) => DIMENSIONS.get(name) ?? []);
  for (const a of dimensions) {
    for (const b of dimensions) {
      if (a === b || (a.words & b.excludes) !== 0 || a.within.has(b.name) || b.within.has(a.name)) continue;
      const shared = DIMENSIONS.values().find(({ words }) => words === (a.words | b.words));
      promise(
        shared !== undefined && prices.has(shared.name),
        `${what}: what ${a.name} and ${b.name} share has a price`,
      );
    }
  }
}

const entries = (prices: ReadonlyMap<string, UnitPrice> | null): unknown => prices && [...prices];
const isSame = (a: unknown, b: unknown): boolean => text(a) === text(b);
const text = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? String(inner) : inner));
