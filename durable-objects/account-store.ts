/**
 * Keeps one customer's account in the object's storage: load ► (the caller decides) ► append one log row.
 * The log is the truth; account, folds and the dedup tail in memory are caches that may vanish between any two calls, and
 * a checkpoint only shortens the replay. Synchronous throughout, so nothing interleaves. No rule of the domain is here.
 */
import { newAccount, replay, seal, type Account } from "../core/account";
import { decodeAccount, encodeAccount } from "../core/checkpoint";
import { eventKey } from "../core/event";
import { parseExact } from "../core/exact-json";
import { decodeEntry, encodeEntry, type LogEntry } from "../core/log-entry";
import type { CompiledMeters } from "../core/meter";
import { DEDUP_KEYS_MAX, DedupIndex, type DedupRef } from "./dedup-index";
import { FoldStore } from "./fold-store";
import { Log } from "./log";
import { isEmpty, migrate } from "./migrations";
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
  /** The dedup keys of the events, in their order. */
  keys?: readonly string[];
}

export class AccountStore {
  readonly log: Log;
  readonly state: State;
  readonly folds: FoldStore;
  readonly dedup: DedupIndex;
  private account: Account | null = null;
  /** The last log entry that the stored checkpoint knows, and the events since. */
  private checkpointSeq = 0;
  private eventsSinceCheckpoint = 0;

  constructor(private readonly storage: DurableObjectStorage) {
    const transaction = <T>(work: () => T): T => storage.transactionSync(work);
    this.log = new Log(storage.sql, transaction);
    this.state = new State(storage.sql);
    this.dedup = new DedupIndex(storage.sql, transaction);
    this.folds = new FoldStore(storage.sql);
  }

  /** Nothing was ever written here. */
  get empty(): boolean {
    return isEmpty(this.storage.sql);
  }

  /** The account, from memory or from its last checkpoint and the log after it. An object that never wrote stays untouched. */
  load(meters: CompiledMeters): Account {
    if (this.account) return this.account;
    try {
      return (this.account = this.wake(meters));
    } catch (error) {
      // Half of the log is in the caches: the next load begins with none.
      this.forget();
      throw error;
    }
  }

  private wake(meters: CompiledMeters): Account {
    if (this.empty) return newAccount();
    const checkpoint = this.state.read("checkpoint");
    const stored = checkpoint === null ? null : (JSON.parse(checkpoint) as { account: string; unsent: string });
    const account = stored ? decodeAccount(stored.account) : newAccount();
    if (stored) this.folds.restoreUnsent(stored.unsent);
    this.checkpointSeq = account.seq;
    const remembered = this.dedup.coveredSeq;
    for (const { json } of this.log.forward(Math.min(this.checkpointSeq, remembered) + 1)) {
      const entry = decodeEntry(json, parseExact);
      if (entry.seq > remembered) this.remember(entry);
      if (entry.seq <= this.checkpointSeq) continue;
      replay(account, entry, sha256);
      this.fold(entry, meters);
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
      const json = encodeEntry(entry, { lines, eventsJson: known.eventsJson });
      const facts = { journal: entry.journal.length, events: entry.events.length };
      if (first) {
        this.storage.transactionSync(() => {
          migrate(this.storage.sql);
          this.log.append(entry.seq, json, facts);
        });
      } else this.log.append(entry.seq, json, facts);
      this.remember(entry, known.keys);
      this.fold(entry, meters);
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** An empty object's name becomes another object's. */
  makeStub(home: string): void {
    this.storage.transactionSync(() => {
      migrate(this.storage.sql);
      this.state.write("home", home);
    });
  }

  /** Drops everything in memory; the next `load` reads it back. */
  forget(): void {
    this.account = null;
    this.folds.forget();
    this.dedup.forget();
    this.log.forget();
    this.checkpointSeq = 0;
    this.eventsSinceCheckpoint = 0;
  }

  private remember(
    entry: LogEntry,
    keys: readonly string[] = entry.events.map(({ source, id }) => eventKey(source, id)),
  ): void {
    for (const [index, key] of keys.entries()) this.dedup.add(key, entry.seq, index);
    if (entry.op) this.dedup.add(operationKey(entry.op.id), entry.seq, 0);
  }

  private fold(entry: LogEntry, meters: CompiledMeters): void {
    this.eventsSinceCheckpoint += entry.events.length;
    for (const [index, event] of entry.events.entries()) this.folds.fold(meters, event, { seq: entry.seq, index });
    // A backfill over many hours: changed folds cannot leave memory before they are saved.
    if (this.folds.pressed) this.checkpoint();
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

  /** Is there anything that the store may not know: log entries behind the last checkpoint, or folds it says are unsent? */
  get hasTail(): boolean {
    return (this.account?.seq ?? 0) > this.checkpointSeq || this.folds.hasUnsent;
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
    if (!account || account.seq === this.checkpointSeq) return;
    try {
      this.storage.transactionSync(() => {
        this.folds.saveDirty();
        this.state.write(
          "checkpoint",
          JSON.stringify({ account: encodeAccount(account), unsent: this.folds.unsent() }),
        );
      });
    } catch (error) {
      this.forget();
      throw error;
    }
    this.checkpointSeq = account.seq;
    this.eventsSinceCheckpoint = 0;
  }
}
