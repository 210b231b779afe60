/** The currencies of ISO 4217, as they are shown. */
import { describe, expect, it } from "vitest";
import { currencies, isFiat } from "./currency";

describe("the currencies", () => {
  it("are those of ISO 4217 that are money today, each once and by code", () => {
    const codes = currencies().map(({ code }) => code);
    expect(codes).toEqual([...new Set(codes)].toSorted());
    expect(codes.length).toBeGreaterThan(150);
    expect(codes.every((code) => /^[A-Z]{3}$/.test(code) && isFiat(code))).toBe(true);
    for (const none of ["BTC", "XAU", "XXX", "DEM", "CREDITS", "usd"])
      expect([none, isFiat(none)]).toEqual([none, false]);
  });

  it.each([
    ["USD", "US Dollar", "$", 2],
    ["EUR", "Euro", "€", 2],
    ["JPY", "Japanese Yen", "¥", 0],
    ["KWD", "Kuwaiti Dinar", "KWD", 3],
    ["CLF", "Chilean Unit of Account (UF)", "CLF", 4],
    ["MGA", "Malagasy Ariary", "Ar", 2],
    ["MRU", "Mauritanian Ouguiya", "MRU", 2],
  ])("know %s", (code, name, symbol, subunits) => {
    expect(currencies().find((each) => each.code === code)).toEqual({ code, name, symbol, subunits });
  });
});
