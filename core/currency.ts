/** Which currency codes are money: ISO 4217. Of a wallet's own units, which may be called anything, nothing is known here. */
import * as published from "dinero.js/currencies";

const FIAT = new Set(Object.keys(published));

export const isFiat = (code: string): boolean => FIAT.has(code);

export interface Currency {
  code: string;
  /** In English, as CLDR has it. */
  name: string;
  symbol: string;
  /** Digits after the point of an amount. */
  subunits: number;
}

/** Those whose unit is divided into five are written with two digits; all others are powers of ten. */
const DIGITS_OF_FIFTHS = 2;

/** By code. Made when first asked for, which costs some milliseconds, and kept: they change with a deployment only. */
export const currencies = listed();

function listed(): () => readonly Currency[] {
  let list: readonly Currency[] | null = null;
  return () => (list ??= readCurrencies());
}

function readCurrencies(): Currency[] {
  const names = new Intl.DisplayNames("en", { type: "currency" });
  return Object.values(published)
    .map(({ code, base, exponent }) => ({
      code,
      name: names.of(code) ?? code,
      symbol: symbolOf(code),
      subunits: base === 10 ? exponent : DIGITS_OF_FIFTHS,
    }))
    .toSorted((a, b) => (a.code < b.code ? -1 : 1));
}

function symbolOf(code: string): string {
  const parts = new Intl.NumberFormat("en", {
    style: "currency",
    currency: code,
    currencyDisplay: "narrowSymbol",
  }).formatToParts(0);
  return parts.find(({ type }) => type === "currency")?.value ?? code;
}
