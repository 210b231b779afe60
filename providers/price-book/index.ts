/**
 * The published price lists that a burn table may name. Another list is one file here that passes suite.ts, and one line below.
 * The instance is shared by the isolate: all it remembers is which constant of the package a model's name means.
 */
import type { DatedPriceBook } from "../../core/price";
import { genaiPrices } from "./genai-prices";

export const priceBook: DatedPriceBook = genaiPrices();
