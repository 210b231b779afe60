import { describe, expect, it } from "vitest";
import { TestSqlStorage } from "./sql-storage";
import { SQL_CASES } from "./sql-storage.suite";

/** As a DurableObjectStorage has them. */
function open() {
  const sql = new TestSqlStorage();
  return { sql, transactionSync: sql.transactionSync };
}

describe("the simulator's storage, like workerd's,", () => {
  it.each(SQL_CASES)("$name", ({ run, gives }) => {
    expect(run(open())).toEqual(gives);
  });
});

describe("the simulator's storage, where workerd is lenient,", () => {
  it("refuses a row past 2 MB, which only production does", () => {
    const { sql } = open();
    sql.exec("CREATE TABLE a (b)");
    sql.exec("INSERT INTO a VALUES (?)", new ArrayBuffer(2_000_000));
    expect(() => sql.exec("INSERT INTO a VALUES (?)", new ArrayBuffer(2_000_001))).toThrow("SQLITE_TOOBIG");
  });

  it.each([true, undefined, {}, new Date(0), "\ud800"])(
    "refuses %j, which would be stored as something else",
    (value) => {
      expect(() => open().sql.exec("SELECT ?", value)).toThrow(TypeError);
    },
  );

  it("refuses work that is not synchronous, and takes back what it wrote", () => {
    const { sql, transactionSync } = open();
    sql.exec("CREATE TABLE a (b)");
    expect(() => transactionSync(async () => sql.exec("INSERT INTO a VALUES (1)"))).toThrow("synchronous");
    expect(sql.exec("SELECT * FROM a").toArray()).toEqual([]);
  });

  it("fails at the write that a test chooses, and counts what was written so far", () => {
    const { sql, transactionSync } = open();
    sql.exec("CREATE TABLE a (b)");
    const queries: string[] = [];
    sql.beforeWrite = (query) => {
      if (queries.push(query) === 2) throw new Error("the disk is full");
    };
    const twice = () => transactionSync(() => [1, 2].map((b) => sql.exec("INSERT INTO a VALUES (?)", b)));
    expect(twice).toThrow("the disk is full");
    expect(sql.exec("SELECT * FROM a").toArray()).toEqual([]);
    expect(queries).toHaveLength(2);
    twice();
    expect(sql.exec("SELECT count(*) AS rows FROM a").one()).toEqual({ rows: 2 });
    expect(sql.rowsWritten).toBe(3);
  });
});
