/**
 * The standard dimensions of usage, and how they lie within each other: `cacheReadTokens` are among `inputTokens`,
 * `reasoningTokens` among `outputTokens`. A dimension counts everything within it, as providers and OpenTelemetry count.
 * `ownParts` splits usage so that each unit is charged once at its most specific published price. Names that are not standard
 * may be metered and priced by rules; they lie within nothing, and no price book knows them. No prices here.
 */
import type { Decimal } from "./decimal";
import { ok, refuse, type Result } from "./result";

/** What a dimension counts is said in words ("tokens input audio cacheRead"); two words of one group exclude each other. */
const WORDS = [
  [
    "tokens",
    "requests",
    "seconds",
    "characters",
    "pixels",
    "messages",
    "pages",
    "webSearches",
    "socialSearches",
    "storageSearches",
    "codeExecutions",
    "rerankSearches",
  ],
  ["input", "output"],
  ["text", "audio", "image", "video"],
  ["cacheRead", "cacheWrite", "tool", "reasoning", "citation", "annotated"],
  ["5m", "1h"],
];

export interface Dimension {
  name: string;
  /** The standard dimensions it lies within: those that have fewer of its words. */
  within: ReadonlySet<string>;
  /** How many words. More words, more specific. */
  depth: number;
  /** Its words as bits, and the words that they exclude. */
  words: number;
  excludes: number;
}

const tokenDimensions = ["", "Text", "Audio", "Image", "Video"].flatMap((modality): [name: string, words: string][] => {
  const also = modality.toLowerCase();
  return [
    [`input${modality}Tokens`, `tokens input ${also}`],
    [`input${modality}ToolTokens`, `tokens input tool ${also}`],
    [`cache${modality}ReadTokens`, `tokens input cacheRead ${also}`],
    [`cache${modality}WriteTokens`, `tokens input cacheWrite ${also}`],
    [`cache${modality}Write5mTokens`, `tokens input cacheWrite 5m ${also}`],
    [`cache${modality}Write1hTokens`, `tokens input cacheWrite 1h ${also}`],
    [`output${modality}Tokens`, `tokens output ${also}`],
    [modality === "" ? "reasoningTokens" : `output${modality}ReasoningTokens`, `tokens output reasoning ${also}`],
    [`output${modality}CitationTokens`, `tokens output citation ${also}`],
  ];
});

const otherDimensions: [name: string, words: string][] = [
  ["requests", "requests"],
  ["audioSeconds", "seconds audio"],
  ["inputAudioSeconds", "seconds audio input"],
  ["outputAudioSeconds", "seconds audio output"],
  ["inputCharacters", "characters input"],
  ["inputPixels", "pixels input"],
  ["inputTextMessages", "messages input text"],
  ["inputDocumentPages", "pages input"],
  ["inputAnnotatedDocumentPages", "pages input annotated"],
  ["webSearches", "webSearches"],
  ["socialSearches", "socialSearches"],
  ["storageSearches", "storageSearches"],
  ["codeExecutions", "codeExecutions"],
  ["rerankSearches", "rerankSearches"],
];

const bitOf = new Map(WORDS.flat().map((word, index) => [word, 1 << index]));
const bitsOf = (words: string[]): number => words.reduce((bits, word) => bits | (bitOf.get(word) ?? 0), 0);

/** Every standard dimension by name. */
export const DIMENSIONS: ReadonlyMap<string, Dimension> = (() => {
  const all = [...tokenDimensions, ...otherDimensions].map(([name, text]) => {
    const own = text.trim().split(" ");
    const excluded = WORDS.filter((group) => group.some((word) => own.includes(word)))
      .flat()
      .filter((word) => !own.includes(word));
    return { name, depth: own.length, words: bitsOf(own), excludes: bitsOf(excluded) };
  });
  return new Map(
    all.map((dimension) => {
      const wider = all.filter(({ words }) => words !== dimension.words && (words & dimension.words) === words);
      return [dimension.name, { ...dimension, within: new Set(wider.map(({ name }) => name)) }];
    }),
  );
})();

const NAME_BY_WORDS: ReadonlyMap<number, string> = new Map(DIMENSIONS.values().map(({ words, name }) => [words, name]));

/** The dimension of what two dimensions may share, null when they share nothing or one lies within the other. */
function overlap(a: Dimension, b: Dimension): string | null {
  if ((a.words & b.excludes) !== 0 || a.within.has(b.name) || b.within.has(a.name)) return null;
  return NAME_BY_WORDS.get(a.words | b.words) ?? null;
}

export interface Part {
  dimension: string;
  quantity: Decimal;
}

/**
 * What a price list charges of this usage: for each priced dimension, the units in no more specific dimension with a price
 * of its own, and in none that a rule has charged already. The parts of `{inputTokens: 1000, cacheReadTokens: 200}` are 800 and
 * 200 when both have a price, and 1000 when only inputTokens has.
 * Refused, with what to change, rather than guessed: a dimension without any price, one that is reported without (or larger
 * than) what it lies within, and two that may share units when the shared number is not reported.
 *
 * @param priced the dimensions that the list prices
 * @param ruled the dimensions that rules price, as given
 */
export function ownParts(
  quantities: ReadonlyMap<string, Decimal>,
  priced: { has(dimension: string): boolean },
  ruled: { has(dimension: string): boolean },
): Result<Part[], string> {
  const counted: Dimension[] = [];
  for (const [name, quantity] of quantities) {
    if (quantity === 0n) continue;
    const dimension = DIMENSIONS.get(name);
    let isCharged = priced.has(name) || ruled.has(name);
    let isCounted = isCharged;
    for (const whole of dimension?.within ?? []) {
      const isRuled = ruled.has(whole);
      if (!isRuled && !priced.has(whole)) continue;
      const total = quantities.get(whole);
      if (total === undefined) return refuse(`${name} is counted within ${whole}, which is missing`);
      if (total < quantity) return refuse(`${name} is counted within ${whole} and cannot exceed it`);
      isCharged = true;
      isCounted ||= isRuled;
    }
    if (!isCharged) return refuse(`no published price for ${name}`);
    if (dimension && isCounted) counted.push(dimension);
  }
  const charged = counted.filter(
    ({ name, within }) => priced.has(name) && !ruled.has(name) && !within.values().some((whole) => ruled.has(whole)),
  );
  for (const [index, a] of counted.entries()) {
    for (let next = index + 1; next < counted.length; next++) {
      const b = counted[next]!;
      const shared = overlap(a, b);
      if (shared === null || quantities.has(shared)) continue;
      const matters = charged.some(
        ({ name }) => name === a.name || name === b.name || (a.within.has(name) && b.within.has(name)),
      );
      if (matters) return refuse(`${shared} is missing: ${a.name} and ${b.name} may share units`);
    }
  }
  const own = new Map<string, Decimal>();
  const innermostFirst = counted.toSorted((a, b) => b.depth - a.depth);
  for (const dimension of innermostFirst) {
    let quantity = quantities.get(dimension.name) ?? 0n;
    for (const inner of innermostFirst) {
      if (inner.within.has(dimension.name)) quantity -= own.get(inner.name) ?? 0n;
    }
    if (quantity < 0n && charged.includes(dimension))
      return refuse(`the dimensions within ${dimension.name} add up to more than it`);
    own.set(dimension.name, quantity);
  }
  return ok(
    charged
      .map(({ name }) => ({ dimension: name, quantity: own.get(name) ?? 0n }))
      .filter((part) => part.quantity > 0n),
  );
}
