/**
 * What a home makes of an object that moves into it (merge.ts). Its wallet comes first, its events after it, page by page. The home's own
 * events win over those that both had: what such an event cost in the source is given back. Pure; the caller looks into the home's log.
 */
import { applyEvents, currencyInUse, setPatch, settleInto, type Account } from "./account";
import { paidBy, paidByEvent, paidLaterIn } from "./correction";
import { eventKey, type UsageEvent } from "./event";
import type { Grant } from "./grant";
import { answerTo, operationsIn, originOf, type ImportedPage } from "./imported";
import { readEntry, type LogEntry } from "./log-entry";
import type { MergeBegin, MergeEntries } from "./merge-page";
import { assert, ok, refuse, type Result } from "./result";
import { moveIn } from "./transfer";
import { isUnrated, packRef, type EventRef } from "./unrated";
import { adjust, GRANTS_MAX, type Paid } from "./wallet";

export type ArrivalRefusal =
  | { reason: "at_bound"; detail: string }
  | { reason: "currency_mismatch"; wallet: string; table: string };

/** May this wallet come? Asked before the source stops, and again when it has. */
export function mayArrive(
  account: Account,
  { currency, grants, keys }: { currency: string | null; grants: number; keys: number },
  room: number,
): Result<null, ArrivalRefusal> {
  const { wallet } = account;
  const isFixed = currencyInUse(account) || wallet.burnTable !== null;
  if (currency !== null && currency !== wallet.currency && isFixed)
    return refuse({ reason: "currency_mismatch", wallet: wallet.currency, table: currency });
  if (wallet.grants.size + grants > GRANTS_MAX)
    return refuse({ reason: "at_bound", detail: `a wallet holds at most ${GRANTS_MAX} grants` });
  if (keys > room)
    return refuse({ reason: "at_bound", detail: "together the two would hold more events than one customer can" });
  return ok(null);
}

/** Takes the source's wallet in. */
export function arrive(
  account: Account,
  entry: LogEntry,
  page: MergeBegin,
  room: number,
): Result<null, ArrivalRefusal> {
  const { wallet } = account;
  const may = mayArrive(account, { ...page, grants: page.grants.length }, room);
  if (!may.ok) return may;
  if (page.currency !== null && page.currency !== wallet.currency)
    setPatch(account, entry, { currency: page.currency });
  const renamed = newIds(wallet.grants, page.grants);
  const arriving = page.grants.map((grant, i): Grant => ({
    ...grant,
    id: renamed[grant.id] ?? grant.id,
    amount: BigInt(grant.amount),
    remaining: BigInt(grant.remaining),
    order: wallet.grants.size + i,
  }));
  entry.grants.push(...arriving.map((grant) => ({ ...grant, remaining: 0n, activated: false, voidedAt: null })));
  entry.arrival = {
    merge: page.merge,
    source: page.source,
    declared: page.declared,
    through: page.through,
    grants: arriving.map(({ activated, voidedAt }) => [activated ? 1 : 0, voidedAt]),
    renamed,
  };
  const moved = moveIn(wallet, arriving, BigInt(page.owed), entry.at);
  if (moved) entry.journal.push(moved);
  settleInto(account, entry);
  return ok(null);
}

/** Callers choose ids of grants, and two customers may have chosen the same. */
function newIds(known: ReadonlyMap<string, Grant>, arriving: readonly { id: string }[]): Record<string, string> {
  const taken = new Set([...known.keys(), ...arriving.map(({ id }) => id)]);
  const renamed: Record<string, string> = {};
  for (const { id } of arriving) {
    if (!known.has(id)) continue;
    let copy = 2;
    while (taken.has(`${id}~${copy}`)) copy++;
    renamed[id] = `${id}~${copy}`;
    taken.add(renamed[id]);
  }
  return renamed;
}

/** What the home knows already. */
export interface HomeLog {
  /** Where an event of this key was first recorded; null: it never was. */
  find(key: string): EventRef | null;
  hasOperation(id: string): boolean;
  entry(seq: number): LogEntry;
}

/** Takes entries of the source's log in. An event that the home has is the home's: what it cost in the source is given back. */
export function importEntries(account: Account, entry: LogEntry, page: MergeEntries, home: HomeLog): void {
  const arriving = account.imports.get(page.merge);
  assert(arriving?.next === page.from, "pages are taken in order");
  const import_ = new Import(account, entry, page, home, arriving.renamed);
  for (const stored of page.entries) import_.take(readEntry(stored));
  import_.finish();
}

class Import {
  private readonly page: ImportedPage;
  /** Where the events of this page are now, by their packed places in the source. */
  private readonly places = new Map<number, number>();
  private readonly superseded: ReadonlySet<number>;
  private readonly refs: ReadonlyMap<number, string>;
  private readonly unrated = new Set<number>();

  constructor(
    private readonly account: Account,
    private readonly entry: LogEntry,
    private readonly from: MergeEntries,
    private readonly home: HomeLog,
    private readonly renamed: ReadonlyMap<string, string>,
  ) {
    this.page = {
      merge: from.merge,
      from: from.from,
      to: from.to,
      origins: [],
      runs: [],
      answers: [],
      ops: [],
      paid: [],
      late: [],
      corrected: [],
      superseded: [],
    };
    this.superseded = new Set(from.superseded.map(([seq, index]) => packRef({ seq, index })));
    this.refs = new Map(from.refs.map(([seq, index, key]) => [packRef({ seq, index }), key]));
  }

  take(source: LogEntry): void {
    const versions = new Set(source.corrections?.map(({ index }) => index));
    const paidFor = paidByEvent(source);
    for (const [index, event] of source.events.entries()) {
      if (versions.has(index)) continue;
      if (this.home.find(eventKey(event.source, event.id))) this.giveBack(event.id, paidFor(index));
      else this.add(source, index, event);
    }
    for (const place of (source.corrections ?? []).keys()) this.correct(source, place);
    for (const index of source.unrated) {
      const place = this.placed(source, index);
      if (place !== undefined && !this.page.superseded.includes(place)) this.unrated.add(place);
    }
    for (const place of source.rated.keys()) this.rate(source, place, versions, paidFor);
    for (const op of operationsIn(source)) if (!this.home.hasOperation(op.id)) this.page.ops.push(op);
  }

  finish(): void {
    const { account, entry } = this;
    entry.unrated.push(...[...this.unrated].sort((a, b) => a - b));
    entry.imported = this.page;
    applyEvents(account, entry);
    settleInto(account, entry);
  }

  private placed = ({ seq }: LogEntry, index: number): number | undefined => this.places.get(packRef({ seq, index }));

  private add(source: LogEntry, index: number, event: UsageEvent): number {
    const { entry, page } = this;
    const place = entry.events.push(event) - 1;
    this.places.set(packRef({ seq: source.seq, index }), place);
    if (this.superseded.has(packRef({ seq: source.seq, index }))) page.superseded.push(place);
    this.addOrigin(source, index, place);
    const answer = answerTo(source, index);
    if (answer !== undefined) page.answers.push([place, answer]);
    return place;
  }

  private addOrigin(source: LogEntry, index: number, place: number): void {
    const { origins, runs } = this.page;
    const { object, seq, index: first, at } = originOf(source, index, this.from.source);
    let origin = origins.indexOf(object);
    if (origin < 0) origin = origins.push(object) - 1;
    const last = runs.at(-1);
    const goesOn =
      last?.origin === origin && last.seq === seq && last.at === at && last.first + place - last.index === first;
    if (!goesOn) runs.push({ index: place, origin, seq, first, at });
  }

  /** A version of an event that the home has stays behind with it. */
  private correct(source: LogEntry, place: number): void {
    const correction = source.corrections![place]!;
    const { of, index, paid } = correction;
    const moved = source.imported?.corrected.find(([at]) => at === place)?.[1] ?? correctionMoved(source, index);
    const found = this.place(of);
    if (!found) {
      const [, id = ""] = this.refs.get(packRef(of))!.split("\u0000");
      this.giveBack(id, moved);
      return;
    }
    const version = index === null ? null : this.add(source, index, source.events[index]!);
    const corrections = (this.entry.corrections ??= []);
    const now = corrections.push({ ...correction, of: found, index: version, paid: this.here(paid) }) - 1;
    this.page.corrected.push([now, this.here(moved)]);
  }

  private rate(
    source: LogEntry,
    place: number,
    versions: ReadonlySet<number | null>,
    paidFor: (index: number) => Paid,
  ): void {
    const { entry, page } = this;
    const { index, of, cost } = source.rated[place]!;
    if (!of) {
      const event = this.placed(source, index);
      if (event === undefined) return;
      entry.rated.push({ index: event, cost });
      // What a corrected version moved is its correction's.
      const paid = versions.has(index) ? null : paidFor(index);
      if (paid && (paid.moves.length > 0 || paid.owed !== 0n)) page.paid.push([event, this.here(paid)]);
      return;
    }
    const paid = paidLaterIn(source, place);
    const found = this.place(of);
    if (!found) this.giveBack(this.refs.get(packRef(of))!.split("\u0000")[1]!, paid);
    else if (found.seq === entry.seq) {
      this.unrated.delete(found.index);
      entry.rated.push({ index: found.index, cost });
      page.paid.push([found.index, this.here(paid)]);
    } else if (isUnrated(this.account.unrated, found)) {
      const late = entry.rated.push({ index: entry.rated.length, of: found, cost }) - 1;
      page.late.push([late, this.here(paid)]);
    }
  }

  /** Where an earlier event of the source is here; null: the home had it, or another merge brought it. */
  private place(of: EventRef): EventRef | null {
    const here = this.places.get(packRef(of));
    if (here !== undefined) return { seq: this.entry.seq, index: here };
    const key = this.refs.get(packRef(of));
    assert(key !== undefined, "a page names the events that it speaks of");
    const found = this.home.find(key);
    return found && this.home.entry(found.seq).imported?.merge === this.page.merge ? found : null;
  }

  /** What an event moved in the source, where it is counted here already. */
  private giveBack(id: string, paid: Paid): void {
    const { account, entry } = this;
    const what = { reason: GIVEN_BACK, timestamp: entry.at, event: { index: -1, id } };
    const given = adjust(account.wallet, this.here(paid), 0n, what);
    if (given) entry.journal.push(given);
  }

  /** With the names that the source's grants have here. */
  private here = ({ moves, owed }: Paid): Paid => ({
    owed,
    moves: moves.map(([id, delta]) => [this.renamed.get(id) ?? id, delta]),
  });
}

const GIVEN_BACK = "counted already";

/** The adjustment of a correction: of its version, or of a void, which has none. */
const correctionMoved = ({ journal }: LogEntry, index: number | null): Paid =>
  paidBy(journal.filter(({ type, event }) => type === "adjust" && event?.index === (index ?? -1)));
