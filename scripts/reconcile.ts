/**
 * The three places that know what a customer has used, read over HTTP and added up by themselves: the object's log, counted again by the
 * object; the store's rollups; and the archive's files, counted here from their lines. Comparing them is `compare`; no server is trusted
 * with it. Used by verify.ts and replay.ts.
 */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { isLaterLine, originOfLine, readLine, type ArchivedLine } from "../core/archive-line";
import type { Aggregation, Cell } from "../core/aggregation";
import { projected } from "../core/fold-groups";
import { compileMeters, readEvent, type CompiledMeter, type CompiledMeters, type Meter } from "../core/meter";
import { formatQuantity, quantity } from "../core/quantity";

// ---- The server

/** What whoever runs the script can act on. */
export class Stop extends Error {}

export class Server {
  private readonly url: string;
  private readonly headers: Record<string, string>;

  constructor(url: string, key: string) {
    this.url = url;
    this.headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  }

  async get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
    return (await this.fetch("GET", withQuery(path, query))).json() as Promise<T>;
  }

  async post<T>(path: string, body: object): Promise<T> {
    return (await this.fetch("POST", path, JSON.stringify(body))).json() as Promise<T>;
  }

  /** null: it does not exist. */
  async bytes(path: string, query: Record<string, string>): Promise<Buffer | null> {
    const response = await this.fetch("GET", withQuery(path, query), undefined, [404]);
    return response.status === 404 ? null : Buffer.from(await response.arrayBuffer());
  }

  async *items<T>(path: string, query: Record<string, string> = {}): AsyncGenerator<T> {
    let cursor: string | undefined;
    do {
      const page: { items: T[]; nextCursor?: string } = await this.get(path, {
        ...query,
        ...(cursor !== undefined && { cursor }),
      });
      yield* page.items;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }

  /** Answers that ask for another attempt get it, for about a minute. */
  private async fetch(method: string, path: string, body?: string, fine: readonly number[] = []): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(`${this.url}/api/v1${path}`, { method, headers: this.headers, body }).catch(() => {
        throw new Stop(`No Tollgate answers at ${this.url}. Start one with \`npm start\`, or set TOLLGATE_URL.`);
      });
      if (response.ok || fine.includes(response.status)) return response;
      const problem = (await response.json().catch(() => ({}))) as { detail?: string };
      if (response.status !== 503 || attempt === ATTEMPTS_MAX)
        throw new Stop(`${method} ${path}: ${response.status} ${problem.detail ?? ""}`);
      await pause(1_000);
    }
  }
}

const ATTEMPTS_MAX = 60;

const withQuery = (path: string, query: Record<string, string>): string =>
  `${path}?${new URLSearchParams(query).toString()}`;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Tells whoever waits how far it is. */
export type Steps = (done: number, total: number, what: string) => void;

// ---- What is compared

/** What a group of a meter adds up to; what its aggregation does not keep is 0 or null. */
export interface Total {
  count: number;
  sum: bigint;
  min: bigint | null;
  max: bigint | null;
  latest: bigint | null;
  latestAt: number | null;
}

/** As the wire has it, and as `Fold.rollup` writes it. */
interface WrittenTotal {
  count: number;
  sum?: string;
  min?: string | null;
  max?: string | null;
  latest?: string | null;
  latestAt?: number | null;
}

const read = (text: string | null | undefined): bigint | null =>
  text === null || text === undefined ? null : quantity(text);

const totalOf = ({ count, sum, min, max, latest, latestAt }: WrittenTotal): Total => ({
  count,
  sum: read(sum) ?? 0n,
  min: read(min),
  max: read(max),
  latest: read(latest),
  latestAt: latestAt ?? null,
});

const least = (a: bigint | null, b: bigint | null) => (a === null || (b !== null && b < a) ? b : a);
const most = (a: bigint | null, b: bigint | null) => (a === null || (b !== null && b > a) ? b : a);

function merged(a: Total, b: Total): Total {
  const isLater = a.latestAt === null || (b.latestAt !== null && b.latestAt > a.latestAt);
  return {
    count: a.count + b.count,
    sum: a.sum + b.sum,
    min: least(a.min, b.min),
    max: most(a.max, b.max),
    latest: isLater ? b.latest : a.latest,
    latestAt: isLater ? b.latestAt : a.latestAt,
  };
}

/** What one place says of one object: how many events, and its totals by fold key and group. */
export class Tally {
  events = 0;
  readonly meters = new Map<string, Map<string, Total>>();

  add(foldKey: string, group: string, written: WrittenTotal): void {
    let groups = this.meters.get(foldKey);
    if (groups === undefined) this.meters.set(foldKey, (groups = new Map()));
    const total = totalOf(written);
    const known = groups.get(group);
    groups.set(group, known === undefined ? total : merged(known, total));
  }
}

export type Tallies = Map<string, Tally>;

export function tallyIn(tallies: Tallies, object: string): Tally {
  let tally = tallies.get(object);
  if (tally === undefined) tallies.set(object, (tally = new Tally()));
  return tally;
}

/** Sentences; none: both say the same. */
export function compare(meter: CompiledMeter, a: [place: string, Tally], b: [place: string, Tally]): string[] {
  const groupsOf = ({ meters }: Tally) => [...(meters.get(meter.foldKey) ?? [])].filter(([, { count }]) => count > 0);
  const [left, right] = [groupsOf(a[1]), groupsOf(b[1])];
  // A dimension that has gone coarse in one place is left out of both; then nobody knows which of two equally late values came last.
  const coarse = coarseOf([...left, ...right].map(([group]) => group));
  const isCoarse = coarse.some(Boolean);
  const byGroup = (groups: [string, Total][]) => {
    const found = new Map<string, Total>();
    for (const [group, total] of groups) {
      const key = isCoarse ? projected(group, coarse) : group;
      const known = found.get(key);
      found.set(key, known === undefined ? total : merged(known, total));
    }
    return new Map([...found].map(([group, total]) => [group, textOf(meter, total, isCoarse)]));
  };
  const [have, should] = [byGroup(left), byGroup(right)];
  return [...new Set([...have.keys(), ...should.keys()])].flatMap((group) => {
    const [is, must] = [have.get(group) ?? "nothing", should.get(group) ?? "nothing"];
    return is === must ? [] : [`meter ${meter.meter.key}, group ${group}: ${a[0]} ${is}, ${b[0]} ${must}`];
  });
}

function coarseOf(groups: readonly string[]): boolean[] {
  const coarse: boolean[] = [];
  for (const group of groups) {
    // Most have none, and parsing them all would take longest.
    if (!group.includes("null")) continue;
    for (const [place, value] of (JSON.parse(group) as (string | null)[]).entries())
      if (value === null) coarse[place] = true;
  }
  return Array.from(coarse, (was) => was ?? false);
}

function textOf(
  { meter, fold }: CompiledMeter,
  { count, sum, min, max, latest, latestAt }: Total,
  isCoarse: boolean,
): string {
  const parts = [`count ${count}`];
  // Of distinct values there is no total: sets do not add up.
  if (fold.reads === "quantity") {
    const { aggregation } = meter;
    if (aggregation === "SUM" || aggregation === "AVG") parts.push(`sum ${formatQuantity(sum)}`);
    if (min !== null) parts.push(`min ${formatQuantity(min)}`);
    if (max !== null) parts.push(`max ${formatQuantity(max)}`);
    if (latestAt !== null) {
      const value = isCoarse || latest === null ? "" : ` ${formatQuantity(latest)}`;
      parts.push(`latest${value} at ${new Date(latestAt).toISOString()}`);
    }
  }
  return parts.join(", ");
}

// ---- Meters

interface ListedMeter {
  id: string;
  slug: string;
  aggregation: Aggregation;
  eventType: string;
  valueProperty?: string;
  groupBy?: Record<string, string>;
  eventFrom?: string;
  createdAt: string;
}

export async function metersOf(server: Server): Promise<CompiledMeters> {
  const listed = await server.get<ListedMeter[]>("/meters");
  return compileMeters(
    listed.map((meter): Meter => ({
      id: meter.id,
      key: meter.slug,
      eventType: meter.eventType,
      aggregation: meter.aggregation,
      valueProperty: meter.valueProperty ?? null,
      groupBy: meter.groupBy ?? {},
      eventFrom: meter.eventFrom === undefined ? null : Date.parse(meter.eventFrom),
      createdAt: Date.parse(meter.createdAt),
    })),
  );
}

// ---- The objects

export interface Registered {
  object: string;
  customerId: string;
  customerKey: string;
  home: string;
  epoch: string;
  seq: number;
  archivedSeq: number;
  events: number;
}

/** Every object by name, the moved ones too. */
export async function registryOf(server: Server): Promise<Map<string, Registered>> {
  const registry = new Map<string, Registered>();
  for await (const row of server.items<Registered>("/audits/objects")) registry.set(row.object, row);
  return registry;
}

interface AuditSlice {
  next: string | null;
  done: number;
  total: number;
  totals: ({ meter: string; group: string } & WrittenTotal)[];
  report: { seq: number; events: number; differences: string[] } | null;
}

export interface Audited {
  /** The last log entry that it counted. */
  seq: number;
  tally: Tally;
  /** Between its log and what it has folded. */
  differences: string[];
}

/** What an object says after counting its log again. null: its data has moved into another object meanwhile. */
export async function auditObject(server: Server, object: string): Promise<Audited | null> {
  const tally = new Tally();
  let from: string | null = null;
  let done = 0;
  for (;;) {
    const query: Record<string, string> = { object, ...(from !== null && { from }) };
    const bytes = await server.bytes("/audits/object", query);
    if (bytes === null) return null;
    const slice = JSON.parse(bytes.toString("utf8")) as AuditSlice;
    // It had forgotten how far it was, and began anew.
    if (slice.done < done) tally.meters.clear();
    done = slice.done;
    for (const { meter, group, ...written } of slice.totals) tally.add(meter, group, written);
    if (slice.report !== null) {
      tally.events = slice.report.events;
      return { seq: slice.report.seq, tally, differences: slice.report.differences };
    }
    from = slice.next;
  }
}

// ---- The store

interface ListedRollup extends WrittenTotal {
  object: string;
  group: string;
  windowStart: number;
  epoch: string;
  seq: number;
}

/** All rollups that the store has of these meters, by object. */
export interface StoredRollups {
  rows: number;
  /** Quarters of an hour, which are kept for ever, added up. */
  tallies: Tallies;
  /** Quarters and minutes of the last weeks, which must add up to the same. */
  recent: { quarters: Tallies; minutes: Tallies };
  /** The same text for the same rows, whatever their versions. */
  prints: Map<string, string>;
}

const DAY_MS = 24 * 60 * 60_000;
/** Minutes are kept for 35 days, and go some time after. */
const RECENT_MS = 34 * DAY_MS;
const PRINT_BYTES = 16;

/** `epochs`: of these objects only rows of this epoch or a later one. */
export async function readRollups(
  server: Server,
  meters: CompiledMeters,
  steps: Steps,
  epochs: ReadonlyMap<string, string> = new Map(),
): Promise<StoredRollups> {
  const found: StoredRollups = {
    rows: 0,
    tallies: new Map(),
    recent: { quarters: new Map(), minutes: new Map() },
    prints: new Map(),
  };
  const prints = new Map<string, Buffer>();
  const recentFrom = Math.floor((Date.now() - RECENT_MS) / DAY_MS) * DAY_MS;
  const lists = [...meters.meters.keys()].flatMap((meter) => [
    { meter, resolution: "quarter" as const },
    { meter, resolution: "minute" as const },
  ]);
  for (const [done, { meter, resolution }] of lists.entries()) {
    for await (const row of server.items<ListedRollup>("/audits/rollups", { meter, resolution })) {
      const { object, group, windowStart, epoch, seq: _seq, ...written } = row;
      // A window that was emptied by a correction may have a row or none.
      if (epoch < (epochs.get(object) ?? "") || written.count === 0) continue;
      const isRecent = windowStart >= recentFrom;
      const isQuarter = resolution === "quarter";
      if (isQuarter) tallyIn(found.tallies, object).add(meter, group, written);
      if (isRecent) tallyIn(found.recent[isQuarter ? "quarters" : "minutes"], object).add(meter, group, written);
      if (!isQuarter && !isRecent) continue;
      found.rows++;
      const text = JSON.stringify([meter, resolution, windowStart, group, written]);
      const hash = createHash("sha256").update(text).digest().subarray(0, PRINT_BYTES);
      const print = prints.get(object) ?? Buffer.alloc(PRINT_BYTES);
      for (let i = 0; i < PRINT_BYTES; i++) print[i]! ^= hash[i]!;
      prints.set(object, print);
    }
    steps(done + 1, lists.length, "lists of rollups read from the store");
  }
  for (const [object, print] of prints) found.prints.set(object, print.toString("hex"));
  return found;
}

// ---- The archive

interface ListedFile {
  file: string;
  day: string;
  events: number;
}

export interface Archived {
  /** By the object that holds the events now. */
  tallies: Tallies;
  /** Files that the index names and nobody has. */
  missing: string[];
  files: number;
}

/**
 * Counts the archive's lines as docs/archive.md says: each once, and of what was corrected the last version. Day by day, so that no more than
 * a day's places are in memory. `through`: how far each object's log is to be counted.
 */
export async function countArchive(
  server: Server,
  meters: CompiledMeters,
  registry: ReadonlyMap<string, Registered>,
  through: ReadonlyMap<string, number>,
  steps: Steps,
): Promise<Archived> {
  const files: ListedFile[] = [];
  for await (const file of server.items<ListedFile>("/archive/files")) files.push(file);
  const archived: Archived = { tallies: new Map(), missing: [], files: files.length };
  const counts = new Map<string, Counts>();
  const homeOf = (object: string) => registry.get(object)?.home ?? object;
  const countsOf = (object: string) => {
    let found = counts.get(object);
    if (found === undefined) counts.set(object, (found = new Counts(meters)));
    return found;
  };
  const moved = new MovedEvents(registry);
  let done = 0;
  for (const day of Map.groupBy(files, (file) => file.day).values()) {
    const texts: Buffer[] = [];
    for (const { file } of day) {
      const text = await server.bytes("/archive/file", { file });
      if (text === null) archived.missing.push(file);
      else texts.push(text);
      steps(++done, files.length, "files of the archive read");
    }
    const corrections = new Corrections();
    for (const line of linesIn(texts, through)) corrections.add(line);
    const seen = new Set<string>();
    for (const line of linesIn(texts, through)) {
      const place = `${line.object} ${line.seq} ${line.index}`;
      if (seen.has(place)) continue;
      seen.add(place);
      const home = homeOf(line.object);
      if (moved.concerns(home)) moved.add(home, line);
      else if (line.correction === null) countsOf(home).add(line, corrections.concern(line));
    }
  }
  for (const { home, line, isCorrected } of moved.events()) countsOf(home).add(line, isCorrected);
  for (const [object, found] of counts) archived.tallies.set(object, found.tally());
  return archived;
}

function* linesIn(texts: readonly Buffer[], through: ReadonlyMap<string, number>): Generator<ArchivedLine> {
  for (const text of texts) {
    for (const written of gunzipSync(text).toString("utf8").split("\n").slice(0, -1)) {
      const line = readLine(written);
      if (line.seq <= (through.get(line.object) ?? Infinity)) yield line;
    }
  }
}

/** Which versions of events no longer count: those that a correction of the same event and time came after. */
class Corrections {
  private readonly last = new Map<string, ArchivedLine>();

  add(line: ArchivedLine): void {
    if (line.correction === null) return;
    const name = nameOf(line);
    const known = this.last.get(name);
    if (known === undefined || isLaterLine(line, known)) this.last.set(name, line);
  }

  concern(line: ArchivedLine): boolean {
    const correction = this.last.get(nameOf(line));
    return correction !== undefined && isLaterLine(correction, line);
  }
}

const nameOf = (line: ArchivedLine): string =>
  JSON.stringify([originOfLine(line), line.event.source, line.event.id, line.event.time]);

/** Of homes that others moved into: an event that several had counts as the home's, which is known when all lines were read. */
class MovedEvents {
  private readonly homes = new Set<string>();
  private readonly lines = new Map<string, ArchivedLine[]>();

  constructor(registry: ReadonlyMap<string, Registered>) {
    for (const { object, home } of registry.values()) if (object !== home) this.homes.add(home);
  }

  concerns(home: string): boolean {
    return this.homes.has(home);
  }

  add(home: string, line: ArchivedLine): void {
    const lines = this.lines.get(home);
    if (lines === undefined) this.lines.set(home, [line]);
    else lines.push(line);
  }

  *events(): Generator<{ home: string; line: ArchivedLine; isCorrected: boolean }> {
    for (const [home, lines] of this.lines) {
      const corrections = new Corrections();
      for (const line of lines) corrections.add(line);
      const named = Map.groupBy(lines, ({ event }) => JSON.stringify([event.source, event.id]));
      for (const versions of named.values()) {
        const origins = new Set(versions.map(originOfLine));
        const origin = origins.has(home) ? home : [...origins][0];
        for (const line of versions)
          if (line.correction === null && originOfLine(line) === origin)
            yield { home, line, isCorrected: corrections.concern(line) };
      }
    }
  }
}

/** More than the events of any log entry. */
const ORDERS_PER_ENTRY = 65_536;

/** What one object's archived events add up to. */
class Counts {
  events = 0;
  private readonly meters: CompiledMeters;
  private readonly cells = new Map<CompiledMeter, Map<string, Cell>>();

  constructor(meters: CompiledMeters) {
    this.meters = meters;
  }

  /** A version that was corrected counts in no meter; an event is one, however many versions it has. */
  add({ event, seq, index, amends }: ArchivedLine, isCorrected: boolean): void {
    if (amends === null) this.events++;
    const type = this.meters.types.get(event.type);
    if (type === undefined || isCorrected) return;
    const facts = readEvent(type, event, seq * ORDERS_PER_ENTRY + index);
    for (const meter of type.meters) {
      const { fold } = meter;
      const { eventFrom } = meter.meter;
      const reading = facts.readings[meter.reading]!;
      if (eventFrom !== null && event.time < eventFrom) continue;
      if (reading.quantity === null && fold.reads === "quantity") continue;
      let groups = this.cells.get(meter);
      if (groups === undefined) this.cells.set(meter, (groups = new Map()));
      const group = facts.groups[meter.group]!;
      const cell = groups.get(group);
      if (cell !== undefined) fold.add(cell, reading);
      else {
        const first = fold.init(reading);
        fold.forget(first);
        groups.set(group, first);
      }
    }
  }

  tally(): Tally {
    const tally = new Tally();
    tally.events = this.events;
    for (const [{ foldKey, fold }, groups] of this.cells)
      for (const [group, cell] of groups) tally.add(foldKey, group, { count: cell.count, ...fold.rollup(cell) });
    return tally;
  }
}
