import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aggregations, AGGREGATIONS, type Aggregation, type Cell, type Fold, type Reading } from "./aggregation";
import { formatQuantity, ONE_QUANTITY, quantity } from "./quantity";

const reading = (value: number | string, at = 0, order = 0): Reading => ({
  quantity: typeof value === "number" ? quantity(String(value)) : null,
  text: String(value),
  at,
  order,
});

const foldAll = (fold: Fold<Cell>, readings: readonly Reading[]): Cell => {
  const cell = fold.init(readings[0]!);
  for (const each of readings.slice(1)) fold.add(cell, each);
  return cell;
};

const shown = (fold: Fold<Cell>, cell: Cell): string | null => {
  const value = fold.value(cell);
  return value === null ? null : formatQuantity(value);
};

/** One row an aggregation: the readings 3 (at 10), 1 (at 30), 3 (at 20), 0.5 (at 30, arrived later). */
const readings = [reading(3, 10, 1), reading(1, 30, 2), reading(3, 20, 3), reading(0.5, 30, 4)];
const expected: { [A in Aggregation]: string } = {
  COUNT: "4",
  SUM: "7.5",
  AVG: "1.875",
  MIN: "0.5",
  MAX: "3",
  UNIQUE_COUNT: "3",
  LATEST: "0.5",
};

const anyReading = fc
  .record({
    quantity: fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
    text: fc.constantFrom("a", "b", "", "c c"),
    at: fc.integer({ min: 0, max: 3 }),
  })
  .map((each) => each as Omit<Reading, "order">);
const anyReadings = fc
  .array(anyReading, { minLength: 1, maxLength: 20 })
  .map((all) => all.map((each, order): Reading => ({ ...each, order })));

describe.each(AGGREGATIONS)("%s", (aggregation) => {
  const fold: Fold<Cell> = aggregations[aggregation];

  it("gives the aggregate of the readings", () => {
    expect(shown(fold, foldAll(fold, readings))).toBe(expected[aggregation]);
    expect(foldAll(fold, readings).count).toBe(4);
  });

  it("gives the same cell for any order and any split of the readings", () => {
    fc.assert(
      fc.property(anyReadings, fc.infiniteStream(fc.nat()), (all, random) => {
        const shuffled = all
          .map((each) => ({ each, by: random.next().value }))
          .sort((a, b) => a.by - b.by)
          .map(({ each }) => each);
        const cut = random.next().value % all.length;
        const merged = foldAll(fold, shuffled.slice(cut));
        if (cut > 0) fold.merge(merged, foldAll(fold, shuffled.slice(0, cut)));
        expect(merged).toEqual(foldAll(fold, all));
      }),
    );
  });

  it("merges associatively and commutatively, and leaves what is merged in as it was", () => {
    fc.assert(
      fc.property(anyReadings, anyReadings, anyReadings, (x, y, z) => {
        const at =
          (offset: number) =>
          (each: Reading): Reading => ({ ...each, order: each.order + offset });
        const [a, b, c] = [foldAll(fold, x), foldAll(fold, y.map(at(100))), foldAll(fold, z.map(at(200)))] as const;
        const plus = (left: Cell, right: Cell): Cell => {
          const into = fold.copy(left);
          fold.merge(into, right);
          return into;
        };
        const before = fold.copy(b);
        expect(plus(plus(a, b), c)).toEqual(plus(a, plus(b, c)));
        expect(plus(a, b)).toEqual(plus(b, a));
        expect(b).toEqual(before);
      }),
    );
  });

  it("reads back the cell it wrote", () => {
    fc.assert(
      fc.property(anyReadings, (all) => {
        const cell = foldAll(fold, all);
        const [first, ...rest] = (JSON.parse(JSON.stringify(fold.toJSON(cell))) as ReturnType<typeof fold.toJSON>).map(
          (piece) => fold.fromJSON(piece),
        );
        for (const piece of rest) fold.merge(first!, piece);
        expect(first).toEqual(cell);
      }),
    );
  });
});

describe("aggregations at their edges", () => {
  it("LATEST takes, of two events of one time, the one that arrived last, whichever is folded first", () => {
    for (const order of [
      [reading(1, 5, 1), reading(2, 5, 2)],
      [reading(2, 5, 2), reading(1, 5, 1)],
    ]) {
      expect(shown(aggregations.LATEST, foldAll(aggregations.LATEST, order))).toBe("2");
    }
  });

  it("AVG divides exactly and rounds once, half-even, at the 24th place", () => {
    expect(shown(aggregations.AVG, foldAll(aggregations.AVG, [reading(1), reading(0), reading(0)]))).toBe(
      "0.333333333333333333333333",
    );
    expect(shown(aggregations.AVG, foldAll(aggregations.AVG, [reading(-2), reading(0), reading(0)]))).toBe(
      "-0.666666666666666666666667",
    );
  });

  it("UNIQUE_COUNT counts an empty text and makes a cell without value of an event that has none", () => {
    const none: Reading = { ...reading(""), text: null };
    const { UNIQUE_COUNT } = aggregations;
    expect(UNIQUE_COUNT.init(none)).toEqual({ count: 0, values: new Set(), units: 0 });
    expect(shown(UNIQUE_COUNT, foldAll(UNIQUE_COUNT, [none, reading(""), reading("")]))).toBe("1");
  });

  it("UNIQUE_COUNT of forgotten values is unknown, stays unknown in every merge, and goes on counting events", () => {
    const { UNIQUE_COUNT } = aggregations;
    const cell = UNIQUE_COUNT.init(reading("a"));
    UNIQUE_COUNT.forget(cell);
    UNIQUE_COUNT.add(cell, reading("b"));
    const other = UNIQUE_COUNT.init(reading("c"));
    UNIQUE_COUNT.merge(other, cell);
    expect([UNIQUE_COUNT.value(cell), UNIQUE_COUNT.value(other), other.count]).toEqual([null, null, 3]);
    expect(UNIQUE_COUNT.fromJSON(UNIQUE_COUNT.toJSON(other)[0]!)).toEqual(other);
  });

  it("UNIQUE_COUNT that is read from its summary knows the number, until anything is merged in", () => {
    const { UNIQUE_COUNT } = aggregations;
    const of = (...texts: string[]) =>
      foldAll(
        UNIQUE_COUNT,
        texts.map((text) => reading(text)),
      ) as ReturnType<typeof UNIQUE_COUNT.init>;
    const known = UNIQUE_COUNT.fromJSON(UNIQUE_COUNT.summary(of("a", "b", "a")));
    expect([UNIQUE_COUNT.value(known), UNIQUE_COUNT.summary(known)]).toEqual([2n * ONE_QUANTITY, [3, 2]]);
    const [into, other] = [UNIQUE_COUNT.copy(known), of("c")];
    UNIQUE_COUNT.merge(into, of("a"));
    UNIQUE_COUNT.merge(other, known);
    expect([into, other].map((cell) => [UNIQUE_COUNT.value(cell), cell.count])).toEqual([
      [null, 4],
      [null, 4],
    ]);
    expect(UNIQUE_COUNT.value(known)).toBe(2n * ONE_QUANTITY);
  });

  it("LATEST of several objects is the same in any order, though their orders say nothing", () => {
    const { LATEST } = aggregations;
    const cells = [reading(3, 5, 1), reading(7, 5, 1), reading(5, 5, 1)].map((each) => LATEST.init(each));
    for (const order of [cells, cells.toReversed()]) {
      const merged = LATEST.copy(order[0]!);
      for (const each of order.slice(1)) LATEST.merge(merged, each);
      expect(shown(LATEST, merged)).toBe("7");
    }
  });

  it("stores many distinct values in pieces that are each far below 2 MB", () => {
    const { UNIQUE_COUNT } = aggregations;
    const cell = foldAll(
      UNIQUE_COUNT,
      Array.from({ length: 30_000 }, (_, i) => reading(`user-${i}-${"x".repeat(100)}`)),
    ) as ReturnType<typeof UNIQUE_COUNT.init>;
    const pieces = UNIQUE_COUNT.toJSON(cell);
    expect(pieces.length).toBeGreaterThan(1);
    expect(Math.max(...pieces.map((piece) => JSON.stringify(piece).length))).toBeLessThan(300_000);
    expect(UNIQUE_COUNT.value(cell)).toBe(30_000n * ONE_QUANTITY);
  });
});
