/**
 * One entry of a customer's log: everything that one call changed, enough to make the same change again and to give the
 * same answer again. Entries are facts: replay never rates, burns or refuses, it applies what is written.
 * Format 1 is compact JSON; readers understand every past format for ever. Amounts inside are integers of 10⁻¹² as text.
 */
import type { Correction } from "./correction";
import { decimal, mulDiv } from "./decimal";
import type { UsageEvent } from "./event";
import type { Grant } from "./grant";
import { decodeImported, encodeImported, type ImportedPage, type StoredImport } from "./imported";
import { journalLines, type JournalEntry, type TransactionType } from "./journal";
import type { Arrival, MergeStep } from "./merge";
import type { NamesChange } from "./names";
import type { Cost, CostLine } from "./price";
import { assert } from "./result";

/** Who this object is; written once, with its first entry. */
export interface Identity {
  namespaceId: string;
  /** The object's own name: an alarm comes without one. */
  object: string;
  /** Time comes from the namespace's test clock. */
  sandbox: boolean;
  customerId: string;
  /** The name of the first call, or what the API says since: the customer's key. null: it has none. */
  key: string | null;
  /** Versions of the running totals start over under a new, later epoch when an object is rebuilt. */
  epoch: string;
  /** Four base32 characters in every transaction id. */
  tag: string;
  createdAt: number;
}

/** A wallet's settings as a PATCH sets them. */
export interface WalletPatch {
  overdraftLimit?: bigint;
  currency?: string;
  burnTable?: string | null;
  frozen?: boolean;
}

/** The cost of one event: of this entry (`index`), or, priced later, of an earlier one (`of`). */
export interface RatedEvent {
  index: number;
  of?: { seq: number; index: number };
  cost: Cost;
}

export interface LogEntry {
  seq: number;
  at: number;
  identity?: Identity;
  /** A keyed mutation that is no event: its operation id and a hash of its body. */
  op?: { id: string; bodyHash: string };
  events: UsageEvent[];
  rated: RatedEvent[];
  /** Positions of debitable events that no rule priced. */
  unrated: number[];
  grants: Grant[];
  patch?: WalletPatch;
  /** From here on the running totals are versions of this epoch: they are all made and sent again. */
  epoch?: string;
  /** Recorded events that this entry voids or replaces (core/correction.ts). */
  corrections?: Correction[];
  /** Whose object this is, and names that lead to it or away from it (core/names.ts). */
  names?: NamesChange;
  /** A step of this object's move into another (core/merge.ts). */
  merge?: MergeStep;
  /** The wallet of an object that moves in, beside its grants. */
  arrival?: Arrival;
  /** Where these events were before they moved in, and what is known of them (core/imported.ts). */
  imported?: ImportedPage;
  journal: JournalEntry[];
  /** Balance and hash before the journal entries. */
  before: { balance: bigint; head: string };
  /** What the call answered, where a repeat must answer it again (plain JSON). */
  answer?: unknown;
}

interface Format1 {
  v: 1;
  seq: number;
  at: number;
  identity?: Identity;
  op?: [string, string];
  tables?: Omit<Cost, "amount" | "lines">[];
  rates?: [dimension: string, rate: string, per: string][];
  /** [event, table, lines as rate, quantity, …, of-seq?, of-index?]; amounts follow from quantity × rate ÷ per (price.ts). */
  rated?: [number, number, (number | string)[], number?, number?][];
  unrated?: number[];
  grants?: [
    id: string,
    amount: string,
    kind: "paid" | "promo",
    priority: number,
    effectiveAt: number,
    expiresAt: number | null,
    reason: string,
    createdAt: number,
    order: number,
  ][];
  patch?: { overdraftLimit?: string; currency?: string; burnTable?: string | null; frozen?: boolean };
  epoch?: string;
  /** [seq, index, type, time, reason, present index or −1, tracked as 0 or 1, owed, grant, delta, …] */
  corrections?: [number, number, string, number, string, number, 0 | 1, owed: string, ...moves: string[]][];
  names?: NamesChange;
  merge?: MergeStep;
  arrival?: Arrival;
  imported?: StoredImport;
  /** The hashed lines (core/journal.ts `journalLines`), byte for byte. */
  journal?: [
    TransactionType,
    amount: string,
    reason: string,
    eventId: string | null,
    grantId: string | null,
    timestamp: number,
  ][];
  /**
   * Of each line: the index of its event or −1, then what its grants gained or gave as grant, delta, …, or the one grant that moved
   * all of it. What is owed follows: moves − amount.
   */
  moves?: [number, ...string[]][];
  before?: [balance: string, head: string];
  answer?: unknown;
  /** JSON.parse reads the events exactly. */
  plain?: 1;
  events?: UsageEvent[];
}

/**
 * The entry as text. `lines` (of `seal`) and `eventsJson` are JSON that the caller has already: kept byte for byte. `plain` promises that
 * JSON.parse reads every number of the events exactly, which spares their readers the survey for others.
 */
export function encodeEntry(
  entry: LogEntry,
  { lines, eventsJson, plain }: { lines?: string; eventsJson?: string; plain?: boolean } = {},
): string {
  const tables: Omit<Cost, "amount" | "lines">[] = [];
  const rates: CostLine[] = [];
  const rated = entry.rated.map(({ index, of, cost }): NonNullable<Format1["rated"]>[number] => {
    const lines: (number | string)[] = [];
    for (const line of cost.lines) lines.push(placeOfRate(rates, line), line.quantity.toString());
    const table = placeOfTable(tables, cost);
    return of === undefined ? [index, table, lines] : [index, table, lines, of.seq, of.index];
  });
  const stored: Format1 = { v: 1, seq: entry.seq, at: entry.at };
  if (entry.identity) stored.identity = entry.identity;
  if (entry.op) stored.op = [entry.op.id, entry.op.bodyHash];
  if (rated.length > 0) {
    stored.tables = tables;
    stored.rates = rates.map(({ dimension, rate, per }) => [dimension, rate.toString(), per.toString()]);
    stored.rated = rated;
  }
  if (entry.unrated.length > 0) stored.unrated = entry.unrated;
  if (entry.grants.length > 0) {
    stored.grants = entry.grants.map((g) => [
      g.id,
      g.amount.toString(),
      g.kind,
      g.priority,
      g.effectiveAt,
      g.expiresAt,
      g.reason,
      g.createdAt,
      g.order,
    ]);
  }
  if (entry.patch) stored.patch = { ...entry.patch, overdraftLimit: entry.patch.overdraftLimit?.toString() };
  if (entry.epoch !== undefined) stored.epoch = entry.epoch;
  if (entry.corrections) {
    stored.corrections = entry.corrections.map(({ of, was, reason, index, tracked, paid }) => [
      of.seq,
      of.index,
      was.type,
      was.time,
      reason,
      index ?? -1,
      tracked ? 1 : 0,
      paid.owed.toString(),
      ...paid.moves.flatMap(([id, delta]) => [id, delta.toString()]),
    ]);
  }
  if (entry.names) stored.names = entry.names;
  if (entry.merge) stored.merge = entry.merge;
  if (entry.arrival) stored.arrival = entry.arrival;
  if (entry.imported) stored.imported = encodeImported(entry.imported);
  if (entry.journal.length > 0) {
    stored.before = [entry.before.balance.toString(), entry.before.head];
    stored.moves = entry.journal.map((j) => [j.event?.index ?? -1, ...encodeMoves(j)]);
  }
  if (entry.answer !== undefined) stored.answer = entry.answer;
  let text = JSON.stringify(stored).slice(0, -1);
  if (entry.journal.length > 0) text += `,"journal":${lines ?? journalLines(entry.journal)}`;
  if (entry.events.length > 0) {
    assert(!text.includes(EVENTS_KEY), "nothing before an entry's events is called so");
    text += `${plain === true ? PLAIN : ""}${EVENTS_KEY}${eventsJson ?? JSON.stringify(entry.events)}`;
  }
  return `${text}}`;
}

/** No string can hold it: a quote inside one is escaped. */
const EVENTS_KEY = ',"events":';
/** Stands before it where JSON.parse reads the events exactly. */
const PLAIN = ',"plain":1';
const HEAD = /^\{"v":1,"seq":\d+,"at":(\d+)/;

/** An entry's events as JSON text, for whoever needs nothing else of it. */
export interface EventsText {
  text: string;
  /** JSON.parse reads it exactly. */
  plain: boolean;
}

/** Of an entry that has events. */
export function eventsText(entry: string): EventsText {
  const start = entry.indexOf(EVENTS_KEY);
  assert(start > 0, "an entry's events stand in its text");
  return {
    text: entry.slice(start + EVENTS_KEY.length, -1),
    plain: entry.startsWith(PLAIN, start - PLAIN.length),
  };
}

/** The time of an entry, from its text. */
export function entryAt(entry: string): number {
  const head = HEAD.exec(entry);
  assert(head, "a log entry is of a known format");
  return Number(head[1]);
}

/** Reads them. `parse` must keep numbers exact (core/exact-json.ts). */
export const parseEvents = ({ text, plain }: EventsText, parse: (text: string) => unknown): UsageEvent[] =>
  (plain ? JSON.parse(text) : parse(text)) as UsageEvent[];

/** Did the entry's events come by /track? Its answer is theirs; an entry with an operation id answers for the operation. */
export const trackedIn = ({ answer, op }: LogEntry): boolean => answer !== undefined && op === undefined;

/** Nearly every debit takes all of it from one grant. */
function encodeMoves({ moves, amount, owed }: JournalEntry): string[] {
  if (moves.length === 1 && owed === 0n && moves[0]![1] === amount) return [moves[0]![0]];
  return moves.flatMap(([id, delta]) => [id, delta.toString()]);
}

function decodeMoves(stored: readonly string[], amount: bigint): { moves: [string, bigint][]; owed: bigint } {
  if (stored.length === 1) return { moves: [[stored[0]!, amount]], owed: 0n };
  const moves = pairsOf(stored);
  return { moves, owed: moves.reduce((sum, [, delta]) => sum + delta, 0n) - amount };
}

function pairsOf(stored: readonly string[]): [string, bigint][] {
  const pairs: [string, bigint][] = [];
  for (let i = 0; i + 1 < stored.length; i += 2) pairs.push([stored[i]!, BigInt(stored[i + 1]!)]);
  return pairs;
}

/** Past this many rates in one entry a search costs more than writing a rate twice. */
const RATES_SEARCHED_MAX = 32;

/** The rates and tables of an entry are few and come again and again: a search among them is cheaper than a key for each. */
function placeOfRate(rates: CostLine[], line: CostLine): number {
  const { dimension, rate, per } = line;
  const known = rates.findLastIndex(
    (r, place) =>
      r.rate === rate && r.per === per && r.dimension === dimension && place >= rates.length - RATES_SEARCHED_MAX,
  );
  return known >= 0 ? known : rates.push(line) - 1;
}

function placeOfTable(tables: Omit<Cost, "amount" | "lines">[], cost: Cost): number {
  const { burnTable, currency, priceBook } = cost;
  const known = tables.findIndex(
    (t) =>
      t.burnTable.version === burnTable.version &&
      t.burnTable.key === burnTable.key &&
      t.currency === currency &&
      t.priceBook?.version === priceBook?.version,
  );
  return known >= 0 ? known : tables.push({ currency, burnTable, ...(priceBook && { priceBook }) }) - 1;
}

/** Reads what `encodeEntry` wrote. `parse` must keep numbers exact (core/exact-json.ts). */
export const decodeEntry = (text: string, parse: (text: string) => unknown): LogEntry => readEntry(parse(text));

/** The same of text that is parsed already. */
export function readEntry(parsed: unknown): LogEntry {
  const stored = parsed as Format1;
  assert(stored.v === 1, "a log entry is of a known format");
  const events = stored.events ?? [];
  return {
    seq: stored.seq,
    at: stored.at,
    identity: stored.identity,
    op: stored.op && { id: stored.op[0], bodyHash: stored.op[1] },
    events,
    rated: (stored.rated ?? []).map((record) => decodeRated(stored, record)),
    unrated: stored.unrated ?? [],
    grants: (stored.grants ?? []).map(
      ([id, amount, kind, priority, effectiveAt, expiresAt, reason, createdAt, order]) => ({
        id,
        amount: BigInt(amount),
        remaining: 0n,
        kind,
        priority,
        effectiveAt,
        expiresAt,
        reason,
        createdAt,
        order,
        activated: false,
        voidedAt: null,
      }),
    ),
    patch: stored.patch && {
      ...stored.patch,
      overdraftLimit: stored.patch.overdraftLimit === undefined ? undefined : BigInt(stored.patch.overdraftLimit),
    },
    ...(stored.epoch !== undefined && { epoch: stored.epoch }),
    ...(stored.corrections && {
      corrections: stored.corrections.map(([seq, index, type, time, reason, present, tracked, owed, ...moves]) => ({
        of: { seq, index },
        was: { type, time },
        reason,
        index: present === -1 ? null : present,
        tracked: tracked === 1,
        paid: { moves: pairsOf(moves), owed: BigInt(owed) },
      })),
    }),
    ...(stored.names && { names: stored.names }),
    ...(stored.merge && { merge: stored.merge }),
    ...(stored.arrival && { arrival: stored.arrival }),
    ...(stored.imported && { imported: decodeImported(stored.imported) }),
    journal: (stored.journal ?? []).map(([type, text, reason, eventId, grantId, timestamp], line) => {
      const amount = decimal(text);
      const [index = -1, ...moved] = stored.moves?.[line] ?? [];
      return {
        type,
        amount,
        reason,
        timestamp,
        ...decodeMoves(moved, amount),
        ...(eventId !== null && { event: { index, id: eventId } }),
        ...(grantId !== null && { grantId }),
      };
    }),
    before: { balance: BigInt(stored.before?.[0] ?? "0"), head: stored.before?.[1] ?? "" },
    answer: stored.answer,
  };
}

function decodeRated(stored: Format1, record: NonNullable<Format1["rated"]>[number]): RatedEvent {
  const [index, table, flat, ofSeq, ofIndex] = record;
  const cost: Cost = { amount: 0n, lines: [], ...stored.tables![table]! };
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [dimension, rateText, perText] = stored.rates![flat[i] as number]!;
    const [rate, per, quantity] = [BigInt(rateText), BigInt(perText), BigInt(flat[i + 1]!)];
    const amount = mulDiv(quantity, rate, per);
    cost.lines.push({ dimension, quantity, rate, per, amount });
    cost.amount += amount;
  }
  return ofSeq === undefined || ofIndex === undefined
    ? { index, cost }
    : { index, of: { seq: ofSeq, index: ofIndex }, cost };
}
