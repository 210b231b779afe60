/**
 * One entry of a customer's log: everything that one call changed, enough to make the same change again and to give the
 * same answer again. Entries are facts: replay never rates, burns or refuses, it applies what is written.
 * Format 1 is compact JSON; readers understand every past format for ever. Amounts inside are integers of 10⁻¹² as text.
 */
import type { UsageEvent } from "./event";
import type { Grant } from "./grant";
import type { JournalEntry, TransactionType } from "./journal";
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
  /** The name of the first call: the customer's key. */
  key: string;
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
  /** [event, table, amount, lines as rate, quantity, amount, …, of-seq?, of-index?] */
  rated?: [number, number, string, (number | string)[], number?, number?][];
  unrated?: number[];
  grants?: [id: string, amount: string, kind: "paid" | "promo", priority: number, effectiveAt: number, expiresAt: number | null, reason: string, createdAt: number, order: number][];
  patch?: { overdraftLimit?: string; currency?: string; burnTable?: string | null; frozen?: boolean };
  /** [type, amount, reason, timestamp, event index or −1, event id or 0 when it is that event's, grant id or 0, moves, owed] */
  journal?: [TransactionType, string, string, number, number, string | 0, string | 0, string[], string][];
  before?: [balance: string, head: string];
  answer?: unknown;
  events?: UsageEvent[];
}

/** The entry as text. `eventsJson` is the events' JSON where the caller has it already: it is kept byte for byte. */
export function encodeEntry(entry: LogEntry, eventsJson?: string): string {
  const tables: Omit<Cost, "amount" | "lines">[] = [];
  const rates: [string, string, string][] = [];
  const tableIndex = new Map<string, number>();
  const rateIndex = new Map<string, number>();
  const rated = entry.rated.map(({ index, of, cost }): NonNullable<Format1["rated"]>[number] => {
    const tableKey = `${cost.burnTable.key} ${cost.burnTable.version} ${cost.currency} ${cost.priceBook?.version ?? ""}`;
    let table = tableIndex.get(tableKey);
    if (table === undefined) {
      const { amount: _amount, lines: _lines, ...rest } = cost;
      table = tables.push(rest) - 1;
      tableIndex.set(tableKey, table);
    }
    const lines: (number | string)[] = [];
    for (const line of cost.lines) {
      const rateText = line.rate.toString();
      const perText = line.per.toString();
      const rateKey = `${line.dimension} ${rateText} ${perText}`;
      let rate = rateIndex.get(rateKey);
      if (rate === undefined) {
        rate = rates.push([line.dimension, rateText, perText]) - 1;
        rateIndex.set(rateKey, rate);
      }
      lines.push(rate, line.quantity.toString(), line.amount.toString());
    }
    const amount = cost.amount.toString();
    return of === undefined ? [index, table, amount, lines] : [index, table, amount, lines, of.seq, of.index];
  });
  const stored: Format1 = { v: 1, seq: entry.seq, at: entry.at };
  if (entry.identity) stored.identity = entry.identity;
  if (entry.op) stored.op = [entry.op.id, entry.op.bodyHash];
  if (rated.length > 0) Object.assign(stored, { tables, rates, rated });
  if (entry.unrated.length > 0) stored.unrated = entry.unrated;
  if (entry.grants.length > 0) {
    stored.grants = entry.grants.map((g) => [
      g.id, g.amount.toString(), g.kind, g.priority, g.effectiveAt, g.expiresAt, g.reason, g.createdAt, g.order,
    ]);
  }
  if (entry.patch) stored.patch = { ...entry.patch, overdraftLimit: entry.patch.overdraftLimit?.toString() };
  if (entry.journal.length > 0) {
    stored.before = [entry.before.balance.toString(), entry.before.head];
    stored.journal = entry.journal.map((j) => {
      const own = j.event !== undefined && entry.events[j.event.index]?.id === j.event.id;
      const moves: string[] = [];
      for (const [id, delta] of j.moves) moves.push(id, delta.toString());
      return [
        j.type, j.amount.toString(), j.reason, j.timestamp, j.event?.index ?? -1, own || !j.event ? 0 : j.event.id, j.grantId ?? 0, moves,
        j.owed.toString(),
      ];
    });
  }
  if (entry.answer !== undefined) stored.answer = entry.answer;
  const text = JSON.stringify(stored);
  if (entry.events.length === 0) return text;
  return `${text.slice(0, -1)},"events":${eventsJson ?? JSON.stringify(entry.events)}}`;
}

/** Reads what `encodeEntry` wrote. `parse` must keep numbers exact (core/exact-json.ts). */
export function decodeEntry(text: string, parse: (text: string) => unknown): LogEntry {
  const stored = parse(text) as Format1;
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
    grants: (stored.grants ?? []).map(([id, amount, kind, priority, effectiveAt, expiresAt, reason, createdAt, order]) => ({
      id, amount: BigInt(amount), remaining: 0n, kind, priority, effectiveAt, expiresAt, reason, createdAt, order, activated: false, voidedAt: null,
    })),
    patch: stored.patch && {
      ...stored.patch,
      overdraftLimit: stored.patch.overdraftLimit === undefined ? undefined : BigInt(stored.patch.overdraftLimit),
    },
    journal: (stored.journal ?? []).map(([type, amount, reason, timestamp, index, eventId, grantId, moved, owed]) => {
      const moves: [string, bigint][] = [];
      for (let i = 0; i + 1 < moved.length; i += 2) moves.push([moved[i]!, BigInt(moved[i + 1]!)]);
      return {
        type, amount: BigInt(amount), reason, timestamp, moves, owed: BigInt(owed),
        ...(index >= 0 && { event: { index, id: eventId === 0 ? events[index]!.id : eventId } }),
        ...(grantId !== 0 && { grantId }),
      };
    }),
    before: { balance: BigInt(stored.before?.[0] ?? "0"), head: stored.before?.[1] ?? "" },
    answer: stored.answer,
  };
}

function decodeRated(stored: Format1, record: NonNullable<Format1["rated"]>[number]): RatedEvent {
  const [index, table, amount, flat, ofSeq, ofIndex] = record;
  const lines: CostLine[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) {
    const [dimension, rate, per] = stored.rates![flat[i] as number]!;
    lines.push({ dimension, rate: BigInt(rate), per: BigInt(per), quantity: BigInt(flat[i + 1]!), amount: BigInt(flat[i + 2]!) });
  }
  const cost: Cost = { amount: BigInt(amount), lines, ...stored.tables![table]! };
  return ofSeq === undefined || ofIndex === undefined ? { index, cost } : { index, of: { seq: ofSeq, index: ofIndex }, cost };
}
