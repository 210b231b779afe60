/**
 * The log of a customer's object, the truth that everything else is recomputed from: entries numbered 1, 2, 3 …, each the JSON
 * text of one call, opaque here. Appending is one row write. `mergeStep` gathers rows into pages outside the call, one bounded
 * atomic step at a time; readers see the same entries before, between and after steps. Synchronous. Bytes: log-format.ts.
 */
import { Buffer } from "node:buffer";
import { assert } from "../core/result";
import {
  decodeBlock,
  decodeBody,
  decodeDirectory,
  encodeBody,
  joinParts,
  LOG_LIMITS,
  PageBuilder,
  type Facts,
  type Block,
  type LogLimits,
  type PlacedBlock,
  type StoredEntry,
} from "./log-format";
import { planMerge, SEALED, type RowHead } from "./log-merge";

export const LOG_TABLES = `
CREATE TABLE log (
  seq INTEGER PRIMARY KEY,
  last INTEGER NOT NULL,
  level INTEGER NOT NULL,
  journal INTEGER NOT NULL,
  events INTEGER NOT NULL,
  directory TEXT,
  body BLOB NOT NULL
);
CREATE TABLE log_part (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
`;

/** Ids in `log_part` are seq × PART_SPAN + part. */
const PART_SPAN = 64;
/** Rows fetched by one query of a scan. */
const SCAN_ROWS = 16;
/** Adjacent blocks of a page that a scan reads at once: reading a blob's middle costs as much as the whole way to it. */
const SCAN_BYTES = 262_144;

export interface Entry extends Facts {
  seq: number;
  json: string;
}

/** One entry, or a block of a page, as it lies in the log. */
export interface StoredBlock extends Omit<Block, "bytes"> {
  body: string | Uint8Array;
}

export interface Scan {
  /** Only entries with journal entries in them; pages and blocks without any are not opened. */
  journalOnly?: boolean;
  /** Likewise, only entries with events. */
  eventsOnly?: boolean;
  /** Forward: no entry past this one. */
  to?: number;
}

type Row = {
  seq: number;
  last: number;
  journal: number;
  events: number;
  directory: string | null;
  /** null for a page: its blocks are read one by one. */
  body: ArrayBuffer | string | null;
};

type HeadRow = Omit<RowHead, "plain"> & { plain: number };

interface Known {
  head: number;
  /** The rows behind the last sealed one: all that can still be merged. */
  open: RowHead[];
}

export class Log {
  private known: Known | null = null;
  /** The block read last: the events of a repeated batch all lie in one. What a number holds never changes, so it is never stale. */
  private block: { first: number; last: number; entries: StoredEntry[] } | null = null;

  constructor(
    private readonly sql: SqlStorage,
    private readonly transaction: <T>(work: () => T) => T,
    private readonly limits: LogLimits = LOG_LIMITS,
  ) {}

  /** The number of the newest entry; 0 before the first. */
  get head(): number {
    return this.load().head;
  }

  /** Rows in the database, for tests and status. */
  get rows(): number {
    if (!this.exists) return 0;
    return this.sql
      .exec<{ rows: number }>("SELECT (SELECT count(*) FROM log) + (SELECT count(*) FROM log_part) AS rows")
      .one().rows;
  }

  /** Stores the next entry. One row write; only an entry past 1.85 MB deflated takes more. */
  append(seq: number, json: string, { journal, events }: Facts): void {
    const known = this.load();
    assert(seq === known.head + 1, "log entries are numbered without gaps");
    const { body, parts } = encodeBody(json, this.limits);
    const insert = () =>
      this.sql.exec("INSERT INTO log VALUES (?, ?, 0, ?, ?, NULL, ?)", seq, seq, journal, events, body);
    if (parts.length === 0) insert();
    else {
      this.transaction(() => {
        insert();
        for (const [part, bytes] of parts.entries())
          this.sql.exec("INSERT INTO log_part VALUES (?, ?)", seq * PART_SPAN + part, bytes);
      });
    }
    known.head = seq;
    const plain = typeof body === "string";
    known.open.push({ seq, last: seq, level: 0, bytes: plain ? Buffer.byteLength(body) : body.length, plain });
  }

  read(seq: number): Entry | null {
    const { block } = this;
    const entries = block && block.first <= seq && seq <= block.last ? block.entries : this.blockOf(seq);
    const entry = entries.find((other) => other.seq === seq);
    return entry ? this.opened(entry) : null;
  }

  /** Entries from this number on, oldest first. Rows may be appended and merged while it runs. */
  forward(fromSeq: number, scan: Scan = {}): Generator<Entry> {
    return this.scan(fromSeq, true, scan);
  }

  /** Entries before this number, newest first. */
  backward(beforeSeq: number, scan: Scan = {}): Generator<Entry> {
    return this.scan(beforeSeq - 1, false, scan);
  }

  /** What lies in the log from this number on, for whoever copies it unread; the first block may begin before it. Not to be kept across an await. */
  *stored(fromSeq: number): Generator<StoredBlock> {
    for (let rows = this.rowsAt(fromSeq, true, {}); rows.length > 0;) {
      for (const row of rows) {
        const { seq, last, journal, events } = row;
        if (row.directory === null) {
          yield { first: seq, last, journal, events, body: joinParts(bodyOf(row.body!), () => this.partsOf(seq)) };
          continue;
        }
        for (const span of spansOf(decodeDirectory(row.directory).filter((block) => block.last >= fromSeq))) {
          const start = span[0]!.offset;
          const bytes = this.bytesOf(row, start, span.at(-1)!.offset + span.at(-1)!.bytes - start)!;
          for (const { offset, bytes: length, ...block } of span)
            yield { ...block, body: bytes.subarray(offset - start, offset - start + length) };
        }
      }
      rows = this.rowsAt(rows.at(-1)!.last + 1, true, {});
    }
  }

  /** Does one merge, if one is due; `more`: another is due now. */
  mergeStep(): { more: boolean } {
    const { open } = this.load();
    const plan = planMerge(open, this.limits);
    if (!plan) return { more: false };
    const sources = open.slice(plan.from, plan.to);
    const { seq } = sources[0]!;
    const { last } = sources.at(-1)!;
    const bytes = this.transaction(() => this.merge(seq, last, plan.level));
    // What is behind a sealed row is never merged with what is before it: a plan that seals begins with the oldest open row.
    const merged: RowHead[] = plan.level === SEALED ? [] : [{ seq, last, level: plan.level, bytes, plain: false }];
    open.splice(plan.from, sources.length, ...merged);
    return { more: planMerge(open, this.limits) !== null };
  }

  /** Forgets what memory holds; for the owner's recovery from a failed write. */
  forget(): void {
    this.known = null;
    this.block = null;
  }

  /** Writes rows seq … last as one page into the first of them; the page's bytes. Every number stays where a reader looks for it. */
  private merge(seq: number, last: number, level: number): number {
    const page = new PageBuilder(this.limits);
    let journal = 0;
    let events = 0;
    const query =
      "SELECT seq, last, journal, events, directory, body FROM log WHERE seq >= ? AND seq <= ? ORDER BY seq";
    for (const row of this.sql.exec<Row & { body: ArrayBuffer | string }>(query, seq, last)) {
      journal += row.journal;
      events += row.events;
      const body = bodyOf(row.body);
      if (row.directory === null) page.addEntry({ ...row, body });
      else {
        assert(typeof body !== "string", "a page is a blob");
        for (const block of decodeDirectory(row.directory))
          page.addBlock(block, body.subarray(block.offset, block.offset + block.bytes));
      }
    }
    const { directory, body } = page.finish();
    // An update costs one row write where a delete and an insert cost two.
    this.sql.exec("DELETE FROM log WHERE seq > ? AND seq <= ?", seq, last);
    this.sql.exec(
      "UPDATE log SET last = ?, level = ?, journal = ?, events = ?, directory = ?, body = ? WHERE seq = ?",
      last,
      level,
      journal,
      events,
      directory,
      body,
      seq,
    );
    return directory.length + body.length;
  }

  /** Asked of storage once a wake: an object that never wrote has no tables, and reading must not make them. */
  private load(): Known {
    if (this.known) return this.known;
    const open: RowHead[] = [];
    const query = `SELECT seq, last, level, octet_length(body) + ifnull(octet_length(directory), 0) AS bytes, typeof(body) = 'text' AS plain
      FROM log WHERE seq < ? ORDER BY seq DESC LIMIT 64`;
    let head = 0;
    for (let before: number | undefined = this.exists ? Number.MAX_SAFE_INTEGER : undefined; before !== undefined;) {
      const rows: HeadRow[] = this.sql.exec<HeadRow>(query, before).toArray();
      head ||= rows[0]?.last ?? 0;
      const sealed = rows.findIndex(({ level }) => level === SEALED);
      for (const row of sealed < 0 ? rows : rows.slice(0, sealed)) open.push({ ...row, plain: row.plain === 1 });
      before = sealed < 0 ? rows.at(-1)?.seq : undefined;
    }
    this.known = { head, open: open.reverse() };
    return this.known;
  }

  private get exists(): boolean {
    return this.sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'log'").toArray().length > 0;
  }

  /**
   * Walks entries from a number on. Rows may be merged between two of them: plain rows are in hand already, and where a page
   * has become part of another the rows are looked up again from where the walk stands.
   */
  private *scan(from: number, forward: boolean, scan: Scan): Generator<Entry> {
    const at = { next: from };
    for (;;) {
      const rows = this.rowsAt(at.next, forward, scan);
      if (rows.length === 0) return;
      for (const row of rows) {
        const unchanged = yield* this.entriesOf(row, at, forward, scan);
        if (!unchanged) break;
        at.next = forward ? row.last + 1 : row.seq - 1;
      }
    }
  }

  /** False when the row is no longer as it was read. */
  private *entriesOf(row: Row, at: { next: number }, forward: boolean, scan: Scan): Generator<Entry, boolean> {
    if (row.directory === null) {
      yield this.opened({ ...row, body: bodyOf(row.body!) });
      return true;
    }
    const { to = Infinity } = scan;
    const ahead = (first: number, last: number) => (forward ? last >= at.next && first <= to : first <= at.next);
    const blocks = decodeDirectory(row.directory).filter(
      (block) => ahead(block.first, block.last) && isWanted(block, scan),
    );
    for (const span of spansOf(forward ? blocks : blocks.toReversed())) {
      const start = Math.min(span[0]!.offset, span.at(-1)!.offset);
      const bytes = this.bytesOf(
        row,
        start,
        span.reduce((sum, block) => sum + block.bytes, 0),
      );
      if (!bytes) return false;
      for (const block of span) {
        const entries = decodeBlock(block, bytes.subarray(block.offset - start, block.offset - start + block.bytes));
        for (const entry of forward ? entries : entries.toReversed()) {
          if (!ahead(entry.seq, entry.seq)) continue;
          at.next = forward ? entry.seq + 1 : entry.seq - 1;
          if (isWanted(entry, scan)) yield this.opened(entry);
        }
      }
    }
    return true;
  }

  private rowsAt(seq: number, forward: boolean, scan: Scan, limit = SCAN_ROWS): Row[] {
    if (this.head === 0) return [];
    const { journalOnly, eventsOnly, to = Number.MAX_SAFE_INTEGER } = scan;
    // Forward the row that holds `seq` may start before it; nothing is ever between two rows.
    const range = forward ? "seq >= ifnull((SELECT max(seq) FROM log WHERE seq <= ?1), 0) AND last >= ?1" : "seq <= ?1";
    const query = `SELECT seq, last, journal, events, directory, CASE WHEN directory IS NULL THEN body END AS body
      FROM log WHERE ${range} AND journal >= ?2 AND events >= ?3 AND seq <= ?4 ORDER BY seq ${forward ? "ASC" : "DESC"} LIMIT ?5`;
    return this.sql.exec<Row>(query, seq, journalOnly ? 1 : 0, eventsOnly ? 1 : 0, to, limit).toArray();
  }

  /** All entries of the block that holds this number; none when no row does. */
  private blockOf(seq: number): StoredEntry[] {
    const row = this.rowsAt(seq, false, {}, 1)[0];
    if (!row || row.last < seq) return [];
    if (row.directory === null) return [{ ...row, body: bodyOf(row.body!) }];
    const block = decodeDirectory(row.directory).find(({ last }) => seq <= last)!;
    const entries = decodeBlock(block, this.bytesOf(row, block.offset, block.bytes)!);
    this.block = { first: block.first, last: block.last, entries };
    return entries;
  }

  /** Part of a page's body; null when the page is no longer that row. */
  private bytesOf({ seq, last }: Row, offset: number, bytes: number): Uint8Array | null {
    const query = "SELECT substr(body, ?, ?) AS part FROM log WHERE seq = ? AND last = ? AND directory IS NOT NULL";
    const row = this.sql.exec<{ part: ArrayBuffer }>(query, offset + 1, bytes, seq, last).toArray()[0];
    return row ? new Uint8Array(row.part) : null;
  }

  private opened({ seq, journal, events, body }: StoredEntry): Entry {
    return { seq, journal, events, json: decodeBody(body, () => this.partsOf(seq)) };
  }

  private partsOf(seq: number): Uint8Array[] {
    const query = "SELECT body FROM log_part WHERE id >= ? AND id < ? ORDER BY id";
    const rows = this.sql.exec<{ body: ArrayBuffer }>(query, seq * PART_SPAN, (seq + 1) * PART_SPAN);
    return Array.from(rows, (row) => new Uint8Array(row.body));
  }
}

const isWanted = ({ journal, events }: Facts, { journalOnly, eventsOnly }: Scan): boolean =>
  (!journalOnly || journal > 0) && (!eventsOnly || events > 0);

const bodyOf = (body: ArrayBuffer | string): Uint8Array | string =>
  typeof body === "string" ? body : new Uint8Array(body);

/** Cuts blocks into stretches that lie side by side and are small enough to be read at once. */
function spansOf(blocks: readonly PlacedBlock[]): PlacedBlock[][] {
  const spans: PlacedBlock[][] = [];
  let bytes = 0;
  for (const block of blocks) {
    const span = spans.at(-1);
    const before = span?.at(-1);
    const adjacent =
      before && (before.offset + before.bytes === block.offset || block.offset + block.bytes === before.offset);
    if (adjacent && bytes + block.bytes <= SCAN_BYTES) span!.push(block);
    else {
      spans.push([block]);
      bytes = 0;
    }
    bytes += block.bytes;
  }
  return spans;
}
