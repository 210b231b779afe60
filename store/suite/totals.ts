/** Totals over the rollups: added up in the database, exact to the 24th place and as large as a meter's total may be. */
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { foldKeyOf } from "../../core/meter";
import { formatQuantity, ONE_QUANTITY, QUANTITY_PLACES, quantity, type Quantity } from "../../core/quantity";
import { ratingMessage, TOTAL_WHOLE_DIGITS_MAX } from "../../schema/messages";
import { applyRating } from "../apply-rating";
import { totalByMeter } from "../rollups";
import type { Store } from "../store";
import { EVER, MINUTE_MS, newNamespace, NOW, rating, rollup } from "./builders";

const UNIT: Quantity = 1n;
/** The largest total that a message carries. */
const HUGE: Quantity = 10n ** BigInt(TOTAL_WHOLE_DIGITS_MAX + QUANTITY_PLACES) - UNIT;

const least = (values: readonly Quantity[]): Quantity => values.reduce((a, b) => (b < a ? b : a));
const greatest = (values: readonly Quantity[]): Quantity => values.reduce((a, b) => (b > a ? b : a));

/** The one meter's total in a new namespace, whose minutes have these values. */
async function totalOf(store: Store, values: readonly Quantity[]) {
  const namespaceId = await newNamespace(store);
  const rollups = values
    .map(formatQuantity)
    .map((text, n) => rollup({ windowStart: n * MINUTE_MS, count: 2 ** 40, sum: text, min: text, max: text }));
  await applyRating(store, [rating({ namespaceId, rollups })]);
  return totalByMeter(store, namespaceId, { resolution: "minute", ...EVER });
}

export function totalsSuite(open: () => Store): void {
  it("adds up quantities of any size and sign to the 24th place, and finds the least and the greatest", async () => {
    const store = open();
    const nasty = [
      0n,
      UNIT,
      -UNIT,
      quantity("-0.000000000001"),
      quantity("0.4567890123456789"),
      quantity("-0.000000000000999999999999"),
      quantity("9007199254740993"),
      quantity("-99999999999999999999999999.999999999999999999999999"),
      quantity("12345678901234567890123456.5"),
      quantity("1000000000000"),
      quantity("-1000000000000.5"),
      HUGE,
      -HUGE,
      1n - HUGE,
    ];
    // Of every length, so that each limb of a sum is begun and filled.
    const anyLength = fc
      .tuple(fc.integer({ min: 1, max: String(HUGE).length }), fc.bigInt({ min: -HUGE, max: HUGE }))
      .map(([digits, value]) => value % 10n ** BigInt(digits));
    const samples = [
      ...nasty.map((value) => [value]),
      nasty,
      nasty.filter((value) => value < 0n),
      nasty.filter((value) => value > 0n),
      ...fc.sample(fc.array(anyLength, { minLength: 1, maxLength: 30 }), { numRuns: 25, seed: 11 }),
    ];
    for (const values of samples) {
      expect(await totalOf(store, values)).toMatchObject([
        {
          count: values.length * 2 ** 40,
          sum: values.reduce((total, value) => total + value, 0n),
          min: least(values),
          max: greatest(values),
        },
      ]);
    }
  });

  it("adds up many rows, however huge, and what is left when they cancel out", async () => {
    const store = open();
    const rows = 1_500;
    const tenths = Array.from({ length: rows }, () => quantity("0.1"));
    expect(await totalOf(store, [...tenths, UNIT])).toMatchObject([{ sum: 150n * ONE_QUANTITY + UNIT }]);
    const huge = Array.from({ length: rows }, () => HUGE);
    expect(await totalOf(store, huge)).toMatchObject([{ sum: HUGE * BigInt(rows), min: HUGE, max: HUGE }]);
    const opposite = huge.map((value) => -value);
    expect(await totalOf(store, [...huge, UNIT, ...opposite])).toMatchObject([{ sum: UNIT, min: -HUGE, max: HUGE }]);
    expect(await totalOf(store, opposite)).toMatchObject([{ sum: HUGE * -BigInt(rows), min: -HUGE, max: -HUGE }]);
  });

  it("takes a message of 24 places through the consumer's door and gives every digit back", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    const places = "0.123456789012345678901234";
    const counted = rollup({
      meter: foldKeyOf({
        id: "01JMETER",
        key: "seconds",
        eventType: "compute",
        aggregation: "SUM",
        valueProperty: "$.seconds",
        groupBy: { model: "$.model", region: "$.region" },
        eventFrom: null,
        createdAt: NOW,
      }),
      group: JSON.stringify(["acme", "gpt-4", null]),
      count: 2 ** 31,
      sum: `-${"9".repeat(TOTAL_WHOLE_DIGITS_MAX)}.${"9".repeat(QUANTITY_PLACES)}`,
      min: `-${places}`,
      max: places,
      latest: `-${places}`,
    });
    const sent = JSON.stringify(rating({ namespaceId, rollups: [counted] }));
    await applyRating(store, [ratingMessage.parse(JSON.parse(sent))]);

    const { meter: meterKey, group: groupKey, ...text } = counted;
    const { rollups } = store.tables;
    const rows = await store.db.select().from(rollups);
    expect(rows.filter((row) => row.namespaceId === namespaceId)).toMatchObject([{ ...text, meterKey, groupKey }]);
    expect(await totalByMeter(store, namespaceId, { resolution: "minute", ...EVER, meterKey })).toEqual([
      {
        meterKey,
        count: 2 ** 31,
        sum: -HUGE,
        min: -quantity(places),
        max: quantity(places),
        latest: { value: -quantity(places), at: NOW },
      },
    ]);
  });

  it("totals each meter over the windows that start in a half-open range, at one resolution", async () => {
    const store = open();
    const namespaceId = await newNamespace(store);
    await applyRating(store, [
      rating({
        namespaceId,
        rollups: [
          rollup({ windowStart: 0, sum: "1" }),
          rollup({ windowStart: 60_000, sum: "2", latest: "7", latestAt: 61_000 }),
          rollup({ windowStart: 60_000, group: "[1]", sum: "4", latest: "8", latestAt: 62_000 }),
          rollup({ windowStart: 120_000, sum: "8" }),
          rollup({ windowStart: 0, resolution: "quarter", sum: "15" }),
          rollup({
            meter: "requests",
            windowStart: 60_000,
            count: 3,
            sum: "0",
            min: null,
            max: null,
            latest: null,
            latestAt: null,
          }),
        ],
      }),
    ]);
    const range = { resolution: "minute", from: 60_000, to: 120_000 } as const;
    const [requests, tokens] = await totalByMeter(store, namespaceId, range);
    expect(requests).toEqual({ meterKey: "requests", count: 3, sum: 0n, min: null, max: null, latest: null });
    expect(tokens).toMatchObject({
      meterKey: "tokens",
      count: 2,
      sum: quantity("6"),
      latest: { value: quantity("8"), at: 62_000 },
    });
    expect(await totalByMeter(store, namespaceId, { ...range, meterKey: "tokens" })).toEqual([tokens]);
    expect(await totalByMeter(store, namespaceId, { ...range, resolution: "quarter", from: 0 })).toMatchObject([
      { sum: quantity("15") },
    ]);
    expect(await totalByMeter(store, namespaceId, { ...range, from: 120_001, to: 130_000 })).toEqual([]);
  });
}
