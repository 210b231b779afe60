import { describe, expect, it } from "vitest";
import { foldEvent, HOUR_MS, MemoryFolds, MINUTE_MS, type FoldChunk } from "./fold";
import { newGroups } from "./fold-groups";
import { decodeChunk, decodeGroups, encodeChunk, readHours } from "./fold-text";
import { compileMeters, type Meter } from "./meter";

const meter = (part: Partial<Meter>): Meter => ({
  id: "01JMETER",
  key: "tokens",
  eventType: "prompt",
  aggregation: "SUM",
  valueProperty: "$.v",
  groupBy: { g: "$.g" },
  eventFrom: null,
  createdAt: 0,
  ...part,
});

/** One chunk of the values given as [group, minute, value]. */
function chunkOf(part: Partial<Meter>, events: [group: string, minute: number, value: number | string][]): FoldChunk {
  const folds = new MemoryFolds();
  const meters = compileMeters([meter(part)]);
  for (const [order, [g, minute, v]] of events.entries()) {
    foldEvent(
      folds,
      meters,
      { id: "1", source: "test", type: "prompt", subject: "ada", time: minute * MINUTE_MS, data: { g, v } },
      order,
    );
  }
  return [...folds.chunks.values()][0]!;
}

const read = (chunk: FoldChunk, parts = encodeChunk(chunk)) =>
  decodeChunk(
    chunk.meter,
    chunk.hour,
    chunk.groups,
    parts.map(({ minutes }) => minutes),
  );

describe("the text of a chunk", () => {
  it("is compact: whole numbers as numbers, others as decimal text", () => {
    const chunk = chunkOf({}, [
      ["a", 0, 5],
      ["a", 0, 6],
      ["a", 59, 0.25],
      ["b", 3, "12345678901234567890"],
    ]);
    expect(encodeChunk(chunk)).toEqual([
      {
        minutes: String.raw`{"v":1,"rows":[["[\"ada\",\"a\"]",0,[2,11],59,[1,"0.25"]],["[\"ada\",\"b\"]",3,[1,"12345678901234567890"]]]}`,
        hours: String.raw`{"v":2,"rows":[["[\"ada\",\"a\"]",[3,"11.25"],0,59],["[\"ada\",\"b\"]",[1,"12345678901234567890"],3,3]]}`,
      },
    ]);
  });

  it("is read again by every later version: format 1 as it was first written", () => {
    const cells = {
      COUNT: { text: "7", cell: { count: 7 } },
      SUM: { text: '[2,"0.5"]', cell: { count: 2, value: 5n * 10n ** 23n } },
      AVG: { text: "[2,11]", cell: { count: 2, value: 11n * 10n ** 24n } },
      MIN: { text: "[2,-1]", cell: { count: 2, value: -(10n ** 24n) } },
      MAX: { text: "[1,1000]", cell: { count: 1, value: 10n ** 27n } },
      UNIQUE_COUNT: { text: '[3,["x","y"]]', cell: { count: 3, values: new Set(["x", "y"]), units: 2 } },
      LATEST: {
        text: "[2,4,1700000000000,65537]",
        cell: { count: 2, value: 4n * 10n ** 24n, at: 1_700_000_000_000, order: 65_537 },
      },
    };
    for (const [aggregation, { text, cell }] of Object.entries(cells)) {
      const compiled = [
        ...compileMeters([meter({ aggregation: aggregation as keyof typeof cells })]).meters.values(),
      ][0]!;
      const groups = decodeGroups(
        [`{"v":1,"coarse":[false,true],"rows":[["[\\"ada\\",null]",${text}]]}`],
        compiled.fold,
      );
      expect([groups.coarse, groups.byKey.get('["ada",null]')]).toEqual([
        [false, true],
        { key: '["ada",null]', page: 0, total: cell },
      ]);
      const chunk = decodeChunk(compiled, 4, groups, [
        `{"v":1,"later":"fields are ignored","rows":[["[\\"ada\\",null]",17,${text}]]}`,
      ]);
      expect([...chunk.rows.values()]).toMatchObject([{ minutes: [17], cells: [cell] }]);
      expect(readHours(`{"v":1,"rows":[["[\\"ada\\",null]",${text}]]}`)).toEqual([['["ada",null]', JSON.parse(text)]]);
    }
  });

  it("of a later format is refused, never read as something else", () => {
    const compiled = [...compileMeters([meter({})]).meters.values()][0]!;
    expect(() => decodeChunk(compiled, 4, newGroups(), ['{"v":2,"rows":[]}'])).toThrow("format 2");
    expect(() => decodeGroups(['{"v":2,"rows":[]}'], compiled.fold)).toThrow("format 2");
    expect(() => readHours('{"v":3,"rows":[]}')).toThrow("format 3");
  });

  it("has parts that stay below 2 MB with everything of a part in three-byte characters, and reads back whole", () => {
    const groups = Array.from({ length: 2_000 }, (_, i) => `${i}${"語".repeat(200)}`);
    const wide = chunkOf(
      {},
      groups.flatMap((group) => [0, 20, 40].map((minute): [string, number, number] => [group, minute, 1 / 3])),
    );
    const deep = chunkOf(
      { aggregation: "UNIQUE_COUNT" },
      Array.from({ length: 6_000 }, (_, i) => ["one", i % 2, `${i}${"\u0001".repeat(150)}`]),
    );
    for (const chunk of [wide, deep]) {
      const parts = encodeChunk(chunk);
      expect(parts.length).toBeGreaterThan(1);
      for (const { hours, minutes } of parts)
        expect(Buffer.byteLength(hours) + Buffer.byteLength(minutes)).toBeLessThan(2_000_000);
      const again = read(chunk, parts);
      expect([again.rows.size, again.cells, again.units]).toEqual([chunk.rows.size, chunk.cells, chunk.units]);
      for (const [key, row] of chunk.rows) expect(again.rows.get(key)).toEqual({ ...row, unsentLow: 0, unsentHigh: 0 });
    }
  });

  it("says of an hour's distinct values how many there are, not which", () => {
    const [part] = encodeChunk(
      chunkOf({ aggregation: "UNIQUE_COUNT" }, [
        ["a", 0, "x"],
        ["a", 1, "x"],
        ["a", 1, "y"],
      ]),
    );
    expect(part!.hours).toBe(String.raw`{"v":2,"rows":[["[\"ada\",\"a\"]",[3,2],0,1]]}`);
  });

  it("costs an hourly query the same with a thousand times the events", () => {
    const events = (count: number) =>
      Array.from({ length: count }, (_, i): [string, number, number] => ["a", i % 60, 1]);
    const chars = (count: number) => encodeChunk(chunkOf({}, events(count)))[0]!.hours.length;
    expect(chars(60_000)).toBeLessThan(1.2 * chars(60));
    expect(HOUR_MS / MINUTE_MS).toBe(60);
  });
});
