/**
 * The SQLite storage of a Durable Object, on node:sqlite: what `ctx.storage.sql` and `ctx.storage.transactionSync` do in
 * workerd, for tests that need millions of rows, thousands of crashes, or a fault at a chosen statement. It is stricter where
 * workerd is lenient: limits that only production enforces hold here, and a value that workerd would silently turn into another
 * is refused. A cursor has read all its rows when `exec` returns. Not here: alarms and the key-value methods.
 */
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";

/** "Maximum string, BLOB or table row size: 2 MB"; workerd on a developer's machine has no such limit. */
const ROW_BYTES_MAX = 2_000_000;
const BINDINGS_MAX = 100;
const QUERY_BYTES_MAX = 100_000;

const WRITES = /^\s*(insert|replace|update|delete|create|drop|alter)\b/i;
const TRANSACTIONS = /^\s*(begin|commit|end|rollback|savepoint|release)\b/i;

export class TestSqlStorage implements SqlStorage {
  readonly Cursor = TestSqlCursor as unknown as typeof SqlStorageCursor;
  readonly Statement = class {} as unknown as typeof SqlStorageStatement;
  /** Rows inserted, updated and deleted since the start: what is billed, but for the rows of secondary indexes. */
  rowsWritten = 0;
  /** Called before every statement that writes; throw to make it fail. */
  beforeWrite: (query: string) => void = () => undefined;
  private readonly database: DatabaseSync;
  private readonly changes: StatementSync;
  private readonly statements = new Map<string, Prepared>();
  private depth = 0;

  constructor(path = ":memory:") {
    this.database = new DatabaseSync(path);
    // Killing the process loses nothing; that a test's storage survives a power cut is not worth an fsync a write.
    this.database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    this.changes = this.database.prepare("SELECT total_changes() AS changes");
  }

  exec<T extends Record<string, SqlStorageValue>>(query: string, ...bindings: unknown[]): SqlStorageCursor<T> {
    if (Buffer.byteLength(query) > QUERY_BYTES_MAX) throw new Error("statement too long: SQLITE_TOOBIG");
    // Of several statements the last one gets the bindings and gives the rows.
    for (let text = query; ;) {
      const prepared = this.prepare(text);
      const rest = text.slice(prepared.statement.sourceSQL.length);
      if (rest.trim() === "") return this.run(prepared, bindings) as unknown as SqlStorageCursor<T>;
      this.run(prepared, []);
      text = rest;
    }
  }

  get databaseSize(): number {
    const pragma = (name: string) => Number(Object.values(this.database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
    return pragma("page_count") * pragma("page_size");
  }

  /** If `work` throws, nothing it wrote stays. May be nested. */
  readonly transactionSync = <T>(work: () => T): T => {
    const name = `depth_${this.depth++}`;
    this.database.exec(`SAVEPOINT ${name}`);
    try {
      const result = work();
      if (result instanceof Promise) throw new TypeError("transactionSync takes work that is synchronous");
      this.database.exec(`RELEASE ${name}`);
      return result;
    } catch (error) {
      this.database.exec(`ROLLBACK TO ${name}; RELEASE ${name}`);
      throw error;
    } finally {
      this.depth--;
    }
  };

  close(): void {
    this.database.close();
  }

  private prepare(text: string): Prepared {
    if (TRANSACTIONS.test(text))
      throw new Error("To execute a transaction, please use the state.storage.transactionSync() API.");
    const known = this.statements.get(text);
    if (known) return known;
    const statement = this.database.prepare(text);
    statement.setReturnArrays(true);
    const query = statement.sourceSQL;
    const prepared = { statement, query, parameters: parametersOf(query), writes: WRITES.test(query) };
    this.statements.set(text, prepared);
    return prepared;
  }

  private run({ statement, query, parameters, writes }: Prepared, bindings: unknown[]): TestSqlCursor {
    if (bindings.length !== parameters) throw new Error("Wrong number of parameter bindings for SQL query.");
    const values = bindable(bindings);
    if (writes) this.beforeWrite(query);
    const before = writes ? this.totalChanges() : 0;
    // With setReturnArrays a row is an array, which the types of node:sqlite do not know.
    const rows = statement.all(...values) as unknown as SQLOutputValue[][];
    const rowsWritten = writes ? this.totalChanges() - before : 0;
    this.rowsWritten += rowsWritten;
    const columnNames = statement.columns().map(({ name }) => name);
    return new TestSqlCursor(
      columnNames,
      rows.map((row) => row.map(readable)),
      rowsWritten,
    );
  }

  private totalChanges(): number {
    return this.changes.get()!["changes"] as number;
  }
}

interface Prepared {
  statement: StatementSync;
  query: string;
  parameters: number;
  writes: boolean;
}

/** node:sqlite binds null where a value is missing, and does not say how many there should be. */
function parametersOf(query: string): number {
  const code = query.replaceAll(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[^]*?\*\//g, " ");
  let highest = 0;
  for (const [, number] of code.matchAll(/\?(\d*)/g))
    highest = Math.max(highest, number ? Number(number) : highest + 1);
  return highest;
}

class TestSqlCursor implements IterableIterator<Record<string, SqlStorageValue>> {
  /** Rows given, not rows visited: node:sqlite does not count those. */
  readonly rowsRead: number;
  private at = 0;

  constructor(
    readonly columnNames: string[],
    private readonly rows: SqlStorageValue[][],
    readonly rowsWritten: number,
  ) {
    this.rowsRead = rows.length;
  }

  next(): IteratorResult<Record<string, SqlStorageValue>, undefined> {
    const row = this.rows[this.at];
    if (!row) return { done: true, value: undefined };
    this.at++;
    return { done: false, value: Object.fromEntries(this.columnNames.map((name, column) => [name, row[column]!])) };
  }

  toArray(): Record<string, SqlStorageValue>[] {
    return [...this];
  }

  one(): Record<string, SqlStorageValue> {
    const rows = this.toArray();
    if (rows.length === 1) return rows[0]!;
    throw new Error(
      `Expected exactly one result from SQL query, but got ${rows.length === 0 ? "no" : "multiple"} results.`,
    );
  }

  *raw(): IterableIterator<SqlStorageValue[]> {
    while (this.at < this.rows.length) yield this.rows[this.at++]!;
  }

  [Symbol.iterator](): this {
    return this;
  }
}

function bindable(bindings: unknown[]): (string | number | null | Uint8Array)[] {
  if (bindings.length > BINDINGS_MAX) throw new Error("too many SQL variables: SQLITE_ERROR");
  let bytes = 0;
  const values = bindings.map((value) => {
    if (value === null || typeof value === "number") return value;
    if (typeof value === "string") {
      if (!value.isWellFormed()) throw new TypeError("a lone surrogate would be stored as U+FFFD");
      bytes += Buffer.byteLength(value);
      return value;
    }
    if (typeof value === "bigint") throw new TypeError("Cannot convert a BigInt value to a number");
    const blob =
      value instanceof ArrayBuffer
        ? new Uint8Array(value)
        : ArrayBuffer.isView(value)
          ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
          : null;
    if (blob === null) throw new TypeError(`a binding is null, a number, a string or bytes, not ${typeof value}`);
    bytes += blob.byteLength;
    return blob;
  });
  if (bytes > ROW_BYTES_MAX) throw new Error("string or blob too big: SQLITE_TOOBIG");
  return values;
}

function readable(value: SQLOutputValue): SqlStorageValue {
  if (value instanceof Uint8Array) return value.slice().buffer;
  // node:sqlite throws by itself where an integer is past 2⁵³; workerd rounds.
  return typeof value === "bigint" ? Number(value) : value;
}
