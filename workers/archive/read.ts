/**
 * Events of a whole namespace out of the archive, newest first: the index says which files may hold such events, they are read from the
 * latest on, and reading ends when no unread file can hold one that comes before what was found. It reads a bounded number of lines, and
 * says from where on it does not know.
 */
import { isLaterLine, originOfLine, readLine, type ArchivedLine } from "../../core/archive-line";
import { compareKeys, isAsked, timesOf, type EventKey, type EventQuery } from "../../core/event-listing";
import { INSTANT_MS_MAX } from "../../core/instant";
import { listFilesByTime, type ArchiveFile, type FileRange } from "../../store/archive";
import type { Context } from "../context";
import { decodeFile } from "./file";

/** Of one call; tests choose small ones. */
export interface ReadBounds {
  /** Half a second of reading … */
  lines: number;
  /** … and some seconds of waiting for R2. */
  files: number;
  /** Events held beyond a page, for when some of the page turn out to be corrected. */
  spare: number;
}

const BOUNDS: ReadBounds = { lines: 200_000, files: 200, spare: 1_000 };
/** Files on their way while one is read. */
const FILES_AHEAD = 4;

export interface ArchivedEvents {
  items: { key: EventKey; line: ArchivedLine }[];
  /** Every asked event up to this place is in `items`; null: all are. */
  until: EventKey | null;
}

/** `skip`: objects whose events come from elsewhere. */
export async function readArchive(
  context: Context,
  namespaceId: string,
  query: EventQuery,
  skip: (object: string) => boolean,
  bounds = BOUNDS,
): Promise<ArchivedEvents> {
  const files = await listFilesByTime(context.store, namespaceId, rangeOf(query), bounds.files + 1);
  const found = new Found(query, skip, bounds.spare);
  const ahead: Promise<string[]>[] = [];
  let lines = 0;
  for (const [place, file] of files.entries()) {
    const unread = beforeAll(file.toTime);
    lines += file.events;
    const enough = place === bounds.files || (lines > bounds.lines && place > 0);
    if (enough || found.page(unread).items.length >= query.limit) {
      // What is on its way is not waited for, and may fail.
      void Promise.allSettled(ahead);
      return found.page(unread);
    }
    for (let next = place + ahead.length; next < files.length && ahead.length < FILES_AHEAD; next++)
      ahead.push(linesOf(context, files[next]!));
    for (const line of await ahead.shift()!) found.add(readLine(line));
  }
  return found.page(null);
}

/** A place in the order before all events of this time. */
const beforeAll = (time: number): EventKey => ({
  time,
  storedAt: Number.MAX_SAFE_INTEGER,
  object: "",
  seq: Number.MAX_SAFE_INTEGER,
  index: Number.MAX_SAFE_INTEGER,
});

function rangeOf(query: EventQuery): FileRange {
  const time = timesOf(query);
  const stored = timesOf({ ...query, from: null, to: null, time: query.ingestedAt });
  const to = query.after === null ? time.to : Math.min(time.to, query.after.time + 1);
  const within = (at: number) => Math.min(Math.max(at, 0), INSTANT_MS_MAX + 1);
  return { from: within(time.from), to: within(to), storedFrom: within(stored.from), storedTo: within(stored.to) };
}

async function linesOf(context: Context, { file }: ArchiveFile): Promise<string[]> {
  const stored = await context.env.ARCHIVE.get(file);
  // Somebody took it away. The list goes on without it: `npm run verify` says what is missing.
  if (stored === null) context.report("a file of the archive is missing", { file });
  return stored === null ? [] : decodeFile(await stored.arrayBuffer());
}

const placeOf = ({ object, seq, index }: { object: string; seq: number; index: number }): string =>
  `${object} ${seq} ${index}`;

/** What an event is called, with the time of a version of it. */
const nameOf = (line: ArchivedLine): string =>
  JSON.stringify([originOfLine(line), line.event.source, line.event.id, line.event.time]);

/** Asked events so far, each once, the first ones of the order. */
class Found {
  private readonly events = new Map<string, { key: EventKey; line: ArchivedLine }>();
  /** By name and time: the last correction of a version of this event of this time. */
  private readonly corrections = new Map<string, ArchivedLine>();
  /** The last one that there was room for; null: there was for all. */
  private last: EventKey | null = null;

  constructor(
    private readonly query: EventQuery,
    private readonly skip: (object: string) => boolean,
    private readonly spare: number,
  ) {}

  add(line: ArchivedLine): void {
    if (line.correction !== null) {
      // Before or after what it corrects. It has the time of that, so what is known up to that time is known with its corrections.
      const name = nameOf(line);
      const known = this.corrections.get(name);
      if (known === undefined || isLaterLine(line, known)) this.corrections.set(name, line);
      return;
    }
    const { event, storedAt, object, seq, index } = line;
    if (this.skip(object) || !isAsked(this.query, event, storedAt)) return;
    const key: EventKey = { time: event.time, storedAt, object, seq, index };
    const { after, limit } = this.query;
    if (after !== null && compareKeys(key, after) <= 0) return;
    this.events.set(placeOf(key), { key, line });
    if (this.events.size >= 2 * (limit + this.spare)) this.narrow(limit + this.spare);
  }

  /** What comes after `unread` may lie in a file that was not read. */
  page(unread: EventKey | null): ArchivedEvents {
    const until = [unread, this.last].flatMap((key) => key ?? []).sort(compareKeys)[0] ?? null;
    const items = this.sorted().filter(
      ({ key, line }) => !this.isCorrected(line) && (until === null || compareKeys(key, until) <= 0),
    );
    return { items, until };
  }

  private isCorrected(line: ArchivedLine): boolean {
    const correction = this.corrections.get(nameOf(line));
    return correction !== undefined && isLaterLine(correction, line);
  }

  private sorted(): { key: EventKey; line: ArchivedLine }[] {
    return [...this.events.values()].sort((a, b) => compareKeys(a.key, b.key));
  }

  private narrow(room: number): void {
    const sorted = this.sorted();
    for (const { key } of sorted.slice(room)) this.events.delete(placeOf(key));
    this.last = sorted[room - 1]!.key;
  }
}
