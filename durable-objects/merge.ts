/**
 * Carries an object with data into another (core/merge.ts). The source makes pages of its log and hands them over one after the other;
 * the home alone knows which it has, so a source that lost its memory just asks. Nothing is journaled on either side but what core says.
 * Knows how large a page may be and what each answer of the home means; not how calls reach it, nor what is in a page.
 */
import { arrive, importEntries } from "../core/arrival";
import type { Account } from "../core/account";
import { parseExact } from "../core/exact-json";
import { operationsIn } from "../core/imported";
import { eventKey } from "../core/event";
import { decodeEntry, type LogEntry } from "../core/log-entry";
import { ARRIVED } from "../core/merge";
import { beginPage, hasCargo, refsIn, supersededIn, type MergeEntries, type MergePage } from "../core/merge-page";
import { packRef } from "../core/unrated";
import { operationKey, type AccountStore } from "./account-store";
import { refusal } from "./refusal";
import type { Imported, Refusal } from "./rpc";

export interface PageLimits {
  /** Whole log entries are gathered until a page has so many events or characters: some 50 ms of the home's time. */
  events: number;
  chars: number;
}

export const PAGE_LIMITS: PageLimits = { events: 4_000, chars: 1_000_000 };

/** A home that sends the source on, again and again, sends it in circles. */
const HOMES_MAX = 4;

// ---- The source

/** The source, as the saga needs it. What changes its log is synchronous up to there, so nothing comes between asking and writing. */
export interface Source {
  account(): Account;
  /** The page for a home that takes this log entry next; 0: nothing has arrived there. */
  page(next: number): string;
  send(home: string, page: string): Promise<Imported>;
  /** Journals that everything is in this home. */
  finish(home: string): Promise<void>;
  /** Journals that nothing moved. */
  abort(): Promise<void>;
}

export type Carried =
  /** All of it is in a home, or there is none to go to: the home has moved in here. */
  | { ok: true; done: true }
  /** There is more to send, from this log entry on. */
  | { ok: true; done: false; next: number }
  /** The home is on its way itself: nothing has moved, ask again later. */
  | { ok: false; reason: "later" }
  | Refusal;

/** Hands over up to `pages` pages. A throw (the home could not be reached) leaves everything to be asked again. */
export async function carry(source: Source, pages: number, from = 0): Promise<Carried> {
  let next = from;
  let { merge } = source.account();
  let home = merge?.home ?? "";
  let homes = 1;
  for (let page = 0; page < pages;) {
    if (!merge || merge.done) return { ok: true, done: true };
    const answer = await source.send(home, source.page(next));
    const now = source.account().merge;
    // Another call went on meanwhile, and may have ended it.
    if (now?.id !== merge.id || now.done) return { ok: true, done: true };
    merge = now;
    if (answer.ok) {
      page++;
      next = answer.next;
      if (next > merge.through) {
        await source.finish(home);
        return { ok: true, done: true };
      }
    } else if (answer.reason === "moved") {
      // It had not begun to arrive there: a home that knows this merge answers for it, wherever it has gone itself.
      home = answer.home;
      next = 0;
      if (home === source.account().identity?.object) {
        await source.abort();
        return { ok: true, done: true };
      }
      if (++homes > HOMES_MAX) throw new Error("homes lead to each other in a circle");
    } else {
      // A home that is on its way itself, and one that refuses, has taken nothing: it would know this merge.
      await source.abort();
      return answer.reason === "merging" || answer.reason === "stale_config" ? { ok: false, reason: "later" } : answer;
    }
  }
  return { ok: true, done: false, next };
}

/** The page that begins with the source's log entry `next`. */
export function pageFrom(store: AccountStore, account: Account, next: number, limits = PAGE_LIMITS): string {
  return next === 0 ? JSON.stringify(beginPage(account, store.dedup.keys)) : entriesFrom(store, account, next, limits);
}

function entriesFrom(store: AccountStore, account: Account, from: number, limits: PageLimits): string {
  const { through, id } = account.merge!;
  const page: Omit<MergeEntries, "entries"> = {
    kind: "entries",
    merge: id,
    source: account.identity!.object,
    from,
    to: through,
    superseded: [],
    refs: [],
  };
  const texts: string[] = [];
  const refs = new Map<number, MergeEntries["refs"][number]>();
  let events = 0;
  let chars = 0;
  for (const { seq, json } of store.log.forward(from, { to: through })) {
    const entry = decodeEntry(json, parseExact);
    if (!hasCargo(entry)) continue;
    for (const of of refsIn(entry)) refs.set(packRef(of), [of.seq, of.index, keyAt(store.entry(of.seq), of.index)]);
    page.superseded.push(...supersededIn(account, entry));
    texts.push(json);
    events += entry.events.length + operationsIn(entry).length;
    chars += json.length;
    if (seq < through && (events >= limits.events || chars >= limits.chars)) {
      page.to = seq;
      break;
    }
  }
  page.refs.push(...refs.values());
  return `${JSON.stringify(page).slice(0, -1)},"entries":[${texts.join()}]}`;
}

function keyAt(entry: LogEntry, index: number): string {
  const event = entry.events[index];
  if (!event) throw new Error(`log entry ${entry.seq} has no event ${index}`);
  return eventKey(event.source, event.id);
}

// ---- The home

/** The log entry of the source that this home takes next; 0: nothing has arrived. */
export const nextOf = ({ imports }: Account, merge: string): number => imports.get(merge)?.next ?? 0;

export const readPage = (json: string): MergePage => parseExact(json) as MergePage;

/** Is the page the one that comes next? Any other changes nothing. */
export const isNext = (account: Account, page: MergePage): boolean =>
  nextOf(account, page.merge) === (page.kind === "begin" ? 0 : page.from);

/** Decides the entry that takes a page in; null, or why the object cannot come. */
export function takePage(store: AccountStore, account: Account, entry: LogEntry, page: MergePage): Refusal | null {
  if (page.kind === "begin") {
    const arrived = arrive(account, entry, page, store.room);
    return arrived.ok ? null : refusal(arrived.refusal);
  }
  let last: LogEntry | null = null;
  importEntries(account, entry, page, {
    find: (key) => store.find(key),
    hasOperation: (id) => store.find(operationKey(id)) !== null,
    // Events that a page speaks of lie together.
    entry: (seq) => (last?.seq === seq ? last : (last = store.entry(seq))),
  });
  return null;
}

/** Every page has arrived, or there is nothing to wait for. */
export const hasArrived = (account: Account, merge: string): boolean => nextOf(account, merge) === ARRIVED;
