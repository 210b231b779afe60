/**
 * The rows of the dedup index's runs: all its SQL, and nothing that decides. A run is a row of `dedup_run`, its pages and the
 * segments that memory keeps (core/dedup.ts). Atomicity is the caller's: it wraps what belongs together in one transaction.
 */
import { decodeSegment, encodeSegment, RECORD_BYTES, RECORD_WORDS, type Segment } from "../core/dedup";

export const DEDUP_TABLES = `
CREATE TABLE dedup_run (
  id INTEGER PRIMARY KEY,
  state TEXT NOT NULL,
  keys INTEGER NOT NULL,
  pages INTEGER NOT NULL,
  covered INTEGER NOT NULL,
  inputs TEXT,
  hash_key BLOB NOT NULL
);
CREATE TABLE dedup_segment (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE dedup_page (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
`;

/** Ids of pages and segments are run × RUN_SPAN + number: a run's rows lie together and need no index but the row id. */
export const RUN_SPAN = 65_536;

export type RunRow = {
  id: number;
  /** building: not looked into yet. dead: merged into another, its rows are going. */
  state: "live" | "building" | "dead";
  keys: number;
  pages: number;
  /** The keys of all log entries up to this one are in this run or in others. */
  covered: number;
  /** building: JSON ids of the runs it is made of. */
  inputs: string | null;
  /** The same in every run of an object. */
  hash_key: ArrayBuffer;
};

export class RunStore {
  constructor(private readonly sql: SqlStorage) {}

  runs(): RunRow[] {
    const tables = this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'dedup_run'").toArray();
    return tables.length === 0 ? [] : this.sql.exec<RunRow>("SELECT * FROM dedup_run ORDER BY id").toArray();
  }

  writeRun({ id, state, keys, pages, covered, inputs, hash_key }: RunRow): void {
    this.sql.exec(
      "REPLACE INTO dedup_run VALUES (?, ?, ?, ?, ?, ?, ?)",
      id,
      state,
      keys,
      pages,
      covered,
      inputs,
      hash_key,
    );
  }

  kill(run: number): void {
    this.sql.exec("UPDATE dedup_run SET state = 'dead' WHERE id = ?", run);
  }

  segments(run: number): Segment[] {
    const rows = this.sql.exec<{ body: ArrayBuffer }>(
      "SELECT body FROM dedup_segment WHERE id >= ? AND id < ? ORDER BY id",
      run * RUN_SPAN,
      (run + 1) * RUN_SPAN,
    );
    return Array.from(rows, ({ body }) => decodeSegment(body));
  }

  /** Writes pages [firstPage …] and their segment; gives back what memory keeps of them. */
  writeSegment(
    run: number,
    number: number,
    firstPage: number,
    pages: readonly Uint32Array[],
    pageRecords: number,
  ): Segment {
    const body = encodeSegment(pages, pageRecords);
    this.sql.exec("INSERT INTO dedup_segment VALUES (?, ?)", run * RUN_SPAN + number, body);
    for (const [place, words] of pages.entries()) {
      this.sql.exec("INSERT INTO dedup_page VALUES (?, ?)", run * RUN_SPAN + firstPage + place, words);
    }
    return decodeSegment(body.buffer);
  }

  page(run: number, page: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(
      this.sql.exec<{ body: ArrayBuffer }>("SELECT body FROM dedup_page WHERE id = ?", run * RUN_SPAN + page).one()
        .body,
    );
  }

  /** Some records of a page. Blobs leave the database at about 2 µs a KB, so a lookup takes only what it needs. */
  records(run: number, page: number, from: number, records: number): Uint32Array<ArrayBuffer> {
    const query = "SELECT substr(body, ?, ?) AS part FROM dedup_page WHERE id = ?";
    const row = this.sql
      .exec<{ part: ArrayBuffer }>(query, 1 + from * RECORD_BYTES, records * RECORD_BYTES, run * RUN_SPAN + page)
      .one();
    return new Uint32Array(row.part);
  }

  /** The last record of a page. */
  lastRecord(run: number, page: number): Uint32Array<ArrayBuffer> {
    return this.page(run, page).slice(-RECORD_WORDS);
  }

  /** Deletes up to `pages` pages of a run, last first, and, when none is left, all else of it. Says whether it is gone. */
  reap(run: number, pages: number): boolean {
    const start = run * RUN_SPAN;
    const end = start + RUN_SPAN;
    const { last } = this.sql
      .exec<{ last: number | null }>("SELECT max(id) AS last FROM dedup_page WHERE id >= ? AND id < ?", start, end)
      .one();
    const from = Math.max(start, (last ?? start) - pages + 1);
    this.sql.exec("DELETE FROM dedup_page WHERE id >= ? AND id < ?", from, end);
    if (from > start) return false;
    this.sql.exec("DELETE FROM dedup_segment WHERE id >= ? AND id < ?", start, end);
    this.sql.exec("DELETE FROM dedup_run WHERE id = ?", run);
    return true;
  }
}
