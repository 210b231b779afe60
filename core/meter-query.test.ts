import { describe, expect, it } from "vitest";
import { FILTER_OPERANDS_MAX } from "./filter";
import { QUERY_NAMES_MAX, readQuery, type AskedQuery, type MeterQuery } from "./meter-query";
import { parseQuantity } from "./quantity";
import { answerQuery, resultCsv, resultJson, type MeterRow } from "./query-rows";

const meter = { groupBy: { model: "$.model", op: "$.op" } };
const asked = (part: Partial<AskedQuery> = {}): AskedQuery => ({
  from: null,
  to: null,
  windowSize: null,
  timeZone: null,
  groupBy: [],
  subjects: null,
  customers: 0,
  filterGroupBy: null,
  advancedFilters: null,
  ...part,
});
const read = (part: Partial<AskedQuery>) => readQuery(meter, asked(part));
const faults = (part: Partial<AskedQuery>): string[] => {
  const query = read(part);
  return query.ok ? [] : query.refusal.map(({ field, message }) => `${field}: ${message}`);
};
const query = (part: Partial<MeterQuery> = {}): MeterQuery => ({
  from: null,
  to: null,
  windowSize: null,
  timeZone: "UTC",
  groupBy: [],
  filters: {},
  subjects: null,
  ...part,
});
const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `s${n}`);

describe("what a request asks of a meter", () => {
  it.each<[string, Partial<AskedQuery>, Partial<MeterQuery>]>([
    ["everything, when it asks for nothing", {}, {}],
    ["a subject groups by it", { subjects: ["a", "b", "a"] }, { subjects: ["a", "b"], groupBy: ["subject"] }],
    ["so does an empty list of them, as OpenMeter has it", { subjects: [] }, { groupBy: ["subject"] }],
    [
      "groups in the order they were asked for, each once",
      { groupBy: ["op", "model", "op"], subjects: ["a"] },
      { groupBy: ["op", "model", "subject"], subjects: ["a"] },
    ],
    ["one customer is no group", { customers: 1 }, {}],
    ["several are", { customers: 2 }, { groupBy: ["customer_id"] }],
    ["one customer as a group", { customers: 1, groupBy: ["customer_id"] }, { groupBy: ["customer_id"] }],
    [
      "plain filters take one of their values",
      { filterGroupBy: { model: ["gpt", "claude"], op: [] } },
      { filters: { model: { $in: ["gpt", "claude"] } } },
    ],
    [
      "advanced filters, but for empty ones",
      { advancedFilters: { model: { $like: "gpt%", $eq: null }, op: {} }, filterGroupBy: {} },
      { filters: { model: { $like: "gpt%" } } },
    ],
    ["a zone, without regard to case", { timeZone: "europe/berlin" }, { timeZone: "europe/berlin" }],
  ])("is %s", (_promise, part, expected) => {
    expect(read(part)).toEqual({ ok: true, value: query(expected) });
  });

  it.each<[Partial<AskedQuery>, string]>([
    [{ from: 5, to: 5 }, "to: from and to cannot be equal"],
    [{ from: 6, to: 5 }, "to: from must be before to"],
    [{ groupBy: ["model", "x"] }, "groupBy: invalid group by: x"],
    [{ groupBy: ["constructor"] }, "groupBy: invalid group by: constructor"],
    [{ groupBy: ["customer_id"] }, "groupBy: customer filter is required"],
    [{ groupBy: names(QUERY_NAMES_MAX + 1).map(() => "op") }, "groupBy: must have at most 100 values"],
    [{ subjects: names(QUERY_NAMES_MAX + 1) }, "subject: must have at most 100 values"],
    [
      { timeZone: "Mars/Olympus" },
      'windowTimeZone: invalid time zone: no time zone of the IANA database is named "Mars/Olympus"',
    ],
    [{ filterGroupBy: { region: ["eu"] } }, "filterGroupBy.region: invalid group by filter: region"],
    [{ filterGroupBy: { subject: ["a"] } }, "filterGroupBy.subject: invalid group by filter: subject"],
    [{ filterGroupBy: { op: names(FILTER_OPERANDS_MAX + 1) } }, "filterGroupBy.op.$in: a filter has at most"],
    [{ advancedFilters: { region: { $eq: "eu" } } }, "meter does not have group by: region"],
    [
      { advancedFilters: JSON.parse('{"__proto__":{"$eq":"eu"}}') as Record<string, unknown> },
      "meter does not have group by: __proto__",
    ],
    [{ advancedFilters: { op: { $or: [{ $gt: 5 }] } } }, "advancedMeterGroupByFilters.op.$or[0].$gt: must be text"],
    [{ advancedFilters: { op: "chat" } }, "advancedMeterGroupByFilters.op: must be an object"],
    [
      { advancedFilters: { op: { $eq: "a" } }, filterGroupBy: { op: ["a"] } },
      "advanced meter group by filters and filter group by cannot be used together",
    ],
  ])("that is %j is refused", (part, said) => {
    expect(faults(part)).toEqual([expect.stringContaining(said)]);
  });

  it("is told all that is wrong at once", () => {
    expect(faults({ from: 2, to: 1, groupBy: ["x", "y"], timeZone: "x" })).toHaveLength(4);
  });
});

const q = (text: string) => {
  const value = parseQuantity(text);
  if (!value.ok) throw new Error(text);
  return value.value;
};
const row = (part: Partial<MeterRow>): MeterRow => ({
  windowStart: Date.parse("2023-01-01T00:00:00Z"),
  windowEnd: Date.parse("2023-01-01T01:00:00Z"),
  value: q("2"),
  subject: null,
  groupBy: {},
  ...part,
});

describe("the answer as OpenMeter prints it", () => {
  it("is its JSON, with times as Go writes them and exact values", () => {
    const asked = query({
      from: Date.parse("2023-01-01T00:00:00Z"),
      to: Date.parse("2023-01-03T00:00:00.250Z"),
      windowSize: "HOUR",
      groupBy: ["method"],
    });
    expect(JSON.stringify(resultJson(asked, [row({ groupBy: { method: "GET" } })]))).toBe(
      '{"from":"2023-01-01T00:00:00Z","to":"2023-01-03T00:00:00.250Z","windowSize":"HOUR","data":[{"value":2,"windowStart":"2023-01-01T00:00:00Z","windowEnd":"2023-01-01T01:00:00Z","subject":null,"groupBy":{"method":"GET"}}]}',
    );
    const exact = row({ value: q("123.4567890123456789"), subject: "ada", customerId: "01J" });
    const text = JSON.stringify(resultJson(query(), [exact]));
    expect(text).toContain('"value":123.4567890123456789,');
    expect(text).toContain('"subject":"ada","customerId":"01J"');
    expect(JSON.parse(text)).toMatchObject({ data: [{ value: 123.45678901234568 }] });
    expect(Object.keys(resultJson(query(), []))).toEqual(["data"]);
  });

  it("is its CSV: subject, customer and groups where they were asked for, values with six places", () => {
    expect(resultCsv(query(), [row({ value: q("2000") })])).toBe(
      "window_start,window_end,value\n2023-01-01T00:00:00Z,2023-01-01T01:00:00Z,2000.000000\n",
    );
    const asked = query({ groupBy: ["op", "customer_id", "subject", "model"] });
    const rows = [
      row({
        windowEnd: Date.parse("2023-01-01T01:00:00.999Z"),
        subject: "ada",
        customerId: "01J",
        groupBy: { op: "chat", model: "" },
      }),
    ];
    expect(resultCsv(asked, rows, (id) => ({ key: `key of ${id}`, name: null }))).toBe(
      "window_start,window_end,subject,customer_id,customer_key,customer_name,op,model,value\n" +
        "2023-01-01T00:00:00Z,2023-01-01T01:00:00Z,ada,01J,key of 01J,,chat,,2.000000\n",
    );
  });

  it("quotes what a reader would take apart, and leaves formulas as they are", () => {
    const asked = query({ groupBy: ["op"] });
    const line = (op: string) =>
      resultCsv(asked, [row({ groupBy: { op } })])
        .split("Z,")
        .at(-1);
    expect(['a,"b"', "two\nlines", "c\rr", " led", '=1+"1"', "=SUM(A1)", "plain text"].map(line)).toEqual([
      '"a,""b""",2.000000\n',
      '"two\nlines",2.000000\n',
      '"c\rr",2.000000\n',
      '" led",2.000000\n',
      '"=1+""1""",2.000000\n',
      "=SUM(A1),2.000000\n",
      "plain text,2.000000\n",
    ]);
  });

  it.each([
    ["0", "0.000000"],
    ["-1.5", "-1.500000"],
    ["0.0000005", "0.000000"],
    ["0.0000015", "0.000002"],
    ["0.00000050000000000001", "0.000001"],
    ["-0.0000001", "-0.000000"],
    ["123456789012345678.9999999", "123456789012345679.000000"],
  ])("writes %s in CSV as %s, rounded half-even of the exact value", (value, text) => {
    expect(resultCsv(query(), [row({ value: q(value) })])).toContain(`Z,${text}\n`);
  });
});

describe("parts of several customers", () => {
  const part = (customerId: string, window: number, group: string[], value: number) => ({
    customerId,
    rows: [{ window, group, first: window, last: window, cell: [[1, value]] }],
  });

  it("stay apart where the query groups by customer, and merge within one", () => {
    const asked = query({ groupBy: ["op", "customer_id"], windowSize: "DAY" });
    const rows = answerQuery("SUM", asked, [
      part("02", 0, ["x"], 4),
      part("01", 86_400_000, ["x"], 8),
      part("01", 0, ["y"], 1),
      part("01", 0, ["x"], 16),
      part("01", 0, ["y"], 2),
    ]);
    expect(
      rows.ok &&
        rows.value.map(({ windowStart, customerId, groupBy, value }) => [windowStart, customerId, groupBy.op, value]),
    ).toEqual([
      [0, "01", "x", q("16")],
      [0, "01", "y", q("3")],
      [0, "02", "x", q("4")],
      [86_400_000, "01", "x", q("8")],
    ]);
  });
});
