/**
 * Counts the log again, beside the folds, and compares: how many events there are, what each meter adds up to by group, and whether the
 * time index finds every event. In slices; what was counted so far lives in memory, and when that is lost the audit begins anew. To need
 * no more memory than some thousand groups it goes over the log once for every few meters. Read only.
 */
import type { Account } from "../core/account";
import type { Cell } from "../core/aggregation";
import { isPresent, versionsIn } from "../core/correction";
import type { UsageEvent } from "../core/event";
import { parseExact } from "../core/exact-json";
import { HOUR_MS, MINUTE_MS } from "../core/fold";
import { groupFor, newGroups, projected, type FoldGroups } from "../core/fold-groups";
import { decodeEntry, eventsText, parseEvents } from "../core/log-entry";
import { compileMeters, readEvent, type CompiledMeter, type CompiledMeters } from "../core/meter";
import type { RollupTotal } from "../core/rollup";
import { hasSeq, MINUTES_PER_HOUR, type HourRanges } from "../core/time-index";
import type { AccountStore } from "./account-store";
import { orderOf } from "./fold-store";
import type { FoldedBy } from "./log-folds";
import type { AuditSlice } from "./rpc";

export interface AuditLimits {
  /** Events that one call counts: some 150 ms. */
  events: number;
  /** Groups that one pass over the log counts, about. */
  groups: number;
}

const AUDIT_LIMITS: AuditLimits = { events: 50_000, groups: 10_000 };
/** More differences than this say nothing new. */
const DIFFERENCES_MAX = 100;

/** Of an object that never wrote. */
const NOTHING: AuditSlice = {
  next: null,
  done: 0,
  total: 0,
  totals: [],
  report: { object: null, customerId: null, epoch: null, seq: 0, events: 0, differences: [] },
};

export class Audit {
  private running: Run | null = null;

  constructor(
    private readonly store: AccountStore,
    private readonly limits: AuditLimits = AUDIT_LIMITS,
  ) {}

  /** The slice after the one that answered `from`. Nothing may be pending. */
  next(by: FoldedBy, from: string | null): AuditSlice {
    const account = this.store.load(by);
    if (account.identity === null) return NOTHING;
    if (from === null || this.running?.isStill(by, account, from) !== true)
      this.running = new Run(this.store, account, by, this.limits);
    const slice = this.running.next(account);
    if (slice.next === null) this.running = null;
    return slice;
  }
}

class Run {
  private readonly id = crypto.randomUUID();
  private readonly epoch: string | undefined;
  private readonly passes: CompiledMeter[][];
  private readonly differences: string[] = [];
  private pass = 0;
  private seq = 0;
  private counted: Counted;

  constructor(
    private readonly store: AccountStore,
    account: Account,
    private readonly by: FoldedBy,
    private readonly limits: AuditLimits,
  ) {
    this.epoch = account.identity?.epoch;
    this.passes = passesOf(store, [...by.meters.meters.values()], limits.groups);
    this.counted = new Counted(this.passes[0]!);
  }

  /** Is this the audit that this token is of, and are the folds the same? */
  isStill(by: FoldedBy, account: Account, token: string): boolean {
    return token === this.id && by.meters === this.by.meters && account.identity?.epoch === this.epoch;
  }

  next(account: Account): AuditSlice {
    const { store, counted } = this;
    const index = new IndexCheck(store);
    const through = { seq: account.seq, events: 0 };
    for (const { seq, json, events } of store.log.forward(this.seq + 1, { eventsOnly: true })) {
      const found = parseEvents(eventsText(json), parseExact);
      if (found.length !== events) this.differ(`log entry ${seq} has ${found.length} events, not ${events}`);
      if (this.pass === 0) {
        counted.events += events - versionsOf(json);
        const missed = index.missedBy(seq, found);
        if (missed !== null) this.differ(`the time index does not find log entry ${seq} at ${missed}`);
      }
      for (const [place, event] of found.entries()) {
        if (isPresent(account.corrections, { seq, index: place })) counted.add(event, orderOf(seq, place));
      }
      through.events += events;
      if (through.events < this.limits.events) continue;
      through.seq = seq;
      break;
    }
    this.seq = through.seq;
    const total = account.seq * this.passes.length;
    if (this.seq < account.seq)
      return { next: this.id, done: this.pass * account.seq + this.seq, total, totals: [], report: null };
    return this.endPass(account, total);
  }

  /** Everything is counted as of now, and nothing can come in between. */
  private endPass(account: Account, total: number): AuditSlice {
    const { counted, store } = this;
    if (this.pass === 0 && counted.events !== account.events)
      this.differ(`the log has ${counted.events} events and the account ${account.events}`);
    const totals: RollupTotal[] = [];
    for (const meter of this.passes[this.pass]!) {
      totals.push(...store.folds.totals(meter));
      const stored = store.folds.groupsOf(meter);
      for (const difference of differences(meter, stored, counted.groups.get(meter.foldKey)!)) this.differ(difference);
    }
    const done = ++this.pass * account.seq;
    if (this.pass < this.passes.length) {
      this.seq = 0;
      this.counted = new Counted(this.passes[this.pass]!);
      return { next: this.id, done, total, totals, report: null };
    }
    const { identity, seq, events } = account;
    const report: NonNullable<AuditSlice["report"]> = {
      object: identity!.object,
      customerId: identity!.customerId,
      epoch: identity!.epoch,
      seq,
      events,
      differences: this.differences,
    };
    return { next: null, done, total, totals, report };
  }

  private differ(difference: string): void {
    if (this.differences.length < DIFFERENCES_MAX) this.differences.push(difference);
  }
}

/** At least one pass, for the events themselves. */
function passesOf(store: AccountStore, meters: readonly CompiledMeter[], groupsMax: number): CompiledMeter[][] {
  const passes: CompiledMeter[][] = [[]];
  let groups = 0;
  for (const meter of meters) {
    const { size } = store.folds.groupsOf(meter).byKey;
    if (groups > 0 && groups + size > groupsMax) {
      passes.push([]);
      groups = 0;
    }
    passes.at(-1)!.push(meter);
    groups += size;
  }
  return passes;
}

/** Totals of all time, without hours and minutes. */
class Counted {
  events = 0;
  readonly groups = new Map<string, FoldGroups>();
  private readonly meters: CompiledMeters;

  constructor(meters: readonly CompiledMeter[]) {
    this.meters = compileMeters(meters.map(({ meter }) => meter));
    for (const { foldKey } of meters) this.groups.set(foldKey, newGroups());
  }

  add(event: UsageEvent, order: number): void {
    const type = this.meters.types.get(event.type);
    if (type === undefined) return;
    const facts = readEvent(type, event, order);
    for (const { meter, fold, foldKey, reading: place, group: groupPlace } of type.meters) {
      const reading = facts.readings[place]!;
      if (meter.eventFrom !== null && event.time < meter.eventFrom) continue;
      if (reading.quantity === null && fold.reads === "quantity") continue;
      const group = groupFor(this.groups.get(foldKey)!, facts.groups[groupPlace]!);
      if (group.total === null) fold.forget((group.total = fold.init(reading)));
      else fold.add(group.total, reading);
    }
  }
}

/** A dimension that has gone coarse in either is left out of both. */
function differences(meter: CompiledMeter, stored: FoldGroups, counted: FoldGroups): string[] {
  const { fold } = meter;
  const coarse = stored.coarse?.map((was, place) => was || counted.coarse?.[place] === true) ?? counted.coarse;
  const totals = (groups: FoldGroups): Map<string, string> => {
    const merged = new Map<string, Cell>();
    for (const { key, total } of groups.byKey.values()) {
      if (total === null || total.count === 0) continue;
      const group = coarse === null ? key : projected(key, coarse);
      const known = merged.get(group);
      if (known === undefined) merged.set(group, fold.copy(total));
      else fold.merge(known, total);
    }
    return new Map(
      [...merged].map(([group, cell]) => [group, JSON.stringify({ count: cell.count, ...fold.rollup(cell) })]),
    );
  };
  const [have, should] = [totals(stored), totals(counted)];
  const groups = new Set([...have.keys(), ...should.keys()]);
  return [...groups].flatMap((group) => {
    const [is, must] = [have.get(group) ?? "nothing", should.get(group) ?? "nothing"];
    return is === must ? [] : [`meter ${meter.meter.key}, group ${group}: folded ${is}, counted ${must}`];
  });
}

/** New versions of recorded events are no events of their own. */
const versionsOf = (json: string): number =>
  json.includes('"corrections":[[') || json.includes('"imported":{') ? versionsIn(decodeEntry(json, parseExact)) : 0;

/** Within one slice: the index may change between two. */
class IndexCheck {
  private readonly hours = new Map<number, HourRanges>();

  constructor(private readonly store: AccountStore) {}

  /** The time of an event that the index does not find; null: it finds all. */
  missedBy(seq: number, events: readonly UsageEvent[]): string | null {
    let from = NaN;
    for (const { time } of events) {
      if (time - from >= 0 && time - from < MINUTE_MS) continue;
      from = Math.floor(time / MINUTE_MS) * MINUTE_MS;
      const hour = Math.floor(time / HOUR_MS);
      let minutes = this.hours.get(hour);
      if (minutes === undefined) this.hours.set(hour, (minutes = this.store.counts.index.hour(hour)));
      if (!hasSeq(minutes[from / MINUTE_MS - hour * MINUTES_PER_HOUR] ?? [], seq)) return new Date(from).toISOString();
    }
    return null;
  }
}
