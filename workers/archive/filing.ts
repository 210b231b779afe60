/**
 * Gathers lines into files of one namespace and UTC day each, with the index rows that say what is in them. A file's name comes from what
 * is in it, so filing the same messages again writes the same files. Pure but for hashing; where files go is the consumer's business.
 */
import { encodeTime } from "ulid";
import type { Line } from "../../core/archive-line";
import { base32, type Sha256 } from "../../core/journal";
import type { ArchiveHeader } from "../../schema/messages";
import type { ArchiveFile, ArchivePart } from "../../store/archive";
import { dayOf, fileKey } from "./file";

/** Of a file's lines, in characters: what a list reads to answer with a few of them. */
const FILE_CHARS_MAX = 8_000_000;

/** What is to be written for one namespace and day. */
export interface Filed {
  namespaceId: string;
  /** Without its bytes, which are known when it is compressed. */
  file: Omit<ArchiveFile, "bytes" | "createdAt">;
  parts: ArchivePart[];
  /** Of the objects in it, by name. */
  customers: Map<string, ArchiveHeader["customer"]>;
  lines: string[];
}

interface OpenFile extends Omit<Filed, "parts"> {
  day: number;
  chars: number;
  /** Files of this day before it, full. */
  before: number;
  /** By message. */
  parts: Map<ArchiveHeader, ArchivePart>;
}

export class Filing {
  private readonly open = new Map<string, OpenFile>();
  private readonly closed: OpenFile[] = [];
  /** Of all lines. */
  chars = 0;

  get size(): number {
    return this.open.size + this.closed.length;
  }

  /** Lines of one log entry, accepted at `storedAt`. */
  add(header: ArchiveHeader, lines: readonly Line[], storedAt: number): void {
    for (const { time, text } of lines) {
      const file = this.fileOf(header.namespaceId, dayOf(time));
      const { file: row } = file;
      row.events++;
      row.fromTime = Math.min(row.fromTime, time);
      row.toTime = Math.max(row.toTime, time);
      row.fromStored = Math.min(row.fromStored, storedAt);
      row.toStored = Math.max(row.toStored, storedAt);
      let part = file.parts.get(header);
      if (part === undefined) {
        const { object, epoch, from: fromSeq, to: toSeq, customer } = header;
        file.parts.set(header, (part = { object, epoch, fromSeq, toSeq, day: file.day, file: "", events: 0 }));
        file.customers.set(object, customer);
      }
      part.events++;
      file.lines.push(text);
      file.chars += text.length + 1;
      this.chars += text.length + 1;
      if (file.chars >= FILE_CHARS_MAX) this.close(file);
    }
  }

  /** All files, in the order of their names. */
  files(sha256: Sha256): Filed[] {
    for (const file of this.open.values()) this.close(file);
    return this.closed
      .map(({ namespaceId, day, before, file, parts, customers, lines }) => {
        const rows = [...parts.values()];
        const hash = sha256(JSON.stringify([namespaceId, day, before, rows]));
        const bits40 = (from: number) => base32(Number.parseInt(hash.slice(from, from + 10), 16), 8);
        const name = fileKey(namespaceId, day, `${encodeTime(file.toStored, 10)}${bits40(0)}${bits40(10)}`);
        return {
          namespaceId,
          file: { ...file, file: name },
          parts: rows.map((row) => ({ ...row, file: name })),
          customers,
          lines,
        };
      })
      .sort((a, b) => (a.file.file < b.file.file ? -1 : 1));
  }

  private fileOf(namespaceId: string, day: number): OpenFile {
    const key = `${namespaceId} ${day}`;
    let file = this.open.get(key);
    if (file === undefined) {
      const none = { fromTime: Infinity, toTime: -Infinity, fromStored: Infinity, toStored: -Infinity };
      file = {
        namespaceId,
        day,
        before: this.closed.filter((full) => full.namespaceId === namespaceId && full.day === day).length,
        file: { day, file: "", events: 0, ...none },
        parts: new Map(),
        customers: new Map(),
        lines: [],
        chars: 0,
      };
      this.open.set(key, file);
    }
    return file;
  }

  private close(file: OpenFile): void {
    this.closed.push(file);
    this.open.delete(`${file.namespaceId} ${file.day}`);
  }
}
