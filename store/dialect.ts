/**
 * The few fragments of SQL in which SQLite and Postgres differ; every query is written once over them.
 * Decimals are canonical text in both, so their sums and extremes are spelled out here: exact to the last digit, in the database.
 */
import { sql, type Column, type SQL } from "drizzle-orm";
import type { Decimal } from "../core/decimal";

export interface Dialect {
  /** The elements of a JSON array (one bound parameter) as rows of `r.value`; both dialects then read `r.value ->> n`. */
  jsonRows(json: string): SQL;
  sum(column: Column): SQL<Decimal>;
  min(column: Column): SQL<Decimal | null>;
  max(column: Column): SQL<Decimal | null>;
}

/** SQLite has no decimals: a value is cut into three limbs, 18 + 12 digits before the point and 12 after it. */
const LIMB = 10n ** 12n;
const TOP_LIMB = 10n ** 18n;

function limbsOf(column: Column): [sign: SQL, top: SQL, middle: SQL, places: SQL] {
  const digits = sql`ltrim(${column}, '-')`;
  const point = sql`instr(${digits} || '.', '.')`;
  const whole = sql`substr(${digits}, 1, ${point} - 1)`;
  const places = sql`substr(substr(${digits}, ${point} + 1) || '000000000000', 1, 12)`;
  return [
    sql`(case when substr(${column}, 1, 1) = '-' then -1 else 1 end)`,
    sql`cast(substr(${whole}, 1, max(length(${whole}) - 12, 0)) as integer)`,
    sql`cast(substr(${whole}, -12) as integer)`,
    sql`cast(${places} as integer)`,
  ];
}

/** Text that sorts as the decimal does: a class (n, p), then the limbs, complemented when negative. */
function sortable(column: Column): SQL {
  const [, top, middle, places] = limbsOf(column);
  const text = (a: SQL, b: SQL, c: SQL) => sql`printf('%018d%012d%012d', ${a}, ${b}, ${c})`;
  const complement = (limb: SQL, bound: bigint) => sql`${sql.raw(String(bound - 1n))} - ${limb}`;
  const negative = text(complement(top, TOP_LIMB), complement(middle, LIMB), complement(places, LIMB));
  const sorted = sql`case when substr(${column}, 1, 1) = '-' then 'n' || ${negative} else 'p' || ${text(top, middle, places)} end`;
  // printf would take a missing value for zero.
  return sql`(case when ${column} is not null then ${sorted} end)`;
}

/** The limbs of `sortable`, concatenated, are the value in units of 10⁻¹². */
const fromSortable = (text: string): Decimal =>
  text.startsWith("p") ? BigInt(text.slice(1)) : BigInt(text.slice(1)) - (TOP_LIMB * LIMB * LIMB - 1n);

export const sqliteDialect: Dialect = {
  jsonRows: (json) => sql`json_each(${json}) as r`,
  sum(column) {
    const [sign, ...limbs] = limbsOf(column);
    const sums = limbs.map((limb) => sql`sum(${sign} * ${limb})`);
    return sql<Decimal>`${sql.join(sums, sql` || ':' || `)}`.mapWith((text: string) => {
      const [top = "0", middle = "0", places = "0"] = text.split(":");
      return (BigInt(top) * LIMB + BigInt(middle)) * LIMB + BigInt(places);
    });
  },
  min: (column) => sql<Decimal | null>`min(${sortable(column)})`.mapWith(fromSortable),
  max: (column) => sql<Decimal | null>`max(${sortable(column)})`.mapWith(fromSortable),
};

/** An aggregate of numerics, as the text of an integer of 10⁻¹² units. */
const pgAggregate = (name: string, column: Column) =>
  sql<Decimal>`cast(cast(${sql.raw(name)}(cast(${column} as numeric)) * 1000000000000 as numeric(1000, 0)) as text)`.mapWith(
    BigInt,
  );

export const pgDialect: Dialect = {
  jsonRows: (json) => sql`jsonb_array_elements(cast(${json} as jsonb)) as r(value)`,
  sum: (column) => pgAggregate("sum", column),
  min: (column) => pgAggregate("min", column),
  max: (column) => pgAggregate("max", column),
};
