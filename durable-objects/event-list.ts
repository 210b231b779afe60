/**
 * Lists the events of one object, newest first, without reading more of its log than the minutes that a page touches: the time index
 * names the entries of a few minutes, all of them are read, and the first of their events are the page's. A call reads a bounded
 * number of events; what it leaves, and what it found so far, goes with the answer and comes back. Read only.
 */
import { whyUnpriced, type Account, type Rating } from "../core/account";
import { isPresent, wasTracked } from "../core/correction";
import type { UsageEvent } from "../core/event";
import {
  cloudEventJson,
  compareKeys,
  isAsked,
  timesOf,
  validationErrorOf,
  type EventKey,
  type EventQuery,
  type ListedEvent,
} from "../core/event-listing";
import { MINUTE_MS } from "../core/fold";
import type { CompiledMeters } from "../core/meter";
import { clipRanges, entriesIn, joinRanges, type SeqRanges } from "../core/time-index";
import { isUnrated } from "../core/unrated";
import type { AccountStore } from "./account-store";

export interface ListLimits {
  /** Events that one call reads: some 50 ms. */
  events: number;
  /** Log entries that are read together at most. The first few should be enough; a filter that lets few events through needs many. */
  windowEntriesMax: number;
}

const LIST_LIMITS: ListLimits = { events: 20_000, windowEntriesMax: 4_096 };

/** Minutes that are read together, both included, and the entry that is next. */
interface Window {
  low: number;
  high: number;
  at: number;
}

/** An event that may be of the page. One that came back with a call is read again. */
interface Candidate {
  key: EventKey;
  event: UsageEvent | null;
}

/** What a call left: the minute to go on with, or a window that was read in part, and what was found in it. */
interface Resume {
  minute: number;
  window: Window | null;
  found: [time: number, storedAt: number, seq: number, index: number][];
}

/** What a listing knows of the namespace. */
export interface ListedBy {
  meters: CompiledMeters;
  rating: Rating;
}

export function listEvents(
  store: AccountStore,
  account: Account,
  by: ListedBy,
  query: EventQuery,
  limits: ListLimits = LIST_LIMITS,
): { items: ListedEvent[]; resume: string | null } {
  if (account.identity === null) return { items: [], resume: null };
  const { items, resume } = new Listing(store, account, query, limits).run();
  return { items: items.map((item) => listed(store, account, by, item)), resume: resume && JSON.stringify(resume) };
}

class Listing {
  private readonly object: string;
  private readonly from: number;
  private readonly to: number;
  private readonly items: { key: EventKey; event: UsageEvent }[] = [];
  private candidates: Candidate[] = [];
  private budget: number;
  private windowEntries: number;

  constructor(
    private readonly store: AccountStore,
    private readonly account: Account,
    private readonly query: EventQuery,
    private readonly limits: ListLimits,
  ) {
    this.budget = limits.events;
    this.windowEntries =
      Math.min(Math.ceil((query.limit * account.seq) / account.events), limits.windowEntriesMax) || 1;
    this.object = account.identity!.object;
    const { from, to } = timesOf(query);
    this.from = Math.max(from, 0);
    // Of the time of `after` itself some may still come.
    this.to = query.after === null ? to : Math.min(to, query.after.time + 1);
  }

  run(): { items: { key: EventKey; event: UsageEvent }[]; resume: Resume | null } {
    const { resume, limit } = this.query;
    const left = resume === null ? null : (JSON.parse(resume) as Resume);
    this.candidates = (left?.found ?? []).map(([time, storedAt, seq, index]) => ({
      key: { time, storedAt, object: this.object, seq, index },
      event: null,
    }));
    let minute = left?.minute ?? Math.ceil(this.to / MINUTE_MS) - 1;
    let window = left?.window ?? this.windowBelow(minute);
    while (window !== null && this.items.length < limit) {
      const at = this.read(window);
      if (at !== null) {
        const found = this.candidates.map(({ key: { time, storedAt, seq, index } }) => [time, storedAt, seq, index]);
        return { items: this.items, resume: { minute, window: { ...window, at }, found: found as Resume["found"] } };
      }
      this.take();
      minute = window.low - 1;
      if (this.budget <= 0 && this.items.length < limit)
        return { items: this.items, resume: { minute, window: null, found: [] } };
      window = this.windowBelow(minute);
    }
    return { items: this.items, resume: null };
  }

  /** Minutes with events, from this one downwards, that few entries hold; null: there are none. */
  private windowBelow(high: number): Window | null {
    const lowest = Math.floor(this.from / MINUTE_MS);
    let named: SeqRanges = [];
    let window: Window | null = null;
    for (const { minute, ranges } of this.store.counts.index.walk(high)) {
      if (minute < lowest) break;
      // Neighbouring minutes often share an entry, which then is read once.
      named = joinRanges(named, ranges);
      if (window !== null && entriesIn(named) > this.windowEntries) break;
      window ??= { low: minute, high: minute, at: 0 };
      window.low = minute;
    }
    this.windowEntries = Math.min(2 * this.windowEntries, this.limits.windowEntriesMax);
    return window;
  }

  /** Looks for candidates in a window. The entry to go on with when the call has read enough; null: it is through. */
  private read({ low, high, at }: Window): number | null {
    const { index } = this.store.counts;
    const from = low * MINUTE_MS;
    const to = (high + 1) * MINUTE_MS;
    const ranges = clipRanges(index.ranges(from, to), at, Infinity);
    let entry = at;
    for (const { event, seq, index: place, storedAt } of this.store.counts.eventsIn(ranges, this.account.corrections)) {
      if (seq !== entry && this.budget <= 0) return seq;
      entry = seq;
      this.budget--;
      if (event.time < from || event.time >= to || !isAsked(this.query, event, storedAt)) continue;
      this.offer({ key: { time: event.time, storedAt, object: this.object, seq, index: place }, event });
    }
    return null;
  }

  private offer(candidate: Candidate): void {
    const { after, limit } = this.query;
    if (after !== null && compareKeys(candidate.key, after) <= 0) return;
    const room = limit - this.items.length;
    this.candidates.push(candidate);
    if (this.candidates.length >= 2 * room + 16) this.narrow(room);
  }

  private narrow(room: number): void {
    this.candidates.sort((a, b) => compareKeys(a.key, b.key));
    this.candidates.length = Math.min(this.candidates.length, room);
  }

  /** A window is through: its first candidates are the page's next. */
  private take(): void {
    this.narrow(this.query.limit - this.items.length);
    this.readAgain(this.candidates.filter(({ event }) => event === null));
    for (const { key, event } of this.candidates) {
      // It may have been corrected between two calls.
      if (isPresent(this.account.corrections, key)) this.items.push({ key, event: event! });
    }
    this.candidates = [];
  }

  /** Entry by entry: one may hold thousands of events. */
  private readAgain(candidates: readonly Candidate[]): void {
    for (const [seq, some] of Map.groupBy(candidates, ({ key }) => key.seq)) {
      const { events } = this.store.entry(seq);
      for (const candidate of some) candidate.event = events[candidate.key.index]!;
    }
  }
}

function listed(
  store: AccountStore,
  account: Account,
  { meters, rating }: ListedBy,
  { key, event }: { key: EventKey; event: UsageEvent },
): ListedEvent {
  const { declared, unrated, identity } = account;
  const unpriced = isUnrated(unrated, key)
    ? whyUnpriced(account, event, wasTracked(store.entry(key.seq), key.index), rating)
    : null;
  return {
    key,
    eventJson: cloudEventJson(event),
    customerId: declared ? identity!.customerId : null,
    validationError: validationErrorOf(meters, event, { declared, unpriced }),
  };
}
