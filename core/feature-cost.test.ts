/** Costs of features against the sum over single events, each priced at its own time. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LlmUnitCost, UnitCost } from "./feature";
import {
  costRows,
  modelPrices,
  periodsToAsk,
  priceChanges,
  type CostQuery,
  type Period,
  type Piece,
} from "./feature-cost";
import type { MeterRow } from "./query-rows";
import type { DatedPriceBook } from "./price";
import { decimal, ONE } from "./decimal";
import { formatQuantity, ONE_QUANTITY } from "./quantity";

const HOUR = 3_600_000;
const PERIOD: Period = { from: 0, to: 12 * HOUR };

/** Two models: one whose prices never change, one that is dearer from 01:30 on and again from 05:00. */
const CHANGES = [1.5 * HOUR, 5 * HOUR];
const dollarsPerMillion = (model: string, type: string, at: number): string | null => {
  if (model === "steady") return type === "inputTokens" ? "2" : "8";
  if (model !== "moody" || type === "reasoningTokens") return null;
  const step = CHANGES.filter((change) => change <= at).length;
  return type === "inputTokens" ? ["0.075", "0.3", "1.1"][step]! : ["0.6", "2.5", "10"][step]!;
};
const BOOK: DatedPriceBook = {
  name: "list",
  version: "7",
  unitPrices({ provider, model, at }) {
    if (provider !== "acme" || (model !== "steady" && model !== "moody")) return null;
    const prices = ["inputTokens", "outputTokens", "reasoningTokens"].flatMap((type) => {
      const price = dollarsPerMillion(model, type, at);
      return price === null ? [] : [[type, { rate: decimal(price), per: 1_000_000n * ONE }] as const];
    });
    return new Map(prices);
  },
  changes: ({ model, from, to }) => (model === "moody" ? CHANGES.filter((at) => at > from && at < to) : []),
};

interface Counted {
  at: number;
  subject: string;
  model: string;
  type: string;
  quantity: number;
}
const TYPES: Record<string, string> = { input: "inputTokens", output: "outputTokens" };
const LLM: LlmUnitCost = { type: "llm", provider: "acme", modelProperty: "model", tokenTypeProperty: "type" };

/** What a meter query of these events answers. */
function queried(
  events: readonly Counted[],
  { from, to }: Period,
  groupBy: readonly string[],
  windowMs: number | null,
  aggregation: CostQuery["aggregation"],
): MeterRow[] {
  const groups = new Map<string, { row: MeterRow; values: Set<number>; latest: Counted }>();
  for (const event of events) {
    if (event.at < from || event.at >= to) continue;
    const windowStart = windowMs === null ? from : Math.floor(event.at / windowMs) * windowMs;
    const values: Record<string, string> = { model: event.model, type: event.type };
    const group = Object.fromEntries(
      ["model", "type"].filter((name) => groupBy.includes(name)).map((name) => [name, values[name]!]),
    );
    const subject = groupBy.includes("subject") ? event.subject : null;
    const key = JSON.stringify([windowStart, subject, group]);
    let known = groups.get(key);
    if (known === undefined) {
      const row = {
        windowStart,
        windowEnd: windowMs === null ? to : windowStart + windowMs,
        value: 0n,
        subject,
        groupBy: group,
      };
      groups.set(key, (known = { row, values: new Set(), latest: event }));
    }
    known.values.add(event.quantity);
    if (event.at >= known.latest.at) known.latest = event;
    known.row.value += BigInt(event.quantity) * ONE_QUANTITY;
  }
  return [...groups.values()].map(({ row, values, latest }) => {
    if (aggregation === "UNIQUE_COUNT") return { ...row, value: BigInt(values.size) * ONE_QUANTITY };
    return aggregation === "LATEST" ? { ...row, value: BigInt(latest.quantity) * ONE_QUANTITY } : row;
  });
}

function costOf(
  events: readonly Counted[],
  unitCost: UnitCost,
  groupBy: readonly string[],
  windowMs: number | null,
  aggregation: CostQuery["aggregation"] = "SUM",
) {
  const asked = [...new Set([...groupBy, ...(unitCost.type === "llm" ? ["model", "type"] : [])])];
  const ask = (period: Period) => queried(events, period, asked, windowMs, aggregation);
  const whole = ask(PERIOD);
  const changes = priceChanges(unitCost, whole, PERIOD, BOOK);
  const pieces: Piece[] = periodsToAsk(aggregation, PERIOD, changes).map((period) => ({ period, rows: ask(period) }));
  return costRows({ unitCost, aggregation, groupBy, windowed: windowMs !== null, changes }, whole, pieces, BOOK);
}

const event = (of: Partial<Counted> = {}): Counted => ({
  at: 0,
  subject: "a",
  model: "moody",
  type: "input",
  quantity: 1_000,
  ...of,
});
const cost = (row: { cost: bigint | null } | undefined) => row && (row.cost === null ? null : formatQuantity(row.cost));

const events = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 12 * HOUR - 1 }),
    subject: fc.constantFrom("a", "b"),
    model: fc.constantFrom("steady", "moody"),
    type: fc.constantFrom("input", "output"),
    quantity: fc.integer({ min: 0, max: 1_000_000 }),
  }),
  { maxLength: 40 },
);
const groupings = fc.subarray(["subject", "model", "type"]);
const windows = fc.constantFrom(null, HOUR, 4 * HOUR);

describe("the cost of a feature", () => {
  it("is what its events cost one by one, each at the price of its own time", () => {
    fc.assert(
      fc.property(events, groupings, windows, (list, groupBy, windowMs) => {
        const rows = costOf(list, LLM, groupBy, windowMs);
        const total = rows.reduce((sum, row) => sum + (row.cost ?? 0n), 0n);
        const expected = list.reduce((sum, { at, model, type, quantity }) => {
          const price = decimal(dollarsPerMillion(model, TYPES[type]!, at)!);
          return sum + (BigInt(quantity) * price * (ONE_QUANTITY / ONE)) / 1_000_000n;
        }, 0n);
        expect(formatQuantity(total)).toBe(formatQuantity(expected));
        expect(rows.reduce((sum, { usage }) => sum + usage, 0n)).toBe(
          list.reduce((sum, { quantity }) => sum + BigInt(quantity) * ONE_QUANTITY, 0n),
        );
        expect(rows.every(({ detail }) => detail === null)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("of distinct values is that of each at the time when it was first seen", () => {
    fc.assert(
      fc.property(events, windows, (list, windowMs) => {
        const rows = costOf(list, LLM, ["subject"], windowMs, "UNIQUE_COUNT");
        const seen = new Set<string>();
        let expected = 0n;
        for (const { at, subject, model, type, quantity } of list.toSorted((a, b) => a.at - b.at)) {
          const key = JSON.stringify([windowMs && Math.floor(at / windowMs), subject, model, type, quantity]);
          if (seen.has(key)) continue;
          seen.add(key);
          expected += (decimal(dollarsPerMillion(model, TYPES[type]!, at)!) * (ONE_QUANTITY / ONE)) / 1_000_000n;
        }
        expect(formatQuantity(rows.reduce((sum, row) => sum + (row.cost ?? 0n), 0n))).toBe(formatQuantity(expected));
      }),
      { numRuns: 500 },
    );
  });

  it("of a LATEST meter is that of the last value at the end of its window", () => {
    const list = [event({ at: HOUR, quantity: 9 }), event({ at: 2 * HOUR, quantity: 2_000_000 })];
    expect(costOf(list, LLM, [], null, "LATEST").map(cost)).toEqual(["2.2"]);
    expect(costOf(list, LLM, [], 2 * HOUR, "LATEST").map(cost)).toEqual(["0.6", "0.0000027"]);
  });

  it("has one row for each window and group that were asked for, though prices differ within", () => {
    const list = [
      event({ at: HOUR }),
      event({ at: 2 * HOUR }),
      event({ at: 3 * HOUR, model: "steady", type: "output" }),
    ];
    const [row, ...others] = costOf(list, LLM, ["subject"], 4 * HOUR);
    expect(others).toEqual([]);
    expect(row).toEqual({
      windowStart: 0,
      windowEnd: 4 * HOUR,
      subject: "a",
      groupBy: {},
      usage: 3_000n * ONE_QUANTITY,
      cost: (75n + 300n + 8_000n) * (ONE_QUANTITY / 1_000_000n),
      detail: null,
    });
  });

  it("is multiplied out exactly for a manual amount, whatever the digits", () => {
    const manual: UnitCost = { type: "manual", amount: "0.000000123457" };
    expect(costOf([event({ quantity: 3 }), event({ at: HOUR, quantity: 4 })], manual, [], null).map(cost)).toEqual([
      "0.000000864199",
    ]);
  });

  it("is null where nothing has a price, and a partial one says what is missing", () => {
    const unknown = costOf(
      [event({ model: "stranger" }), event({ model: "" }), event({ type: "prompt" })],
      LLM,
      ["model", "type"],
      null,
    );
    expect(unknown.map(({ detail }) => detail).toSorted()).toEqual([
      '"prompt" is no type of token',
      'list 7 does not list "stranger" of "acme"',
      "the events have no model",
    ]);
    expect(unknown.map(cost)).toEqual([null, null, null]);
    const [partial] = costOf([event(), event({ type: "reasoning", quantity: 7 })], LLM, [], null);
    expect([cost(partial), partial?.detail]).toEqual([
      "0.000075",
      '7 without a price: list 7 has no price of reasoning for "moody" of "acme"',
    ]);
  });

  it("sorts the dearest first and what has no price last", () => {
    const list = [
      event({ at: 0, quantity: 1 }),
      event({ at: HOUR, quantity: 5 }),
      event({ at: 2 * HOUR, model: "?" }),
      event({ at: 3 * HOUR, quantity: 3 }),
    ];
    expect(costOf(list, LLM, [], HOUR).map(({ windowStart }) => windowStart / HOUR)).toEqual([3, 1, 0, 2]);
  });

  it("reads request as input and response as output", () => {
    const list = [event({ type: "request", model: "steady" }), event({ type: "response", model: "steady" })];
    expect(costOf(list, LLM, ["type"], null).map((row) => [row.groupBy.type, cost(row)])).toEqual([
      ["response", "0.008"],
      ["request", "0.002"],
    ]);
  });
});

describe("the prices of a model", () => {
  it("are those of a time, a unit of each kind", () => {
    expect(modelPrices({ provider: "acme", model: "moody" }, 2 * HOUR, BOOK)).toEqual({
      input: (3n * ONE_QUANTITY) / 10_000_000n,
      output: (25n * ONE_QUANTITY) / 10_000_000n,
    });
    expect(modelPrices({ provider: "acme", model: "?" }, 0, BOOK)).toBe(null);
  });
});
