/**
 * The column kit: the words in which tables.ts describes a table, once for SQLite (D1) and once for Postgres (Neon).
 * Both answer the same JavaScript values: strings, numbers, booleans, JSON. The SQLite kit gives the types; the Postgres
 * kit is cast to it here, and nowhere else. Not offered: anything the two order, round or convert differently.
 */
import * as pg from "drizzle-orm/pg-core";
import * as sqlite from "drizzle-orm/sqlite-core";

export const sqliteKit = {
  table: sqlite.sqliteTable,
  text: <N extends string>(name: N) => sqlite.text(name),
  /** Money or a quantity as canonical text (core/decimal.ts, core/quantity.ts): no dialect may touch it with its own arithmetic. */
  decimal: <N extends string>(name: N) => sqlite.text(name),
  integer: <N extends string>(name: N) => sqlite.integer(name),
  /** A moment, in milliseconds since 1970 UTC. */
  epochMs: <N extends string>(name: N) => sqlite.integer(name),
  /** A boolean, stored as 0 or 1. */
  flag: <N extends string>(name: N) => sqlite.integer(name, { mode: "boolean" }),
  /** A JSON value, stored as its text and never looked into by SQL. */
  json: <N extends string>(name: N) => sqlite.text(name, { mode: "json" }),
  primaryKey: sqlite.primaryKey,
  index: sqlite.index,
  uniqueIndex: sqlite.uniqueIndex,
};

export type Kit = typeof sqliteKit;

/** Bytewise, as SQLite compares: "newer epoch" and the order of pages must not depend on the locale of the database. */
const PG_TEXT = 'text collate "C"';

const pgText = pg.customType<{ data: string; driverData: string }>({ dataType: () => PG_TEXT });

const pgFlag = pg.customType<{ data: boolean; driverData: number }>({
  dataType: () => "smallint",
  toDriver: (value) => (value ? 1 : 0),
  fromDriver: (value) => Number(value) === 1,
});

const pgJson = pg.customType<{ data: unknown; driverData: string }>({
  dataType: () => PG_TEXT,
  toDriver: (value) => JSON.stringify(value),
  fromDriver: (text) => JSON.parse(text),
});

/** 64 bits wide, read as a number: no time, count or sequence of ours passes 2⁵³. */
const pgInteger = (name: string) => pg.bigint(name, { mode: "number" });

export const pgKit = {
  table: pg.pgTable,
  text: pgText,
  decimal: pgText,
  integer: pgInteger,
  epochMs: pgInteger,
  flag: pgFlag,
  json: pgJson,
  primaryKey: pg.primaryKey,
  index: pg.index,
  uniqueIndex: pg.uniqueIndex,
} as unknown as Kit;
