/**
 * What the storage of a Durable Object does, case by case. workerd is the reference (test/sql-storage.test.ts); the storage of the
 * simulator must give the same (sql-storage.test.ts), so that what its tests prove holds in the platform too.
 */
export interface SqlCase {
  name: string;
  run: (storage: Pick<DurableObjectStorage, "sql" | "transactionSync">) => unknown;
  gives: unknown;
}

const rowsWritten = ({ sql }: Pick<DurableObjectStorage, "sql">, query: string, ...bindings: unknown[]) => {
  const cursor = sql.exec(query, ...bindings);
  cursor.toArray();
  return cursor.rowsWritten;
};

const outcome = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return `throws ${String(error)}`;
  }
};

export const SQL_CASES: readonly SqlCase[] = [
  {
    name: "gives rows as objects, as arrays, one by one, and the names of their columns",
    run: ({ sql }) => {
      const query = "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 2, NULL";
      const cursor = sql.exec(query);
      return [
        sql.exec(query).toArray(),
        [...sql.exec(query).raw()],
        [...sql.exec(query)],
        cursor.columnNames,
        cursor.next(),
        cursor.toArray(),
        cursor.next(),
      ];
    },
    gives: [
      [
        { a: 1, b: "x" },
        { a: 2, b: null },
      ],
      [
        [1, "x"],
        [2, null],
      ],
      [
        { a: 1, b: "x" },
        { a: 2, b: null },
      ],
      ["a", "b"],
      { done: false, value: { a: 1, b: "x" } },
      [{ a: 2, b: null }],
      { done: true, value: undefined },
    ],
  },
  {
    name: "insists on one row where one is asked for",
    run: ({ sql }) =>
      ["SELECT 1 AS a", "SELECT 1 WHERE 0", "SELECT 1 UNION SELECT 2"].map((query) =>
        outcome(() => sql.exec(query).one()),
      ),
    gives: [
      { a: 1 },
      "throws Error: Expected exactly one result from SQL query, but got no results.",
      "throws Error: Expected exactly one result from SQL query, but got multiple results.",
    ],
  },
  {
    name: "binds numbers as floating point, which integer columns turn back",
    run: ({ sql }) => {
      sql.exec("CREATE TABLE n (i INTEGER, v)");
      sql.exec("INSERT INTO n VALUES (?, ?)", 3, 3);
      return sql.exec("SELECT i, typeof(i) AS ti, v, typeof(v) AS tv FROM n").toArray();
    },
    gives: [{ i: 3, ti: "integer", v: 3, tv: "real" }],
  },
  {
    name: "takes bytes of any view and gives an ArrayBuffer of just those",
    run: ({ sql }) => {
      const bytes = Uint8Array.of(9, 1, 2, 9);
      return [
        bytes.subarray(1, 3),
        bytes.slice(1, 3).buffer,
        new Uint16Array(bytes.slice(1, 3).buffer),
        new DataView(bytes.buffer, 1, 2),
      ].map((bound) => {
        const { b } = sql.exec<{ b: ArrayBuffer }>("SELECT ? AS b", bound).one();
        return [b instanceof ArrayBuffer, [...new Uint8Array(b)]];
      });
    },
    gives: Array.from({ length: 4 }, () => [true, [1, 2]]),
  },
  {
    name: "refuses a bigint, and too few or too many bindings",
    run: ({ sql }) => [
      outcome(() => sql.exec("SELECT ?", 1n)),
      outcome(() => sql.exec("SELECT ?, ?", 1)),
      outcome(() => sql.exec("SELECT ?", 1, 2)),
      outcome(() => sql.exec("SELECT ?1 + ?1 AS two, '?' AS mark", 1).one()),
    ],
    gives: [
      "throws TypeError: Cannot convert a BigInt value to a number",
      "throws Error: Wrong number of parameter bindings for SQL query.",
      "throws Error: Wrong number of parameter bindings for SQL query.",
      { two: 2, mark: "?" },
    ],
  },
  {
    name: "runs several statements and gives the rows of the last",
    run: ({ sql }) => sql.exec("CREATE TABLE s (a); INSERT INTO s VALUES (1);\n SELECT a + ? AS b FROM s", 5).toArray(),
    gives: [{ b: 6 }],
  },
  {
    name: "counts rows written: inserts, updates, replacements and deletes, one each",
    run: (storage) => {
      storage.sql.exec("CREATE TABLE w (a INTEGER PRIMARY KEY, b)");
      return [
        rowsWritten(storage, "INSERT INTO w VALUES (1, 1), (2, 2), (3, 3)"),
        rowsWritten(storage, "UPDATE w SET b = 9 WHERE a >= ?", 2),
        rowsWritten(storage, "REPLACE INTO w VALUES (1, 7)"),
        rowsWritten(storage, "INSERT INTO w VALUES (1, 7) ON CONFLICT (a) DO UPDATE SET b = 8"),
        rowsWritten(storage, "DELETE FROM w WHERE a >= 2"),
        rowsWritten(storage, "DELETE FROM w WHERE a = 99"),
        rowsWritten(storage, "INSERT INTO w VALUES (5, 5) RETURNING a"),
        rowsWritten(storage, "SELECT * FROM w"),
      ];
    },
    gives: [3, 2, 1, 1, 2, 0, 1, 0],
  },
  {
    name: "takes back everything that a failed transaction wrote, and only that",
    run: ({ sql, transactionSync }) => {
      sql.exec("CREATE TABLE t (a)");
      const failing = (work: () => void) => () => {
        work();
        throw new Error("no");
      };
      const insert = (a: number) => sql.exec("INSERT INTO t VALUES (?)", a);
      insert(1);
      const results = [
        outcome(() => transactionSync(failing(() => insert(2)))),
        transactionSync(() => {
          insert(3);
          outcome(() => transactionSync(failing(() => insert(4))));
          return "kept";
        }),
        outcome(() =>
          transactionSync(
            failing(() => {
              transactionSync(() => insert(5));
            }),
          ),
        ),
      ];
      return [
        results,
        sql
          .exec<{ a: number }>("SELECT a FROM t ORDER BY a")
          .toArray()
          .map(({ a }) => a),
      ];
    },
    gives: [
      ["throws Error: no", "kept", "throws Error: no"],
      [1, 3],
    ],
  },
  {
    name: "leaves transactions to transactionSync",
    run: ({ sql }) =>
      ["BEGIN", "SAVEPOINT a", "COMMIT"].map((query) => String(outcome(() => sql.exec(query))).slice(0, 40)),
    gives: Array.from({ length: 3 }, () => "throws Error: To execute a transaction, "),
  },
  {
    name: "knows the functions the code relies on",
    run: ({ sql }) =>
      sql.exec("SELECT octet_length('é') AS o, substr(x'010203', 2, 1) = x'02' AS s, typeof(?) AS t", "x").one(),
    gives: { o: 2, s: 1, t: "text" },
  },
  {
    name: "says how large it is",
    run: ({ sql }) => {
      sql.exec("CREATE TABLE d (b)");
      const before = sql.databaseSize;
      sql.exec("INSERT INTO d VALUES (?)", new ArrayBuffer(90_000));
      return sql.databaseSize - before >= 20 * 4_096 && sql.databaseSize % 4_096 === 0;
    },
    gives: true,
  },
];
