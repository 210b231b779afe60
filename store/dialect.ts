/**
 * The few fragments of SQL in which SQLite and Postgres differ; every query is written once over them.
 * Quantities are canonical text in both, so their sums and extremes are spelled out here: exact to the last digit, in the database.
 */
import { sql, type Column, type SQL } from "drizzle-orm";
import { ONE_QUANTITY, QUANTITY_PLACES, type Quantity } from "../core/quantity";
import { TOTAL_WHOLE_DIGITS_MAX } from "../schema/messages";

export interface Dialect {
  /** The elements of a JSON array (one bound parameter) as rows of `r.value`; both dialects then read `r.value ->> n`. */
  jsonRows(json: string): SQL;
  /** The element of a JSON array in a text column, as JSON text: it may hold what Postgres takes for no text, such as NUL. */
  jsonItem(column: Column, place: number): SQL<string>;
  /** Whether a text holds another one; capital and small letters of ASCII are the same. */
  contains(text: SQL | Column, part: string): SQL;
  /** Of columns that hold quantities; rows without one do not count. */
  sum(column: Column): SQL<Quantity>;
  min(column: Column): SQL<Quantity | null>;
  max(column: Column): SQL<Quantity | null>;
}

/**
 * SQLite has no decimals: a value is written out to all its places and cut into limbs, which are summed one by one. Twelve digits:
 * a sum overflows 64 bits, which is an error and never a wrong total, at nine million rows, a minute past D1's 30 s.
 */
const LIMB_DIGITS = 12;
const LIMB = 10n ** BigInt(LIMB_DIGITS);
const DIGITS = TOTAL_WHOLE_DIGITS_MAX + QUANTITY_PLACES;
const LIMBS = Math.ceil(DIGITS / LIMB_DIGITS);

const zeros = (count: number): SQL => sql.raw(`'${"0".repeat(count)}'`);

/** "-" sorts before every digit. */
const isNegative = (column: Column): SQL => sql`${column} < '0'`;

/** Its digits, in units of 10⁻²⁴: no sign, no point, some leading zeros. */
function digitsOf(column: Column): SQL {
  const digits = sql`ltrim(${column}, '-')`;
  const point = sql`instr(${digits} || '.', '.')`;
  const places = sql`substr(${digits}, ${point} + 1) || ${zeros(QUANTITY_PLACES)}`;
  return sql`(substr(${digits}, 1, ${point} - 1) || substr(${places}, 1, ${sql.raw(String(QUANTITY_PLACES))}))`;
}

/** Highest first. A limb before the first digit is '', which casts to 0. */
function signedLimbsOf(column: Column): SQL[] {
  const sign = sql`(case when ${isNegative(column)} then -1 else 1 end)`;
  const cut = (start: number) => sql.raw(`${-start}, ${LIMB_DIGITS}`);
  return Array.from(
    { length: LIMBS },
    (_, above) => sql`${sign} * cast(substr(${digitsOf(column)}, ${cut((LIMBS - above) * LIMB_DIGITS)}) as integer)`,
  );
}

/** Written out to as many digits as any has, text sorts as the number does; each sign is asked by itself. */
function extreme(column: Column, name: "min" | "max"): SQL<Quantity | null> {
  const sorted = sql`substr(${zeros(DIGITS)} || ${digitsOf(column)}, ${sql.raw(String(-DIGITS))})`;
  const positive = sql`${sql.raw(name)}(${sorted}) filter (where not ${isNegative(column)})`;
  // Of negatives the least is the one with the greatest digits.
  const opposite = sql.raw(name === "min" ? "max" : "min");
  const negative = sql`'-' || ${opposite}(${sorted}) filter (where ${isNegative(column)})`;
  const [first, second] = name === "min" ? [negative, positive] : [positive, negative];
  return sql<Quantity | null>`coalesce(${first}, ${second})`.mapWith(BigInt);
}

export const sqliteDialect: Dialect = {
  jsonRows: (json) => sql`json_each(${json}) as r`,
  jsonItem: (column, place) => sql<string>`(${column} -> ${sql.raw(String(place))})`,
  contains: (text, part) => sql`instr(lower(${text}), lower(${part})) > 0`,
  sum(column) {
    const sums = signedLimbsOf(column).map((limb) => sql`sum(${limb})`);
    return sql<Quantity>`${sql.join(sums, sql` || ':' || `)}`.mapWith((text: string) =>
      text.split(":").reduce((total, limb) => total * LIMB + BigInt(limb), 0n),
    );
  },
  min: (column) => extreme(column, "min"),
  max: (column) => extreme(column, "max"),
};

/** An aggregate of numerics, as the text of an integer of 10⁻²⁴ units. */
const pgAggregate = (name: string, column: Column) =>
  sql<Quantity>`cast(cast(${sql.raw(name)}(cast(${column} as numeric)) * ${sql.raw(String(ONE_QUANTITY))} as numeric(1000, 0)) as text)`.mapWith(
    BigInt,
  );

/**
 * Postgres parses no JSON that stands for NUL or for half a character. Where there is a \u, it is made plain text before and an escape
 * again behind; a control character, which is never plain in JSON, stands in for an escaped backslash meanwhile.
 */
function pgJsonItem(column: Column, place: number): SQL<string> {
  const item = (text: SQL | Column): SQL => sql`cast((cast(${text} as json) -> ${sql.raw(String(place))}) as text)`;
  const replaced = (text: SQL | Column, ...pairs: [from: string, to: string][]): SQL =>
    pairs.reduce((inner, [from, to]) => sql`replace(${inner}, ${sql.raw(from)}, ${sql.raw(to)})`, sql`${text}`);
  const escape = { unicode: String.raw`'\u'`, backslash: String.raw`'\\'`, standIn: "chr(1)" };
  const plain = { unicode: String.raw`'\\u'`, backslash: String.raw`'\\\\'` };
  const before = replaced(
    column,
    [escape.backslash, escape.standIn],
    [escape.unicode, plain.unicode],
    [escape.standIn, plain.backslash],
  );
  const behind = replaced(
    item(before),
    [plain.backslash, escape.standIn],
    [plain.unicode, escape.unicode],
    [escape.standIn, escape.backslash],
  );
  return sql<string>`case when strpos(${column}, ${sql.raw(escape.unicode)}) = 0 then ${item(column)} else ${behind} end`;
}

export const pgDialect: Dialect = {
  jsonRows: (json) => sql`jsonb_array_elements(cast(${json} as jsonb)) as r(value)`,
  jsonItem: pgJsonItem,
  contains: (text, part) => sql`strpos(lower(${text}), lower(cast(${part} as text) collate "C")) > 0`,
  sum: (column) => pgAggregate("sum", column),
  min: (column) => pgAggregate("min", column),
  max: (column) => pgAggregate("max", column),
};
