/**
 * How log entries lie in rows: one entry alone, or a page of blocks that each hold a few entries. Pure but for zlib, which is
 * synchronous. Every format ever written is read for ever; a new one takes the next number and older rows stay as they are.
 *
 * An entry's body is its JSON as TEXT, or a BLOB that starts with a format byte. A page's body is its blocks one after the
 * other, each a BLOB of that kind; its directory is JSON: `[[first seq, last seq, journal, events, bytes], …]`.
 */
import { Buffer } from "node:buffer";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { assert } from "../core/result";

/** What readers may filter on without opening an entry: how many journal entries and events it holds. */
export interface Facts {
  journal: number;
  events: number;
}

/** An entry as it lies in storage. */
export interface StoredEntry extends Facts {
  seq: number;
  body: string | Uint8Array;
}

/** A line of a page's directory. */
export interface Block extends Facts {
  first: number;
  last: number;
  bytes: number;
}

/** … and where it starts in the page's body. */
export interface PlacedBlock extends Block {
  offset: number;
}

/** JSON of one entry, deflated. */
const DEFLATED = 1;
/** Byte 1 is n: the JSON of one entry, deflated, is cut over n rows of `log_part`. */
const IN_PARTS = 2;
/** Many entries, deflated together: `[[seq − first seq, journal, events, bytes of JSON], …]`, a newline, and the JSON of each. */
const BUNDLE = 3;

/** Larger entries are refused. A call's body has at most 10 MB, and the platform carries none past 32 MB. */
export const ENTRY_CHARS_MAX = 32_000_000;

/** Sizes that are chosen, not written: rows of any size are read. Tests choose small ones. */
export interface LogLimits {
  /** Text up to here is stored as it is: it fits a database page, and deflating costs 18 µs however short it is. */
  plainCharsMax: number;
  /** An entry that deflates to more is cut, and a page with its directory ends here: a row may have 2 MB. */
  rowBytesMax: number;
  /** Plain entries that are bundled into one block: reading one inflates them all (65 µs); doubling it saves 3 % of the space. */
  bundleChars: number;
  /** So many entry rows gather before they become a page: few rows to replay and to count, enough text to deflate well. */
  entryRows: number;
  /** So many pages of one level become one of the next: each level rewrites every byte once. */
  levelPages: number;
  /** Entry rows that one step merges at most, when they have piled up: about 10 ms of deflating. */
  stepRows: number;
  stepPlainBytes: number;
}

export const LOG_LIMITS: LogLimits = {
  plainCharsMax: 4_096,
  rowBytesMax: 1_850_000,
  bundleChars: 65_536,
  entryRows: 64,
  levelPages: 16,
  stepRows: 1_024,
  stepPlainBytes: 1_000_000,
};

/** Measured on calls of 100 events: 1 takes 210 µs and leaves 9.2 KB, 6 takes 395 µs and leaves 8.9 KB. */
const ENTRY_LEVEL = { level: 1 } as const;
/** Measured on 64 single entries: 3 takes 3.5 µs an entry and leaves 123 bytes, 6 takes 7 µs and leaves 116. Done once, off the call, and kept for years. */
const BUNDLE_LEVEL = { level: 6 } as const;

/** The body of an entry's row, and, when that is too small for it, what goes into rows of `log_part`. */
export function encodeBody(json: string, limits: LogLimits): { body: string | Uint8Array; parts: Uint8Array[] } {
  if (json.length <= limits.plainCharsMax) return { body: json, parts: [] };
  assert(json.length <= ENTRY_CHARS_MAX, `a log entry has at most ${ENTRY_CHARS_MAX} characters`);
  const deflated = deflateRawSync(json, ENTRY_LEVEL);
  const { rowBytesMax } = limits;
  if (deflated.length < rowBytesMax) return { body: formatted(DEFLATED, deflated), parts: [] };
  const parts = Array.from({ length: Math.ceil(deflated.length / rowBytesMax) }, (_, part) =>
    deflated.subarray(part * rowBytesMax, (part + 1) * rowBytesMax),
  );
  return { body: Uint8Array.of(IN_PARTS, parts.length), parts };
}

/** The JSON of an entry. `readParts` fetches what lies in `log_part`. */
export function decodeBody(body: string | Uint8Array, readParts: () => Uint8Array[]): string {
  if (typeof body === "string") return body;
  if (body[0] === DEFLATED) return inflateRawSync(body.subarray(1)).toString("utf8");
  if (body[0] !== IN_PARTS) throw new Error(`a log entry has the unknown format ${body[0]}`);
  const parts = readParts();
  assert(parts.length === body[1], "every part of a log entry is there");
  return inflateRawSync(Buffer.concat(parts)).toString("utf8");
}

/** The body as one piece, for a place that has no rows of parts. */
export function joinParts(body: string | Uint8Array, readParts: () => Uint8Array[]): string | Uint8Array {
  return typeof body === "string" || body[0] !== IN_PARTS ? body : formatted(DEFLATED, Buffer.concat(readParts()));
}

/** The entries of a block. */
export function decodeBlock({ first, journal, events }: Block, bytes: Uint8Array): StoredEntry[] {
  if (bytes[0] !== BUNDLE) return [{ seq: first, journal, events, body: bytes }];
  const raw = inflateRawSync(bytes.subarray(1));
  const headEnd = raw.indexOf("\n");
  const head = JSON.parse(raw.toString("utf8", 0, headEnd)) as [number, number, number, number][];
  let at = headEnd + 1;
  return head.map(([offset, journal, events, length]) => {
    const body = raw.toString("utf8", at, at + length);
    at += length;
    return { seq: first + offset, journal, events, body };
  });
}

/** Gathers entries and blocks, in order, into one page. */
export class PageBuilder {
  private readonly directory: Block[] = [];
  private readonly blocks: Uint8Array[] = [];
  private waiting: { seq: number; body: string; journal: number; events: number }[] = [];
  private waitingChars = 0;

  constructor(private readonly limits: LogLimits) {}

  /** An entry that is deflated already becomes a block as it is; plain ones are bundled. */
  addEntry({ seq, journal, events, body }: StoredEntry): void {
    if (typeof body !== "string") {
      this.addBlock({ first: seq, last: seq, journal, events, bytes: body.length }, body);
      return;
    }
    this.waiting.push({ seq, body, journal, events });
    this.waitingChars += body.length;
    if (this.waitingChars >= this.limits.bundleChars) this.bundle();
  }

  addBlock(block: Block, bytes: Uint8Array): void {
    this.bundle();
    this.directory.push(block);
    this.blocks.push(bytes);
  }

  finish(): { directory: string; body: Uint8Array } {
    this.bundle();
    return { directory: encodeDirectory(this.directory), body: Buffer.concat(this.blocks) };
  }

  private bundle(): void {
    const { waiting } = this;
    if (waiting.length === 0) return;
    this.waiting = [];
    this.waitingChars = 0;
    const first = waiting[0]!.seq;
    const block: Block = { first, last: waiting.at(-1)!.seq, journal: 0, events: 0, bytes: 0 };
    const head = waiting.map(({ seq, journal, events, body }) => {
      block.journal += journal;
      block.events += events;
      return [seq - first, journal, events, Buffer.byteLength(body)];
    });
    const raw = `${JSON.stringify(head)}\n${waiting.map(({ body }) => body).join("")}`;
    const bytes = formatted(BUNDLE, deflateRawSync(raw, BUNDLE_LEVEL));
    block.bytes = bytes.length;
    this.directory.push(block);
    this.blocks.push(bytes);
  }
}

function encodeDirectory(blocks: readonly Block[]): string {
  return JSON.stringify(blocks.map(({ first, last, journal, events, bytes }) => [first, last, journal, events, bytes]));
}

export function decodeDirectory(directory: string): PlacedBlock[] {
  let offset = 0;
  return (JSON.parse(directory) as [number, number, number, number, number][]).map(
    ([first, last, journal, events, bytes]) => {
      const block = { first, last, journal, events, bytes, offset };
      offset += bytes;
      return block;
    },
  );
}

function formatted(format: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = format;
  bytes.set(payload, 1);
  return bytes;
}
