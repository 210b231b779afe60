/**
 * The archive's lines: one JSON object for every accepted event, and for every correction of one. A line is spliced from the log's
 * own text, so numbers stay exact and nothing is parsed that need not be. What a line holds: docs/archive.md. Not known here: files, days.
 */
import type { UsageEvent } from "./event";
import { parseExact } from "./exact-json";
import { formatInstant } from "./instant";
import { assert } from "./result";
import type { EventRef } from "./unrated";

/** Whose log the lines are of. */
export interface LineSource {
  namespaceId: string;
  object: string;
  epoch: string;
  /** null: no customer was declared over this object when the lines were shipped. */
  customerId: string | null;
}

export interface Line {
  /** The event's time, epoch ms: it decides the file. */
  time: number;
  text: string;
}

/** What of a log entry's text is not its events. */
export interface EntryLines {
  seq: number;
  /** When it was accepted, epoch ms. */
  at: number;
  lines: Line[];
  /** It corrects earlier events: only its object knows which (`correctionLine`). */
  corrects: boolean;
}

const HEAD = /^\{"v":1,"seq":(\d+),"at":(\d+)[,}]/;
const EVENTS = ',"events":[{';
const UNRATED = ',"unrated":[';
const CORRECTIONS = ',"corrections":[[';
/** Events that moved in were accepted by another object, which archives them. */
const IMPORTED = ',"imported":{';
/** Between two events, and between objects of any list that begin with an id. */
const BETWEEN = '},{"id":"';
const TEXT = String.raw`"[^"\\]*(?:\\.[^"\\]*)*"`;
const EVENT = new RegExp(`^\\{"id":${TEXT},"source":${TEXT},"type":${TEXT},"subject":${TEXT},"time":(\\d+)(?=[,}])`);

/**
 * The lines of one log entry, from its text (core/log-entry.ts). `events` is how many it holds. A quote within a text is escaped, so
 * the keys that are looked for can only be keys; those of the entry stand before its events, which stand last.
 */
export function entryLines(source: LineSource, text: string, events: number): EntryLines {
  const head = HEAD.exec(text);
  assert(head, "a log entry is of a known format");
  const entry = { seq: Number(head[1]), at: Number(head[2]) };
  const start = events === 0 ? text.length : text.indexOf(EVENTS);
  assert(start > 0, "an entry's events stand in its text");
  const before = text.slice(0, start);
  if (before.includes(IMPORTED)) return { ...entry, lines: [], corrects: false };
  const corrects = before.includes(CORRECTIONS);
  if (events === 0) return { ...entry, lines: [], corrects };
  const parts = lineParts(source, entry.seq, entry.at);
  const unrated = new Set(listIn(before, UNRATED));
  const list = text.slice(start + EVENTS.length - 1, -2);
  const lines = eventLines(cut(list), events, parts, unrated) ?? eventLines(parsed(list), events, parts, unrated);
  assert(lines, "an entry holds as many events as its row says");
  return { ...entry, lines, corrects };
}

/** A list of numbers in an entry's head. */
function listIn(head: string, key: string): number[] {
  const start = head.indexOf(key);
  return start < 0 ? [] : (JSON.parse(head.slice(start + key.length - 1, head.indexOf("]", start) + 1)) as number[]);
}

/** Each event's text of a list without its brackets, if nothing but events begins with an id. */
function cut(list: string): string[] {
  const events = list.split(BETWEEN);
  const last = events.length - 1;
  return events.map((text, i) => `${i === 0 ? "" : '{"id":"'}${text}${i === last ? "" : "}"}`);
}

const parsed = (list: string): string[] =>
  (parseExact(`[${list}]`) as UsageEvent[]).map(({ id, source, type, subject, time, ...rest }) =>
    JSON.stringify({ id, source, type, subject, time, ...rest }),
  );

interface LineParts {
  before: string;
  /** Up to the index. */
  after: string;
  stored: string;
}

const lineParts = ({ namespaceId, object, epoch, customerId }: LineSource, seq: number, at: number): LineParts => ({
  before: `{"namespace":${JSON.stringify(namespaceId)},`,
  after: `,"object":${JSON.stringify(object)},"epoch":${JSON.stringify(epoch)},"seq":${seq},"index":`,
  stored: `,"storedAt":"${formatInstant(at)}"${customerId === null ? "" : `,"customerId":${JSON.stringify(customerId)}`}`,
});

/** Milliseconds and the `Z` at the end of an instant's text. */
const MS_CHARS = 4;

/** null: these are not the texts of so many events. */
function eventLines(
  texts: readonly string[],
  events: number,
  { before, after, stored }: LineParts,
  unrated: ReadonlySet<number>,
): Line[] | null {
  if (texts.length !== events) return null;
  const lines: Line[] = [];
  // Making a date costs as much as all else, and neighbours are mostly of one second.
  let second = -1;
  let secondText = "";
  for (let index = 0; index < events; index++) {
    const event = texts[index]!;
    const head = EVENT.exec(event);
    if (head === null) return null;
    const time = Number(head[1]);
    if (Math.floor(time / 1_000) !== second) {
      second = Math.floor(time / 1_000);
      secondText = formatInstant(time).slice(0, -MS_CHARS);
    }
    const instant = `${secondText}${String(time % 1_000).padStart(3, "0")}Z`;
    const attributes = event.slice(1, head[0].length - head[1]!.length);
    const rest = event.slice(head[0].length, -1);
    const said = rest.includes('"ext":') ? extended(event) : rest;
    if (said === null) return null;
    const mark = unrated.has(index) ? ',"unrated":true}' : "}";
    lines.push({ time, text: `${before}${attributes}"${instant}"${said}${after}${index}${stored}${mark}` });
  }
  return lines;
}

/** What follows an event's time, its extension attributes under their full name: anything in `data` may be called `ext` too. null: this is no event's text. */
function extended(event: string): string | null {
  let read: UsageEvent;
  try {
    read = parseExact(event) as UsageEvent;
  } catch {
    return null;
  }
  const { id: _i, source: _so, type: _ty, subject: _su, time: _ti, ext, ...rest } = read;
  const text = JSON.stringify({ ...rest, ...(ext && { extensions: ext }) }).slice(1, -1);
  return text === "" ? "" : `,${text}`;
}

/** Where an event was accepted. */
export type AcceptedAt = EventRef & { object: string };

/** A correction of a recorded event, as its object knows it. */
export interface CorrectionMark {
  /** The correcting entry and when it was accepted; which of its corrections. */
  seq: number;
  at: number;
  place: number;
  /** The version that no longer counts; of an event that has moved in, where that was first accepted. */
  of: AcceptedAt;
  /** That version: the day of its time is where readers meet it. */
  event: Pick<UsageEvent, "id" | "source" | "type" | "subject" | "time">;
  /** Where the version that counts from now on is; null: voided. */
  present: EventRef | null;
  reason: string;
}

/** Beside the superseded event's line. Indexes below zero are corrections, so a line's (object, epoch, seq, index) is its alone. */
export function correctionLine(source: LineSource, mark: CorrectionMark): Line {
  const { seq, at, place, of, event, present, reason } = mark;
  const { before, after, stored } = lineParts(source, seq, at);
  const { id, source: eventSource, type, subject, time } = event;
  const attributes = JSON.stringify({ id, source: eventSource, type, subject, time: formatInstant(time) }).slice(1, -1);
  const correction = JSON.stringify({ kind: present ? "amend" : "void", of, present, reason });
  return { time, text: `${before}${attributes}${after}${-1 - place}${stored},"correction":${correction}}` };
}

/** The line of a version that replaces another one. */
export const amendingLine = ({ time, text }: Line, amends: AcceptedAt): Line => ({
  time,
  text: `${text.slice(0, -1)},"amends":${JSON.stringify(amends)}}`,
});

/** A line that was read back. */
export interface ArchivedLine extends EventRef {
  object: string;
  epoch: string;
  event: UsageEvent;
  storedAt: number;
  customerId: string | null;
  unrated: boolean;
  /** The version that this one replaces; null: it replaces none. */
  amends: AcceptedAt | null;
  /** null: the line is an event. */
  correction: (Pick<CorrectionMark, "of" | "present" | "reason"> & { kind: "void" | "amend" }) | null;
}

type StoredLine = Omit<UsageEvent, "time" | "ext"> & {
  namespace: string;
  time: string;
  extensions?: UsageEvent["ext"];
  object: string;
  epoch: string;
  seq: number;
  index: number;
  storedAt: string;
  customerId?: string;
  unrated?: true;
  amends?: AcceptedAt;
  correction?: NonNullable<ArchivedLine["correction"]>;
};

export function readLine(text: string): ArchivedLine {
  const line = parseExact(text) as StoredLine;
  const {
    namespace: _,
    time,
    extensions,
    object,
    epoch,
    seq,
    index,
    storedAt,
    customerId,
    unrated,
    amends,
    correction,
    ...rest
  } = line;
  return {
    object,
    epoch,
    seq,
    index,
    event: { ...rest, time: Date.parse(time), ...(extensions && { ext: extensions }) },
    storedAt: Date.parse(storedAt),
    customerId: customerId ?? null,
    unrated: unrated ?? false,
    amends: amends ?? null,
    correction: correction ?? null,
  };
}

/** The object that accepted the event's first version: with source and id its name for ever, wherever it was corrected. */
export const originOfLine = ({ object, amends, correction }: ArchivedLine): string =>
  correction?.of.object ?? amends?.object ?? object;

/** Was this line accepted after that one? Of one entry a new version comes after the correction that makes room for it. */
export const isLaterLine = (a: ArchivedLine, b: Pick<ArchivedLine, "storedAt" | "seq" | "index">): boolean =>
  a.storedAt !== b.storedAt ? a.storedAt > b.storedAt : a.seq !== b.seq ? a.seq > b.seq : a.index > b.index;
