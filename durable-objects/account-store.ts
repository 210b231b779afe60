/**
 * Keeps one customer's account in the object's storage: load ► (the caller decides) ► append one log row.
 * The log is the truth; account, folds and the dedup tail in memory are caches that may vanish between any two calls, and
 * a checkpoint only shortens the replay. Synchronous throughout, so nothing interleaves. No rule of the domain is here.
 */
import { newAccount, replay, seal, type Account } from "../core/account";
import { decodeAccount, encodeAccount } from "../core/checkpoint";
import { eventKey, type UsageEvent } from "../core/event";
import { parseExact } from "../core/exact-json";
import { operationsIn } from "../core/imported";
import { decodeEntry, encodeEntry, type LogEntry } from "../core/log-entry";
import type { CompiledMeters } from "../core/meter";
import type { FoldProgress } from "../core/refold";
import { DEDUP_KEYS_MAX, DedupIndex, type DedupRef } from "./dedup-index";
import type { FoldStore } from "./fold-store";
import { Log } from "./log";
import { LogFolds, type FoldedBy, type FoldLimits, type LoggedEvent, type StoredFolds } from "./log-folds";
import { isBehind, isEmpty, migrate } from "./migrations";
import { sha256 } from "./sha256";
import { State } from "./state";

/** A checkpoint is due after this many log entries, so that waking up replays at most as many … */
export const CHECKPOINT_ENTRIES = 256;
/** … or after this many events, because one entry may carry 10,000. */
export const CHECKPOINT_EVENTS = 4_096;

/** Operation ids share the dedup index with events; no event source starts with NUL. */
export const operationKey = (id: string): string => `\u0000op\u0000${id}`;

/** What the caller of `commit` has at hand already and need not be made again. */
export interface Known {
  /** The events' JSON. */
  eventsJson?: string;
  /** JSON.parse reads it exactly. */
  plain?: boolean;
  /** The dedup keys of the events are remembered already: they are those that `claim` answered. */
  claimed?: boolean;
}

export class AccountStore {
  readonly log: Log;
  readonly state: State;
  /** What is counted from the log, and how far that is. */
  readonly counts: LogFolds;
  readonly dedup: DedupIndex;
  private account: Account | null = null;
  /** The last log entry that the stored checkpoint knows, and the events since. */
  private checkpointSeq = 0;
  private eventsSinceCheckpoint = 0;

  constructor(
    private readonly storage: DurableObjectStorage,
    foldLimits?: FoldLimits,
  ) {
    const transaction = <T>(work: () => T): T => storage.transactionSync(work);
    this.log = new Log(storage.sql, transaction);
    this.state = new State(storage.sql);
    this.dedup = new DedupIndex(storage.sql, transaction);
    this.counts = new LogFolds(storage.sql, this.log, foldLimits);
  }

  get folds(): FoldStore {
    return this.counts.folds;
  }

  /** Nothing was ever written here. */
  get empty(): boolean {
    return isEmpty(this.storage.sql);
  }

  /** The account, from memory or from its last checkpoint and the log after it. An object that never wrote stays untouched. */
  load(by: FoldedBy): Account {
    if (this.account) return this.account;
    try {
      return this.wake(by);
    } catch (error) {
      // Half of the log is in the caches: the next load begins with none.
      this.forget();
      throw error;
    }
  }

  private wake(by: FoldedBy): Account {
    if (this.empty) {
      this.counts.begin(by);
      return (this.account = newAccount());
    }
    if (isBehind(this.storage.sql)) this.storage.transactionSync(() => migrate(this.storage.sql));
    const checkpoint = this.state.read("checkpoint");
    const stored = checkpoint === null ? null : (JSON.parse(checkpoint) as StoredFolds & { account: string });
    const account = (this.account = stored ? decodeAccount(stored.account) : newAccount());
    if (stored) this.counts.restore(stored, account.seq, by);
    else this.counts.begin(by);
    this.checkpointSeq = account.seq;
    const remembered = this.dedup.coveredSeq;
    for (const { json } of this.log.forward(Math.min(this.checkpointSeq, remembered) + 1)) {
      const entry = decodeEntry(json, parseExact);
      if (entry.seq > remembered) this.remember(entry);
      if (entry.seq <= this.checkpointSeq) continue;
      replay(account, entry, sha256);
      this.fold(entry, by.meters);
    }
    return account;
  }

  /**
   * Makes a decided entry true: one log row (and, with the first, the tables). Throws if it cannot be stored, and then
   * forgets the account, which the decision has already changed: the next call reads it back from the log.
   */
  commit(entry: LogEntry, meters: CompiledMeters, known: Known = {}): void {
    const account = this.account;
    if (!account) throw new Error("commit without load");
    try {
      const first = account.identity === null;
      const lines = seal(account, entry, sha256);
      const json = encodeEntry(entry, { lines, eventsJson: known.eventsJson, plain: known.plain });
      const facts = factsOf(entry);
      if (first) {
        this.storage.transactionSync(() => {
          migrate(this.storage.sql);
          this.log.append(entry.seq, json, facts);
        });
      } else this.log.append(entry.seq, json, facts);
      if (known.claimed !== true) this.remember(entry);
      this.fold(entry, meters);
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** An empty object's name becomes another object's; null: it is an ordinary empty object again. */
  pointTo(home: string | null): void {
    this.storage.transactionSync(() => {
      migrate(this.storage.sql);
      if (home === null) this.state.remove("home");
      else this.state.write("home", home);
    });
  }

  /** Drops everything in memory; the next `load` reads it back. */
  forget(): void {
    this.account = null;
    this.counts.forget();
    this.dedup.forget();
    this.log.forget();
    this.checkpointSeq = 0;
    this.eventsSinceCheckpoint = 0;
  }

  /** How many events are new. */
  unknown(events: readonly UsageEvent[]): number {
    const keys = new Set(events.map(({ source, id }) => eventKey(source, id)));
    return [...keys].filter((key) => !this.dedup.find(key)).length;
  }

  /**
   * The events that are new, not recorded before and the first of their key, in their order. Their keys are remembered as those of the
   * next entry: commit it with `claimed`, or `forget`. Saves hashing each key twice.
   */
  claim(events: readonly UsageEvent[]): UsageEvent[] {
    const seq = this.log.head + 1;
    const fresh: UsageEvent[] = [];
    for (const event of events) {
      const key = eventKey(event.source, event.id);
      if (this.dedup.find(key)) continue;
      this.dedup.add(key, seq, fresh.push(event) - 1);
    }
    return fresh;
  }

  private remember(entry: LogEntry): void {
    const versions = new Set(entry.corrections?.map(({ index }) => index));
    for (const [index, { source, id }] of entry.events.entries()) {
      // A new version of an event is found where its first one is.
      if (!versions.has(index)) this.dedup.add(eventKey(source, id), entry.seq, index);
    }
    for (const [place, { id }] of operationsIn(entry).entries()) this.dedup.add(operationKey(id), entry.seq, place);
  }

  private fold(entry: LogEntry, meters: CompiledMeters): void {
    this.eventsSinceCheckpoint += entry.events.length;
    this.counts.add(entry, meters, this.account!.corrections);
    // A backfill over many hours: what changed cannot leave memory before it is saved.
    if (this.counts.pressed) this.checkpoint();
  }

  /** Counts by another configuration from now on, which `save` stores; what its meters have missed is pending. */
  adopt(by: FoldedBy, save: () => void): void {
    const { account } = this;
    if (!account) throw new Error("adopt without load");
    if (account.identity === null) {
      this.counts.adopt(by, 0);
      return;
    }
    this.atomically(() => {
      this.counts.adopt(by, account.seq);
      this.saveCheckpoint(account);
      save();
    });
  }

  /** Commits an entry from which on everything is counted again. */
  recount(entry: LogEntry, meters: CompiledMeters): void {
    this.atomically(() => {
      this.commit(entry, meters);
      this.counts.restart(entry.seq);
      this.saveCheckpoint(this.account!);
    });
  }

  /** Counts a slice of the log where meters are pending. False: nothing is left. */
  foldStep(by: FoldedBy): boolean {
    const account = this.load(by);
    const { counts } = this;
    if (counts.left === null) return false;
    try {
      const more = counts.step(by.meters, account.corrections);
      if (!more || counts.pressed) this.checkpoint();
      return more;
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** Counts what is pending under this key (core/refold.ts), in at most so many steps; null: it is whole. */
  foldUp(key: string, by: FoldedBy, stepsMax: number): FoldProgress | null {
    for (let step = 0; step < stepsMax && !this.counts.isWhole(key); step++) this.foldStep(by);
    return this.counts.isWhole(key) ? null : this.counts.left;
  }

  /** The events of times in [fromMs, toMs) that count, in the order of the log. The time index must be whole (core/refold.ts TIME_INDEX). */
  *events(fromMs: number, toMs: number, upToSeq?: number): Generator<LoggedEvent> {
    // An object that never wrote has no tables.
    if (this.account?.identity) yield* this.counts.events(fromMs, toMs, this.account.corrections, upToSeq);
  }

  /** How many more events and operations the dedup index may remember (docs/limits.md). */
  get room(): number {
    return DEDUP_KEYS_MAX - this.dedup.keys;
  }

  /** Where an event or operation was recorded, or null when it never was. */
  find(key: string): DedupRef | null {
    return this.dedup.find(key);
  }

  /** The log entry that a reference points into. */
  entry(seq: number): LogEntry {
    const stored = this.log.read(seq);
    if (!stored) throw new Error(`log entry ${seq} is missing`);
    return decodeEntry(stored.json, parseExact);
  }

  /** Is there anything for the alarm to do: log entries behind the last checkpoint, folds that are unsent or pending? */
  get hasTail(): boolean {
    return (
      (this.account?.seq ?? 0) > this.checkpointSeq ||
      this.folds.hasUnsentOf(this.counts.isTold) ||
      this.counts.left !== null
    );
  }

  get checkpointDue(): boolean {
    const entries = (this.account?.seq ?? 0) - this.checkpointSeq;
    return entries >= CHECKPOINT_ENTRIES || this.eventsSinceCheckpoint >= CHECKPOINT_EVENTS;
  }

  /** One bounded step of the work that can wait: checkpoint, dedup runs, pages. False: nothing is left to do. */
  tidy(): boolean {
    if (this.checkpointDue) this.checkpoint();
    const flushed = this.dedup.flushStep();
    const merged = this.log.mergeStep();
    return flushed.more || merged.more;
  }

  /** Stores account and changed folds as of the last entry, together. */
  checkpoint(): void {
    const { account } = this;
    if (!account?.identity || (account.seq === this.checkpointSeq && !this.counts.isAhead)) return;
    this.atomically(() => this.saveCheckpoint(account));
  }

  /** Within a transaction. */
  private saveCheckpoint(account: Account): void {
    const folds = this.counts.save();
    this.state.write("checkpoint", JSON.stringify({ account: encodeAccount(account), ...folds }));
    this.checkpointSeq = account.seq;
    this.eventsSinceCheckpoint = 0;
  }

  /** All of it or, with all memory forgotten, none. */
  private atomically(work: () => void): void {
    try {
      this.storage.transactionSync(work);
    } catch (error) {
      this.forget();
      throw error;
    }
  }
}

/** Readers of the journal also look for who paid for an event that was priced later: what moved in has it without entries. */
const factsOf = ({ journal, events, imported }: LogEntry): { journal: number; events: number } => ({
  journal: journal.length + (imported?.late.length ?? 0),
  events: events.length,
});
